/** A small product to plan with: boxes with releases 1 to 4, an engine that is a component of it, procedures with and without rollback. */
import assert from 'node:assert/strict';
import { catalogOf } from '../drivers/contract.ts';
import { openDrivers } from '../drivers/registry.ts';
import type { Procedure, Release, Service, Stage, Target, Upgrade } from '../model/documents/index.ts';
import type { Fault } from '../model/fault.ts';
import { moveAt, type Plan, type PlanStage, targetAt } from './plan.ts';
import { type PlanInput, planUpgrade } from './planner.ts';

const ACTIONS = catalogOf(openDrivers().actions);

export function releaseOf(version: string, from: NonNullable<Release['from']> = [], components?: Record<string, string>): Release {
  return { kind: 'Release', product: 'box', version, from, ...(components ? { components } : {}) };
}

/** 1 → 2 → 3 → 4, each only from the one before; the engine's own version changes with 2 and 4, and 3 says nothing of it. */
export const RELEASES: Release[] = [
  releaseOf('1', [], { engine: 'e1' }),
  releaseOf('2', [{ versions: '1' }], { engine: 'e2' }),
  releaseOf('3', [{ versions: '2' }]),
  releaseOf('4', [{ versions: '3' }], { engine: 'e4' }),
];

export function procedureOf(name: string, more: Partial<Procedure> & { action?: string; disruptive?: boolean } = {}): Procedure {
  const { action = 'ssh.run', disruptive = true, ...rest } = more;
  return {
    kind: 'Procedure',
    name,
    start: 'install',
    states: {
      install: { action, with: { command: 'install ${to}' }, traits: { disruptive }, on: { success: 'done', failure: 'failed' } },
      done: { final: true },
      failed: { final: true, result: 'failed' },
    },
    ...rest,
  };
}

export const PROCEDURES = new Map<string, Procedure>(
  [
    procedureOf('box', { rollback: 'box-back' }),
    procedureOf('box-back'),
    procedureOf('careful', { disruptive: false }),
    procedureOf('second'),
  ].map((procedure) => [procedure.name, procedure]),
);

export function targetOf(id: string, version: string | null = '1', more: Partial<Target> = {}): Target {
  return { id, ...(version === null ? {} : { version }), connect: { ssh: {} }, ...more };
}

/** `box-1`, `box-2`, … with a label `group` after each letter given: `'aab'` is two of group a and one of b. */
export function boxes(groups: string, version = '1'): Target[] {
  return [...groups].map((group, index) => targetOf(`box-${index + 1}`, version, { labels: { group, n: String(index) } }));
}

export type Given = { targets: Target[]; stages?: Stage[]; to?: string; services?: Service[]; releases?: Release[] } & {
  upgrade?: Partial<Upgrade>;
  observed?: PlanInput['observed'];
  procedures?: Map<string, Procedure>;
};

export function inputOf({ targets, stages = [{ name: 'boxes' }], to = '2', services = [], ...more }: Given): PlanInput {
  return {
    targets,
    services,
    releases: more.releases ?? RELEASES,
    procedures: more.procedures ?? PROCEDURES,
    actions: ACTIONS,
    upgrade: { kind: 'Upgrade', name: 'up', product: 'box', to, procedure: 'box', stages, ...more.upgrade },
    ...(more.observed ? { observed: more.observed } : {}),
  };
}

export function planOf(given: Given): Plan {
  const planned = planUpgrade(inputOf(given));
  assert.ok(planned.ok, planned.ok ? '' : JSON.stringify(planned.faults, null, 1));
  return planned.plan;
}

export function faultsOf(given: Given): Fault[] {
  const planned = planUpgrade(inputOf(given));
  assert.ok(!planned.ok, 'there is a plan');
  return planned.faults;
}

function stagesOf(plan: Plan): PlanStage[] {
  return plan.steps.filter((step) => step.kind === 'stage');
}

/** The only stage of a plan. */
export function stageOf(given: Given): PlanStage {
  const [stage, ...others] = stagesOf(planOf(given));
  assert.ok(stage && others.length === 0);
  return stage;
}

/** Each step in a word or a line: `boxes@0: box-1 1→2, …`, `commit x`, `approval y`. */
export function outline(plan: Plan): string[] {
  return plan.steps.map((step) => {
    if (step.kind !== 'stage') return `${step.kind} ${step.name}`;
    const moves = step.order.map((_, position) => {
      const { from, to } = moveAt(step, position);
      return `${targetAt(plan, step, position).id} ${from}→${to}`;
    });
    return `${step.name}${step.hop === undefined ? '' : `@${step.hop}`}: ${moves.join(', ')}`;
  });
}
