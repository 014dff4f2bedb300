import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SIMULATED_ACTIONS } from '../checking/scenario.ts';
import type { Procedure } from '../model/documents/index.ts';
import { fault } from '../model/fault.ts';
import type { Ending, Fence } from './machine.ts';
import type { MemberReport, TargetMessage } from './messages.ts';
import { targetMachine } from './target.ts';
import { newTarget, type TargetPhase, type TargetState } from './target-state.ts';

const procedure: Procedure = {
  kind: 'Procedure',
  name: 'p',
  cases: { normal: 'Normal', replacement: 'Replacement' },
  rollback: 'back',
  observe: { action: 'sim.version', version: '""' },
  start: 'seen',
  states: {
    seen: { action: 'sim.seen', on: { success: { to: 'safe', case: 'normal' }, failure: 'bad' } },
    safe: {
      action: 'sim.safe',
      attempts: 2,
      delay: '5s',
      on: { success: 'blind', failure: { to: 'bad', message: 'no', remedy: 'mend it' } },
    },
    blind: {
      action: 'sim.blind',
      on: {
        success: 'good',
        failure: [
          { when: 'case == "replacement"', to: 'bad' },
          { to: 'reverted', message: 'went back by itself' },
        ],
      },
    },
    good: { final: true },
    bad: { final: true, result: 'failed' },
    reverted: { final: true, result: 'reverted' },
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

const machine = targetMachine({
  run: 'r',
  member: 7,
  target: { id: 't', product: 'sim', version: '1' },
  from: '1',
  to: '2',
  params: {},
  procedure,
  rollback: back,
  actions: SIMULATED_ACTIONS,
});

const NOW = 1_000_000;
const why = fault('cut', 't', 'cut', { outcome: 'unknown' });
const fence = (visit: number, attempt: number): Fence => ({ run: 'r', machine: 7, visit, attempt });
const ended = (outcome: string, values?: Record<string, unknown>): Ending => ({ kind: 'ended', outcome, ...(values ? { values } : {}) });

function at(phase: TargetPhase, more: Partial<TargetState> = {}): TargetState {
  return { ...newTarget('r', 7), visit: 3, touched: true, phase, ...more };
}

/** Every phase there is, each at visit 3. */
const PHASES: Record<string, TargetState> = {
  new: newTarget('r', 7),
  checking: at({ at: 'checking', attempt: 1 }, { touched: false }),
  'checking-later': at({ at: 'checking', attempt: 1, until: NOW }, { touched: false }),
  'checking-last': at({ at: 'checking', attempt: 3 }, { touched: false }),
  'acting-seen': at({ at: 'acting', state: 'seen', attempt: 1, deadline: NOW + 9 }),
  'acting-safe': at({ at: 'acting', state: 'safe', attempt: 1, deadline: NOW + 9 }),
  'acting-safe-last': at({ at: 'acting', state: 'safe', attempt: 2, deadline: NOW + 9 }),
  'acting-blind': at({ at: 'acting', state: 'blind', attempt: 1, deadline: NOW + 9 }),
  observing: at({ at: 'observing', state: 'seen', attempt: 1, deadline: NOW + 9, fault: why }),
  delaying: at({ at: 'delaying', state: 'safe', attempt: 2, until: NOW, fault: why }),
  deciding: at({ at: 'deciding', state: 'blind', attempt: 1, fault: why }),
  held: at({ at: 'held', state: 'safe' }, { hold: 'pause' }),
  succeeded: at({ at: 'done', result: 'succeeded', state: 'good' }),
  failed: at({ at: 'done', result: 'failed', state: 'bad' }, { retry: 2 }),
  reverted: at({ at: 'done', result: 'reverted', state: 'reverted' }),
  skipped: at({ at: 'done', result: 'skipped', state: 'bad' }),
  'back-failed': at({ at: 'done', result: 'failed', state: 'bad' }, { direction: 'back' }),
  'acting-back': at({ at: 'acting', state: 'undo', attempt: 1, deadline: NOW + 9 }, { direction: 'back' }),
};

const MESSAGES: Record<string, TargetMessage> = {
  begin: { type: 'begin' },
  success: { type: 'result', fence: fence(3, 1), ending: ended('success', { version: '1' }) },
  failure: { type: 'result', fence: fence(3, 1), ending: ended('failure') },
  'success-2': { type: 'result', fence: fence(3, 2), ending: ended('success') },
  'failure-2': { type: 'result', fence: fence(3, 2), ending: ended('failure') },
  'failure-3': { type: 'result', fence: fence(3, 3), ending: ended('failure') },
  undeclared: { type: 'result', fence: fence(3, 1), ending: ended('surprise') },
  unknown: { type: 'result', fence: fence(3, 1), ending: { kind: 'unknown', fault: why } },
  absent: { type: 'result', fence: fence(3, 1), ending: { kind: 'absent' } },
  lost: { type: 'result', fence: fence(3, 1), ending: { kind: 'lost', fault: why } },
  stale: { type: 'result', fence: fence(2, 1), ending: ended('success') },
  wake: { type: 'wake', fence: fence(3, 1) },
  'wake-2': { type: 'wake', fence: fence(3, 2) },
  pause: { type: 'pause' },
  continue: { type: 'continue' },
  halt: { type: 'halt' },
  revert: { type: 'revert' },
  'retry-2': { type: 'retry', counter: 2 },
  'retry-3': { type: 'retry', counter: 3 },
  skip: { type: 'skip' },
  'decide-success': { type: 'decide', as: 'success', by: 'me' },
  'decide-failure': { type: 'decide', as: 'failure', by: 'me' },
  'decide-again': { type: 'decide', as: 'again', by: 'me' },
  'decide-nonsense': { type: 'decide', as: 'nonsense', by: 'me' },
};

/**
 * One row a transition: phase, message, the phase that follows, and what the run is told. Whatever is not listed is refused, and the table
 * test walks all pairs.
 */
const ROWS: [phase: string, message: string, next: string, report?: string][] = [
  ['new', 'begin', 'checking#1'],
  ['new', 'pause', 'held  hold=pause'],
  ['new', 'halt', 'done failed', 'member-done failed'],

  ['checking', 'success', 'acting seen#1 visit=4'],
  ['checking', 'failure', 'checking#1 until'],
  ['checking', 'undeclared', 'checking#1 until'],
  ['checking', 'unknown', 'checking#1 until'],
  ['checking', 'absent', 'checking#1 until'],
  ['checking', 'lost', 'checking#1 until'],
  ['checking', 'pause', 'checking#1 hold=pause'],
  ['checking', 'halt', 'checking#1 hold=halt'],
  ['checking-later', 'wake', 'checking#2'],
  ['checking-later', 'pause', 'checking#1 until hold=pause'],
  ['checking-later', 'halt', 'done failed', 'member-done failed'],
  ['checking-last', 'failure-3', 'done failed', 'member-done failed'],
  ['checking-last', 'pause', 'checking#3 hold=pause'],
  ['checking-last', 'halt', 'checking#3 hold=halt'],

  ['acting-seen', 'success', 'acting safe#1 visit=4'],
  ['acting-seen', 'failure', 'done failed', 'member-done failed'],
  ['acting-seen', 'undeclared', 'deciding seen', 'member-deciding'],
  ['acting-seen', 'unknown', 'observing seen#1'],
  ['acting-seen', 'absent', 'acting seen#2'],
  ['acting-seen', 'lost', 'observing seen#1'],
  ['acting-seen', 'pause', 'acting seen#1 hold=pause'],
  ['acting-seen', 'halt', 'acting seen#1 hold=halt'],

  ['acting-safe', 'success', 'acting blind#1 visit=4'],
  ['acting-safe', 'failure', 'delaying safe#2'],
  ['acting-safe', 'undeclared', 'deciding safe', 'member-deciding'],
  ['acting-safe', 'unknown', 'acting safe#2'],
  ['acting-safe', 'absent', 'acting safe#2'],
  ['acting-safe', 'lost', 'acting safe#2'],
  ['acting-safe', 'pause', 'acting safe#1 hold=pause'],
  ['acting-safe', 'halt', 'acting safe#1 hold=halt'],
  ['acting-safe-last', 'success-2', 'acting blind#1 visit=4'],
  ['acting-safe-last', 'failure-2', 'done failed', 'member-done failed'],
  ['acting-safe-last', 'pause', 'acting safe#2 hold=pause'],
  ['acting-safe-last', 'halt', 'acting safe#2 hold=halt'],

  ['acting-blind', 'success', 'done succeeded', 'member-done succeeded'],
  ['acting-blind', 'failure', 'done reverted', 'member-done reverted'],
  ['acting-blind', 'undeclared', 'deciding blind', 'member-deciding'],
  ['acting-blind', 'unknown', 'deciding blind', 'member-deciding'],
  ['acting-blind', 'absent', 'acting blind#2'],
  ['acting-blind', 'lost', 'deciding blind', 'member-deciding'],
  ['acting-blind', 'pause', 'acting blind#1 hold=pause'],
  ['acting-blind', 'halt', 'acting blind#1 hold=halt'],

  ['observing', 'success', 'acting safe#1 visit=4'],
  ['observing', 'failure', 'done failed', 'member-done failed'],
  ['observing', 'undeclared', 'deciding seen', 'member-deciding'],
  ['observing', 'unknown', 'deciding seen', 'member-deciding'],
  ['observing', 'absent', 'acting seen#2'],
  ['observing', 'lost', 'deciding seen', 'member-deciding'],
  ['observing', 'pause', 'observing seen#1 hold=pause'],
  ['observing', 'halt', 'observing seen#1 hold=halt'],

  ['delaying', 'wake-2', 'acting safe#2'],
  ['delaying', 'pause', 'delaying safe#2 hold=pause'],
  ['delaying', 'halt', 'done failed', 'member-done failed'],

  ['deciding', 'decide-success', 'done succeeded', 'member-decided, member-done succeeded'],
  ['deciding', 'decide-failure', 'done reverted', 'member-decided, member-done reverted'],
  ['deciding', 'decide-again', 'acting blind#2', 'member-decided'],
  ['deciding', 'pause', 'deciding blind hold=pause'],
  ['deciding', 'halt', 'done failed', 'member-done failed'],

  ['held', 'continue', 'acting safe#1 visit=4'],
  ['held', 'pause', 'held safe hold=pause'],
  ['held', 'halt', 'done failed', 'member-done failed'],

  ['succeeded', 'revert', 'acting undo#1 visit=4 back'],
  ['failed', 'revert', 'acting undo#1 visit=4 back'],
  ['failed', 'retry-3', 'checking#1 visit=4'],
  ['failed', 'skip', 'done skipped', 'member-done skipped'],
  ['back-failed', 'retry-2', 'acting undo#1 visit=4 back'],
  ['back-failed', 'retry-3', 'acting undo#1 visit=4 back'],
  ['back-failed', 'skip', 'done skipped back', 'member-done skipped'],

  ['acting-back', 'success', 'done reverted back', 'member-done reverted'],
  ['acting-back', 'failure', 'done failed back', 'member-done failed'],
  ['acting-back', 'undeclared', 'deciding undo back', 'member-deciding'],
  ['acting-back', 'unknown', 'observing undo#1 back'],
  ['acting-back', 'absent', 'acting undo#2 back'],
  ['acting-back', 'lost', 'observing undo#1 back'],
  ['acting-back', 'pause', 'acting undo#1 back hold=pause'],
  ['acting-back', 'halt', 'acting undo#1 back hold=halt'],
];

function describePhase(state: TargetState, before: TargetState): string {
  const { phase } = state;
  const parts = [phase.at === 'done' ? `done ${phase.result}` : phase.at];
  if (phase.at !== 'done' && 'state' in phase) parts.push(` ${phase.state}`);
  if ('attempt' in phase && phase.at !== 'deciding') parts.push(`#${phase.attempt}`);
  if (phase.at === 'checking' && phase.until !== undefined) parts.push(' until');
  if (state.visit !== before.visit && before.visit !== 0) parts.push(` visit=${state.visit}`);
  if (state.direction === 'back') parts.push(' back');
  if (phase.at !== 'done' && state.hold !== 'none') parts.push(` hold=${state.hold}`);
  return parts.join('');
}

function describeReport(message: MemberReport): string {
  return message.type === 'member-done' ? `${message.type} ${message.result}` : message.type;
}

describe('the target machine', () => {
  for (const [phaseName, before] of Object.entries(PHASES))
    for (const [messageName, message] of Object.entries(MESSAGES)) {
      const row = ROWS.find(([phase, one]) => phase === phaseName && one === messageName);
      test(row ? `${phaseName} + ${messageName} → ${row[2]}` : `${phaseName} refuses ${messageName}`, () => {
        const frozen = structuredClone(before);
        const reaction = machine.receive(before, message, NOW);
        assert.deepEqual(before, frozen, 'the state that was given is not changed');
        if (!row) {
          assert.equal(reaction.ok, false, reaction.ok ? describePhase(reaction.state, before) : '');
          if (!reaction.ok) assert.ok(['illegal-message', 'stale-fence', 'decision-unknown'].includes(reaction.fault.kind));
          return;
        }
        assert.ok(reaction.ok, reaction.ok ? '' : reaction.fault.message);
        assert.equal(describePhase(reaction.state, before), row[2]);
        assert.equal(reaction.sends.map((send) => describeReport(send.message as MemberReport)).join(', '), row[3] ?? '');
        assert.ok(reaction.sends.every((send) => send.to === 'run'));
      });
    }

  test('every work it asks for carries the fence of its present attempt, and none is asked for while it rests', () => {
    for (const [name, state] of Object.entries(PHASES)) {
      const work = machine.outstanding(state);
      const resting = ['new', 'deciding', 'held', 'succeeded', 'failed', 'reverted', 'skipped', 'back-failed'].includes(name);
      assert.equal(work.length, resting ? 0 : 1, name);
      for (const one of work) {
        assert.equal(one.fence.visit, state.visit);
        assert.equal(one.fence.attempt, (state.phase as { attempt: number }).attempt);
      }
    }
  });

  test('found at the wanted version it is done, with nothing touched (P9)', () => {
    const reaction = machine.receive(
      PHASES['checking'] as TargetState,
      { type: 'result', fence: fence(3, 1), ending: ended('success', { version: '2' }) },
      NOW,
    );
    assert.ok(reaction.ok);
    assert.deepEqual(reaction.sends[0]?.message, { type: 'member-done', member: 7, result: 'succeeded', touched: false });
  });

  test('found at any other version than planned it is left alone, and says what was expected and found (P9)', () => {
    const reaction = machine.receive(
      PHASES['checking'] as TargetState,
      { type: 'result', fence: fence(3, 1), ending: ended('success', { version: '1.5' }) },
      NOW,
    );
    assert.ok(reaction.ok);
    const report = reaction.sends[0]?.message as Extract<MemberReport, { type: 'member-done' }>;
    assert.equal(report.touched, false);
    assert.equal(report.fault?.kind, 'world-differs');
    assert.equal(report.fault?.expected, '1');
    assert.equal(report.fault?.found, '1.5');
  });

  test('a halted target is not driven into its next state', () => {
    const reaction = machine.receive(
      { ...(PHASES['acting-seen'] as TargetState), hold: 'halt' },
      MESSAGES['success'] as TargetMessage,
      NOW,
    );
    assert.ok(reaction.ok);
    assert.equal(reaction.state.phase.at, 'done');
  });

  test('a paused target finishes its action and holds before the next', () => {
    const reaction = machine.receive(
      { ...(PHASES['acting-seen'] as TargetState), hold: 'pause' },
      MESSAGES['success'] as TargetMessage,
      NOW,
    );
    assert.ok(reaction.ok);
    assert.deepEqual(reaction.state.phase, { at: 'held', state: 'safe' });
    assert.deepEqual(machine.outstanding(reaction.state), []);
  });

  test('the case of a step and the first step whose condition holds are followed', () => {
    const replacement = { ...(PHASES['acting-blind'] as TargetState), case: 'replacement' };
    const reaction = machine.receive(replacement, MESSAGES['failure'] as TargetMessage, NOW);
    assert.ok(reaction.ok);
    assert.equal(reaction.state.phase.at === 'done' && reaction.state.phase.result, 'failed');
    const first = machine.receive(PHASES['acting-seen'] as TargetState, MESSAGES['success'] as TargetMessage, NOW);
    assert.equal(first.ok && first.state.case, 'normal');
  });

  test('a step gives the detailed status and the remedy', () => {
    const reaction = machine.receive(PHASES['acting-safe-last'] as TargetState, MESSAGES['failure-2'] as TargetMessage, NOW);
    assert.ok(reaction.ok);
    assert.equal(reaction.state.message, 'no');
    assert.equal(reaction.state.remedy, 'mend it');
  });

  test('a failed rollback is its own kind of fault: a person must look', () => {
    const reaction = machine.receive(PHASES['acting-back'] as TargetState, MESSAGES['failure'] as TargetMessage, NOW);
    assert.ok(reaction.ok);
    const report = reaction.sends[0]?.message as Extract<MemberReport, { type: 'member-done' }>;
    assert.equal(report.fault?.kind, 'rollback-failed');
    assert.equal(report.fault?.effect, 'operator');
  });

  test('a procedure that goes in circles ends', () => {
    const circle: Procedure = {
      kind: 'Procedure',
      name: 'c',
      start: 'a',
      states: { a: { action: 'sim.safe', on: { success: 'a', failure: 'bad' } }, bad: { final: true, result: 'failed' } },
    };
    const turning = targetMachine({
      run: 'r',
      member: 7,
      target: { id: 't', product: 'sim', version: '1' },
      from: '1',
      to: '2',
      params: {},
      procedure: circle,
      actions: SIMULATED_ACTIONS,
    });
    let state = newTarget('r', 7);
    let reaction = turning.receive(state, { type: 'begin' }, NOW);
    let steps = 0;
    while (reaction.ok && reaction.state.phase.at === 'acting' && steps++ < 5000) {
      state = reaction.state;
      reaction = turning.receive(
        state,
        { type: 'result', fence: { run: 'r', machine: 7, visit: state.visit, attempt: 1 }, ending: ended('success') },
        NOW,
      );
    }
    assert.ok(reaction.ok && reaction.state.phase.at === 'done');
    assert.equal(reaction.state.phase.fault?.kind, 'procedure-circles');
  });
});
