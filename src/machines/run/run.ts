/** The run machine: see `state.ts` for its phases and invariants. */
import { type Fault, fault, faultText } from '../../model/fault.ts';
import type { Plan } from '../../planning/plan.ts';
import { fenceText, type Machine, sameFence, type Work } from '../machine.ts';
import type { MemberReport, RunMessage, TargetMessage } from '../messages.ts';
import { askAgain, checkOf, judge } from './checks.ts';
import { onControl } from './controls.ts';
import {
  advance,
  afterSoak,
  end,
  failStage,
  finish,
  nextStep,
  nextWave,
  postUpgrade,
  preflight,
  start,
  targetName,
  wentBack,
} from './progress.ts';
import { answerSurvey, budgetIsSpent, fill, release } from './schedule.ts';
import { type Asking, Draft, type RunReaction, type RunState, refuse, runFence, stageOf } from './state.ts';

export function runMachine(plan: Plan): Machine<RunState, RunMessage, TargetMessage> {
  return {
    receive: (state, message, now) => receive(plan, state, message, now),
    outstanding: (state) => outstanding(plan, state),
  };
}

function outstanding(plan: Plan, state: RunState): Work[] {
  const { phase } = state;
  const work: Work[] = [];
  if (phase.at === 'soak') work.push({ kind: 'timer', fence: runFence(state, 1), at: phase.until });
  // A pause asks nothing new; what was frozen is thawed all the same.
  else if ('asking' in phase && !state.suspended && (!state.pause || phase.at === 'thawing')) {
    const { attempt, retryAt } = phase.asking;
    const check = checkOf(plan, state);
    if (retryAt !== undefined) work.push({ kind: 'timer', fence: runFence(state, attempt), at: retryAt });
    else if (check) work.push({ kind: 'check', fence: runFence(state, attempt), check });
  }
  if (phase.at === 'stage' && state.survey && !state.pause && !state.suspended && !state.ending)
    for (const member of state.survey.members)
      if (!(member in state.survey.keys)) work.push({ kind: 'rank', fence: runFence(state, member + 1), member });
  if (phase.at === 'stage' && state.more && !state.pause && !state.suspended && !state.ending)
    work.push({ kind: 'timer', fence: runFence(state, 0), at: state.since });
  else if (phase.at === 'stage' && state.windowOpensAt !== undefined && !state.pause && !state.suspended && !state.ending)
    work.push({ kind: 'timer', fence: runFence(state, 0), at: state.windowOpensAt });
  return work;
}

function receive(plan: Plan, state: RunState, message: RunMessage, now: number): RunReaction {
  const draft = new Draft(plan, state, now);
  switch (message.type) {
    case 'start':
      if (state.phase.at !== 'new') return refuse(state, 'start', 'it has started already');
      start(draft);
      return draft.done();
    case 'result':
      return onAnswer(draft, message);
    case 'wake':
      return onWake(draft, message);
    case 'member-done':
      return onMemberDone(draft, message);
    case 'member-deciding':
      if (!inFlight(draft, message.member)) return refuse(state, message.type, `${targetName(draft, message.member)} is not in flight`);
      draft.mark(message.member, 'd');
      return draft.done();
    case 'member-decided':
      if (draft.code(message.member) !== 'd') return refuse(state, message.type, 'nothing was to be decided');
      draft.mark(message.member, state.phase.at === 'rolling-back' ? 'b' : 'f');
      return draft.done();
    default:
      return onControl(draft, message);
  }
}

function inFlight(draft: Draft, member: number): boolean {
  const code = draft.code(member);
  return code === 'f' || code === 'b' || code === 'd';
}

function onMemberDone(draft: Draft, report: Extract<MemberReport, { type: 'member-done' }>): RunReaction {
  const { state, plan } = draft;
  const { member, result, touched } = report;
  // A person's `skip` was counted when it was ordered.
  if (result === 'skipped' && draft.code(member) === 'k') return draft.done();
  if (!inFlight(draft, member)) return refuse(state, report.type, `${targetName(draft, member)} is not in flight`);
  const goingBack = state.phase.at === 'rolling-back';
  // A procedure that reverts by itself has not reached the wanted version: for the stage that is a failure.
  const failed = result === 'failed' || (result === 'reverted' && !goingBack);
  draft.mark(member, result === 'succeeded' ? 's' : result === 'reverted' ? 'r' : result === 'skipped' ? 'k' : touched ? 'x' : 'u');
  if (goingBack) {
    wentBack(draft, member);
    return draft.done();
  }
  const stage = stageOf(plan, state);
  if (!stage || !state.stage) return refuse(state, report.type, 'no stage is going on');
  const group = release(draft, stage, member, failed);
  if (failed && !state.ending) {
    if (report.fault?.kind === 'world-differs') failStage(draft, report.fault);
    else if (budgetIsSpent(draft, stage, group) && !state.suspended) failStage(draft, memberFault(draft, report));
  }
  fill(draft, group);
  advance(draft);
  return draft.done();
}

function memberFault(draft: Draft, report: Extract<MemberReport, { type: 'member-done' }>): Fault {
  const name = targetName(draft, report.member);
  return fault('target-failed', name, report.result === 'reverted' ? `${name} went back to its old version` : `${name} failed`, {
    outcome: report.touched ? 'applied' : 'none',
    remedy: 'Retry or skip it, continue without it, roll back, or abort.',
    ...(report.fault === undefined ? {} : { cause: report.fault }),
  });
}

function onWake(draft: Draft, message: Extract<RunMessage, { type: 'wake' }>): RunReaction {
  const { state } = draft;
  const { phase } = state;
  if (phase.at === 'soak' && sameFence(message.fence, runFence(state, 1))) {
    afterSoak(draft);
    return draft.done();
  }
  if (phase.at === 'stage' && sameFence(message.fence, runFence(state, 0))) {
    delete state.windowOpensAt;
    fill(draft);
    advance(draft);
    return draft.done();
  }
  if ('asking' in phase && phase.asking.retryAt !== undefined && sameFence(message.fence, runFence(state, phase.asking.attempt))) {
    askAgain(draft, phase.asking);
    return draft.done();
  }
  return stale(draft, message);
}

function stale(draft: Draft, message: { fence: Parameters<typeof fenceText>[0] }): RunReaction {
  return {
    ok: false,
    fault: fault('stale-fence', draft.state.run, 'a result of work that is no longer wanted', { found: fenceText(message.fence) }),
  };
}

function onAnswer(draft: Draft, message: Extract<RunMessage, { type: 'result' }>): RunReaction {
  const { state, plan } = draft;
  const { phase } = state;
  if (phase.at === 'stage' && state.survey) return onRank(draft, message);
  if (
    !('asking' in phase) ||
    phase.asking.retryAt !== undefined ||
    state.suspended ||
    !sameFence(message.fence, runFence(state, phase.asking.attempt))
  )
    return stale(draft, message);
  const check = checkOf(plan, state);
  if (!check) return stale(draft, message);
  const verdict = judge(draft, check, phase.asking, message.ending);
  if (verdict === 'asking') return draft.done();
  if (verdict.passed) onPassed(draft, phase);
  else onFailed(draft, phase, verdict.fault);
  return draft.done();
}

/** Where a member stands in a live order. An answer of an earlier survey has another visit. */
function onRank(draft: Draft, message: Extract<RunMessage, { type: 'result' }>): RunReaction {
  const { state } = draft;
  const member = message.fence.attempt - 1;
  const asked = state.survey?.members.includes(member) && !(member in state.survey.keys);
  const stage = stageOf(draft.plan, state);
  if (!asked || !stage || !sameFence(message.fence, runFence(state, message.fence.attempt))) return stale(draft, message);
  const { ending } = message;
  const key = ending.kind === 'ended' && ending.outcome === 'success' ? ending.values?.['key'] : undefined;
  const usable = typeof key === 'string' || typeof key === 'number';
  answerSurvey(draft, stage, member, usable ? key : null, 'fault' in ending ? ending.fault : undefined);
  advance(draft);
  return draft.done();
}

type AskingPhase = Extract<RunState['phase'], { asking: Asking }>;

function onPassed(draft: Draft, phase: AskingPhase): void {
  const { state } = draft;
  switch (phase.at) {
    case 'preflight':
      return preflight(draft, phase.index + 1, phase.failures);
    case 'freezing':
      return nextStep(draft);
    case 'gate':
      return nextWave(draft);
    case 'barrier':
      return nextStep(draft);
    case 'post-upgrade':
      return postUpgrade(draft, phase.index + 1);
    case 'thawing':
      state.freezeHeld = false;
      return finish(draft, state.ending?.result ?? 'succeeded', state.ending?.fault);
  }
}

function onFailed(draft: Draft, phase: AskingPhase, why: Fault): void {
  const { state } = draft;
  switch (phase.at) {
    case 'preflight':
      return preflight(draft, phase.index + 1, [...phase.failures, why]);
    case 'freezing':
      return end(
        draft,
        'failed',
        false,
        fault('freeze-failed', state.run, 'the freeze could not be set', { cause: why, remedy: 'Nothing has been changed.' }),
      );
    case 'gate':
    case 'barrier':
      return failStage(draft, why);
    case 'post-upgrade':
      state.suspended = why;
      return;
    case 'thawing':
      state.unreleased = [
        ...state.unreleased,
        fault('not-released', 'freeze', `the freeze could not be lifted: ${faultText(why)}`, {
          effect: 'operator',
          outcome: 'unknown',
          remedy: 'Lift it by hand.',
        }),
      ];
      return finish(draft, state.ending?.result ?? 'succeeded', state.ending?.fault);
  }
}
