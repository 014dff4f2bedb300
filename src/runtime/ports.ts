/** What the runtime needs of the world: a clock, a store, and something that does the work. */
import type { Ending, MachineId, Work } from '../machines/machine.ts';
import type { RunState } from '../machines/run/state.ts';
import type { TargetState } from '../machines/target-state.ts';
import type { Plan } from '../planning/plan.ts';

export interface Clock {
  /** Ms since the epoch. */
  now(): number;
  /** Calls back at a moment, or at once where it has passed; the answer cancels it. */
  at(moment: number, call: () => void): () => void;
}

/** One handled message: what it was, when, and what it changed. */
export type HandledMessage = {
  at: number;
  machine: MachineId;
  type: string;
  /** Plain data. */
  message: unknown;
  /** The phase it led to, or the fault it was refused with. */
  change: string;
  refused: boolean;
};

/** The same as it is read back; `body` is the message as JSON. */
export type HistoryRecord = Omit<HandledMessage, 'message'> & { body: string };

export type OutputRecord = { machine: MachineId; visit: number; attempt: number; at: number; text: string };

/** A target's version as a run has left it. */
export type KnownVersion = { target: string; product: string; version: string; at: number };

/** Everything one group of messages changed; written whole or not at all. */
export type Commit = {
  run: string;
  /** Absent where the run machine's state did not change. */
  state?: RunState;
  members: TargetState[];
  history: HandledMessage[];
  outputs: OutputRecord[];
  versions: KnownVersion[];
};

export type StoredRun = { plan: Plan; state: RunState; members: TargetState[]; createdAt: number };

export type RunSummary = {
  run: string;
  upgrade: string;
  product: string;
  to: string;
  createdAt: number;
  endedAt?: number;
  phase: string;
  result?: string;
  digest: string;
};

/** Identifies outstanding work that surely never began. */
export type WorkMark = { machine: MachineId; key: string };

/**
 * Keeps states and history. Every method throws a {@link FaultError} on an operating error (disk full, read-only, damaged); the caller
 * then may try the same again: a failed call has changed nothing.
 */
export interface Store {
  createRun(run: string, plan: Plan, state: RunState, at: number): void;
  loadRun(run: string): StoredRun | undefined;
  /** Durable when it returns. */
  commit(commit: Commit): void;
  /** At a clean stop: the outstanding work that was never begun. Replaces what was said before. */
  markUnstarted(run: string, marks: readonly WorkMark[]): void;
  /** What the last clean stop said, forgotten durably by asking. */
  takeUnstarted(run: string): WorkMark[];
  runs(): RunSummary[];
  history(run: string, options?: { after?: number; limit?: number; machine?: MachineId }): (HistoryRecord & { seq: number })[];
  outputs(run: string, machine: MachineId): OutputRecord[];
  versions(): KnownVersion[];
  close(): void;
}

/** Does work in the world. */
export interface Executor {
  /** Begins; `end` is called at most once, never before `start` returns. The answer cancels: `end` may then not be called. */
  start(work: Work, end: (ending: Ending) => void, output: (text: string) => void): () => void;
}
