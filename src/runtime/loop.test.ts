import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SIMULATED_ACTIONS } from '../checking/scenario.ts';
import { newRun } from '../machines/run/state.ts';
import type { Procedure } from '../model/documents/index.ts';
import { fault } from '../model/fault.ts';
import type { Plan } from '../planning/plan.ts';
import { ManualExecutor, simplePlan } from './conformance.fixture.ts';
import { RunLoop } from './loop.ts';
import { MemoryStore } from './memory/memory-store.ts';
import { VirtualClock } from './memory/virtual-clock.ts';

/** Something that may be observed, then something that may not. */
const SEEN_THEN_BLIND: Procedure['states'] = {
  work: { action: 'sim.seen', on: { success: 'second', failure: 'bad' } },
  second: { action: 'sim.blind', on: { success: 'good', failure: 'bad' } },
  good: { final: true },
  bad: { final: true, result: 'failed' },
};

/** A run over one target, turned by hand; `restart` is another process on the same store. */
class Driven {
  readonly store = new MemoryStore();
  readonly clock = new VirtualClock();
  executor = new ManualExecutor();
  loop: RunLoop;
  readonly #plan: Plan;

  constructor(states: Procedure['states'] = SEEN_THEN_BLIND) {
    this.#plan = simplePlan(1, {}, {}, states);
    this.store.createRun('r', this.#plan, newRun('r', this.#plan), this.clock.now());
    this.loop = this.#open();
    this.loop.start();
    this.turn();
  }

  #open(): RunLoop {
    const { store, clock, executor } = this;
    return new RunLoop({ run: 'r', plan: this.#plan, actions: SIMULATED_ACTIONS, store, clock, executor, schedule: () => {} });
  }

  turn(): void {
    this.loop.turn();
  }

  end(outcome = 'success'): void {
    this.executor.end(outcome);
    this.turn();
  }

  restart(): void {
    this.loop.stop();
    this.clock.crash();
    this.executor = new ManualExecutor();
    this.loop = this.#open();
    this.turn();
  }

  /** What is going on, as `kind state#attempt`. */
  get going(): string[] {
    return this.executor.going.map(({ work }) => ('state' in work ? `${work.kind} ${work.state}#${work.fence.attempt}` : work.kind));
  }

  get phase(): string {
    return this.loop.member(0).phase.at;
  }
}

describe('the loop', () => {
  test('after a clean stop, what was never begun is begun as if nothing had been (L3)', async () => {
    const driven = new Driven();
    const drained = driven.loop.drain();
    driven.end();
    await drained;
    assert.deepEqual(driven.going, [], 'a loop that drains begins nothing');
    driven.restart();
    assert.deepEqual(driven.going, ['action second#1']);
  });

  test('what the last clean stop said holds for the next start only', async () => {
    const driven = new Driven();
    const drained = driven.loop.drain();
    driven.end();
    await drained;
    driven.restart();
    driven.restart();
    assert.equal(driven.phase, 'deciding', 'it may have run since');
    assert.deepEqual(driven.going, []);
  });

  test('after a crash, what can be observed is, and of the rest a person is asked (L3, P4)', () => {
    const driven = new Driven();
    assert.deepEqual(driven.going, ['action work#1']);
    driven.restart();
    assert.deepEqual(driven.going, ['observe work#1']);
    driven.end();
    assert.deepEqual(driven.going, ['action second#1']);
    driven.restart();
    assert.equal(driven.phase, 'deciding');
    assert.deepEqual(driven.going, []);
  });

  test('an order that a target refuses leaves nothing behind in its run, not even its key (L2)', async () => {
    const driven = new Driven();
    driven.end();
    driven.restart();
    const order = async (as: string) => {
      const answer = driven.loop.control({ type: 'decide', member: 0, as, key: 'k', by: 'me' });
      driven.turn();
      return await answer;
    };
    const before = JSON.stringify(driven.loop.state);
    assert.equal((await order('nonsense'))?.kind, 'decision-unknown');
    assert.equal(JSON.stringify(driven.loop.state), before);
    assert.equal(await order('success'), undefined);
    assert.equal(driven.loop.finished, true);
  });

  test('a commit that fails starts nothing, says why, and is tried again as it was', () => {
    const driven = new Driven();
    driven.store.trouble = fault('disk-full', 'db', 'the disk is full', { effect: 'wait' });
    driven.end();
    assert.equal(driven.loop.trouble?.kind, 'disk-full');
    assert.deepEqual(driven.going, []);
    driven.turn();
    assert.equal(driven.loop.trouble?.kind, 'disk-full');
    driven.store.trouble = undefined;
    driven.turn();
    assert.equal(driven.loop.trouble, undefined);
    assert.deepEqual(driven.going, ['action second#1']);
  });

  test('a clean stop that cannot be recorded is one all the same: the next start asks', async () => {
    const driven = new Driven();
    const drained = driven.loop.drain();
    driven.end();
    driven.store.trouble = fault('disk-full', 'db', 'the disk is full', { effect: 'wait' });
    await drained;
    assert.equal(driven.loop.trouble?.kind, 'disk-full');
    driven.store.trouble = undefined;
    driven.restart();
    assert.equal(driven.phase, 'deciding');
  });

  test('a loop that only takes orders starts nothing, and hands on what was said to be never begun', async () => {
    const driven = new Driven();
    const drained = driven.loop.drain();
    driven.end();
    await drained;
    const passive = new RunLoop({
      run: 'r',
      plan: driven.loop.plan,
      actions: SIMULATED_ACTIONS,
      store: driven.store,
      clock: driven.clock,
      executor: driven.executor,
      schedule: () => {},
      passive: true,
    });
    const answer = passive.control({ type: 'pause', key: 'k', by: 'me' });
    passive.turn();
    assert.equal(await answer, undefined);
    await passive.drain();
    assert.deepEqual(driven.going, []);
    driven.restart();
    assert.deepEqual(driven.going, ['action second#1'], 'what had been entered goes on; a pause holds it at its next state');
  });
});
