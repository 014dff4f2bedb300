/** What a run did, read from its history: what changed, how long it took, and how many of each service's targets were up at least. */
import type { AnyMessage } from '../machines/messages.ts';
import type { RunState } from '../machines/run/state.ts';
import { traitsOf } from '../machines/target-state.ts';
import type { ActionCatalog } from '../model/action.ts';
import { memberAt, moveAt, type Plan, targetAt } from '../planning/plan.ts';
import type { HistoryRecord } from './ports.ts';

export type RunSummaryReport = {
  run: string;
  result: string;
  durationMs: number;
  changed: { target: string; from: string; to: string }[];
  failed: string[];
  /** Changed, and taken back again. */
  takenBack: string[];
  /** `least`: the fewest of its targets that were not interrupted at one moment. */
  services: { name: string; of: number; needs: number; least: number; neverDown: boolean }[];
};

/**
 * Sums up a run. A target counts as interrupted from the moment its first disruptive state was entered until it was done, or for good
 * where it failed. O(history + members).
 */
export function summarize(plan: Plan, state: RunState, history: readonly HistoryRecord[], actions: ActionCatalog): RunSummaryReport {
  const servicesOf = new Map<string, number[]>();
  plan.services.forEach((service, index) => {
    for (const id of service.on) servicesOf.set(id, [...(servicesOf.get(id) ?? []), index]);
  });
  const up = plan.services.map((service) => service.on.length);
  const least = [...up];
  const interrupted = new Set<string>();
  const changed = new Map<string, { target: string; from: string; to: string }>();
  const failed = new Set<string>();
  const takenBack = new Set<string>();
  const shift = (target: string, by: number) => {
    for (const index of servicesOf.get(target) ?? []) {
      up[index] = (up[index] as number) + by;
      least[index] = Math.min(least[index] as number, up[index] as number);
    }
  };
  for (const record of history) {
    if (record.refused) continue;
    if (record.machine !== 'run') {
      const match = /^acting: (.+)$/.exec(record.change);
      if (!match) continue;
      const { stage, position } = memberAt(plan, record.machine);
      const target = targetAt(plan, stage, position).id;
      const name = match[1] as string;
      const found = [stage.procedure, stage.rollback]
        .map((procedure) => (procedure === undefined ? undefined : plan.procedures[procedure]?.states[name]))
        .find(Boolean);
      if (!found || interrupted.has(target) || !traitsOf(found, actions).disruptive) continue;
      interrupted.add(target);
      shift(target, -1);
    } else if (record.type === 'member-done') {
      const message = JSON.parse(record.body) as Extract<AnyMessage, { type: 'member-done' }>;
      const { stage, position } = memberAt(plan, message.member);
      const target = targetAt(plan, stage, position).id;
      const { from, to } = moveAt(stage, position);
      if (message.result === 'failed') failed.add(target);
      else {
        failed.delete(target);
        if (interrupted.delete(target)) shift(target, 1);
      }
      if (message.result === 'succeeded' && message.touched) changed.set(target, { target, from: changed.get(target)?.from ?? from, to });
      if (message.result === 'reverted') {
        changed.delete(target);
        takenBack.add(target);
      }
    }
  }
  const { phase } = state;
  return {
    run: state.run,
    result: phase.at === 'finished' ? phase.result : phase.at,
    durationMs: (phase.at === 'finished' ? phase.endedAt : state.since) - state.startedAt,
    changed: [...changed.values()],
    failed: [...failed],
    takenBack: [...takenBack],
    services: plan.services.map((service, index) => {
      const needs = service.needs ?? 1;
      return {
        name: service.title ?? service.name,
        of: service.on.length,
        needs,
        least: least[index] as number,
        neverDown: (least[index] as number) >= needs,
      };
    }),
  };
}
