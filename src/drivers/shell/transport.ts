/** A way to run a shell command somewhere: on this machine, or on a target over SSH. */
import { constants } from 'node:os';
import type { Fault } from '../../model/fault.ts';

export type Ran =
  /** It ran to its end. `exit` is 128 + the signal where a signal ended it. */
  | { kind: 'ended'; exit: number }
  /** Nothing was sent. */
  | { kind: 'unreachable'; fault: Fault }
  /** It was sent, and the connection went before its end. */
  | { kind: 'cut'; fault: Fault }
  /** It was given up on because the signal was aborted or the deadline passed. `ended`: whether it surely runs no more. */
  | { kind: 'stopped'; ended: boolean };

export type RunOptions = {
  signal: AbortSignal;
  /** Ms since the epoch; the command is told to end there. */
  deadline: number;
  /** How long to go on trying to connect, in ms. */
  patienceMs?: number;
  onStdout(chunk: Buffer): void;
  onStderr(chunk: Buffer): void;
};

export interface Transport {
  /** Runs a command line of a POSIX shell. */
  run(command: string, options: RunOptions): Promise<Ran>;
}

/** The exit code a shell gives what a signal ended: 128 + its number. Names come with and without SIG. */
export function exitOfSignal(name: string | null | undefined): number {
  const signals: Readonly<Record<string, number>> = constants.signals;
  return 128 + (signals[`SIG${name?.replace(/^SIG/, '')}`] ?? 0);
}
