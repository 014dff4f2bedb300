/** Every message the machines receive. */
import type { Fault } from '../model/fault.ts';
import type { Ending, Fence } from './machine.ts';

export type MemberResult = 'succeeded' | 'failed' | 'reverted' | 'skipped';

/** To a target machine. */
export type TargetMessage =
  | { type: 'begin' }
  | { type: 'result'; fence: Fence; ending: Ending }
  | { type: 'wake'; fence: Fence }
  /** No new work; what is going on is finished. */
  | { type: 'pause' }
  | { type: 'continue' }
  /** Stop for good after what is going on. */
  | { type: 'halt' }
  /** Go back to the version it came from. */
  | { type: 'revert' }
  /** Start again; only with a counter above the last one. */
  | { type: 'retry'; counter: number }
  | { type: 'skip' }
  /** A person says what became of the action, or to do it again. */
  | { type: 'decide'; as: string; by: string };

/** From a target machine to its run. */
export type MemberReport =
  | { type: 'member-done'; member: number; result: MemberResult; touched: boolean; fault?: Fault }
  | { type: 'member-deciding'; member: number; fault: Fault }
  | { type: 'member-decided'; member: number };

/** What a person, or a program for them, asks of a run. `key` makes asking twice safe (P10). */
export type ControlBody =
  | { type: 'pause'; reason?: string }
  | { type: 'continue' }
  | { type: 'approve' }
  | { type: 'abort'; reason?: string }
  | { type: 'rollback'; reason?: string }
  | { type: 'retry'; member?: number; counter?: number }
  | { type: 'skip'; member: number }
  | { type: 'decide'; member: number; as: string };
export type Control = ControlBody & { key: string; by: string };

/** To a run machine. */
export type RunMessage =
  | { type: 'start' }
  | { type: 'result'; fence: Fence; ending: Ending }
  | { type: 'wake'; fence: Fence }
  | MemberReport
  | Control;

export type AnyMessage = TargetMessage | RunMessage;
