import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SIMULATED_ACTIONS } from '../checking/scenario.ts';
import type { Action, ActionEnd, Call } from '../drivers/contract.ts';
import type { Ending, Work } from '../machines/machine.ts';
import { fault } from '../model/fault.ts';
import { simplePlan } from './conformance.fixture.ts';
import { DriverExecutor, type DriverExecutorOptions } from './executor.ts';
import { VirtualClock } from './memory/virtual-clock.ts';

const TIMEOUT_MS = 60_000;

/** An executor whose only driver does what the test says. */
class Driven {
  readonly clock = new VirtualClock();
  readonly calls: Call[] = [];
  readonly #executor: DriverExecutor;

  constructor(run: (call: Call) => unknown, limits: DriverExecutorOptions['limits'] = {}) {
    const declaration = SIMULATED_ACTIONS.get('sim.seen');
    assert.ok(declaration);
    const action: Action = {
      declaration,
      run: (call) => {
        this.calls.push(call);
        return run(call) as Promise<ActionEnd>;
      },
    };
    const plan = simplePlan(3);
    this.#executor = new DriverExecutor({ plan, actions: new Map([['sim.seen', action]]), secrets: {}, clock: this.clock, limits });
  }

  start(member = 0, kind: 'action' | 'observe' = 'action'): { ending: Promise<Ending>; cancel: () => void } {
    const work: Work = {
      kind,
      fence: { run: 'r', machine: member, visit: 1, attempt: 1 },
      member,
      procedure: 'p',
      state: 'work',
      deadline: this.clock.now() + TIMEOUT_MS,
      case: null,
      values: {},
    };
    let cancel = () => {};
    const ending = new Promise<Ending>((end) => {
      cancel = this.#executor.start(work, end, () => {});
    });
    return { ending, cancel };
  }
}

/** A turn of the event loop, in which everything that can go on does. */
const soon = () => new Promise<void>((next) => setImmediate(next));

describe('the executor', () => {
  const DEFECTS: [what: string, run: () => unknown, kind: string][] = [
    [
      'throws',
      () => {
        throw new Error('oops');
      },
      'driver-threw',
    ],
    ['rejects', () => Promise.reject(new Error('oops')), 'driver-threw'],
    ['rejects with nothing', () => Promise.reject(undefined), 'driver-threw'],
    ['answers nothing', () => Promise.resolve(undefined), 'driver-garbled'],
    ['answers null', () => Promise.resolve(null), 'driver-garbled'],
    ['answers a text', () => 'success', 'driver-garbled'],
    ['answers an outcome that is no text', () => Promise.resolve({ outcome: 7, result: {} }), 'driver-garbled'],
    ['does not know and does not say why', () => Promise.resolve({ unknown: true }), 'driver-garbled'],
    ['has lost it and does not say why', () => Promise.resolve({ lost: null }), 'driver-garbled'],
  ];
  for (const [what, run, kind] of DEFECTS)
    test(`a driver that ${what} leaves open what was done, and the run goes on`, async () => {
      const ending = await new Driven(run).start().ending;
      assert.equal(ending.kind, 'unknown');
      assert.equal(ending.kind === 'unknown' && ending.fault.kind, kind);
      assert.equal(ending.kind === 'unknown' && ending.fault.outcome, 'unknown');
    });

  test('an outcome without a result, or with a fault that is none, is that outcome', async () => {
    for (const end of [{ outcome: 'success' }, { outcome: 'success', result: null, fault: 7 }])
      assert.deepEqual(await new Driven(() => Promise.resolve(end)).start().ending, { kind: 'ended', outcome: 'success' });
    const why = fault('broke', 't', 'it broke');
    assert.deepEqual(await new Driven(() => ({ outcome: 'failure', result: {}, fault: why })).start().ending, {
      kind: 'ended',
      outcome: 'failure',
      fault: why,
    });
  });

  test('a driver that never answers is given up on some time after its deadline', async () => {
    const driven = new Driven(() => new Promise(() => {}));
    const { ending } = driven.start();
    await soon();
    driven.clock.advance(); // settled
    const before = driven.clock.now();
    driven.clock.advance();
    assert.ok(driven.clock.now() - before >= TIMEOUT_MS - 5_000, String(driven.clock.now() - before));
    const ended = await ending;
    assert.equal(ended.kind === 'unknown' && ended.fault.kind, 'no-answer');
  });

  test('an action that cannot be observed is not', async () => {
    const ended = await new Driven(() => assert.fail('it was run')).start(0, 'observe').ending;
    assert.equal(ended.kind === 'unknown' && ended.fault.kind, 'not-observable');
  });

  test('waiting for a turn does not count against the deadline', async () => {
    const ends: (() => void)[] = [];
    const driven = new Driven(() => new Promise((end) => ends.push(() => end({ outcome: 'success', result: {} }))), { atOnce: 1 });
    driven.start(0);
    driven.start(1);
    await soon();
    assert.equal(driven.calls.length, 1);
    driven.clock.shift(30_000);
    ends[0]?.();
    await soon();
    const [first, second] = driven.calls;
    assert.equal(second?.deadline, (first?.deadline ?? 0) + 30_000);
  });

  test('what is cancelled before its turn is never begun, and what is cancelled later is told', async () => {
    const driven = new Driven(() => new Promise(() => {}), { atOnce: 1 });
    const first = driven.start(0);
    const second = driven.start(1);
    await soon();
    second.cancel();
    first.cancel();
    assert.equal(driven.calls[0]?.signal.aborted, true);
    driven.clock.advance();
    await soon();
    assert.equal(driven.calls.length, 1);
  });
});
