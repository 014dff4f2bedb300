/** Which members may begin now: strategy, waves, budget, pause, window. The only place where `begin` is sent. */
import { type Fault, fault } from '../../model/fault.ts';
import * as vector from '../../model/vector.ts';
import type { PlanStage } from '../../planning/plan.ts';
import { compareKeys } from '../../planning/stages.ts';
import { type Draft, type GroupProgress, type StageProgress, stageOf } from './state.ts';
import { nextOpening } from './window.ts';

/** How many members one reaction begins, so that no commit grows with the fleet. */
const MAX_BEGINS = 1_000;

/** Prepares the progress of the stage the run is at. */
export function openStage(draft: Draft): void {
  const stage = stageOf(draft.plan, draft.state) as PlanStage;
  draft.state.stage = { wave: 0, opened: 0, active: 0, busy: 0, inFlight: 0, failed: 0, starved: false, requeue: [] };
  draft.state.groups = vector.filled<GroupProgress>(stage.groups.length, { next: 0, inFlight: 0, failed: 0 });
  draft.enter({ at: 'stage' });
}

/** Whether nothing may begin, whatever the stage would allow (R2). */
export function isHeld(draft: Draft): boolean {
  const { state, plan, now } = draft;
  if (state.pause || state.suspended || state.ending) return true;
  if (!plan.window) return false;
  if (state.windowOpensAt !== undefined && now < state.windowOpensAt) return true;
  const opens = nextOpening(plan.window, now);
  if (opens <= now) {
    delete state.windowOpensAt;
    return false;
  }
  state.windowOpensAt = opens;
  return true;
}

/** Begins whatever may begin. `near`: the group in which something has just changed; all open groups are looked at where it is left out. */
export function fill(draft: Draft, near?: number): void {
  const stage = stageOf(draft.plan, draft.state);
  if (!stage || draft.state.phase.at !== 'stage' || isHeld(draft)) return;
  if (near === undefined) delete draft.state.more;
  beginAgain(draft, stage);
  if (stage.live) return survey(draft, stage);
  if (near !== undefined) fillGroup(draft, stage, near);
  openGroups(draft, stage);
  if (near === undefined || progress(draft).starved) {
    draft.updateStage({ starved: false });
    for (let group = 0; group < progress(draft).opened; group++) fillGroup(draft, stage, group);
    openGroups(draft, stage);
  }
}

/**
 * With a live order the next is chosen by what every target that is left answers now: nobody begins before all of them were asked, and the
 * answers are for one choice only.
 */
function survey(draft: Draft, stage: PlanStage): void {
  const { state } = draft;
  const { next } = vector.get(state.groups, 0);
  if (state.survey || next >= (stage.waves[progress(draft).wave]?.until ?? 0) || !mayBegin(draft, stage, 0)) return;
  const members: number[] = [];
  for (let member = stage.base; member < stage.base + stage.order.length; member++) if (draft.code(member) === 'w') members.push(member);
  draft.nextVisit();
  state.survey = { members, keys: {} };
}

/** Takes an answer of the survey; once all are there, the smallest key begins, of equals the first in the plan. */
export function answerSurvey(draft: Draft, stage: PlanStage, member: number, key: string | number | null, why: Fault | undefined): void {
  const { state } = draft;
  const asked = state.survey as NonNullable<typeof state.survey>;
  const keys = { ...asked.keys, [member]: key };
  state.survey = { ...asked, keys, ...(why === undefined ? {} : { fault: why }) };
  if (asked.members.some((one) => !(one in keys))) return;
  delete state.survey;
  const known = asked.members.filter((one) => keys[one] !== null);
  const [first, ...others] = known;
  if (first === undefined) {
    state.suspended = fault('order-unreadable', stage.name, 'the order of the targets cannot be read from any of them', {
      remedy: 'See that they can be reached, then go on.',
      ...(why === undefined ? {} : { cause: why }),
    });
    return;
  }
  if (isHeld(draft)) return;
  const smallest = others.reduce(
    (best, one) => (compareKeys(keys[one] as string | number, keys[best] as string | number) < 0 ? one : best),
    first,
  );
  if (!mayBegin(draft, stage, 0)) return;
  draft.updateGroup(0, { next: vector.get(state.groups, 0).next + 1 });
  begin(draft, 0, smallest);
}

function progress(draft: Draft): StageProgress {
  return draft.state.stage as StageProgress;
}

/** The members a person wants tried again come first. */
function beginAgain(draft: Draft, stage: PlanStage): void {
  while (progress(draft).requeue.length > 0) {
    const [member, ...rest] = progress(draft).requeue as [number, ...number[]];
    const group = groupOf(stage, member - stage.base);
    if (!mayBegin(draft, stage, group)) return;
    const { next, inFlight } = vector.get(draft.state.groups, group);
    const finished = inFlight === 0 && next >= (stage.groups[group]?.count as number);
    draft.updateStage({ requeue: rest, ...(finished ? { active: progress(draft).active + 1 } : {}) });
    draft.send(member, { type: 'retry', counter: draft.state.retries[member] as number });
    count(draft, group, member);
  }
}

function openGroups(draft: Draft, stage: PlanStage): void {
  while (!isFull(draft)) {
    const { opened, active, wave } = progress(draft);
    const limit = stage.grouped ? (stage.waves[wave]?.until ?? 0) : stage.groups.length;
    if (opened >= limit || active >= stage.width.groups || !stageAllows(draft, stage)) {
      if (opened < limit && active < stage.width.groups) draft.updateStage({ starved: true });
      return;
    }
    draft.updateStage({ opened: opened + 1, active: active + 1 });
    fillGroup(draft, stage, opened);
  }
}

function fillGroup(draft: Draft, stage: PlanStage, group: number): void {
  const plan = stage.groups[group];
  if (!plan) return;
  const until = stage.grouped ? plan.count : Math.min(plan.count, stage.waves[progress(draft).wave]?.until ?? 0);
  for (;;) {
    const { next } = vector.get(draft.state.groups, group);
    if (next >= until || !mayBegin(draft, stage, group) || isFull(draft)) return;
    draft.updateGroup(group, { next: next + 1 });
    begin(draft, group, stage.base + plan.first + next);
  }
}

function begin(draft: Draft, group: number, member: number): void {
  draft.begins++;
  draft.state.starts = vector.push(draft.state.starts, member);
  draft.send(member, { type: 'begin' });
  count(draft, group, member);
}

/** Whether this reaction has begun as many as it may; what is left is for the next. */
function isFull(draft: Draft): boolean {
  if (draft.begins < MAX_BEGINS) return false;
  draft.state.more = true;
  return true;
}

/** Counts a member that begins. */
function count(draft: Draft, group: number, member: number): void {
  const { inFlight } = vector.get(draft.state.groups, group);
  draft.updateGroup(group, { inFlight: inFlight + 1 });
  draft.updateStage({ inFlight: progress(draft).inFlight + 1, busy: progress(draft).busy + (inFlight === 0 ? 1 : 0) });
  draft.mark(member, 'f');
}

function stageAllows(draft: Draft, stage: PlanStage): boolean {
  const { inFlight, failed } = progress(draft);
  return stage.budget?.per !== 'stage' || failed + inFlight <= stage.budget.failures;
}

/** R1. */
function mayBegin(draft: Draft, stage: PlanStage, group: number): boolean {
  const { inFlight, failed } = vector.get(draft.state.groups, group);
  if (inFlight >= stage.width.within) return false;
  if (progress(draft).inFlight >= stage.width.groups * stage.width.within) return false;
  if (stage.budget?.per === 'group' && failed + inFlight > stage.budget.failures) return false;
  const room = inFlight > 0 || progress(draft).busy < stage.width.groups;
  if (room && stageAllows(draft, stage)) return true;
  draft.updateStage({ starved: true });
  return false;
}

/** The group of a position. O(log groups). */
export function groupOf(stage: PlanStage, position: number): number {
  let low = 0;
  let high = stage.groups.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((stage.groups[middle]?.first as number) <= position) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** A member of the present stage ended: its place is free again. Returns its group. */
export function release(draft: Draft, stage: PlanStage, member: number, failed: boolean): number {
  const group = groupOf(stage, member - stage.base);
  const before = vector.get(draft.state.groups, group);
  const after = { ...before, inFlight: before.inFlight - 1, failed: before.failed + (failed ? 1 : 0) };
  draft.updateGroup(group, after);
  const { inFlight, failed: failures, active, busy } = progress(draft);
  const finished = after.inFlight === 0 && after.next >= (stage.groups[group]?.count as number);
  draft.updateStage({
    inFlight: inFlight - 1,
    busy: busy - (after.inFlight === 0 ? 1 : 0),
    failed: failures + (failed ? 1 : 0),
    ...(finished ? { active: active - 1 } : {}),
  });
  return group;
}

/** Whether everybody of the present wave has begun and ended. */
export function waveIsOver(draft: Draft, stage: PlanStage): boolean {
  const { inFlight, requeue, opened, active, wave } = progress(draft);
  if (inFlight > 0 || requeue.length > 0) return false;
  const until = stage.waves[wave]?.until ?? 0;
  if (stage.grouped) return opened >= until && active === 0;
  return vector.get(draft.state.groups, 0).next >= until;
}

/** Whether more failed than the budget allows. `group`: where the last failure was. */
export function budgetIsSpent(draft: Draft, stage: PlanStage, group: number): boolean {
  if (stage.onFailure === 'continue') return false;
  const { failed } = progress(draft);
  if (!stage.budget) return failed > 0;
  return (stage.budget.per === 'stage' ? failed : vector.get(draft.state.groups, group).failed) > stage.budget.failures;
}

/** A person accepts what has failed so far in this stage: it no longer counts. O(members of the stage). */
export function forgiveFailures(draft: Draft, stage: PlanStage): void {
  draft.updateStage({ failed: 0 });
  for (let group = 0; group < draft.state.groups.length; group++)
    if (vector.get(draft.state.groups, group).failed > 0) draft.updateGroup(group, { failed: 0 });
  for (let member = stage.base; member < stage.base + stage.order.length; member++) {
    const code = draft.code(member);
    if (code === 'x') draft.mark(member, 'y');
    else if (code === 'u') draft.mark(member, 'v');
  }
}

/** A failure that counted does so no longer: it is tried again, or skipped. */
export function uncountFailure(draft: Draft, stage: PlanStage, member: number): void {
  const code = draft.code(member);
  if (code !== 'x' && code !== 'u') return;
  const group = groupOf(stage, member - stage.base);
  draft.updateGroup(group, { failed: vector.get(draft.state.groups, group).failed - 1 });
  draft.updateStage({ failed: progress(draft).failed - 1 });
}
