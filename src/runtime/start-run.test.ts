import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SIMULATED_ACTIONS } from '../checking/scenario.ts';
import type { Action } from '../drivers/contract.ts';
import { FaultError } from '../model/fault.ts';
import { type Plan, planDigest } from '../planning/plan.ts';
import { simplePlan } from './conformance.fixture.ts';
import { MemoryStore } from './memory/memory-store.ts';
import { checkPlan, createRun, openRun } from './start-run.ts';

const actions = new Map<string, Action>(
  [...SIMULATED_ACTIONS].map(([name, declaration]) => [name, { declaration, run: () => Promise.reject(new Error('not called')) }]),
);

function faultOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof FaultError) return error.fault.kind;
    throw error;
  }
  return 'none';
}

/** A plan changed by hand, with the digest it was shown under, or one that fits. */
function changed(change: Partial<Plan>, digest: 'old' | 'fitting'): Plan {
  const plan = { ...simplePlan(2), ...change };
  return digest === 'old' ? plan : { ...plan, digest: planDigest(plan) };
}

describe('a plan that is to be carried out', () => {
  test('is taken as it was shown', () =>
    assert.equal(
      faultOf(() => checkPlan(simplePlan(2), actions)),
      'none',
    ));

  test('is refused where anything in it was changed since (P9)', () => {
    for (const change of [{ to: '3' }, { upgrade: 'v' }, { steps: [] }, { params: { a: 1 } }] satisfies Partial<Plan>[])
      assert.equal(
        faultOf(() => checkPlan(changed(change, 'old'), actions)),
        'plan-changed',
        JSON.stringify(change),
      );
  });

  test('is refused where another Upshift has made it, or it uses actions that are not there', () => {
    assert.equal(
      faultOf(() => checkPlan(changed({ format: 2 as 1 }, 'fitting'), actions)),
      'plan-format',
    );
    assert.equal(
      faultOf(() => checkPlan(simplePlan(2), new Map())),
      'action-unknown',
    );
  });

  test('waits while another run changes some of the same targets', () => {
    const store = new MemoryStore();
    createRun(store, simplePlan(2), 'first');
    assert.equal(
      faultOf(() => createRun(store, simplePlan(1), 'second')),
      'run-in-the-way',
    );
  });

  test('cannot be opened where there is no such run', () => {
    assert.equal(
      faultOf(() => openRun(new MemoryStore(), 'nothing', actions)),
      'run-unknown',
    );
  });
});
