/** Waiting, with an end: every wait of a driver is over when its call is aborted or its deadline passes. */

/** The longest a timer can take (2^31 - 1 ms, almost 25 days); a longer one would go off at once. */
const MAX_TIMER_MS = 2_147_483_647;

export type Until = {
  signal: AbortSignal;
  /** Ms since the epoch. */
  deadline: number;
};

/** Ms left until a deadline, as a timer takes them. A deadline beyond what a timer can take comes early, after almost 25 days. */
export function msLeft(deadline: number): number {
  return Math.min(Math.max(0, deadline - Date.now()), MAX_TIMER_MS);
}

/** What a promise comes to; undefined where the call is aborted or its deadline passes first. The promise itself goes on. */
export function before<T>(promise: Promise<T>, until: Until): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const stop = () => settle(() => resolve(undefined));
    const timer = setTimeout(stop, msLeft(until.deadline));
    const settle = (how: () => void) => {
      clearTimeout(timer);
      until.signal.removeEventListener('abort', stop);
      how();
    };
    if (until.signal.aborted) return stop();
    until.signal.addEventListener('abort', stop, { once: true });
    promise.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}

/** Waits so long, or until the signal is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, signal.aborted ? 0 : ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
