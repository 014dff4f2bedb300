/** What every store must do, and a run on it must come to: one suite, run on each runtime. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Random } from '../checking/random.ts';
import { randomPlan, SIMULATED_ACTIONS } from '../checking/scenario.ts';
import type { Ending, Work } from '../machines/machine.ts';
import { newRun, type RunState } from '../machines/run/state.ts';
import { newTarget, type TargetState } from '../machines/target-state.ts';
import type { Procedure, Stage, Target, Upgrade } from '../model/documents/index.ts';
import * as vector from '../model/vector.ts';
import type { Plan } from '../planning/plan.ts';
import { planUpgrade } from '../planning/planner.ts';
import { RunLoop } from './loop.ts';
import { VirtualClock } from './memory/virtual-clock.ts';
import type { Commit, Executor, Store } from './ports.ts';

export type StoreUnderTest = {
  /** The store, empty or as it was left. */
  open(): Store;
  /** Removes whatever it kept. */
  remove(): void;
};

/** A plan over `count` targets in `groups` groups, one observable action each. */
export function simplePlan(count: number, stage: Partial<Stage> = {}, upgrade: Partial<Upgrade> = {}, states?: Procedure['states']): Plan {
  const targets: Target[] = Array.from({ length: count }, (_, index) => ({
    id: `t-${index}`,
    product: 'sim',
    version: '1',
    labels: { group: String(index % 2) },
  }));
  const procedure: Procedure = {
    kind: 'Procedure',
    name: 'p',
    rollback: 'back',
    start: 'work',
    states: states ?? {
      work: { action: 'sim.seen', on: { success: 'good', failure: 'bad' } },
      good: { final: true },
      bad: { final: true, result: 'failed' },
    },
  };
  const back: Procedure = {
    kind: 'Procedure',
    name: 'back',
    start: 'undo',
    states: {
      undo: { action: 'sim.seen', on: { success: 'good', failure: 'bad' } },
      good: { final: true },
      bad: { final: true, result: 'failed' },
    },
  };
  const planned = planUpgrade({
    upgrade: {
      kind: 'Upgrade',
      name: 'u',
      product: 'sim',
      to: '2',
      procedure: 'p',
      stages: [{ name: 'all', strategy: { parallel: 'all' }, ...stage }],
      ...upgrade,
    },
    targets,
    services: [],
    releases: [
      { kind: 'Release', product: 'sim', version: '1' },
      { kind: 'Release', product: 'sim', version: '2', from: [{ versions: '1' }] },
    ],
    procedures: new Map([
      ['p', procedure],
      ['back', back],
    ]),
    actions: SIMULATED_ACTIONS,
  });
  if (!planned.ok) throw new Error(JSON.stringify(planned.faults));
  return planned.plan;
}

/** An executor whose work ends when the test says so. */
export class ManualExecutor implements Executor {
  readonly going: { work: Work; end: (ending: Ending) => void; output: (text: string) => void }[] = [];
  readonly begun: Work[] = [];

  start(work: Work, end: (ending: Ending) => void, output: (text: string) => void): () => void {
    const one = { work, end, output };
    this.going.push(one);
    this.begun.push(work);
    return () => {
      const index = this.going.indexOf(one);
      if (index >= 0) this.going.splice(index, 1);
    };
  }

  /** Ends the oldest work with an outcome. */
  end(outcome = 'success', values?: Record<string, unknown>): Work {
    const one = this.going.shift();
    assert.ok(one, 'nothing is going on');
    one.end({ kind: 'ended', outcome, ...(values ? { values } : {}) });
    return one.work;
  }
}

function commitOf(run: string, more: Partial<Commit>): Commit {
  return { run, members: [], history: [], outputs: [], versions: [], ...more };
}

function plainState(state: RunState): unknown {
  return JSON.parse(
    JSON.stringify({
      ...state,
      members: [...vector.entries(state.members)],
      starts: [...vector.entries(state.starts)],
      groups: [...vector.entries(state.groups)],
    }),
  );
}

export function storeConformance(name: string, make: () => StoreUnderTest): void {
  describe(`${name} store`, () => {
    let place: StoreUnderTest;
    let store: Store;
    beforeEach(() => {
      place = make();
      store = place.open();
    });
    afterEach(() => {
      store.close();
      place.remove();
    });

    const reopen = () => {
      store.close();
      store = place.open();
    };

    test('a run that was created is there when the store is opened again', () => {
      const plan = simplePlan(3);
      store.createRun('r', plan, newRun('r', plan), 17);
      reopen();
      const stored = store.loadRun('r');
      assert.deepEqual(stored?.plan, plan);
      assert.equal(stored?.createdAt, 17);
      assert.deepEqual(stored?.state.phase, { at: 'new' });
      assert.equal(store.loadRun('other'), undefined);
    });

    test('a commit is read back whole: state with its vectors, members, history, outputs, versions', () => {
      const plan = simplePlan(1000);
      let state = newRun('r', plan);
      store.createRun('r', plan, state, 1);
      for (const [step, member] of [3, 300, 999].entries()) {
        state = { ...state, members: vector.set(state.members, member, 'f'), starts: vector.push(state.starts, member), visit: step };
        const target: TargetState = { ...newTarget('r', member), visit: step + 1, values: { note: 'ü "quoted" \u0000 🚀' } };
        store.commit(
          commitOf('r', {
            state,
            members: [target],
            history: [
              { at: step, machine: member, type: 'begin', message: { type: 'begin' }, change: 'acting: work', refused: step === 1 },
            ],
            outputs: [{ machine: member, visit: 1, attempt: 1, at: step, text: `line ${step}\n` }],
            versions: [{ target: 't-3', product: 'sim', version: String(step), at: step }],
          }),
        );
      }
      reopen();
      const stored = store.loadRun('r');
      assert.ok(stored);
      assert.deepEqual(plainState(stored.state), plainState(state));
      assert.deepEqual(
        stored.members.map((member) => [member.member, member.visit, member.values['note']]),
        [
          [3, 1, 'ü "quoted" \u0000 🚀'],
          [300, 2, 'ü "quoted" \u0000 🚀'],
          [999, 3, 'ü "quoted" \u0000 🚀'],
        ],
      );
      assert.deepEqual(
        store.history('r').map((one) => [one.machine, one.refused]),
        [
          [3, false],
          [300, true],
          [999, false],
        ],
      );
      assert.equal(store.history('r', { machine: 300 }).length, 1);
      assert.equal(store.history('r', { after: store.history('r')[0]?.seq ?? 0, limit: 1 })[0]?.machine, 300);
      assert.deepEqual(
        store.outputs('r', 999).map((one) => one.text),
        ['line 2\n'],
      );
      assert.deepEqual(store.versions(), [{ target: 't-3', product: 'sim', version: '2', at: 2 }]);
    });

    test('vectors that grow, shrink and are replaced are read back as they are', () => {
      const plan = simplePlan(2);
      const random = new Random(5);
      let state = newRun('r', plan);
      store.createRun('r', plan, state, 1);
      for (let step = 0; step < 60; step++) {
        let groups = random.chance(0.3) ? vector.filled(random.below(700), { next: 0, inFlight: 0, failed: 0 }) : state.groups;
        if (groups.length > 0) groups = vector.set(groups, random.below(groups.length), { next: step, inFlight: 1, failed: 0 });
        state = { ...state, groups, visit: step };
        store.commit(commitOf('r', { state }));
        if (step % 20 === 19) {
          reopen();
          assert.deepEqual(plainState(store.loadRun('r')?.state as RunState), plainState(state));
        }
      }
    });

    test('what was never begun is told once', () => {
      const plan = simplePlan(1);
      store.createRun('r', plan, newRun('r', plan), 1);
      store.markUnstarted('r', [{ machine: 0, key: 'action:1.1' }]);
      reopen();
      store.loadRun('r');
      assert.deepEqual(store.takeUnstarted('r'), [{ machine: 0, key: 'action:1.1' }]);
      assert.deepEqual(store.takeUnstarted('r'), []);
    });

    test('runs are listed newest first, with how they stand', () => {
      const plan = simplePlan(1);
      store.createRun('first', plan, newRun('first', plan), 1);
      store.createRun('second', plan, newRun('second', plan), 2);
      const state: RunState = { ...newRun('first', plan), phase: { at: 'finished', result: 'reverted', endedAt: 9 } };
      store.commit(commitOf('first', { state }));
      reopen();
      assert.deepEqual(
        store.runs().map(({ run, phase, result, endedAt }) => [run, phase, result, endedAt]),
        [
          ['second', 'new', undefined, undefined],
          ['first', 'finished', 'reverted', 9],
        ],
      );
    });

    test('a run of any shape comes to its end, and a crash between any two commits changes nothing of that', () => {
      for (let seed = 1; seed <= 12; seed++) {
        const plan = randomPlan(new Random(seed));
        const run = `r${seed}`;
        store.createRun(run, plan, newRun(run, plan), 1);
        const random = new Random(seed + 1000);
        const clock = new VirtualClock();
        let executor = new ManualExecutor();
        const open = () => {
          const loop = new RunLoop({ run, plan, actions: SIMULATED_ACTIONS, store, clock, executor, schedule: () => {} });
          if (loop.state.phase.at === 'new') loop.start();
          return loop;
        };
        let loop = open();
        for (let step = 0; step < 3000 && !loop.finished; step++) {
          loop.turn();
          if (random.chance(0.05)) {
            loop.stop();
            clock.crash();
            executor = new ManualExecutor();
            reopen();
            loop = open();
            continue;
          }
          if (executor.going.length > 0) {
            const [next] = executor.going;
            executor.end(
              'success',
              next?.work.kind === 'version' ? { version: '1.0.0' } : next?.work.kind === 'rank' ? { key: 0 } : undefined,
            );
          } else if (!clock.advance()) {
            if (loop.state.phase.at === 'approval') void loop.control({ type: 'approve', key: `a${step}`, by: 'test' });
            const deciding = [...vector.entries(loop.state.members)].indexOf('d');
            if (deciding >= 0) void loop.control({ type: 'decide', member: deciding, as: 'success', key: `d${step}`, by: 'test' });
          }
        }
        assert.equal(loop.finished, true, `seed ${seed} ends`);
        assert.equal(loop.state.phase.at === 'finished' && loop.state.phase.result, 'succeeded');
        const stored = store.loadRun(run);
        assert.deepEqual(plainState(stored?.state as RunState), plainState(loop.state));
      }
    });
  });
}
