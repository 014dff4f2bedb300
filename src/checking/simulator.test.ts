import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Random } from './random.ts';
import { randomPlan } from './scenario.ts';
import { simulate } from './simulator.ts';

/** Seeds that once failed; each stays. */
const FAILED_ONCE = [1, 4, 35, 37, 163, 357, 1511, 1556, 1909];

describe('promises P1 to P10, on random upgrades with random outcomes, orders and crashes', () => {
  test('hold for every seed that once broke one', () => {
    for (const seed of FAILED_ONCE) simulate(seed);
  });

  test('hold for random seeds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (seed) => {
        simulate(seed);
      }),
      { numRuns: 400 },
    );
  });

  test('the simulator reaches every result, and crashes often enough to matter', () => {
    const results = new Map<string, number>();
    let crashes = 0;
    for (let seed = 0; seed < 200; seed++) {
      const { state, crashes: died } = simulate(seed);
      const result = state.phase.at === 'finished' ? state.phase.result : 'none';
      results.set(result, (results.get(result) ?? 0) + 1);
      crashes += died;
    }
    for (const result of ['succeeded', 'failed', 'reverted'])
      assert.ok((results.get(result) ?? 0) > 5, `${result}: ${results.get(result)}`);
    assert.ok(crashes > 500, String(crashes));
  });

  test('hold with one crash before or after each single commit of a run', () => {
    for (let seed = 0; seed < 6; seed++) {
      const plan = randomPlan(new Random(seed));
      for (let commit = 0; commit < 60; commit++)
        for (const when of ['before', 'after'] as const) {
          const { state } = simulate(seed, { plan, chaos: false, crashAt: { commit, when } });
          assert.equal(state.phase.at, 'finished');
        }
    }
  });
});
