/**
 * What a machine is: two pure functions over a state.
 *
 *     receive(state, message, now) -> { state, sends } | fault     no I/O, no clock, no randomness
 *     outstanding(state)           -> work[]                       what must be going on while in this state
 *
 * The runtime does the rest: it makes the new state durable, delivers the sends in the same commit, starts the work that is newly
 * outstanding and cancels what no longer is. After a crash it asks `outstanding` again.
 */
import type { Check } from '../model/documents/index.ts';
import type { Fault } from '../model/fault.ts';

/** `run`, or the number of a member: one target in one stage. */
export type MachineId = 'run' | number;

/** Carried by all work and every result; a result with another fence than the machine's present one changes nothing (P3). */
export type Fence = { run: string; machine: MachineId; visit: number; attempt: number };

/** `run/machine/visit/attempt`: what targets and ledgers are given. */
export function fenceText(fence: Fence): string {
  return `${fence.run}/${fence.machine}/${fence.visit}/${fence.attempt}`;
}

export function sameFence(a: Fence, b: Fence): boolean {
  return a.visit === b.visit && a.attempt === b.attempt && a.machine === b.machine && a.run === b.run;
}

/** How a piece of work ended. */
export type Ending =
  /** With one of its declared outcomes; `values` are those the state saves. */
  | { kind: 'ended'; outcome: string; values?: Record<string, unknown>; fault?: Fault }
  /** It was sent and nobody knows what became of it (P4). */
  | { kind: 'unknown'; fault: Fault }
  /** An observation found that it never started. */
  | { kind: 'absent' }
  /** An observation found that it started and is gone without a trace of its end. */
  | { kind: 'lost'; fault: Fault };

export type Work =
  /** Read the version a member's target has. */
  | { kind: 'version'; fence: Fence; member: number }
  /** Run the action of a state; `deadline` in ms since the epoch. */
  | {
      kind: 'action';
      fence: Fence;
      member: number;
      procedure: string;
      state: string;
      deadline: number;
      case: string | null;
      values: Record<string, unknown>;
    }
  /** Find out what became of that action. */
  | {
      kind: 'observe';
      fence: Fence;
      member: number;
      procedure: string;
      state: string;
      deadline: number;
      case: string | null;
      values: Record<string, unknown>;
    }
  /** Read where a member stands in a live order. */
  | { kind: 'rank'; fence: Fence; member: number }
  /** Ask a check of the run. */
  | { kind: 'check'; fence: Fence; check: Check }
  /** Send `wake` at this moment, in ms since the epoch. */
  | { kind: 'timer'; fence: Fence; at: number };

/** Work is the same work as long as this text is the same. */
export function workKey(work: Work): string {
  return `${work.kind}:${work.fence.visit}.${work.fence.attempt}${work.kind === 'timer' ? `@${work.at}` : ''}`;
}

export type Send<M> = { to: MachineId; message: M };

export type Reaction<S, M> = { ok: true; state: S; sends: Send<M>[] } | { ok: false; fault: Fault };

export interface Machine<S, Received, Sent> {
  receive(state: S, message: Received, now: number): Reaction<S, Sent>;
  outstanding(state: S): Work[];
}
