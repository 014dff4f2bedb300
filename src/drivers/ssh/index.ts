/** Commands on targets, over SSH. */
import { fault } from '../../model/fault.ts';
import * as s from '../../model/schema.ts';
import type { ActionEnd, Call, Driver } from '../contract.ts';
import { pause } from '../deadline.ts';
import { bootOf, observeJob, startJob } from '../shell/detached.ts';
import { commandLine, observation, observeCommand, runCommand, runInputs, runOutcomes, runResult } from '../shell/run-action.ts';
import type { Transport } from '../shell/transport.ts';
import { SshPool, type SshTimes } from './pool.ts';

const REBOOT_POLL_MS = 500;

const rebootInputs = s.object({
  command: s.optional(s.string({ minLength: 1 }), { description: 'What reboots it; default `reboot`.' }),
  env: s.optional(s.record(s.string())),
});

export function sshDriver(times: Partial<SshTimes> = {}): Driver {
  const pool = new SshPool(times);
  const transport = (call: Call) => pool.transport(call.subject, call.connect.ssh ?? {});
  return {
    name: 'ssh',
    actions: [
      {
        declaration: {
          name: 'ssh.run',
          title: 'Run a command on the target',
          inputs: runInputs,
          outcomes: runOutcomes,
          traits: { observable: true },
          connects: 'ssh',
          shell: ['command'],
          result: runResult,
        },
        run: (call) => runCommand(transport(call), call),
        observe: (call) => observeCommand(transport(call), call),
      },
      {
        declaration: {
          name: 'ssh.reboot',
          title: 'Reboot the target and wait until it is back',
          inputs: rebootInputs,
          outcomes: { success: 'it has rebooted and can be reached again', failure: 'it did not reboot, or did not come back in time' },
          traits: { disruptive: true, observable: true, cutsConnection: true },
          connects: 'ssh',
          shell: ['command'],
          result: runResult,
        },
        run: (call) => reboot(transport(call), call),
        observe: (call) => observeReboot(transport(call), observation(call)),
      },
    ],
    close: () => pool.close(),
  };
}

/** Starts the reboot as a job of its own, so that the boot id before it is on record, and waits for another boot id. */
async function reboot(transport: Transport, call: Call): Promise<ActionEnd> {
  const command = commandLine({ ...call, input: { command: 'reboot', ...call.input } });
  const end = await startJob(transport, call.fence, command, call);
  if (end.kind === 'unreachable' || end.kind === 'unusable') return failed(end.fault);
  if (end.kind === 'refused')
    return {
      unknown: fault('started-before', call.fence, 'this very reboot was ordered before', { effect: 'operator', outcome: 'unknown' }),
    };
  if (end.kind === 'exit' && refused(end.exit))
    return failed(
      fault('command-failed', call.subject, `the reboot was refused: ${end.output.trim().split('\n').at(-1) ?? ''}`, {
        expected: 'exit code 0',
        found: `exit code ${end.exit}`,
      }),
    );
  return untilRebooted(transport, call);
}

/** Whether the command itself said no: what a signal ended was ended by the reboot. */
function refused(exit: number): boolean {
  return exit > 0 && exit <= 128;
}

async function observeReboot(transport: Transport, call: Call & { patienceMs: number }): Promise<ActionEnd> {
  const boot = await bootOf(transport, call.fence, call);
  if (!boot)
    return { unknown: fault('unreachable', call.subject, 'the target cannot be reached', { effect: 'operator', outcome: 'unknown' }) };
  if (boot.before !== 'none') {
    if (refused(Number(boot.exit)) && boot.before === boot.now)
      return failed(fault('command-failed', call.subject, 'the reboot was refused', { found: `exit code ${boot.exit}` }));
    if (boot.exit !== 'absent') return untilRebooted(transport, call);
  }
  const end = await observeJob(transport, call.fence, call);
  return end.kind === 'absent' ? { absent: true } : untilRebooted(transport, call);
}

/** Asks until the boot id is another than before; away is what it is expected to be meanwhile. */
async function untilRebooted(transport: Transport, call: Call): Promise<ActionEnd> {
  while (!call.signal.aborted && Date.now() < call.deadline) {
    const boot = await bootOf(transport, call.fence, {
      ...call,
      deadline: Math.min(call.deadline, Date.now() + 10_000),
      patienceMs: 2_000,
    });
    if (boot && boot.before !== 'none' && boot.before !== boot.now)
      return { outcome: 'success', result: { exit: 0, stdout: `boot id ${boot.before} → ${boot.now}`, stderr: '' } };
    await pause(REBOOT_POLL_MS, call.signal);
  }
  if (call.signal.aborted) return { unknown: fault('cancelled', call.subject, 'cancelled', { outcome: 'unknown' }) };
  return failed(
    fault('timeout', call.subject, 'the target did not come back from its reboot in time', {
      outcome: 'applied',
      remedy: 'Look at its console; give the state a longer `timeout` if that is normal.',
    }),
  );
}

function failed(why: ReturnType<typeof fault>): ActionEnd {
  return { outcome: 'failure', result: { exit: -1, stdout: '', stderr: '' }, fault: why };
}
