/**
 * A failure as a value. Expected failures travel in results and messages; only programmers' errors are thrown.
 */

/** What a fault asks for: try again, keep waiting, give up, or ask a person. */
export type FaultEffect = 'retry' | 'wait' | 'fail' | 'operator';

/** What is known about the world after the fault: nothing was done, it was done, or nobody knows. */
export type FaultOutcome = 'none' | 'applied' | 'unknown';

export type Fault = {
  /** Stable, documented, kebab-case: programs match on it, never on a text. */
  kind: string;
  /** What it is about: a target, a state, a file. */
  subject: string;
  /** One sentence of this layer only; causes say the rest. */
  message: string;
  expected?: string;
  found?: string;
  /** What a person can do about it. */
  remedy?: string;
  effect: FaultEffect;
  outcome: FaultOutcome;
  cause?: Fault;
};

/** Builds a fault; `effect` defaults to `fail` and `outcome` to `none`. */
export function fault(
  kind: string,
  subject: string,
  message: string,
  more: Partial<Omit<Fault, 'kind' | 'subject' | 'message'>> = {},
): Fault {
  return { kind, subject, message, effect: 'fail', outcome: 'none', ...more };
}

/** The whole chain on one line: `subject: message (expected X, found Y): cause`. */
export function faultText(value: Fault): string {
  const parts: string[] = [];
  for (let at: Fault | undefined = value; at; at = at.cause) {
    let text = at.message;
    if (at.expected !== undefined && at.found !== undefined) text += ` (expected ${at.expected}, found ${at.found})`;
    else if (at.expected !== undefined) text += ` (expected ${at.expected})`;
    else if (at.found !== undefined) text += ` (found ${at.found})`;
    parts.push(text);
  }
  return parts.join(': ');
}

/** Thrown where a fault ends what a person asked for; the command line prints it and sets the exit code. */
export class FaultError extends Error {
  readonly fault: Fault;
  constructor(value: Fault) {
    super(faultText(value));
    this.name = 'FaultError';
    this.fault = value;
  }
}
