/** One command in a session of its own, on a connection that is there. */
import type { Client, ClientChannel } from 'ssh2';
import { fault } from '../../model/fault.ts';
import { msLeft } from '../deadline.ts';
import { exitOfSignal, type Ran, type RunOptions } from '../shell/transport.ts';

/** How long a command that is given up on may take to end after TERM before it is killed. */
const TERM_MS = 3_000;

/**
 * What ssh2 says of a session that was not open yet when the connection went: the command was not sent. There is no other sign of it; of
 * any other error at that time we assume that it was.
 */
const NEVER_OPENED = 'No response from server';

/** Runs a command. Nothing was sent where opening the session fails. */
export function runOn(client: Client, subject: string, command: string, options: RunOptions): Promise<Ran> {
  return new Promise((resolve) => {
    let settled = false;
    let channel: ClientChannel | undefined;
    const settle = (ran: Ran) => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      options.signal.removeEventListener('abort', stop);
      client.removeListener('close', onClose);
      resolve(ran);
    };
    const stop = () => {
      if (channel) end(channel);
      settle({ kind: 'stopped', ended: false });
    };
    let closed = false;
    const onClose = () => {
      closed = true;
      if (channel) settle(cut(subject));
      // A session that was being opened is told right after this.
      else setImmediate(() => settle(cut(subject)));
    };
    const timer = setTimeout(stop, msLeft(options.deadline));
    options.signal.addEventListener('abort', stop, { once: true });
    client.once('close', onClose);
    try {
      client.exec(command, (error, stream) => {
        // It was given up on while the session was being opened; the command runs by now.
        if (settled) return stream && end(stream);
        if (error) return settle(closed && error.message !== NEVER_OPENED ? cut(subject) : notOpened(subject, error));
        channel = stream;
        let ended: Ran | undefined;
        stream.on('data', (chunk: Buffer) => settled || options.onStdout(chunk));
        stream.stderr.on('data', (chunk: Buffer) => settled || options.onStderr(chunk));
        stream.on('exit', (code: number | null, signal?: string) => {
          ended = { kind: 'ended', exit: code ?? exitOfSignal(signal) };
        });
        stream.on('close', () => settle(ended ?? cut(subject)));
      });
    } catch (error) {
      settle(notOpened(subject, error as Error));
    }
  });
}

/** TERM, then KILL, and the session is closed. OpenSSH passes signals on to anybody but root, and says nothing of it. */
function end(channel: ClientChannel): void {
  channel.resume();
  channel.stderr.resume();
  channel.signal('TERM');
  const kill = setTimeout(() => {
    channel.signal('KILL');
    channel.close();
  }, TERM_MS);
  kill.unref();
  channel.once('close', () => clearTimeout(kill));
}

function notOpened(subject: string, error: Error): Ran {
  return {
    kind: 'unreachable',
    fault: fault('ssh-session', subject, `no session can be opened: ${error.message}`, { effect: 'retry' }),
  };
}

function cut(subject: string): Ran {
  return {
    kind: 'cut',
    fault: fault('connection-cut', subject, 'the connection was cut while the command ran', { effect: 'operator', outcome: 'unknown' }),
  };
}
