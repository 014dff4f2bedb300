import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Stage, Upgrade } from '../../model/documents/index.ts';
import { type Fault, fault } from '../../model/fault.ts';
import * as vector from '../../model/vector.ts';
import type { Plan } from '../../planning/plan.ts';
import { simplePlan } from '../../runtime/conformance.fixture.ts';
import type { Ending, Send } from '../machine.ts';
import type { ControlBody, MemberResult, RunMessage, TargetMessage } from '../messages.ts';
import { runMachine } from './run.ts';
import { newRun, type RunState } from './state.ts';

const check = (name: string) => ({ name, action: 'sim.check', timeout: '10s', every: '3s' });

/** A run driven by hand: every message it is given, and what it sent for it. */
class Driven {
  state: RunState;
  sent: Send<TargetMessage>[] = [];
  now = 1_000_000;
  readonly #machine;
  #keys = 0;

  constructor(plan: Plan) {
    this.#machine = runMachine(plan);
    this.state = newRun('r', plan);
  }

  give(message: RunMessage): Fault | undefined {
    const before = structuredClone(this.state);
    const given = this.state;
    const reaction = this.#machine.receive(given, message, this.now);
    assert.deepEqual(given, before, 'the state that was given is not changed');
    this.sent = reaction.ok ? reaction.sends : [];
    if (!reaction.ok) return reaction.fault;
    this.state = reaction.state;
    return undefined;
  }

  order(body: ControlBody, key = `k${this.#keys++}`): Fault | undefined {
    return this.give({ ...body, key, by: 'me' });
  }

  done(member: number, result: MemberResult = 'succeeded', why?: Fault): Fault | undefined {
    return this.give({ type: 'member-done', member, result, touched: why?.outcome !== 'none', ...(why ? { fault: why } : {}) });
  }

  outstanding() {
    return this.#machine.outstanding(this.state);
  }

  /** Answers the work that is outstanding. */
  answer(ending: Ending = { kind: 'ended', outcome: 'success' }): Fault | undefined {
    const [work] = this.outstanding();
    assert.ok(work, `nothing is outstanding in ${this.at}`);
    if (work.kind === 'timer') {
      this.now = Math.max(this.now, work.at);
      return this.give({ type: 'wake', fence: work.fence });
    }
    return this.give({ type: 'result', fence: work.fence, ending });
  }

  get at(): string {
    const { phase } = this.state;
    return phase.at === 'finished' ? `finished ${phase.result}` : phase.at;
  }

  get began(): (number | 'run')[] {
    return this.sent.filter((send) => send.message.type === 'begin').map((send) => send.to);
  }

  told(type: TargetMessage['type']): (number | 'run')[] {
    return this.sent.filter((send) => send.message.type === type).map((send) => send.to);
  }

  get codes(): string {
    return [...vector.entries(this.state.members)].join('');
  }
}

function run(count: number, stage: Partial<Stage> = {}, upgrade: Partial<Upgrade> = {}): Driven {
  const driven = new Driven(simplePlan(count, stage, upgrade));
  driven.give({ type: 'start' });
  return driven;
}

const failure: Ending = { kind: 'ended', outcome: 'failure' };
const serial = { strategy: { parallel: 1 } } as const;

describe('the run machine', () => {
  test('walks all its phases in order', () => {
    const driven = run(
      1,
      { soak: '5s', barrier: check('barrier') },
      {
        approval: 'begin?',
        preflight: [check('one'), check('two')],
        freeze: { acquire: check('freeze'), release: check('thaw') },
        postUpgrade: [check('post')],
      },
    );
    const seen = [driven.at];
    const go = (work: () => void) => {
      work();
      seen.push(driven.at);
    };
    go(() => driven.answer());
    go(() => driven.answer());
    go(() => driven.order({ type: 'approve' }));
    assert.equal(driven.state.freezeHeld, true, 'held from before it may exist');
    go(() => driven.answer());
    go(() => driven.done(0));
    go(() => driven.answer());
    go(() => driven.answer());
    go(() => driven.answer());
    go(() => driven.answer());
    assert.deepEqual(seen, [
      'preflight',
      'preflight',
      'approval',
      'freezing',
      'stage',
      'soak',
      'barrier',
      'post-upgrade',
      'thawing',
      'finished succeeded',
    ]);
    assert.equal(driven.state.freezeHeld, false);
  });

  test('asks all preflight checks, and ends with every one that failed, before anything is changed', () => {
    const driven = run(1, {}, { preflight: [check('one'), check('two'), check('three')] });
    for (let step = 0; step < 50 && driven.at === 'preflight'; step++) driven.answer(failure);
    assert.equal(driven.at, 'finished failed');
    assert.match(driven.state.ending?.fault.message ?? '', /3 of 3 .*one.*two.*three/);
    assert.equal(driven.codes, 'w');
  });

  test('asks a check again until its time is up, an unknown answer included', () => {
    const driven = run(1, {}, { preflight: [check('one')] });
    driven.answer(failure);
    assert.equal(driven.outstanding()[0]?.kind, 'timer');
    driven.answer();
    assert.equal(driven.outstanding()[0]?.fence.attempt, 2);
    driven.answer({ kind: 'unknown', fault: fault('cut', 'x', 'cut') });
    driven.answer();
    driven.answer();
    assert.equal(driven.at, 'stage');
  });

  const STRATEGIES: [what: string, count: number, stage: Partial<Stage>, first: number[], afterOne: number[]][] = [
    ['one at a time', 4, serial, [0], [1]],
    ['three at a time', 5, { strategy: { parallel: 3 } }, [0, 1, 2], [3]],
    ['half at a time', 4, { strategy: { parallel: '50%' } }, [0, 1], [2]],
    ['all at once', 3, { strategy: { parallel: 'all' } }, [0, 1, 2], []],
    ['serial in groups, groups in parallel', 4, { groupBy: 'target.labels.group', strategy: { groups: 'all', within: 1 } }, [0, 2], [1]],
    ['one group after the other', 4, { groupBy: 'target.labels.group', strategy: { groups: 1, within: 'all' } }, [0, 1], []],
    ['a canary first', 4, { strategy: { parallel: 'all', waves: [1, 'rest'] } }, [0], [1, 2, 3]],
    [
      'a canary group first',
      4,
      { groupBy: 'target.labels.group', strategy: { groups: 'all', within: 'all', waves: [1, 'rest'] } },
      [0, 1],
      [],
    ],
    ['a budget narrows what is at once', 5, { strategy: { parallel: 'all' }, budget: { failures: 1 } }, [0, 1], [2]],
    [
      'a budget per group',
      4,
      { groupBy: 'target.labels.group', strategy: { groups: 'all', within: 'all' }, budget: { failures: 0 } },
      [0, 2],
      [1],
    ],
    [
      'a budget per stage over groups',
      4,
      { groupBy: 'target.labels.group', strategy: { groups: 'all', within: 'all' }, budget: { failures: 0, per: 'stage' } },
      [0],
      [1],
    ],
  ];
  for (const [what, count, stage, first, afterOne] of STRATEGIES)
    test(`strategy: ${what}`, () => {
      const driven = run(count, stage);
      assert.deepEqual(driven.began, first);
      driven.done(first[0] as number);
      assert.deepEqual(driven.began, afterOne);
    });

  test('a gate between waves is asked, and an approval waits for a person', () => {
    const driven = run(3, { strategy: { parallel: 'all', waves: [1, 'rest'] }, soak: '1m', gate: { approval: 'canary fine?' } });
    driven.done(0);
    assert.equal(driven.at, 'soak');
    driven.answer();
    assert.equal(driven.at, 'approval');
    assert.equal(driven.outstanding().length, 0);
    driven.order({ type: 'approve' });
    assert.deepEqual(driven.began, [1, 2]);
  });

  const POLICIES: [policy: Stage['onFailure'], at: string, codes: string][] = [
    ['suspend', 'stage', 'xww'],
    ['continue', 'stage', 'xfw'],
    ['fail', 'finished failed', 'xww'],
    ['rollback', 'rolling-back', 'bww'],
  ];
  for (const [onFailure, at, codes] of POLICIES)
    test(`the first failure under onFailure: ${onFailure}`, () => {
      const driven = run(3, { ...serial, ...(onFailure ? { onFailure } : {}) });
      driven.done(0, 'failed', fault('broke', 't-0', 'it broke', { outcome: 'applied' }));
      assert.equal(driven.at, at);
      assert.equal(driven.codes, codes);
      assert.equal(driven.state.suspended !== undefined, onFailure === 'suspend');
    });

  test('a budget bears as many failures as it says, and not one more', () => {
    const driven = run(6, { ...serial, budget: { failures: 2 } });
    driven.done(0, 'failed');
    driven.done(1, 'failed');
    assert.equal(driven.codes, 'xxfwww');
    driven.done(2, 'failed');
    assert.equal(driven.codes, 'xxxwww');
    assert.ok(driven.state.suspended);
  });

  test('the failure that spends a budget carries out the policy of its stage, and not the one after it', () => {
    const driven = run(6, { ...serial, budget: { failures: 1 }, onFailure: 'rollback' });
    driven.done(0, 'failed');
    assert.equal(driven.at, 'stage');
    driven.done(1, 'failed');
    assert.equal(driven.at, 'rolling-back');
  });

  test('failed and in flight together never exceed the budget by more than the one that stops it', () => {
    const driven = run(10, { strategy: { parallel: 'all' }, budget: { failures: 3 } });
    assert.equal(driven.state.counts.inFlight, 4);
    driven.done(0, 'failed');
    assert.equal(driven.state.counts.inFlight, 3);
    driven.done(1);
    assert.equal(driven.state.counts.inFlight, 3);
  });

  test('a rollback goes back newest first, as many at once as the stage had, and says what it is', () => {
    const driven = run(4, { ...serial, onFailure: 'rollback' });
    driven.done(0);
    driven.done(1);
    driven.done(2, 'failed');
    assert.deepEqual(driven.told('revert'), [2]);
    driven.done(2, 'reverted');
    assert.deepEqual(driven.told('revert'), [1]);
    driven.done(1, 'reverted');
    assert.deepEqual(driven.told('revert'), [0]);
    driven.done(0, 'reverted');
    assert.equal(driven.at, 'finished reverted');
    assert.equal(driven.codes, 'rrrw');
  });

  test('what was not touched is not rolled back', () => {
    const driven = run(2, { ...serial, onFailure: 'rollback' });
    driven.done(0);
    driven.done(1, 'failed', fault('ssh-unreachable', 't-1', 'away', { outcome: 'none' }));
    assert.deepEqual(driven.told('revert'), [0]);
    driven.done(0, 'reverted');
    assert.equal(driven.at, 'finished reverted');
  });

  test('a rollback that fails ends failed, and names who is not back', () => {
    const driven = run(2, { ...serial, onFailure: 'rollback' });
    driven.done(0);
    driven.done(1, 'failed');
    driven.done(1, 'failed');
    driven.done(0, 'reverted');
    assert.equal(driven.at, 'finished failed');
    assert.equal(driven.state.ending?.fault.kind, 'rollback-incomplete');
    assert.match(driven.state.ending?.fault.message ?? '', /t-1/);
  });

  test('after a commit point nothing before it goes back', () => {
    const driven = run(
      2,
      { ...serial, select: 'target.id == "t-0"' },
      {
        stages: [
          { name: 'a', select: 'target.id == "t-0"' },
          { commit: 'a' },
          { name: 'b', select: 'target.id == "t-1"', onFailure: 'rollback' },
        ],
      },
    );
    driven.done(0);
    assert.deepEqual(driven.state.committed, ['a']);
    driven.done(1, 'failed');
    assert.deepEqual(driven.told('revert'), [1]);
    driven.done(1, 'reverted');
    assert.equal(driven.at, 'finished reverted');
    assert.equal(driven.codes, 'sr');
  });

  test('the freeze is lifted in every ending, and a failed release is named in the result (P7)', () => {
    const freeze = { freeze: { acquire: check('freeze'), release: check('thaw') } };
    const aborted = run(1, {}, freeze);
    aborted.answer();
    aborted.order({ type: 'abort' });
    aborted.done(0, 'failed', fault('halted', 't-0', 'halted', { outcome: 'none' }));
    assert.equal(aborted.at, 'thawing');
    const unfrozen = run(1, {}, freeze);
    for (let step = 0; step < 20 && unfrozen.at === 'freezing'; step++) unfrozen.answer(failure);
    assert.equal(unfrozen.at, 'thawing', 'it may have been set all the same');
    for (let step = 0; step < 20 && unfrozen.at === 'thawing'; step++) unfrozen.answer(failure);
    assert.equal(unfrozen.at, 'finished failed');
    assert.equal(unfrozen.state.unreleased[0]?.kind, 'not-released');
  });

  test('pause: nobody begins, who is in flight is told, and continue goes on', () => {
    const driven = run(3, serial);
    driven.order({ type: 'pause' });
    assert.deepEqual(driven.told('pause'), [0]);
    driven.done(0);
    assert.deepEqual(driven.began, []);
    driven.order({ type: 'continue' });
    assert.deepEqual(driven.began, [1]);
  });

  test('abort before a commit point waits for what is in flight, then takes everything back', () => {
    const driven = run(3, serial);
    driven.done(0);
    driven.order({ type: 'abort' });
    assert.deepEqual(driven.told('halt'), [1]);
    assert.equal(driven.at, 'draining');
    driven.done(1, 'failed');
    assert.deepEqual(driven.told('revert'), [1]);
  });

  test('retry is a counter that is compared: the same one again changes nothing (P10)', () => {
    const driven = run(2, serial);
    driven.done(0, 'failed');
    assert.equal(driven.order({ type: 'retry', member: 0, counter: 1 }), undefined);
    assert.deepEqual(driven.told('retry'), [0]);
    driven.done(0, 'failed');
    assert.match(driven.order({ type: 'retry', member: 0, counter: 1 })?.message ?? '', /counter is 1 already/);
    assert.equal(driven.order({ type: 'retry', member: 0 }), undefined);
    driven.done(0);
    assert.deepEqual(driven.began, [1]);
  });

  test('a skipped target no longer counts, and cannot be retried', () => {
    const driven = run(2, serial);
    driven.done(0, 'failed');
    driven.order({ type: 'skip', member: 0 });
    assert.deepEqual(driven.began, [1]);
    assert.ok(driven.order({ type: 'retry', member: 0 }));
    driven.done(1);
    assert.equal(driven.at, 'finished succeeded');
  });

  test('the same order with the same key is done once (P10)', () => {
    const driven = run(2, serial);
    assert.equal(driven.order({ type: 'pause' }, 'key'), undefined);
    assert.equal(driven.order({ type: 'pause' }, 'key'), undefined);
    assert.ok(driven.order({ type: 'pause' }, 'another'));
  });

  test('a target found in another state than planned stops the run before anything is changed (P9)', () => {
    const driven = run(3, serial);
    driven.done(0, 'failed', fault('world-differs', 't-0', 'differs', { outcome: 'none' }));
    assert.equal(driven.at, 'finished failed');
    assert.equal(driven.state.ending?.fault.kind, 'world-differs');
    const later = run(3, serial);
    later.done(0);
    later.done(1, 'failed', fault('world-differs', 't-1', 'differs', { outcome: 'none' }));
    assert.ok(later.state.suspended, 'something was changed, so a person decides');
  });

  test('outside of its window nobody begins, and the next opening wakes it', () => {
    const driven = new Driven(simplePlan(2, serial, { window: { from: '22:00', to: '02:00', zone: 'UTC' } }));
    driven.now = Date.UTC(2026, 0, 5, 12, 0);
    driven.give({ type: 'start' });
    assert.deepEqual(driven.began, []);
    const [timer] = driven.outstanding();
    assert.equal(timer?.kind === 'timer' && timer.at, Date.UTC(2026, 0, 5, 22, 0));
    driven.answer();
    assert.deepEqual(driven.began, [0]);
  });

  const REFUSED: [what: string, prepare: (driven: Driven) => void, body: ControlBody][] = [
    ['approve where none is wanted', () => {}, { type: 'approve' }],
    ['continue where it goes on', () => {}, { type: 'continue' }],
    ['retry of what has not failed', () => {}, { type: 'retry', member: 0 }],
    ['retry of a target that does not exist', () => {}, { type: 'retry', member: 99 }],
    ['skip of what has not failed', () => {}, { type: 'skip', member: 1 }],
    ['decide where nothing is to be decided', () => {}, { type: 'decide', member: 0, as: 'success' }],
    ['rollback where nothing was done', (driven) => void driven, { type: 'rollback' }],
    ['a second abort', (driven) => driven.order({ type: 'abort' }), { type: 'abort' }],
    ['retry while paused', (driven) => [driven.done(0, 'failed'), driven.order({ type: 'pause' })], { type: 'retry', member: 0 }],
    ['retry of a check where none has failed', () => {}, { type: 'retry' }],
  ];
  for (const [what, prepare, body] of REFUSED)
    test(`refuses ${what}, and changes nothing`, () => {
      const driven = what.startsWith('rollback') ? run(2, {}, { approval: 'x' }) : run(2, serial);
      prepare(driven);
      const before = driven.state;
      assert.ok(driven.order(body));
      assert.equal(driven.state, before);
    });

  test('refuses reports of targets that are not in flight, stale answers, and everything once it has ended (P3, P5)', () => {
    const driven = run(1, serial);
    assert.ok(driven.done(0, 'succeeded') === undefined);
    assert.equal(driven.at, 'finished succeeded');
    const state = driven.state;
    assert.ok(driven.done(0));
    assert.ok(driven.give({ type: 'start' }));
    assert.ok(driven.order({ type: 'abort' }));
    assert.ok(driven.give({ type: 'wake', fence: { run: 'r', machine: 'run', visit: 0, attempt: 1 } }));
    assert.equal(driven.state, state);
  });

  test('a failed barrier follows the policy of its stage; retry asks it again, continue goes on without it', () => {
    const make = () => {
      const driven = run(1, { barrier: check('barrier') });
      driven.done(0);
      for (let step = 0; step < 20 && !driven.state.suspended; step++) driven.answer(failure);
      assert.ok(driven.state.suspended);
      assert.deepEqual(driven.outstanding(), []);
      return driven;
    };
    const retried = make();
    retried.order({ type: 'retry' });
    retried.answer();
    assert.equal(retried.at, 'finished succeeded');
    const accepted = make();
    accepted.order({ type: 'continue' });
    assert.equal(accepted.at, 'finished succeeded');
  });
});
