/** What a person may order: pause, continue, approve, abort, roll back, retry, skip, decide. */
import { fault } from '../../model/fault.ts';
import type { Control } from '../messages.ts';
import { ask, checkOf } from './checks.ts';
import { advance, end, freeze, nextStep, nextWave, postUpgrade, targetName } from './progress.ts';
import { fill, forgiveFailures, uncountFailure } from './schedule.ts';
import { type Draft, isFailed, type MemberCode, membersInFlight, type RunReaction, refuse, stageOf } from './state.ts';

/** Handles an order. The same key twice is the same order: the second changes nothing and is no fault (P10). */
export function onControl(draft: Draft, control: Control): RunReaction {
  const { state } = draft;
  if (state.keys.includes(control.key)) return draft.done();
  if (state.phase.at === 'finished')
    return refuse(state, control.type, `the run has ended (${state.phase.result})`, 'Plan again, and apply the new plan.');
  const answer = order(draft, control);
  if (answer) return answer;
  draft.remember(control.key);
  return draft.done();
}

function order(draft: Draft, control: Control): RunReaction | undefined {
  const { state } = draft;
  switch (control.type) {
    case 'pause':
      if (state.pause) return refuse(state, 'pause', `it is paused already, by ${state.pause.by}`);
      state.pause = { by: control.by, at: draft.now, ...(control.reason === undefined ? {} : { reason: control.reason }) };
      for (const member of membersInFlight(state)) draft.send(member, { type: 'pause' });
      return undefined;
    case 'continue':
      return goOn(draft);
    case 'approve':
      return approve(draft);
    case 'abort':
    case 'rollback':
      return stop(draft, control);
    case 'retry':
      return retry(draft, control);
    case 'skip':
      return skip(draft, control.member);
    case 'decide':
      if (codeOf(draft, control.member) !== 'd') return refuse(state, 'decide', 'nothing is to be decided for this target');
      draft.send(control.member, { type: 'decide', as: control.as, by: control.by });
      return undefined;
  }
}

function codeOf(draft: Draft, member: number): MemberCode | undefined {
  return member >= 0 && member < draft.state.members.length ? draft.code(member) : undefined;
}

/** Ends a pause, or accepts what suspended the run and goes on. */
function goOn(draft: Draft): RunReaction | undefined {
  const { state } = draft;
  if (!state.pause && !state.suspended) return refuse(state, 'continue', 'it is neither paused nor suspended');
  if (state.pause) {
    delete state.pause;
    for (const member of membersInFlight(state)) draft.send(member, { type: 'continue' });
    if (state.phase.at === 'rolling-back') advance(draft);
    else if (!state.suspended) proceed(draft);
    return undefined;
  }
  delete state.suspended;
  switch (state.phase.at) {
    case 'gate':
      nextWave(draft);
      break;
    case 'barrier':
      nextStep(draft);
      break;
    case 'post-upgrade':
      postUpgrade(draft, state.phase.index + 1);
      break;
    default: {
      const stage = stageOf(draft.plan, state);
      if (stage && state.stage) forgiveFailures(draft, stage);
      proceed(draft);
    }
  }
  return undefined;
}

function proceed(draft: Draft): void {
  fill(draft);
  advance(draft);
}

function approve(draft: Draft): RunReaction | undefined {
  const { phase } = draft.state;
  if (phase.at !== 'approval') return refuse(draft.state, 'approve', 'no approval is wanted now');
  if (phase.of === 'start') freeze(draft);
  else if (phase.of === 'step') nextStep(draft);
  else nextWave(draft);
  return undefined;
}

function stop(draft: Draft, control: Extract<Control, { type: 'abort' | 'rollback' }>): RunReaction | undefined {
  const { state, plan } = draft;
  if (state.ending) return refuse(state, control.type, 'the run is ending already');
  const done = state.starts.length > state.mark;
  // Before a commit point an abort takes back what was done; where nothing can go back, a rollback is refused rather than pretended.
  const canGoBack = done && plan.steps.some((step, index) => step.kind === 'stage' && step.rollback !== undefined && index <= state.step);
  if (control.type === 'rollback' && !canGoBack)
    return refuse(
      state,
      'rollback',
      done ? 'no stage since the last commit point has a rollback' : 'nothing has been done since the last commit point',
      'Abort stops the run where it is.',
    );
  const back = canGoBack && (control.type === 'rollback' || state.committed.length === 0);
  delete state.pause;
  const why = fault(
    'aborted',
    state.run,
    `${control.type === 'abort' ? 'aborted' : 'rolled back'} by ${control.by}${control.reason === undefined ? '' : `: ${control.reason}`}`,
  );
  end(draft, 'failed', back, why);
  return undefined;
}

function retry(draft: Draft, control: Extract<Control, { type: 'retry' }>): RunReaction | undefined {
  const { state } = draft;
  const check = checkOf(draft.plan, state);
  if (control.member === undefined) {
    if (!state.suspended || !check) return refuse(state, 'retry', 'no check has failed; name the target to retry');
    delete state.suspended;
    ask(draft, check, (asking) => ({ ...state.phase, asking }) as typeof state.phase);
    return undefined;
  }
  const { member } = control;
  const code = codeOf(draft, member);
  const stage = stageOf(draft.plan, state);
  if (!isFailed(code))
    return refuse(state, 'retry', code === undefined ? 'there is no such target' : `${targetName(draft, member)} has not failed`);
  if (state.ending) return refuse(state, 'retry', 'the run is ending');
  if (!stage || state.phase.at !== 'stage' || member < stage.base || member >= stage.base + stage.order.length)
    return refuse(state, 'retry', 'the stage of this target is over', 'Upgrade it again when the run has ended.');
  const known = state.retries[member] ?? 0;
  const counter = control.counter ?? known + 1;
  if (counter <= known) return refuse(state, 'retry', `the retry counter is ${known} already, ${counter} is not above it`);
  if (state.stage?.requeue.includes(member)) return refuse(state, 'retry', `${targetName(draft, member)} waits for its turn already`);
  if (state.pause) return refuse(state, 'retry', 'the run is paused', 'Continue it first.');
  uncountFailure(draft, stage, member);
  // From now on its failure is history: it waits for its turn, and may fail anew.
  if (code === 'x') draft.mark(member, 'y');
  if (code === 'u') draft.mark(member, 'v');
  draft.updateStage({ requeue: [...(state.stage?.requeue ?? []), member] });
  state.retries = { ...state.retries, [member]: counter };
  delete state.suspended;
  proceed(draft);
  return undefined;
}

function skip(draft: Draft, member: number): RunReaction | undefined {
  const { state } = draft;
  const code = codeOf(draft, member);
  if (!isFailed(code))
    return refuse(state, 'skip', code === undefined ? 'there is no such target' : `${targetName(draft, member)} has not failed`);
  if (state.ending) return refuse(state, 'skip', 'the run is ending');
  const stage = stageOf(draft.plan, state);
  const current = stage && state.phase.at === 'stage' && member >= stage.base && member < stage.base + stage.order.length;
  if (current) {
    uncountFailure(draft, stage, member);
    draft.updateStage({ requeue: state.stage?.requeue.filter((one) => one !== member) ?? [] });
  }
  draft.send(member, { type: 'skip' });
  draft.mark(member, 'k');
  if (!current) return undefined;
  if (state.suspended && state.stage?.failed === 0) delete state.suspended;
  if (!state.suspended) proceed(draft);
  return undefined;
}
