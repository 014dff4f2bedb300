/** Commands on the machine Upshift runs on. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fault } from '../../model/fault.ts';
import type { Driver } from '../contract.ts';
import { msLeft } from '../deadline.ts';
import { observeCommand, runCommand, runInputs, runOutcomes, runResult } from '../shell/run-action.ts';
import { exitOfSignal, type Ran, type RunOptions, type Transport } from '../shell/transport.ts';

/** How long a command may take to end after TERM before it is killed. */
const TERM_MS = 3_000;

/** Runs commands with `sh` in a process group of their own, so that they can be ended whole. */
const localTransport: Transport = {
  run(command: string, options: RunOptions): Promise<Ran> {
    return new Promise((resolve) => {
      if (options.signal.aborted) return resolve({ kind: 'stopped', ended: true });
      const child = spawn('sh', ['-c', command], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
      let stopped = false;
      let kill: NodeJS.Timeout | undefined;
      const stop = () => {
        stopped = true;
        signalGroup(child, 'SIGTERM');
        kill = setTimeout(() => {
          signalGroup(child, 'SIGKILL');
          // Whatever has left the group may hold the pipes open for ever.
          child.stdout.destroy();
          child.stderr.destroy();
        }, TERM_MS);
      };
      const timer = setTimeout(stop, msLeft(options.deadline));
      options.signal.addEventListener('abort', stop, { once: true });
      const settle = (ran: Ran) => {
        clearTimeout(timer);
        clearTimeout(kill);
        options.signal.removeEventListener('abort', stop);
        resolve(ran);
      };
      child.stdout.on('data', options.onStdout);
      child.stderr.on('data', options.onStderr);
      child.on('error', (error) =>
        settle({ kind: 'unreachable', fault: fault('spawn-failed', 'sh', `the command cannot be started: ${error.message}`) }),
      );
      child.on('close', (code, signal) =>
        settle(stopped ? { kind: 'stopped', ended: true } : { kind: 'ended', exit: code ?? exitOfSignal(signal) }),
      );
    });
  },
};

function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // It has ended by itself.
  }
}

export function commandDriver(): Driver {
  return {
    name: 'command',
    actions: [
      {
        declaration: {
          name: 'command.run',
          title: 'Run a command on this machine',
          inputs: runInputs,
          outcomes: runOutcomes,
          traits: { observable: true },
          shell: ['command'],
          result: runResult,
        },
        run: (call) => runCommand(localTransport, call),
        observe: (call) => observeCommand(localTransport, call),
      },
    ],
    close: async () => {},
  };
}
