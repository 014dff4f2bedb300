/**
 * The plan: an upgrade compiled against inventory, releases and what was observed. Immutable, with a digest; nothing is left to choose.
 */
import { createHash } from 'node:crypto';
import type { Hop } from '../catalog/graph.ts';
import type { Check, Procedure, Release, Service, Target, Window } from '../model/documents/index.ts';

export type PlanTarget = Target & { product: string; version: string };

/** From where to where a member goes, and by which release. */
export type Move = { product: string; from: string; to: string; release: string };

/** Positions `first` to `first + count - 1` of the stage's order. */
export type PlanGroup = { key: string; first: number; count: number };

/** `until`: how many groups (with groups) or positions (without) may have been started by the end of this wave. */
export type PlanWave = { until: number };

export type OnFailure = 'suspend' | 'continue' | 'rollback' | 'fail';

export type PlanGate = { approval: string } | { check: Check };

export type PlanStage = {
  kind: 'stage';
  name: string;
  title?: string;
  /** Which hop of the path this is, from 0; absent where the stage does the whole way at once. */
  hop?: number;
  procedure: string;
  rollback?: string;
  params: Record<string, unknown>;
  /** Member number of position 0: members are numbered through the whole plan. */
  base: number;
  /** Indices into `targets`, in the order they start. */
  order: number[];
  moves: Move[];
  /** For each position the index of its move; absent where there is one move. */
  moveOf?: number[];
  grouped: boolean;
  groups: PlanGroup[];
  /** How many groups at a time, and how many members within each. */
  width: { groups: number; within: number };
  waves: PlanWave[];
  /** Read of each target that is left before the next begins; the smallest `by` goes next. */
  live?: { action: string; with?: Record<string, unknown>; timeout?: string; by: string };
  /** Failures allowed before the stage stops; absent: the first failure stops it, and those in flight are not counted. */
  budget?: { failures: number; per: 'stage' | 'group' };
  soakMs: number;
  gate?: PlanGate;
  barrier?: Check;
  onFailure: OnFailure;
};

export type PlanCommit = { kind: 'commit'; name: string };
export type PlanApproval = { kind: 'approval'; name: string };
export type PlanStep = PlanStage | PlanCommit | PlanApproval;

/** What a stage does to a service, at the worst moment. */
export type ServiceImpact = {
  service: string;
  /** Index of the step. */
  step: number;
  /** Its targets that are down at once. */
  atOnce: number;
  up: number;
  needs: number;
  /** Left up when besides every failure the budget allows stays down. */
  upAfterFailures: number;
  effect: 'reduced' | 'down';
};

export type PlanRisk = { hop: string; name: string; message: string; targets: number };

export type Plan = {
  format: 1;
  digest: string;
  upgrade: string;
  title?: string;
  product: string;
  from: string[];
  to: string;
  hops: Hop[];
  params: Record<string, unknown>;
  secrets: Record<string, { env?: string; file?: string }>;
  targets: PlanTarget[];
  /** Targets that are not upgraded, but asked or worked on. */
  helpers: PlanTarget[];
  services: Service[];
  /** By version, of the upgrade's product. */
  releases: Record<string, Release>;
  procedures: Record<string, Procedure>;
  approval?: string;
  window?: Window;
  preflight: Check[];
  freeze?: { acquire: Check; release: Check };
  postUpgrade: Check[];
  steps: PlanStep[];
  /** Targets that already are where they should be. */
  unchanged: number;
  impacts: ServiceImpact[];
  risks: PlanRisk[];
  notes: string[];
  /** What is decided only during the run, and why. */
  undecided: string[];
};

/** How many members a plan has: one for each target in each stage. */
export function memberCount(plan: Plan): number {
  return plan.steps.reduce((sum, step) => sum + (step.kind === 'stage' ? step.order.length : 0), 0);
}

/** The stage and position of a member. O(steps). */
export function memberAt(plan: Plan, member: number): { step: number; stage: PlanStage; position: number } {
  for (let step = plan.steps.length - 1; step >= 0; step--) {
    const stage = plan.steps[step];
    if (stage?.kind === 'stage' && member >= stage.base && member < stage.base + stage.order.length)
      return { step, stage, position: member - stage.base };
  }
  throw new Error(`the plan has no member ${member}`);
}

/** The target of a position of a stage. */
export function targetAt(plan: Plan, stage: PlanStage, position: number): PlanTarget {
  return plan.targets[stage.order[position] as number] as PlanTarget;
}

/** The move of a position of a stage. */
export function moveAt(stage: PlanStage, position: number): Move {
  return stage.moves[stage.moveOf?.[position] ?? 0] as Move;
}

/** How many members of a stage may be in flight at once. */
export function stageWidth(stage: PlanStage): number {
  const byStrategy = Math.min(stage.order.length, stage.width.groups * stage.width.within);
  if (!stage.budget) return byStrategy;
  const allowed = stage.budget.failures + 1;
  return stage.budget.per === 'stage'
    ? Math.min(byStrategy, allowed)
    : Math.min(byStrategy, stage.width.groups * Math.min(stage.width.within, allowed));
}

/** How many members may have failed when the stage has stopped, at worst. */
export function worstFailures(stage: PlanStage): number {
  if (stage.onFailure === 'continue') return stage.order.length;
  if (!stage.budget) return stageWidth(stage);
  const allowed = stage.budget.failures + 1;
  if (stage.budget.per === 'stage') return Math.min(stage.order.length, allowed);
  return stage.groups.reduce((sum, group) => sum + Math.min(group.count, allowed), 0);
}

/**
 * The digest of a plan: SHA-256 over its content with keys in order, the digest itself left out.
 *
 * Fed to the hash piece by piece, so that a plan of a million targets never becomes one string.
 */
export function planDigest(plan: Omit<Plan, 'digest'> & { digest?: string }): string {
  const hash = createHash('sha256');
  let buffer = '';
  const put = (text: string) => {
    buffer += text;
    if (buffer.length > 65_536) {
      hash.update(buffer);
      buffer = '';
    }
  };
  const walk = (value: unknown): void => {
    if (Array.isArray(value)) {
      put('[');
      for (const item of value) {
        if (typeof item === 'number') put(`${item},`);
        else {
          walk(item);
          put(',');
        }
      }
      put(']');
    } else if (value !== null && typeof value === 'object') {
      put('{');
      for (const key of Object.keys(value).sort()) {
        const item = (value as Record<string, unknown>)[key];
        if (item === undefined || (key === 'digest' && value === plan)) continue;
        put(`${JSON.stringify(key)}:`);
        walk(item);
        put(',');
      }
      put('}');
    } else put(JSON.stringify(value) ?? 'null');
  };
  walk(plan);
  hash.update(buffer);
  return `sha256:${hash.digest('hex')}`;
}
