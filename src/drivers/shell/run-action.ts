/** Running a command as an action, over any transport: attached where it may be repeated, detached where it may not. */

import type { ActionDeclaration } from '../../model/action.ts';
import { shellQuote } from '../../model/expression.ts';
import { type Fault, fault } from '../../model/fault.ts';
import * as s from '../../model/schema.ts';
import type { ActionEnd, Call } from '../contract.ts';
import { type JobEnd, killJob, observeJob, startJob } from './detached.ts';
import { Tail } from './tail.ts';
import type { Transport } from './transport.ts';

/** How long an observation goes on trying to reach a target that is away. */
const GRACE_MS = 5 * 60_000;
const KILL_MS = 10_000;
/** An observation looks at least so long: the deadline of the work may have passed while Upshift was down. */
const LOOK_MS = 10_000;

export const runInputs = s.object({
  command: s.string({ minLength: 1, description: 'A POSIX shell command. Inserted values are quoted; raw(...) inserts as it is.' }),
  env: s.optional(s.record(s.string()), { description: 'Environment variables of the command.' }),
  detached: s.optional(s.boolean(), {
    description: 'Whether it outlives the connection. Default: yes for what is disruptive or not idempotent.',
  }),
});

export const runOutcomes = { success: 'exit code 0', failure: 'any other exit code, or the time was up' };
export const runResult = { exit: 'int', stdout: 'string', stderr: 'string' } as const satisfies ActionDeclaration['result'];

/** The call of an observation, with time to look. */
export function observation(call: Call): Call & { patienceMs: number } {
  return { ...call, deadline: Math.max(call.deadline, Date.now() + LOOK_MS), patienceMs: GRACE_MS };
}

/** The command with its environment in front: sshd takes variables only where it was told to. */
export function commandLine(call: Call): string {
  const env = Object.entries((call.input['env'] ?? {}) as Record<string, string>).map(
    ([name, value]) => `${name}=${shellQuote(String(value))}; export ${name}; `,
  );
  return `${env.join('')}${call.input['command'] as string}`;
}

export async function runCommand(transport: Transport, call: Call): Promise<ActionEnd> {
  const detached = (call.input['detached'] as boolean | undefined) ?? call.disruptive;
  return detached ? endOf(transport, call, await startJob(transport, call.fence, commandLine(call), call)) : runAttached(transport, call);
}

/** Finds out what became of a detached command. */
export async function observeCommand(transport: Transport, call: Call): Promise<ActionEnd> {
  const detached = (call.input['detached'] as boolean | undefined) ?? call.disruptive;
  if (!detached)
    return {
      lost: fault('not-kept', call.subject, 'the command was not detached, so nothing is known of it', {
        effect: 'operator',
        outcome: 'unknown',
      }),
    };
  return endOf(transport, call, await observeJob(transport, call.fence, observation(call)));
}

async function runAttached(transport: Transport, call: Call): Promise<ActionEnd> {
  const out = new Tail();
  const err = new Tail();
  const decoders = { out: new TextDecoder(), err: new TextDecoder() };
  const ran = await transport.run(`UPSHIFT_FENCE=${shellQuote(call.fence)}; export UPSHIFT_FENCE; ${commandLine(call)}`, {
    signal: call.signal,
    deadline: call.deadline,
    onStdout: (chunk) => {
      out.push(chunk);
      call.output(decoders.out.decode(chunk, { stream: true }));
    },
    onStderr: (chunk) => {
      err.push(chunk);
      call.output(decoders.err.decode(chunk, { stream: true }));
    },
  });
  switch (ran.kind) {
    case 'ended':
      return ended(call, ran.exit, out.text(), err.text());
    case 'unreachable':
      return { outcome: 'failure', result: { exit: -1, stdout: '', stderr: '' }, fault: ran.fault };
    case 'cut':
      return { unknown: ran.fault };
    case 'stopped':
      return call.signal.aborted ? { unknown: cancelled(call) } : timedOut(call, out.text(), err.text(), ran.ended);
  }
}

function ended(call: Call, exit: number, stdout: string, stderr: string): ActionEnd {
  const result = { exit, stdout, stderr };
  if (exit === 0) return { outcome: 'success', result };
  const said = (stderr.trim() || stdout.trim()).split('\n').at(-1)?.slice(0, 300);
  return {
    outcome: 'failure',
    result,
    fault: fault('command-failed', call.subject, `the command failed${said ? `: ${said}` : ''}`, {
      expected: 'exit code 0',
      found: `exit code ${exit}`,
      outcome: 'applied',
    }),
  };
}

function timedOut(call: Call, stdout: string, stderr: string, ended: boolean): ActionEnd {
  return {
    outcome: 'failure',
    result: { exit: 124, stdout, stderr },
    fault: fault('timeout', call.subject, `the command took too long and was ${ended ? 'ended' : 'told to end'}`, {
      outcome: ended ? 'applied' : 'unknown',
      remedy: 'Give the state a longer `timeout` if that is normal.',
    }),
  };
}

function cancelled(call: Call): Fault {
  return fault('cancelled', call.subject, 'cancelled', { outcome: 'unknown' });
}

/** A detached command's end as the end of its action. */
async function endOf(transport: Transport, call: Call, end: JobEnd): Promise<ActionEnd> {
  switch (end.kind) {
    case 'exit':
      return ended(call, end.exit, end.output, '');
    case 'absent':
      return { absent: true };
    case 'refused':
      return {
        unknown: fault('started-before', call.fence, 'this very command was started before', { effect: 'operator', outcome: 'unknown' }),
      };
    case 'lost':
      return {
        lost: fault(
          'lost',
          call.subject,
          end.why === 'reboot' ? 'the target rebooted while the command ran' : 'the command was killed while it ran',
          {
            effect: 'operator',
            outcome: 'unknown',
            remedy: 'Look at the target, then decide what became of it.',
          },
        ),
      };
    case 'unusable':
    case 'unreachable':
      // Of a start nothing was sent; of an observation nothing was learnt.
      return call.observing
        ? { unknown: { ...end.fault, effect: 'operator', outcome: 'unknown' } }
        : { outcome: 'failure', result: { exit: -1, stdout: '', stderr: '' }, fault: end.fault };
    case 'cut':
      return { unknown: end.fault };
    case 'stopped': {
      if (call.signal.aborted) return { unknown: cancelled(call) };
      if (await killJob(transport, call.fence, { signal: call.signal, deadline: Date.now() + KILL_MS }))
        return timedOut(call, end.output, '', true);
      return {
        unknown: fault('not-ended', call.subject, 'the command took too long, and could not be ended: it may still run', {
          effect: 'operator',
          outcome: 'unknown',
          remedy: 'Look at the target, then decide what became of it.',
        }),
      };
    }
  }
}
