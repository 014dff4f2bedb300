/** The promises P1 to P10 as checks over states and over what happened; each throws, naming the promise. */
import { isDeepStrictEqual } from 'node:util';
import type { Work } from '../machines/machine.ts';
import { workKey } from '../machines/machine.ts';
import type { MemberCode, RunState } from '../machines/run/state.ts';
import { isOpen } from '../machines/run/window.ts';
import { traitsOf } from '../machines/target-state.ts';
import type { ActionCatalog } from '../model/action.ts';
import * as vector from '../model/vector.ts';
import type { Plan, PlanStage } from '../planning/plan.ts';
import type { Started } from './world.ts';

export class PromiseBroken extends Error {}

function broken(promise: string, what: string): never {
  throw new PromiseBroken(`${promise}: ${what}`);
}

/** P1, P2: what starts is outstanding in the state that is durable. */
export function checkStart(work: Work, durable: readonly Work[]): void {
  if (!durable.some((one) => workKey(one) === workKey(work)))
    broken('P1', `${work.kind} ${workKey(work)} started, but the durable state does not demand it`);
}

function count(state: RunState, stage: PlanStage, first: number, length: number, codes: string): number {
  let found = 0;
  for (let at = first; at < first + length; at++) if (codes.includes(vector.get(state.members, stage.base + at))) found++;
  return found;
}

/** P6: concurrency and budget hold, counted from the members themselves. */
export function checkLimits(plan: Plan, state: RunState, forgiven: ReadonlySet<number>): void {
  const back = state.phase.at === 'rolling-back';
  const step = plan.steps[state.phase.at === 'rolling-back' ? state.phase.step : state.step];
  const stage = step?.kind === 'stage' ? step : undefined;
  if (!stage || (!back && state.phase.at !== 'stage' && state.phase.at !== 'draining')) return;
  let total = 0;
  let failedTotal = 0;
  let busyGroups = 0;
  for (const group of stage.groups) {
    const inFlight = count(state, stage, group.first, group.count, 'fdb');
    let failed = 0;
    for (let at = group.first; at < group.first + group.count; at++) {
      const member = stage.base + at;
      const code = vector.get(state.members, member);
      if (code === 'x' || code === 'u' || (code === 'r' && !forgiven.has(member))) failed++;
    }
    if (inFlight > stage.width.within) broken('P6', `${inFlight} in flight in group ${group.key}, ${stage.width.within} allowed`);
    if (!back && stage.budget?.per === 'group' && inFlight > 0 && failed + inFlight > stage.budget.failures + 1)
      broken('P6', `${failed} failed and ${inFlight} in flight in group ${group.key}, budget ${stage.budget.failures}`);
    if (inFlight > 0) busyGroups++;
    total += inFlight;
    failedTotal += failed;
  }
  if (busyGroups > stage.width.groups) broken('P6', `${busyGroups} groups at once, ${stage.width.groups} allowed`);
  if (!back && stage.budget?.per === 'stage' && total > 0 && failedTotal + total > stage.budget.failures + 1)
    broken('P6', `${failedTotal} failed and ${total} in flight, budget ${stage.budget.failures}`);
}

/** P5: what has ended stays as it is, but for what its run may still order. */
export function checkAbsorbing(before: RunState, after: RunState): void {
  if (before.phase.at === 'finished' && !isDeepStrictEqual(before, after)) broken('P5', 'a finished run changed');
  const terminal: MemberCode[] = ['k'];
  if (before === after) return;
  for (let member = 0; member < before.members.length; member++) {
    const code = vector.get(before.members, member);
    if (terminal.includes(code) && vector.get(after.members, member) !== code)
      broken('P5', `member ${member} was skipped and is ${vector.get(after.members, member)}`);
  }
}

/** P8, and the window: nobody begins while nobody may. */
export function checkBegins(plan: Plan, before: RunState, after: RunState, now: number): void {
  if (after.starts.length === before.starts.length) return;
  if (before.pause && after.pause) broken('P8', 'a member began while the run was paused');
  if (before.ending) broken('P8', 'a member began while the run was ending');
  if (plan.window && !isOpen(plan.window, now)) broken('P8', 'a member began outside of the window');
}

/** P8: what goes back goes newest first, stage by stage. `reverted`: members in the order they were told to. */
export function checkRollbackOrder(starts: readonly number[], reverted: readonly number[]): void {
  let last = Number.POSITIVE_INFINITY;
  for (const member of reverted) {
    const place = starts.lastIndexOf(member);
    if (place < 0) broken('P8', `member ${member} goes back and never began`);
    if (place > last) broken('P8', `member ${member} goes back after one that began before it`);
    last = place;
  }
}

/** P4: no disruptive action is done twice for the same entering of a state, unless it surely never ran or a person said so. */
export function checkOnce(plan: Plan, actions: ActionCatalog, started: readonly Started[], saidAgain: ReadonlySet<string>): void {
  const seen = new Map<string, Started>();
  const fences = new Set<string>();
  for (const one of started) {
    if (fences.has(one.fence)) broken('P4', `the fence ${one.fence} started twice`);
    fences.add(one.fence);
    const state = plan.procedures[one.procedure]?.states[one.state];
    if (!state || traitsOf(state, actions).idempotent) continue;
    const key = `${one.member}/${one.visit}`;
    if (seen.has(key) && !saidAgain.has(key))
      broken('P4', `${one.state} of member ${one.member} ran twice: ${seen.get(key)?.fence} and ${one.fence}`);
    seen.set(key, one);
  }
}

/** P7: what was frozen is thawed, or the result says that it is not. */
export function checkReleased(state: RunState, frozen: boolean): void {
  if (state.phase.at === 'finished' && frozen && state.unreleased.length === 0)
    broken('P7', 'the run has ended, the freeze is still there, and nothing says so');
}

/** P9: nothing is done to a target that is in another state than planned. */
export function checkUntouched(strange: ReadonlySet<number>, started: readonly Started[], observes: (member: number) => boolean): void {
  for (const one of started)
    if (strange.has(one.member) && observes(one.member))
      broken('P9', `${one.state} started on member ${one.member}, which is not in the planned state`);
}
