/**
 * The target machine: walks one target through its procedure.
 *
 *     checking → acting ⇄ delaying → … → done
 *                  ↓ unknown            ↑
 *               observing → deciding ───┘        held: between two states, while paused
 *
 * Invariants
 * - T1 Each state that is entered has its own visit, each try of it its own attempt: no two pieces of work share a fence.
 * - T2 An action whose outcome is unknown runs again only if it is idempotent, or an observation found that it never started (P4).
 * - T3 In `done` only the run's retry, skip and revert change anything; `skipped` and `reverted` absorb everything (P5).
 * - T4 `touched` is true from the first action that was started forwards: what is untouched needs no way back.
 */
import { LOST, type Procedure, type State, type Step, stepsOf } from '../model/documents/index.ts';
import { durationMs } from '../model/duration.ts';
import { compileExpression } from '../model/expression.ts';
import { type Fault, fault } from '../model/fault.ts';
import { type Ending, type Fence, fenceText, type Machine, type Reaction, sameFence, type Work } from './machine.ts';
import type { MemberReport, MemberResult, TargetMessage } from './messages.ts';
import { type TargetDefinition, type TargetPhase, type TargetState, traitsOf } from './target-state.ts';

const DEFAULT_TIMEOUT_MS = 10 * 60_000;
const DEFAULT_DELAY_MS = 5_000;
/** Reading a version does no harm, and a target that just came up may refuse once. */
const VERSION_ATTEMPTS = 3;
const VERSION_DELAY_MS = 2_000;
/** How often an idempotent action is run with an unknown outcome before a person is asked. */
const MAX_UNKNOWN = 20;
/** A procedure written in a circle is a mistake that must end: no vendor's table comes near this many steps. */
const MAX_VISITS = 1_000;

type Draft = { -readonly [K in keyof TargetState]: TargetState[K] };
type Result = Reaction<TargetState, MemberReport>;

export function targetMachine(definition: TargetDefinition): Machine<TargetState, TargetMessage, MemberReport> {
  return {
    receive: (state, message, now) => receive(definition, state, message, now),
    outstanding: (state) => outstanding(definition, state),
  };
}

function procedureOf(definition: TargetDefinition, state: TargetState): Procedure {
  return state.direction === 'back' ? (definition.rollback as Procedure) : definition.procedure;
}

function fenceOf(state: TargetState, attempt: number): Fence {
  return { run: state.run, machine: state.member, visit: state.visit, attempt };
}

function outstanding(definition: TargetDefinition, state: TargetState): Work[] {
  const { phase, member } = state;
  switch (phase.at) {
    case 'checking':
      return phase.until === undefined
        ? [{ kind: 'version', fence: fenceOf(state, phase.attempt), member }]
        : [{ kind: 'timer', fence: fenceOf(state, phase.attempt), at: phase.until }];
    case 'acting':
    case 'observing':
      return [
        {
          kind: phase.at === 'acting' ? 'action' : 'observe',
          fence: fenceOf(state, phase.attempt),
          member,
          procedure: procedureOf(definition, state).name,
          state: phase.state,
          deadline: phase.deadline,
          case: state.case,
          values: state.values,
        },
      ];
    case 'delaying':
      return [{ kind: 'timer', fence: fenceOf(state, phase.attempt), at: phase.until }];
    case 'deciding':
    case 'held':
    case 'done':
      return [];
  }
}

function illegal(state: TargetState, message: TargetMessage, why: string): Result {
  return {
    ok: false,
    fault: fault('illegal-message', `member ${state.member}`, `${message.type} is not possible: ${why}`, { found: state.phase.at }),
  };
}

function receive(definition: TargetDefinition, state: TargetState, message: TargetMessage, now: number): Result {
  const draft: Draft = { ...state };
  switch (message.type) {
    case 'begin':
      if (state.visit !== 0) return illegal(state, message, 'it has begun already');
      return { ok: true, ...begin(definition, draft, now) };
    case 'result':
      return onResult(definition, draft, message, now);
    case 'wake':
      return onWake(definition, draft, message, now);
    case 'pause':
    case 'halt':
      return onHold(draft, message, now);
    case 'continue':
      if (state.hold !== 'pause') return illegal(state, message, 'it is not paused');
      draft.hold = 'none';
      return { ok: true, ...(draft.phase.at === 'held' && draft.visit > 0 ? resume(definition, draft, now) : changed(draft)) };
    case 'revert':
      if (state.phase.at !== 'done' || (state.phase.result !== 'succeeded' && state.phase.result !== 'failed'))
        return illegal(state, message, 'only what succeeded or failed can go back');
      if (state.direction === 'back') return illegal(state, message, 'going back has failed already; a person must look');
      if (!definition.rollback) return illegal(state, message, 'its procedure has no rollback');
      return { ok: true, ...enter(definition, { ...draft, direction: 'back', hold: 'none', case: null }, definition.rollback.start, now) };
    case 'retry':
      if (state.phase.at !== 'done' || state.phase.result !== 'failed') return illegal(state, message, 'only what failed is retried');
      if (message.counter <= state.retry)
        return illegal(state, message, `the retry counter is ${state.retry} already, ${message.counter} is not above it`);
      return { ok: true, ...retry(definition, { ...draft, retry: message.counter, hold: 'none' }, now) };
    case 'skip':
      if (state.phase.at !== 'done' || state.phase.result !== 'failed') return illegal(state, message, 'only what failed is skipped');
      return { ok: true, ...done(draft, { result: 'skipped', state: state.phase.state }, now) };
    case 'decide':
      return onDecide(definition, draft, message, now);
  }
}

type Changed = { state: TargetState; sends: { to: 'run'; message: MemberReport }[] };

function changed(draft: Draft, ...messages: MemberReport[]): Changed {
  return { state: draft, sends: messages.map((message) => ({ to: 'run', message })) };
}

function begin(definition: TargetDefinition, draft: Draft, now: number): Changed {
  if (!definition.procedure.observe) return enter(definition, draft, definition.procedure.start, now);
  draft.visit += 1;
  draft.since = now;
  draft.phase = { at: 'checking', attempt: 1 };
  return changed(draft);
}

function retry(definition: TargetDefinition, draft: Draft, now: number): Changed {
  delete draft.message;
  delete draft.remedy;
  draft.case = null;
  if (draft.direction === 'back') return enter(definition, draft, (definition.rollback as Procedure).start, now);
  return begin(definition, draft, now);
}

/** Goes on where a pause, or a version check before any state, has left it. */
function resume(definition: TargetDefinition, draft: Draft, now: number): Changed {
  return enter(definition, draft, (draft.phase as { state: string }).state, now);
}

/** Enters a state: its work is outstanding from here on, or the target is done. */
function enter(definition: TargetDefinition, draft: Draft, name: string, now: number, step?: Step): Changed {
  const procedure = procedureOf(definition, draft);
  const state = procedure.states[name] as State;
  draft.since = now;
  const message = step?.message ?? state.message;
  const remedy = step?.remedy ?? state.remedy;
  if (message !== undefined) draft.message = message;
  if (remedy !== undefined) draft.remedy = remedy;
  if (state.final) return done(draft, { result: step?.result ?? state.result ?? 'succeeded', state: name }, now);
  if (state.next !== undefined) return enter(definition, draft, state.next, now);
  if (draft.hold === 'pause') {
    draft.phase = { at: 'held', state: name };
    return changed(draft);
  }
  if (draft.hold === 'halt') return done(draft, { result: 'failed', state: name, fault: haltedFault(draft) }, now);
  if (draft.visit >= MAX_VISITS) {
    const circle = fault('procedure-circles', `member ${draft.member}`, `${procedure.name} has taken ${MAX_VISITS} steps without an end`, {
      found: name,
    });
    return done(draft, { result: 'failed', state: name, fault: circle }, now);
  }
  draft.visit += 1;
  if (draft.direction === 'forward') draft.touched = true;
  draft.phase = { at: 'acting', state: name, attempt: 1, deadline: now + timeoutMs(state) };
  return changed(draft);
}

function haltedFault(draft: Draft): Fault {
  return fault('halted', `member ${draft.member}`, 'stopped between two states because the run is ending', {
    outcome: draft.touched ? 'applied' : 'none',
  });
}

function timeoutMs(state: State): number {
  return state.timeout === undefined ? DEFAULT_TIMEOUT_MS : durationMs(state.timeout);
}

function done(draft: Draft, end: { result: MemberResult; state: string | null; fault?: Fault }, now: number): Changed {
  let { result, fault: why } = end;
  if (draft.direction === 'back' && result !== 'skipped') {
    if (result === 'succeeded' || result === 'reverted') result = 'reverted';
    else {
      result = 'failed';
      why = fault('rollback-failed', `member ${draft.member}`, 'going back failed', {
        effect: 'operator',
        outcome: 'unknown',
        remedy: 'A person must look at this target.',
        ...(why === undefined ? {} : { cause: why }),
      });
    }
  }
  draft.since = now;
  draft.phase = { at: 'done', result, state: end.state, ...(why === undefined ? {} : { fault: why }) };
  return changed(draft, {
    type: 'member-done',
    member: draft.member,
    result,
    touched: draft.touched,
    ...(why === undefined ? {} : { fault: why }),
  });
}

function onHold(draft: Draft, message: { type: 'pause' | 'halt' }, now: number): Result {
  if (draft.phase.at === 'done') return illegal(draft, message, 'it is done');
  draft.hold = message.type;
  if (message.type === 'pause') return { ok: true, ...changed(draft) };
  const { phase } = draft;
  // Nothing is going on in these phases, so there is nothing to wait for.
  if (phase.at === 'delaying' || phase.at === 'deciding' || phase.at === 'held' || (phase.at === 'checking' && phase.until !== undefined))
    return {
      ok: true,
      ...done(
        draft,
        { result: 'failed', state: 'state' in phase ? phase.state : null, fault: 'fault' in phase ? phase.fault : haltedFault(draft) },
        now,
      ),
    };
  return { ok: true, ...changed(draft) };
}

function onWake(definition: TargetDefinition, draft: Draft, message: Extract<TargetMessage, { type: 'wake' }>, now: number): Result {
  const { phase } = draft;
  if (phase.at === 'checking' && phase.until !== undefined && sameFence(message.fence, fenceOf(draft, phase.attempt))) {
    draft.phase = { at: 'checking', attempt: phase.attempt + 1 };
    return { ok: true, ...changed(draft) };
  }
  if (phase.at !== 'delaying' || !sameFence(message.fence, fenceOf(draft, phase.attempt))) return stale(draft, message.fence);
  draft.phase = {
    at: 'acting',
    state: phase.state,
    attempt: phase.attempt,
    deadline: now + timeoutMs(procedureOf(definition, draft).states[phase.state] as State),
  };
  draft.since = now;
  return { ok: true, ...changed(draft) };
}

function stale(draft: Draft, fence: Fence): Result {
  return {
    ok: false,
    fault: fault('stale-fence', `member ${draft.member}`, 'a result of work that is no longer wanted', {
      expected: `visit ${draft.visit} in its present attempt`,
      found: fenceText(fence),
    }),
  };
}

function onResult(definition: TargetDefinition, draft: Draft, message: Extract<TargetMessage, { type: 'result' }>, now: number): Result {
  const { phase } = draft;
  const waiting = phase.at === 'acting' || phase.at === 'observing' || (phase.at === 'checking' && phase.until === undefined);
  if (!waiting || !sameFence(message.fence, fenceOf(draft, phase.attempt))) return stale(draft, message.fence);
  if (phase.at === 'checking') return { ok: true, ...onVersion(definition, draft, phase, message.ending, now) };
  const state = procedureOf(definition, draft).states[phase.state] as State;
  const { ending } = message;
  switch (ending.kind) {
    case 'ended':
      return { ok: true, ...onOutcome(definition, draft, state, phase, ending, now) };
    case 'absent':
      return { ok: true, ...again(draft, state, phase, now) };
    case 'unknown':
    case 'lost':
      return { ok: true, ...onUnknown(definition, draft, state, phase, ending, now) };
  }
}

type Busy = { at: 'acting' | 'observing' | 'deciding'; state: string; attempt: number };

/** P4: an idempotent action runs again, an observable one is observed, anything else waits for a person. */
function onUnknown(
  definition: TargetDefinition,
  draft: Draft,
  state: State,
  phase: Busy & { deadline: number },
  ending: { kind: 'unknown' | 'lost'; fault: Fault },
  now: number,
): Changed {
  const traits = traitsOf(state, definition.actions);
  const observed = phase.at === 'observing';
  if (draft.hold === 'halt' && !traits.observable) return deciding(draft, phase, ending.fault, now);
  if (!observed && traits.observable) {
    draft.phase = { at: 'observing', state: phase.state, attempt: phase.attempt, deadline: phase.deadline, fault: ending.fault };
    draft.since = now;
    return changed(draft);
  }
  // A procedure may say itself what a lost action means.
  if (ending.kind === 'lost' && state.on?.[LOST] !== undefined)
    return onOutcome(definition, draft, { ...state, attempts: 1 }, phase, { kind: 'ended', outcome: LOST, fault: ending.fault }, now);
  if (!traits.idempotent || phase.attempt >= MAX_UNKNOWN) return deciding(draft, phase, ending.fault, now);
  // Once at once, for that is what a restart of ours wants; then at the pace of retries.
  return phase.attempt === 1 ? again(draft, state, phase, now) : delayed(draft, state, phase, ending.fault, now);
}

function deciding(draft: Draft, phase: Busy, why: Fault, now: number): Changed {
  draft.phase = { at: 'deciding', state: phase.state, attempt: phase.attempt, fault: why };
  draft.since = now;
  return changed(draft, { type: 'member-deciding', member: draft.member, fault: why });
}

/** The same state once more, after a pause. */
function delayed(draft: Draft, state: State, phase: Busy, why: Fault, now: number): Changed {
  if (draft.hold === 'halt') return done(draft, { result: 'failed', state: phase.state, fault: why }, now);
  const delay = state.delay === undefined ? DEFAULT_DELAY_MS : durationMs(state.delay);
  draft.phase = { at: 'delaying', state: phase.state, attempt: phase.attempt + 1, until: now + delay, fault: why };
  draft.since = now;
  return changed(draft);
}

/** The same state once more, under a new fence. */
function again(draft: Draft, state: State, phase: Busy, now: number): Changed {
  if (draft.hold === 'halt') return done(draft, { result: 'failed', state: phase.state, fault: haltedFault(draft) }, now);
  draft.phase = { at: 'acting', state: phase.state, attempt: phase.attempt + 1, deadline: now + timeoutMs(state) };
  draft.since = now;
  return changed(draft);
}

function onOutcome(
  definition: TargetDefinition,
  draft: Draft,
  state: State,
  phase: Busy,
  ending: Extract<Ending, { kind: 'ended' }>,
  now: number,
): Changed {
  const attempts = state.attempts ?? 1;
  if (ending.outcome === 'failure' && phase.attempt < attempts && draft.hold !== 'halt') {
    const why = ending.fault ?? fault('action-failed', phase.state, `${state.action} failed`);
    return delayed(draft, state, phase, why, now);
  }
  if (ending.values) draft.values = { ...draft.values, ...ending.values };
  const transition = state.on?.[ending.outcome];
  if (transition === undefined) {
    const why = fault('outcome-undeclared', phase.state, `${phase.state} ended with an outcome it does not declare`, {
      expected: Object.keys(state.on ?? {}).join(', '),
      found: ending.outcome,
    });
    return deciding(draft, phase, why, now);
  }
  const step = stepFor(definition, draft, stepsOf(transition), ending.outcome);
  if ('kind' in step) return deciding(draft, phase, step, now);
  if (step.case !== undefined) draft.case = step.case;
  const next = enter(definition, draft, step.to, now, step);
  // Why the target ended as it did is what its last action said.
  const ended = next.state.phase;
  if (ended.at === 'done' && ended.result === 'failed' && !ended.fault && ending.fault) return withFault(next, ending.fault);
  return next;
}

function withFault(next: Changed, why: Fault): Changed {
  return {
    state: { ...next.state, phase: { ...next.state.phase, fault: why } as TargetPhase },
    sends: next.sends.map((send) => ({ ...send, message: { ...send.message, fault: why } as MemberReport })),
  };
}

/** The first step whose condition holds. */
function stepFor(definition: TargetDefinition, draft: Draft, steps: readonly Step[], outcome: string): Step | Fault {
  const { target, from, to, params } = definition;
  for (const step of steps) {
    if (step.when === undefined) return step;
    const compiled = compileExpression({ name: 'step' }, step.when);
    if (!compiled.ok) return fault('expression-invalid', step.when, compiled.problem.message);
    const value = compiled.compiled.evaluate({
      target: { id: target.id, product: target.product, version: from, labels: target.labels ?? {}, vars: target.vars ?? {} },
      from,
      to,
      params,
      case: draft.case ?? '',
      values: draft.values,
      outcome,
    });
    if (!value.ok) return value.fault;
    if (value.value === true) return step;
  }
  return fault('no-step', outcome, `no step of the outcome ${outcome} holds`);
}

function onDecide(definition: TargetDefinition, draft: Draft, message: Extract<TargetMessage, { type: 'decide' }>, now: number): Result {
  const { phase } = draft;
  if (phase.at !== 'deciding') return illegal(draft, message, 'nothing is to be decided');
  const state = procedureOf(definition, draft).states[phase.state] as State;
  const outcomes = Object.keys(state.on ?? {});
  if (message.as !== 'again' && !outcomes.includes(message.as))
    return {
      ok: false,
      fault: fault('decision-unknown', phase.state, `${phase.state} cannot end as ${message.as}`, {
        expected: [...outcomes, 'again'].join(', '),
        found: message.as,
      }),
    };
  const decided: MemberReport = { type: 'member-decided', member: draft.member };
  const next =
    message.as === 'again'
      ? again(draft, state, phase, now)
      : onOutcome(
          definition,
          draft,
          { ...state, attempts: 1 },
          phase,
          { kind: 'ended', outcome: message.as, ...(message.as === 'success' ? {} : { fault: phase.fault }) },
          now,
        );
  return { ok: true, state: next.state, sends: [{ to: 'run', message: decided }, ...next.sends] };
}

/** P9: nothing is changed on a target that is not in the state that was planned. */
function onVersion(definition: TargetDefinition, draft: Draft, phase: { attempt: number }, ending: Ending, now: number): Changed {
  const { procedure, target, from, to } = definition;
  if (ending.kind !== 'ended' || ending.outcome !== 'success') {
    const why = 'fault' in ending && ending.fault ? ending.fault : fault('version-unreadable', target.id, 'the version could not be read');
    if (phase.attempt < VERSION_ATTEMPTS && draft.hold !== 'halt') {
      draft.phase = { at: 'checking', attempt: phase.attempt, until: now + VERSION_DELAY_MS };
      return changed(draft);
    }
    return done(draft, { result: 'failed', state: null, fault: { ...why, outcome: 'none' } }, now);
  }
  const found = String(ending.values?.['version'] ?? '');
  if (found === to) {
    draft.message = `already at ${to}`;
    return done(draft, { result: 'succeeded', state: null }, now);
  }
  if (found === from || draft.touched) return enter(definition, draft, procedure.start, now);
  return done(
    draft,
    {
      result: 'failed',
      state: null,
      fault: fault('world-differs', target.id, `${target.id} is not in the state that was planned`, {
        expected: from,
        found: found === '' ? 'no version' : found,
        remedy: 'Plan again with --observe, and look at the new plan.',
      }),
    },
    now,
  );
}
