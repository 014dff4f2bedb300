/**
 * Who may begin now, of all the work there is.
 *
 * What begins is costly (a connection, a login, a page of output), what goes on mostly waits for somebody else. So work that has gone on for
 * a while gives its turn to others: targets that hang, or take an hour, hold up nobody.
 *
 * Invariants
 * - A1 At most `atOnce` pieces of work are unsettled, and at most `open` are there at all.
 * - A2 First come, first served; nothing begins before `enter` has returned.
 */
import type { Clock } from './ports.ts';

export type AdmissionLimits = {
  /** At once, of what has just begun. */
  atOnce: number;
  /** At once, however long it has been there: each may hold a connection. */
  open: number;
  /** After this it is settled and makes room. */
  settledMs: number;
};

/** Enough to keep a fleet busy, few enough for a burst of logins; and what one process can bear in sockets and memory. */
const LIMITS: AdmissionLimits = { atOnce: 512, open: 8_192, settledMs: 5_000 };

export class Admission {
  readonly #clock: Clock;
  readonly #limits: AdmissionLimits;
  readonly #waiting = new Set<() => void>();
  #unsettled = 0;
  #open = 0;

  constructor(clock: Clock, limits: Partial<AdmissionLimits> = {}) {
    this.#clock = clock;
    this.#limits = { ...LIMITS, ...limits };
  }

  /** Calls `begin` once there is room; it calls `leave` when it is over. The answer takes back what has not begun. */
  enter(begin: (leave: () => void) => void): () => void {
    const admit = () => begin(this.#take());
    this.#waiting.add(admit);
    queueMicrotask(() => this.#admit());
    return () => this.#waiting.delete(admit);
  }

  #admit(): void {
    for (const admit of this.#waiting) {
      if (this.#unsettled >= this.#limits.atOnce || this.#open >= this.#limits.open) return;
      this.#waiting.delete(admit);
      admit();
    }
  }

  #take(): () => void {
    this.#unsettled++;
    this.#open++;
    let unsettled = true;
    const settle = () => {
      if (!unsettled) return;
      unsettled = false;
      this.#unsettled--;
      this.#admit();
    };
    const cancel = this.#clock.at(this.#clock.now() + this.#limits.settledMs, settle);
    return () => {
      cancel();
      this.#open--;
      if (unsettled) settle();
      else this.#admit();
    };
  }
}
