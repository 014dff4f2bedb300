/** Commands on the machine Upshift runs on. */
import { spawn } from 'node:child_process';
import { fault } from '../../model/fault.ts';
import type { Driver } from '../contract.ts';
import { observeCommand, runCommand, runInputs, runOutcomes, runResult } from '../shell/run-action.ts';
import type { Ran, RunOptions, Transport } from '../shell/transport.ts';

const SIGNALS: Record<string, number> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/** Runs commands with `sh` in a process group of their own, so that they can be ended whole. */
export const localTransport: Transport = {
  run(command: string, options: RunOptions): Promise<Ran> {
    return new Promise((resolve) => {
      if (options.signal.aborted) return resolve({ kind: 'stopped' });
      const child = spawn('sh', ['-c', command], { detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
      let stopped = false;
      const stop = () => {
        stopped = true;
        if (child.pid === undefined) return;
        try {
          process.kill(-child.pid, 'SIGTERM');
        } catch {
          // It has ended by itself.
        }
      };
      const timer = setTimeout(stop, Math.max(0, options.deadline - Date.now()));
      options.signal.addEventListener('abort', stop, { once: true });
      const settle = (ran: Ran) => {
        clearTimeout(timer);
        options.signal.removeEventListener('abort', stop);
        resolve(ran);
      };
      child.stdout.on('data', options.onStdout);
      child.stderr.on('data', options.onStderr);
      child.on('error', (error) =>
        settle({ kind: 'unreachable', fault: fault('spawn-failed', 'sh', `the command cannot be started: ${error.message}`) }),
      );
      child.on('close', (code, signal) =>
        settle(stopped ? { kind: 'stopped' } : { kind: 'ended', exit: code ?? 128 + (SIGNALS[signal ?? ''] ?? 0) }),
      );
    });
  },
};

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
