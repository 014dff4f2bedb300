/** What people and programs are shown of a run: one shape for the terminal, `show --json` and whoever reads along. */

import { checkName, checkOf } from '../machines/run/checks.ts';
import { MEMBER_STATUS, type RunState, stageOf } from '../machines/run/state.ts';
import type { TargetState } from '../machines/target-state.ts';
import { type Fault, faultText } from '../model/fault.ts';
import * as vector from '../model/vector.ts';
import { type Plan, type PlanStage, targetAt } from '../planning/plan.ts';

/** Why a run waits, and what ends the wait. `kind` is stable. */
export type Waiting = {
  kind: 'undriven' | 'approval' | 'window' | 'paused' | 'suspended' | 'soak' | 'check' | 'decision' | 'targets' | 'ending' | 'storage';
  text: string;
  since: number;
  /** When it ends by itself, in ms since the epoch. */
  until?: number;
  /** What a person can do. */
  remedy?: string;
  /** Only a person can end it. */
  needsPerson: boolean;
};

export type MemberView = {
  target: string;
  /** waiting, in flight, deciding, succeeded, failed, going back, reverted, skipped */
  status: string;
  /** The state of its procedure, and that state's title. */
  state?: string;
  title?: string;
  case?: string;
  since?: number;
  message?: string;
  remedy?: string;
  fault?: Fault;
};

export type StageView = {
  name: string;
  kind: 'stage' | 'commit' | 'approval';
  status: 'waiting' | 'current' | 'done';
  total: number;
  counts: Record<string, number>;
  /** `done`: ended well; those that failed stand beside. */
  groups: { key: string; total: number; done: number; failed: number; inFlight: number }[];
  /** An estimate of how long the stage still takes, from what it took so far; absent before anything of it has ended. */
  leftMs?: number;
};

export type RunView = {
  run: string;
  upgrade: string;
  title?: string;
  product: string;
  from: string[];
  to: string;
  digest: string;
  phase: string;
  result?: string;
  reason?: Fault;
  startedAt: number;
  endedAt?: number;
  stages: StageView[];
  counts: Record<string, number>;
  waiting: Waiting[];
  /** Those in flight, deciding or failed; all of them with `all`. */
  members: MemberView[];
  committed: string[];
  unreleased: Fault[];
};

export type ViewSource = {
  plan: Plan;
  state: RunState;
  member(member: number): TargetState | undefined;
  trouble?: Fault | undefined;
  /** No process drives the run. */
  undriven?: boolean;
};

/** The view of a run. O(members); with `limit`, at most that many members in detail. */
export function runView(source: ViewSource, options: { all?: boolean; limit?: number; now?: number } = {}): RunView {
  const { plan, state } = source;
  const { phase } = state;
  const codes = [...vector.entries(state.members)];
  const counts: Record<string, number> = {};
  for (const code of codes) counts[MEMBER_STATUS[code]] = (counts[MEMBER_STATUS[code]] ?? 0) + 1;
  const members: MemberView[] = [];
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  for (const step of plan.steps) {
    if (step.kind !== 'stage') continue;
    for (let position = 0; position < step.order.length && members.length < limit; position++) {
      const code = codes[step.base + position] as keyof typeof MEMBER_STATUS;
      if (options.all || 'fdbxuyv'.includes(code)) members.push(memberView(source, step, position, MEMBER_STATUS[code]));
    }
  }
  return {
    run: state.run,
    upgrade: plan.upgrade,
    ...(plan.title === undefined ? {} : { title: plan.title }),
    product: plan.product,
    from: plan.from,
    to: plan.to,
    digest: plan.digest,
    phase: phase.at,
    ...(phase.at === 'finished' ? { result: phase.result, endedAt: phase.endedAt } : {}),
    ...(state.ending ? { reason: state.ending.fault } : {}),
    startedAt: state.startedAt,
    stages: plan.steps.map((step, index) => stageView(source, step, index, codes, options.now)),
    counts,
    waiting: waitingOn(source),
    members,
    committed: state.committed,
    unreleased: state.unreleased,
  };
}

function stageView(
  { state, undriven }: ViewSource,
  step: Plan['steps'][number],
  index: number,
  codes: readonly (keyof typeof MEMBER_STATUS)[],
  now: number | undefined,
): StageView {
  const over = state.phase.at === 'finished' || state.phase.at === 'thawing' || state.phase.at === 'post-upgrade';
  const status = index < state.step || (over && !state.ending) ? 'done' : index === state.step && !over ? 'current' : 'waiting';
  if (step.kind !== 'stage') return { name: step.name, kind: step.kind, status, total: 0, counts: {}, groups: [] };
  const counts: Record<string, number> = {};
  let ended = 0;
  const groups = step.groups.map((group) => {
    let done = 0;
    let inFlight = 0;
    let failed = 0;
    for (let at = group.first; at < group.first + group.count; at++) {
      const name = MEMBER_STATUS[codes[step.base + at] as keyof typeof MEMBER_STATUS];
      counts[name] = (counts[name] ?? 0) + 1;
      if (name === 'failed') failed++;
      else if (name === 'succeeded' || name === 'skipped' || name === 'reverted') done++;
      else if (name !== 'waiting') inFlight++;
    }
    ended += done + failed;
    return { key: group.key, total: group.count, done, failed, inFlight };
  });
  const total = step.order.length;
  const goesOn = !state.suspended && !state.pause && !state.ending && state.counts.deciding === 0 && !undriven;
  const rolling = goesOn && status === 'current' && state.phase.at === 'stage' && ended > 0 && ended < total && now !== undefined;
  return {
    name: step.title ?? step.name,
    kind: 'stage',
    status,
    total,
    counts,
    groups,
    ...(rolling ? { leftMs: Math.max(0, Math.round(((now - state.since) / ended) * (total - ended))) } : {}),
  };
}

function memberView({ plan, member }: ViewSource, stage: PlanStage, position: number, status: string): MemberView {
  const view: MemberView = { target: targetAt(plan, stage, position).id, status };
  const state = member(stage.base + position);
  if (!state || state.visit === 0) return view;
  const procedure = plan.procedures[(state.direction === 'back' ? stage.rollback : stage.procedure) as string];
  const name = 'state' in state.phase && state.phase.state !== null ? state.phase.state : undefined;
  const title =
    state.phase.at === 'checking' ? 'Reading the version' : name === undefined ? undefined : (procedure?.states[name]?.title ?? name);
  const suffix: Record<string, string> = {
    observing: ' (finding out what became of it)',
    delaying: ' (tries again)',
    deciding: ' (a person must decide)',
    held: ' (held)',
  };
  return {
    ...view,
    ...(name === undefined ? {} : { state: name }),
    ...(title === undefined ? {} : { title: title + (suffix[state.phase.at] ?? '') }),
    ...(state.case === null ? {} : { case: procedure?.cases?.[state.case] ?? state.case }),
    since: state.since,
    ...(state.message === undefined ? {} : { message: state.message }),
    ...(state.remedy === undefined ? {} : { remedy: state.remedy }),
    ...('fault' in state.phase && state.phase.fault ? { fault: state.phase.fault } : {}),
  };
}

/** Every reason why the run does not go on just now, the most pressing first. */
export function waitingOn({ plan, state, trouble, member, undriven }: ViewSource): Waiting[] {
  const { phase, since } = state;
  const waiting: Waiting[] = [];
  const add = (kind: Waiting['kind'], text: string, more: Partial<Waiting> = {}) =>
    waiting.push({ kind, text, since, needsPerson: false, ...more });
  const run = state.run;
  if (trouble)
    add('storage', `nothing can be written: ${faultText(trouble)}`, {
      ...(trouble.remedy === undefined ? {} : { remedy: trouble.remedy }),
    });
  if (phase.at === 'finished') return waiting;
  if (undriven)
    add('undriven', 'no process drives this run; what is shown is how it was left', {
      remedy: `upshift resume ${run}`,
      needsPerson: true,
    });
  if (state.pause)
    add('paused', `paused by ${state.pause.by}${state.pause.reason === undefined ? '' : `: ${state.pause.reason}`}`, {
      since: state.pause.at,
      remedy: `upshift go ${run}`,
      needsPerson: true,
    });
  const name = state.suspended?.kind === 'target-failed' ? state.suspended.subject : 'TARGET';
  if (state.suspended)
    add('suspended', faultText(state.suspended), {
      remedy: [
        checkOf(plan, state) ? `upshift retry ${run}   ask again` : `upshift retry ${run} ${name}   try it again`,
        ...(checkOf(plan, state) ? [] : [`upshift skip ${run} ${name}   leave it as it is`]),
        `upshift go ${run}   accept it and go on`,
        `upshift abort ${run}   stop${state.committed.length === 0 ? ', and take back what was done' : ''}`,
      ].join('\n'),
      needsPerson: true,
    });
  if (state.counts.deciding > 0)
    for (let at = state.starts.length - 1, left = state.counts.deciding; at >= 0 && left > 0; at--) {
      const number = vector.get(state.starts, at);
      if (vector.get(state.members, number) !== 'd') continue;
      left--;
      const decided = member(number);
      const stage = plan.steps.find(
        (step): step is PlanStage => step.kind === 'stage' && number >= step.base && number < step.base + step.order.length,
      );
      if (decided?.phase.at !== 'deciding' || !stage) continue;
      const id = targetAt(plan, stage, number - stage.base).id;
      add('decision', `what became of ${decided.phase.state} on ${id}? ${faultText(decided.phase.fault)}`, {
        since: decided.since,
        remedy: `upshift decide ${run} ${id} --as success|failure|again`,
        needsPerson: true,
      });
    }
  if (phase.at === 'approval') add('approval', phase.text, { remedy: `upshift approve ${run}`, needsPerson: true });
  if (state.windowOpensAt !== undefined && phase.at === 'stage') add('window', 'outside of the window', { until: state.windowOpensAt });
  if (phase.at === 'soak') add('soak', 'watching before going on', { until: phase.until });
  if ('asking' in phase && !state.suspended) {
    const check = checkOf(plan, state);
    if (check)
      add('check', `${checkName(check)}${phase.asking.fault ? ` (not yet: ${faultText(phase.asking.fault)})` : ''}`, {
        until: phase.asking.deadline,
      });
  }
  if (state.ending && phase.at !== 'thawing')
    add('ending', `${phase.at === 'rolling-back' ? 'rolling back' : 'stopping'}: ${faultText(state.ending.fault)}`);
  const stage = stageOf(plan, state);
  if (waiting.length === 0 && state.counts.inFlight > 0 && stage)
    add('targets', `${state.counts.inFlight} of ${stage.order.length} targets in flight`);
  return waiting;
}

/** Whether nothing goes on any more until a person does something. */
export function needsPerson(source: ViewSource): boolean {
  const { state } = source;
  const waiting = waitingOn(source);
  return waiting.some((one) => one.needsPerson) && state.counts.inFlight === state.counts.deciding;
}
