import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Admission } from './admission.ts';
import { VirtualClock } from './memory/virtual-clock.ts';

/** An admission with names instead of work. */
class Asked {
  readonly clock = new VirtualClock();
  readonly begun: string[] = [];
  readonly #admission: Admission;
  readonly #leave = new Map<string, () => void>();

  constructor(limits: { atOnce: number; open: number }) {
    this.#admission = new Admission(this.clock, { ...limits, settledMs: 1_000 });
  }

  enter(name: string): () => void {
    return this.#admission.enter((leave) => {
      this.begun.push(name);
      this.#leave.set(name, leave);
    });
  }

  leave(name: string): void {
    this.#leave.get(name)?.();
  }
}

/** A turn of the microtasks. */
const soon = () => new Promise<void>((next) => setImmediate(next));

describe('admission', () => {
  test('begins nothing before enter has returned, then as many as may, first come first served (A2)', async () => {
    const asked = new Asked({ atOnce: 2, open: 10 });
    for (const name of ['a', 'b', 'c', 'd']) asked.enter(name);
    assert.deepEqual(asked.begun, []);
    await soon();
    assert.deepEqual(asked.begun, ['a', 'b'], 'a burst is bounded too');
    asked.leave('a');
    assert.deepEqual(asked.begun, ['a', 'b', 'c']);
  });

  test('what has gone on for a while makes room, and its end makes none twice (A1)', async () => {
    const asked = new Asked({ atOnce: 1, open: 10 });
    for (const name of ['hangs', 'b', 'c', 'd']) asked.enter(name);
    await soon();
    assert.deepEqual(asked.begun, ['hangs']);
    asked.clock.advance();
    assert.deepEqual(asked.begun, ['hangs', 'b']);
    asked.leave('hangs');
    assert.deepEqual(asked.begun, ['hangs', 'b'], 'its turn was given away already');
    asked.leave('b');
    assert.deepEqual(asked.begun, ['hangs', 'b', 'c']);
  });

  test('never are more there than may be, settled or not (A1)', async () => {
    const asked = new Asked({ atOnce: 5, open: 2 });
    for (const name of ['a', 'b', 'c']) asked.enter(name);
    await soon();
    asked.clock.advance();
    asked.clock.advance();
    assert.deepEqual(asked.begun, ['a', 'b']);
    asked.leave('b');
    assert.deepEqual(asked.begun, ['a', 'b', 'c']);
  });

  test('what is taken back before its turn never begins', async () => {
    const asked = new Asked({ atOnce: 1, open: 10 });
    asked.enter('a');
    const takeBack = asked.enter('b');
    asked.enter('c');
    await soon();
    takeBack();
    asked.leave('a');
    assert.deepEqual(asked.begun, ['a', 'c']);
  });
});
