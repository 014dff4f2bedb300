/** The machine's clock. */
import type { Clock } from './ports.ts';

/** Timers beyond this are armed again when it has passed: setTimeout counts in 31 bits. */
const MAX_TIMEOUT_MS = 2_147_000_000;

export const systemClock: Clock = {
  now: () => Date.now(),
  at(moment, call) {
    let timer: NodeJS.Timeout;
    const arm = () => {
      const left = moment - Date.now();
      timer = left > MAX_TIMEOUT_MS ? setTimeout(arm, MAX_TIMEOUT_MS) : setTimeout(call, Math.max(0, left));
    };
    arm();
    return () => clearTimeout(timer);
  },
};
