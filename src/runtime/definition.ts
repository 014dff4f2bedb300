/** A member's machine, from what the plan says of it. */
import type { Machine } from '../machines/machine.ts';
import type { MemberReport, TargetMessage } from '../machines/messages.ts';
import { targetMachine } from '../machines/target.ts';
import type { TargetDefinition, TargetState } from '../machines/target-state.ts';
import type { ActionCatalog } from '../model/action.ts';
import type { Procedure } from '../model/documents/index.ts';
import { memberAt, moveAt, type Plan, targetAt } from '../planning/plan.ts';

export type DefinedMachine = Machine<TargetState, TargetMessage, MemberReport> & { readonly definition: TargetDefinition };

/** Builds the machine of a member of a plan. */
export function definitionOf(run: string, plan: Plan, member: number, actions: ActionCatalog): DefinedMachine {
  const { stage, position } = memberAt(plan, member);
  const { from, to } = moveAt(stage, position);
  const rollback = stage.rollback === undefined ? undefined : plan.procedures[stage.rollback];
  const definition: TargetDefinition = {
    run,
    member,
    target: targetAt(plan, stage, position),
    from,
    to,
    params: stage.params,
    procedure: plan.procedures[stage.procedure] as Procedure,
    ...(rollback === undefined ? {} : { rollback }),
    actions,
  };
  return { ...targetMachine(definition), definition };
}
