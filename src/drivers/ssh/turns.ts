/** At most so many at once; the others wait, first come first served. */
import { before, type Until } from '../deadline.ts';

export class Turns {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** Waits for a turn. False where the call is aborted or its deadline passes first; else the turn must be given back. */
  async take(until: Until): Promise<boolean> {
    if (this.#free > 0) {
      this.#free--;
      return true;
    }
    let granted = false;
    let grant = () => {};
    const turn = new Promise<true>((resolve) => {
      grant = () => {
        granted = true;
        resolve(true);
      };
    });
    this.#waiting.add(grant);
    if (await before(turn, until)) return true;
    this.#waiting.delete(grant);
    // It came in the very moment of giving up.
    if (granted) this.give();
    return false;
  }

  /** Gives a turn back: it goes to whoever waits longest. */
  give(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#free++;
    else {
      this.#waiting.delete(next);
      next();
    }
  }

  /** From now on nobody waits. */
  end(): void {
    this.#free = Number.POSITIVE_INFINITY;
    for (const next of this.#waiting) next();
    this.#waiting.clear();
  }
}
