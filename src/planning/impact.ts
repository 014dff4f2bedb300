/** What a plan does to the services: which lose redundancy or go down, in which stage, at the worst moment. */
import type { ActionCatalog } from '../model/action.ts';
import type { Procedure, Service } from '../model/documents/index.ts';
import type { PlanStage, PlanStep, PlanTarget, ServiceImpact } from './plan.ts';

/** Whether any state of a procedure interrupts what the target serves. */
export function isDisruptive(procedure: Procedure, actions: ActionCatalog): boolean {
  return Object.values(procedure.states).some((state) => {
    const action = state.action === undefined ? undefined : actions.get(state.action);
    return state.traits?.disruptive ?? action?.traits.disruptive ?? false;
  });
}

/** The impacts of each stage on each service. O(steps * (members + sum of services' targets)). */
export function serviceImpacts(
  steps: readonly PlanStep[],
  targets: readonly PlanTarget[],
  services: readonly Service[],
  procedures: Record<string, Procedure>,
  actions: ActionCatalog,
): ServiceImpact[] {
  if (services.length === 0) return [];
  const indices = new Map(targets.map((target, index) => [target.id, index]));
  const impacts: ServiceImpact[] = [];
  steps.forEach((stage, step) => {
    if (stage.kind !== 'stage') return;
    if (!isDisruptive(procedures[stage.procedure] as Procedure, actions)) return;
    const groupOf = new Map<number, number>();
    stage.groups.forEach((group, number) => {
      for (let at = group.first; at < group.first + group.count; at++) groupOf.set(stage.order[at] as number, number);
    });
    const positionOf = new Map(stage.order.map((index, position) => [index, position]));
    for (const service of services) {
      const members: Member[] = [];
      for (const id of service.on) {
        const position = positionOf.get(indices.get(id) ?? -1);
        if (position === undefined) continue;
        const group = groupOf.get(stage.order[position] as number) ?? 0;
        members.push({ group, wave: waveOf(stage, stage.grouped ? group : position) });
      }
      if (members.length > 0) impacts.push(impactOf(service, step, stage, members));
    }
  });
  return impacts;
}

/** A target of a service within a stage: waves never overlap, so only those of one wave are down together. */
type Member = { group: number; wave: number };

function waveOf(stage: PlanStage, place: number): number {
  return stage.waves.findIndex((wave) => place < wave.until);
}

function countsOf(members: readonly Member[]): number[] {
  return [...Map.groupBy(members, (member) => member.group).values()].map((group) => group.length);
}

function impactOf(service: Service, step: number, stage: PlanStage, members: readonly Member[]): ServiceImpact {
  const failures = stage.budget?.failures ?? 0;
  const within = stage.budget ? Math.min(stage.width.within, failures + 1) : stage.width.within;
  const perGroup = countsOf(members);
  const perWave = [...Map.groupBy(members, (member) => member.wave).values()].map((wave) => {
    const busiest = countsOf(wave)
      .sort((a, b) => b - a)
      .slice(0, stage.width.groups);
    return busiest.reduce((sum, count) => sum + Math.min(count, within), 0);
  });
  let atOnce = Math.max(...perWave);
  const inStage = members.length;
  if (stage.budget?.per === 'stage') atOnce = Math.min(atOnce, failures + 1);
  // Without `continue`, failed ones count against what is in flight where there is a budget; where there is none the first failure stops the rest.
  const lost =
    stage.onFailure === 'continue'
      ? inStage
      : stage.budget
        ? Math.min(
            inStage,
            stage.budget.per === 'stage' ? failures + 1 : perGroup.reduce((sum, count) => sum + Math.min(count, failures + 1), 0),
          )
        : atOnce;
  const needs = service.needs ?? 1;
  const up = service.on.length - atOnce;
  return {
    service: service.name,
    step,
    atOnce,
    up,
    needs,
    upAfterFailures: service.on.length - Math.max(atOnce, lost),
    effect: up < needs ? 'down' : 'reduced',
  };
}
