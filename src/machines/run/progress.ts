/** From phase to phase: what follows when something has ended. */
import { type Fault, fault, faultText } from '../../model/fault.ts';
import * as vector from '../../model/vector.ts';
import { memberAt, type PlanStage, type PlanStep, stageWidth } from '../../planning/plan.ts';
import { ask } from './checks.ts';
import { fill, groupOf, isHeld, openStage, waveIsOver } from './schedule.ts';
import { type Draft, membersInFlight, type RunResult, stageOf } from './state.ts';

/** The first phase after `start`. */
export function start(draft: Draft): void {
  draft.state.startedAt = draft.now;
  preflight(draft, 0, []);
}

/** Asks the preflight check of an index; all of them are asked, and only then is it said what failed. */
export function preflight(draft: Draft, index: number, failures: Fault[]): void {
  const check = draft.plan.preflight[index];
  if (check) return ask(draft, check, (asking) => ({ at: 'preflight', index, failures, asking }));
  if (failures.length > 0) {
    const why = fault(
      'preflight-failed',
      draft.state.run,
      `${failures.length} of ${draft.plan.preflight.length} preflight checks did not pass: ${failures.map(faultText).join('; ')}`,
      {
        remedy: 'Mend what they found; nothing has been changed.',
      },
    );
    return finish(draft, 'failed', why);
  }
  if (draft.plan.approval !== undefined) draft.enter({ at: 'approval', of: 'start', text: draft.plan.approval });
  else freeze(draft);
}

/** From the first change on, configuration is read-only. */
export function freeze(draft: Draft): void {
  const { plan, state } = draft;
  if (!plan.freeze || plan.steps.length === 0) return nextStep(draft);
  state.freezeHeld = true;
  ask(draft, plan.freeze.acquire, (asking) => ({ at: 'freezing', asking }));
}

export function nextStep(draft: Draft): void {
  const { state, plan } = draft;
  delete state.stage;
  delete state.survey;
  delete state.more;
  state.groups = vector.EMPTY;
  for (;;) {
    state.step += 1;
    const step: PlanStep | undefined = plan.steps[state.step];
    if (!step) return postUpgrade(draft, 0);
    if (step.kind === 'commit') {
      state.mark = state.starts.length;
      state.committed = [...state.committed, step.name];
    } else if (step.kind === 'approval') return draft.enter({ at: 'approval', of: 'step', text: step.name });
    else {
      openStage(draft);
      return fill(draft);
    }
  }
}

export function postUpgrade(draft: Draft, index: number): void {
  const check = draft.plan.postUpgrade[index];
  if (check) ask(draft, check, (asking) => ({ at: 'post-upgrade', index, asking }));
  else thaw(draft);
}

/** After anything that may have been the last of a wave, a stage, or of what was in flight. */
export function advance(draft: Draft): void {
  const { state } = draft;
  const stage = stageOf(draft.plan, state);
  if (state.phase.at === 'stage' && stage) {
    if (state.suspended || state.ending) return drain(draft);
    if (waveIsOver(draft, stage)) return soak(draft, stage);
    return suspendIfStuck(draft);
  }
  if (state.phase.at === 'rolling-back') return rollBackMore(draft);
  drain(draft);
}

/** Nobody is in flight and nobody may begin, and yet the wave is not over: the budget is spent, and only a person can go on. */
function suspendIfStuck(draft: Draft): void {
  const { state } = draft;
  if (state.counts.inFlight > 0 || state.survey || isHeld(draft)) return;
  state.suspended = fault('budget-spent', state.run, 'more targets have failed than the budget allows, so none can be started', {
    remedy: 'Retry or skip those that failed, accept their failures, roll back, or abort.',
  });
}

/** An ending that was decided is carried out once nothing is in flight. */
function drain(draft: Draft): void {
  const { state } = draft;
  if (
    !state.ending ||
    state.counts.inFlight > 0 ||
    state.phase.at === 'finished' ||
    state.phase.at === 'thawing' ||
    state.phase.at === 'rolling-back'
  )
    return;
  if (state.ending.rollback) {
    draft.enter({ at: 'rolling-back', cursor: state.starts.length - 1, step: -1, busy: 0 });
    rollBackMore(draft);
  } else thaw(draft);
}

function soak(draft: Draft, stage: PlanStage): void {
  if (stage.soakMs > 0) {
    draft.nextVisit();
    draft.enter({ at: 'soak', until: draft.now + stage.soakMs });
  } else afterSoak(draft);
}

/** After each wave but the last a gate; after the last the barrier. */
export function afterSoak(draft: Draft): void {
  const stage = stageOf(draft.plan, draft.state) as PlanStage;
  const last = (draft.state.stage?.wave ?? 0) >= stage.waves.length - 1;
  if (last) {
    if (stage.barrier) ask(draft, stage.barrier, (asking) => ({ at: 'barrier', asking }));
    else nextStep(draft);
  } else if (!stage.gate) nextWave(draft);
  else if ('approval' in stage.gate) draft.enter({ at: 'approval', of: 'wave', text: stage.gate.approval });
  else ask(draft, stage.gate.check, (asking) => ({ at: 'gate', asking }));
}

export function nextWave(draft: Draft): void {
  draft.updateStage({ wave: (draft.state.stage?.wave ?? 0) + 1 });
  draft.enter({ at: 'stage' });
  fill(draft);
}

/** Something of a stage failed for good: its policy says what follows. */
export function failStage(draft: Draft, why: Fault): void {
  const { state } = draft;
  const stage = stageOf(draft.plan, state);
  const policy = stage?.onFailure ?? 'suspend';
  if (state.ending) return;
  // Where the world differs from the plan nothing more is begun; what has been changed so far decides what follows.
  if (policy === 'suspend' || policy === 'continue') {
    if (why.kind === 'world-differs' && !anyTouched(draft)) return end(draft, 'failed', false, why);
    state.suspended = why;
    return;
  }
  end(draft, 'failed', policy === 'rollback', why);
}

/** Whether anything of this run was changed. */
function anyTouched(draft: Draft): boolean {
  const { counts, starts } = draft.state;
  if (counts.succeeded > 0 || counts.inFlight > 0 || counts.reverted > 0) return true;
  for (const member of vector.entries(starts)) if ('xy'.includes(draft.code(member))) return true;
  return false;
}

/** Decides the ending: nothing more begins, and what is in flight stops at its next state. */
export function end(draft: Draft, result: RunResult, rollback: boolean, why: Fault): void {
  const { state } = draft;
  state.ending = { result, rollback, fault: why };
  delete state.suspended;
  delete state.survey;
  for (const member of membersInFlight(state)) if (draft.code(member) !== 'b') draft.send(member, { type: 'halt' });
  if (state.phase.at !== 'rolling-back') {
    draft.nextVisit();
    draft.enter({ at: 'draining' });
  }
  drain(draft);
}

/**
 * Rolls back newest first, one stage at a time, as many at once as the stage allowed in all and in each group (P6, P8). What has no rollback is
 * passed over and named in the result.
 */
function rollBackMore(draft: Draft): void {
  const { state, plan } = draft;
  if (state.phase.at !== 'rolling-back') return;
  let { cursor, step, busy } = state.phase;
  while (cursor >= state.mark && !state.pause) {
    const member = vector.get(state.starts, cursor);
    const code = draft.code(member);
    const { stage, step: its, position } = memberAt(plan, member);
    if ((code === 's' || code === 'x' || code === 'y') && stage.rollback !== undefined) {
      if (its !== step) {
        if (state.counts.inFlight > 0) break;
        step = its;
        state.groups = vector.filled(stage.groups.length, { next: 0, inFlight: 0, failed: 0 });
      }
      const group = groupOf(stage, position);
      const { inFlight } = vector.get(state.groups, group);
      if (state.counts.inFlight >= stageWidth(stage) || inFlight >= stage.width.within || (inFlight === 0 && busy >= stage.width.groups))
        break;
      draft.updateGroup(group, { inFlight: inFlight + 1 });
      if (inFlight === 0) busy++;
      draft.mark(member, 'b');
      draft.send(member, { type: 'revert' });
    }
    cursor--;
  }
  state.phase = { at: 'rolling-back', cursor, step, busy };
  if (cursor < state.mark && state.counts.inFlight === 0) {
    judgeRollback(draft);
    thaw(draft);
  }
}

/** A member that went back has ended, well or not: its place is free for the next. */
export function wentBack(draft: Draft, member: number): void {
  const { state, plan } = draft;
  if (state.phase.at !== 'rolling-back') return;
  const { stage, position } = memberAt(plan, member);
  const group = groupOf(stage, position);
  const inFlight = vector.get(state.groups, group).inFlight - 1;
  draft.updateGroup(group, { inFlight });
  state.phase = { ...state.phase, busy: state.phase.busy - (inFlight === 0 ? 1 : 0) };
  rollBackMore(draft);
}

/** Rolled back is what a run is only if nothing of it is left. */
function judgeRollback(draft: Draft): void {
  const { state } = draft;
  const left: number[] = [];
  for (let at = state.mark; at < state.starts.length; at++) {
    const member = vector.get(state.starts, at);
    const code = draft.code(member);
    if (code === 's' || code === 'x' || code === 'y') left.push(member);
  }
  const ending = state.ending as NonNullable<typeof state.ending>;
  if (left.length === 0) state.ending = { ...ending, result: 'reverted' };
  else {
    const names = left.slice(0, 5).map((member) => targetName(draft, member));
    state.ending = {
      ...ending,
      result: 'failed',
      fault: fault(
        'rollback-incomplete',
        state.run,
        `${left.length} targets are not back: ${names.join(', ')}${left.length > 5 ? ', …' : ''}`,
        {
          effect: 'operator',
          outcome: 'unknown',
          remedy: 'A person must look at these targets.',
          cause: ending.fault,
        },
      ),
    };
  }
}

export function targetName(draft: Draft, member: number): string {
  const { stage, position } = memberAt(draft.plan, member);
  return draft.plan.targets[stage.order[position] as number]?.id ?? String(member);
}

/** P7: whatever the ending, what was frozen is thawed. */
export function thaw(draft: Draft): void {
  const { state, plan } = draft;
  if (state.freezeHeld && plan.freeze) ask(draft, plan.freeze.release, (asking) => ({ at: 'thawing', asking }));
  else finish(draft, state.ending?.result ?? 'succeeded', state.ending?.fault);
}

export function finish(draft: Draft, result: RunResult, why?: Fault): void {
  const { state } = draft;
  if (why && !state.ending) state.ending = { result, rollback: false, fault: why };
  delete state.suspended;
  delete state.pause;
  draft.enter({ at: 'finished', result, endedAt: draft.now });
}
