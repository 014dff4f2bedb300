/**
 * Connections by host: one each, shared by everything that goes to it, closed when it has been idle for a while.
 *
 * Invariants
 * - C1 There is at most one connection, or one attempt to connect, for the same settings.
 * - C2 At most SESSIONS commands run on a connection at once (OpenSSH's MaxSessions is 10); more wait.
 */
import type { Client, ClientChannel } from 'ssh2';
import type { SshConnect } from '../../model/documents/index.ts';
import { type Fault, fault } from '../../model/fault.ts';
import type { Ran, RunOptions, Transport } from '../shell/transport.ts';
import { type Connected, connect } from './connection.ts';
import { jumpConnect, type SshSettings, settingsFor } from './settings.ts';

const SESSIONS = 8;
const IDLE_MS = 30_000;
/** How long to try where a call says nothing else. */
const PATIENCE_MS = 20_000;
const BACKOFF_MS = [100, 250, 500, 1_000, 2_000] as const;

type Host = { connecting: Promise<Connected>; sessions: number; waiting: (() => void)[]; idle?: NodeJS.Timeout; alive: boolean };

export class SshPool {
  readonly #hosts = new Map<string, Host>();
  #closed = false;

  /** A way to run commands on a target. */
  transport(subject: string, connectBy: SshConnect): Transport {
    const settings = settingsFor(subject, connectBy);
    return { run: (command, options) => this.#run(subject, settings, command, options) };
  }

  async close(): Promise<void> {
    this.#closed = true;
    const hosts = [...this.#hosts.values()];
    this.#hosts.clear();
    for (const host of hosts) {
      clearTimeout(host.idle);
      const connected = await host.connecting;
      if (connected.ok) connected.client.destroy();
    }
  }

  async #run(subject: string, settings: SshSettings, command: string, options: RunOptions): Promise<Ran> {
    const until = Math.min(options.deadline, Date.now() + (options.patienceMs ?? PATIENCE_MS));
    for (let attempt = 0; ; attempt++) {
      if (options.signal.aborted) return { kind: 'stopped' };
      const { host, connected } = await this.#connected(subject, settings);
      let why: Fault;
      if (connected.ok) {
        const ran = await this.#session(host, connected.client, subject, command, options);
        if (ran.kind !== 'unreachable') return ran;
        this.#forget(settings, host);
        why = ran.fault;
      } else {
        this.#forget(settings, host);
        why = connected.fault;
        if (why.effect !== 'retry') return { kind: 'unreachable', fault: why };
      }
      const pause = BACKOFF_MS[Math.min(attempt, BACKOFF_MS.length - 1)] as number;
      if (this.#closed || Date.now() + pause >= until) return { kind: 'unreachable', fault: why };
      await sleep(pause, options.signal);
    }
  }

  async #connected(subject: string, settings: SshSettings): Promise<{ host: Host; connected: Connected }> {
    const key = keyOf(settings);
    let host = this.#hosts.get(key);
    if (!host) {
      const fresh: Host = { connecting: this.#connect(subject, settings), sessions: 0, waiting: [], alive: true };
      host = fresh;
      this.#hosts.set(key, fresh);
      void fresh.connecting.then((connected) => {
        if (connected.ok) connected.client.once('close', () => this.#forget(settings, fresh));
      });
    }
    clearTimeout(host.idle);
    return { host, connected: await host.connecting };
  }

  async #connect(subject: string, settings: SshSettings): Promise<Connected> {
    const last = settings.jumps.at(-1);
    if (last === undefined) return connect(subject, settings);
    const jump = settingsFor(last, jumpConnect(last, settings.config));
    const { connected } = await this.#connected(last, {
      ...jump,
      jumps: [...jump.jumps, ...settings.jumps.slice(0, -1)],
      ...(settings.passphrase === undefined ? {} : { passphrase: settings.passphrase }),
    });
    if (!connected.ok)
      return {
        ok: false,
        fault: fault('ssh-jump', subject, `the jump host ${last} cannot be used`, {
          effect: connected.fault.effect,
          cause: connected.fault,
        }),
      };
    return new Promise((resolve) =>
      connected.client.forwardOut('127.0.0.1', 0, settings.host, settings.port, (error, stream) => {
        if (error)
          resolve({
            ok: false,
            fault: fault('ssh-unreachable', subject, `${settings.host}:${settings.port} cannot be reached from ${last}: ${error.message}`, {
              effect: 'retry',
            }),
          });
        else resolve(connect(subject, settings, stream));
      }),
    );
  }

  async #session(host: Host, client: Client, subject: string, command: string, options: RunOptions): Promise<Ran> {
    if (host.sessions >= SESSIONS) await new Promise<void>((next) => host.waiting.push(next));
    host.sessions++;
    try {
      return host.alive
        ? await runOn(client, subject, command, options)
        : { kind: 'unreachable', fault: fault('ssh-closed', subject, 'the connection was closed', { effect: 'retry' }) };
    } finally {
      host.sessions--;
      host.waiting.shift()?.();
      if (host.sessions === 0 && host.alive) {
        host.idle = setTimeout(() => client.end(), IDLE_MS);
        host.idle.unref();
      }
    }
  }

  #forget(settings: SshSettings, host: Host): void {
    const key = keyOf(settings);
    if (this.#hosts.get(key) === host) this.#hosts.delete(key);
    host.alive = false;
    clearTimeout(host.idle);
    for (const next of host.waiting.splice(0)) next();
  }
}

function keyOf({ host, port, user, jumps, identities, password }: SshSettings): string {
  return JSON.stringify([host, port, user, jumps, identities, password === undefined]);
}

/** Runs one command in a session of its own. Nothing was sent where opening the session fails. */
function runOn(client: Client, subject: string, command: string, options: RunOptions): Promise<Ran> {
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
      channel?.signal('TERM');
      channel?.close();
      settle({ kind: 'stopped' });
    };
    const onClose = () => settle(cut(subject));
    const timer = setTimeout(stop, Math.max(0, options.deadline - Date.now()));
    options.signal.addEventListener('abort', stop, { once: true });
    client.once('close', onClose);
    try {
      client.exec(command, (error, stream) => {
        if (error)
          return settle({
            kind: 'unreachable',
            fault: fault('ssh-session', subject, `no session can be opened: ${error.message}`, { effect: 'retry' }),
          });
        channel = stream;
        let ended: Ran | undefined;
        stream.on('data', options.onStdout);
        stream.stderr.on('data', options.onStderr);
        stream.on('exit', (code: number | null, signal?: string) => {
          ended = { kind: 'ended', exit: code ?? 128 + (signal === 'KILL' ? 9 : 15) };
        });
        stream.on('close', () => settle(ended ?? cut(subject)));
      });
    } catch (error) {
      settle({
        kind: 'unreachable',
        fault: fault('ssh-session', subject, `no session can be opened: ${(error as Error).message}`, { effect: 'retry' }),
      });
    }
  });
}

function cut(subject: string): Ran {
  return {
    kind: 'cut',
    fault: fault('connection-cut', subject, 'the connection was cut while the command ran', { effect: 'operator', outcome: 'unknown' }),
  };
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
