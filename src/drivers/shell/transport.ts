/** A way to run a shell command somewhere: on this machine, or on a target over SSH. */
import type { Fault } from '../../model/fault.ts';

export type Ran =
  /** It ran to its end. `exit` is 128 + the signal where a signal ended it. */
  | { kind: 'ended'; exit: number }
  /** Nothing was sent. */
  | { kind: 'unreachable'; fault: Fault }
  /** It was sent, and the connection went before its end. */
  | { kind: 'cut'; fault: Fault }
  /** It was given up on because the signal was aborted or the deadline passed. */
  | { kind: 'stopped' };

export type RunOptions = {
  signal: AbortSignal;
  /** Ms since the epoch; the command is ended there. */
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
