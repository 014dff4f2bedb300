/**
 * The run machine's state, and the draft its reactions work on.
 *
 *     preflight → approval → freezing → stage ⇄ soak ⇄ gate → barrier → (commit, approval) → … → post-upgrade → thawing → finished
 *                                         ↓ ending: failed, aborted, rolled back
 *                                      draining → rolling-back → thawing → finished
 *
 * Invariants
 * - R1 Members in flight never exceed the stage's width; failed + in flight never exceed the budget's failures + 1 in its scope (P6).
 * - R2 While paused, suspended, outside the window or ending, no member begins (P8).
 * - R3 `freezeHeld` is true from before the freeze may exist until it surely does not; `finished` is reached with it false, or with the
 *      failed release named in `unreleased` (P7).
 * - R4 Every member that began is in `starts`, in order; a rollback goes through it backwards, down to the last commit point.
 * - R5 `finished` absorbs every message (P5).
 * - R6 A reaction costs O(1) in the number of members and begins at most 1,000 of them, but for a person's orders and the end of a stage,
 *      which cost O(started).
 */
import { type Fault, fault } from '../../model/fault.ts';
import * as vector from '../../model/vector.ts';
import { memberCount, type Plan, type PlanStage } from '../../planning/plan.ts';
import type { Fence, Reaction, Send } from '../machine.ts';
import type { TargetMessage } from '../messages.ts';

/**
 * One letter a member, so that a run of 100,000 stays small: see {@link MEMBER_STATUS}. Of those that failed, `x` and `y` were touched, `u`
 * and `v` were not; of `y` and `v` a person has accepted the failure, so that they no longer count against the budget.
 */
export type MemberCode = 'w' | 'f' | 'd' | 's' | 'x' | 'u' | 'y' | 'v' | 'b' | 'r' | 'k';
export const MEMBER_STATUS: Record<MemberCode, string> = {
  w: 'waiting',
  f: 'in flight',
  d: 'deciding',
  s: 'succeeded',
  x: 'failed',
  u: 'failed',
  y: 'failed',
  v: 'failed',
  b: 'going back',
  r: 'reverted',
  k: 'skipped',
};

export function isFailed(code: MemberCode | undefined): boolean {
  return code === 'x' || code === 'u' || code === 'y' || code === 'v';
}

export type RunResult = 'succeeded' | 'failed' | 'reverted';

/** A check being asked: again and again until it passes or the deadline has gone by. */
export type Asking = { attempt: number; deadline: number; retryAt?: number; fault?: Fault };

export type RunPhase =
  | { at: 'new' }
  | { at: 'preflight'; index: number; failures: Fault[]; asking: Asking }
  | { at: 'approval'; of: 'start' | 'step' | 'wave'; text: string }
  | { at: 'freezing'; asking: Asking }
  | { at: 'stage' }
  | { at: 'soak'; until: number }
  | { at: 'gate'; asking: Asking }
  | { at: 'barrier'; asking: Asking }
  | { at: 'post-upgrade'; index: number; asking: Asking }
  | { at: 'draining' }
  /** `step`: the stage that goes back now; `busy`: how many of its groups have a member going back. */
  | { at: 'rolling-back'; cursor: number; step: number; busy: number }
  | { at: 'thawing'; asking: Asking }
  | { at: 'finished'; result: RunResult; endedAt: number };

export type GroupProgress = { next: number; inFlight: number; failed: number };

/**
 * How far the present stage is. `active`: groups that are open and not finished; `busy`: those with a member in flight. `failed` counts
 * against the budget; a person who says `continue` forgives what has failed so far. `starved`: somebody was refused for a limit that another
 * group holds.
 */
export type StageProgress = {
  wave: number;
  opened: number;
  active: number;
  busy: number;
  inFlight: number;
  failed: number;
  starved: boolean;
  requeue: number[];
};

export type Counts = { inFlight: number; deciding: number; succeeded: number; failed: number; reverted: number; skipped: number };

export type RunState = {
  run: string;
  digest: string;
  startedAt: number;
  since: number;
  phase: RunPhase;
  step: number;
  /** Counts the run's own work, for its fences. */
  visit: number;
  stage?: StageProgress;
  counts: Counts;
  pause?: { by: string; at: number; reason?: string };
  /** The run waits for a person: retry, skip, continue, rollback or abort. */
  suspended?: Fault;
  /** Decided and being carried out. */
  ending?: { result: RunResult; rollback: boolean; fault: Fault };
  /** When the window opens next, where it is closed. */
  windowOpensAt?: number;
  /** A live order being read: of each member that is left its key, once it is known; null where it could not be read. */
  survey?: { members: number[]; keys: Record<number, string | number | null>; fault?: Fault };
  /** More members may begin than one reaction begins; the next is woken at once. */
  more?: true;
  freezeHeld: boolean;
  /** How many starts there were at the last commit point. */
  mark: number;
  committed: string[];
  unreleased: Fault[];
  /** The retry counter of each member that was retried (P10: compared, not counted). */
  retries: Record<number, number>;
  /** The keys of the controls that were handled, newest last. */
  keys: string[];
  members: vector.Vector<MemberCode>;
  starts: vector.Vector<number>;
  groups: vector.Vector<GroupProgress>;
};

/** The keys that are remembered: more than any client retries. */
const MAX_KEYS = 256;

export function newRun(run: string, plan: Plan): RunState {
  return {
    run,
    digest: plan.digest,
    startedAt: 0,
    since: 0,
    phase: { at: 'new' },
    step: -1,
    visit: 0,
    counts: { inFlight: 0, deciding: 0, succeeded: 0, failed: 0, reverted: 0, skipped: 0 },
    freezeHeld: false,
    mark: 0,
    committed: [],
    unreleased: [],
    retries: {},
    keys: [],
    members: vector.filled<MemberCode>(memberCount(plan), 'w'),
    starts: vector.EMPTY,
    groups: vector.EMPTY,
  };
}

export type RunSend = Send<TargetMessage>;
export type RunReaction = Reaction<RunState, TargetMessage>;

/** One reaction in the making: a copy of the state that may be changed, and what is sent. */
export class Draft {
  readonly plan: Plan;
  readonly now: number;
  readonly sends: RunSend[] = [];
  begins = 0;
  state: RunState;

  constructor(plan: Plan, state: RunState, now: number) {
    this.plan = plan;
    this.now = now;
    this.state = { ...state };
  }

  enter(phase: RunPhase): void {
    this.state.phase = phase;
    this.state.since = this.now;
  }

  send(member: number, message: TargetMessage): void {
    this.sends.push({ to: member, message });
  }

  code(member: number): MemberCode {
    return vector.get(this.state.members, member);
  }

  /** Moves a member to another status, and the counts with it. */
  mark(member: number, code: MemberCode): void {
    const { counts } = this.state;
    const next = { ...counts };
    const add = (of: MemberCode, by: number) => {
      if (of === 'f' || of === 'b' || of === 'd') next.inFlight += by;
      if (of === 'd') next.deciding += by;
      else if (of === 's') next.succeeded += by;
      else if (isFailed(of)) next.failed += by;
      else if (of === 'r') next.reverted += by;
      else if (of === 'k') next.skipped += by;
    };
    add(this.code(member), -1);
    add(code, 1);
    this.state.counts = next;
    this.state.members = vector.set(this.state.members, member, code);
  }

  /** A new fence for the run's own work. */
  nextVisit(): void {
    this.state.visit += 1;
  }

  updateStage(change: Partial<StageProgress>): void {
    this.state.stage = { ...(this.state.stage as StageProgress), ...change };
  }

  updateGroup(group: number, change: Partial<GroupProgress>): void {
    this.state.groups = vector.set(this.state.groups, group, { ...vector.get(this.state.groups, group), ...change });
  }

  remember(key: string): void {
    this.state.keys = [...this.state.keys.slice(-MAX_KEYS + 1), key];
  }

  done(): RunReaction {
    return { ok: true, state: this.state, sends: this.sends };
  }
}

export function stageOf(plan: Plan, state: RunState): PlanStage | undefined {
  const step = plan.steps[state.step];
  return step?.kind === 'stage' ? step : undefined;
}

export function runFence(state: RunState, attempt: number): Fence {
  return { run: state.run, machine: 'run', visit: state.visit, attempt };
}

export function refuse(state: RunState, what: string, why: string, remedy?: string): RunReaction {
  return {
    ok: false,
    fault: fault('illegal-message', state.run, `${what} is not possible: ${why}`, {
      found: state.phase.at,
      ...(remedy === undefined ? {} : { remedy }),
    }),
  };
}

/** The members that are in flight, newest first. O(started). */
export function* membersInFlight(state: RunState): Generator<number> {
  let left = state.counts.inFlight;
  for (let at = state.starts.length - 1; at >= 0 && left > 0; at--) {
    const member = vector.get(state.starts, at);
    const code = vector.get(state.members, member);
    if (code === 'f' || code === 'd' || code === 'b') {
      left--;
      yield member;
    }
  }
}
