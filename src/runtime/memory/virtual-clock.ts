/** A clock that stands still until it is told to go to the next timer. */
import type { Clock } from '../ports.ts';

export class VirtualClock implements Clock {
  #now: number;
  #timers: { at: number; order: number; call: () => void }[] = [];
  #order = 0;

  constructor(start = 1_700_000_000_000) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  at(moment: number, call: () => void): () => void {
    const timer = { at: moment, order: this.#order++, call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }

  /** The moment of the next timer; undefined where there is none. */
  next(): number | undefined {
    return this.#timers.reduce<number | undefined>(
      (least, timer) => (least === undefined || timer.at < least ? timer.at : least),
      undefined,
    );
  }

  /** Goes to the next timer and calls it; false where there is none. */
  advance(): boolean {
    const [timer] = this.#timers.sort((a, b) => a.at - b.at || a.order - b.order);
    if (!timer) return false;
    this.#timers.shift();
    this.#now = Math.max(this.#now, timer.at);
    timer.call();
    return true;
  }

  /** Lets time pass, as a clock that is put forward or back would. */
  shift(ms: number): void {
    this.#now += ms;
  }

  /** Forgets all timers: the process that set them is gone. */
  crash(): void {
    this.#timers = [];
  }
}
