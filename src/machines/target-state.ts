/** The state of a target machine, and everything about it that its plan fixes. */
import type { ActionCatalog } from '../model/action.ts';
import type { Procedure, State } from '../model/documents/index.ts';
import type { Fault } from '../model/fault.ts';
import type { PlanTarget } from '../planning/plan.ts';
import type { MemberResult } from './messages.ts';

export type TargetPhase =
  | { at: 'checking'; attempt: number; until?: number }
  | { at: 'acting'; state: string; attempt: number; deadline: number }
  | { at: 'observing'; state: string; attempt: number; deadline: number; fault: Fault }
  | { at: 'delaying'; state: string; attempt: number; until: number; fault: Fault }
  | { at: 'deciding'; state: string; attempt: number; fault: Fault }
  | { at: 'held'; state: string }
  | { at: 'done'; result: MemberResult; state: string | null; fault?: Fault };

export type TargetState = {
  run: string;
  member: number;
  direction: 'forward' | 'back';
  case: string | null;
  values: Record<string, unknown>;
  visit: number;
  retry: number;
  hold: 'none' | 'pause' | 'halt';
  touched: boolean;
  /** When it entered its present phase, in ms since the epoch. */
  since: number;
  /** The detailed status and what a person can do. */
  message?: string;
  remedy?: string;
  phase: TargetPhase;
};

/** Everything about a member that its plan fixes. */
export type TargetDefinition = {
  run: string;
  member: number;
  target: PlanTarget;
  from: string;
  to: string;
  params: Record<string, unknown>;
  procedure: Procedure;
  rollback?: Procedure;
  actions: ActionCatalog;
};

/** Shared by all that have saved nothing yet; values are replaced, never changed. */
const NO_VALUES: TargetState['values'] = Object.freeze({});

/** The state of a member before its `begin`. */
export function newTarget(run: string, member: number): TargetState {
  return {
    run,
    member,
    direction: 'forward',
    case: null,
    values: NO_VALUES,
    visit: 0,
    retry: 0,
    hold: 'none',
    touched: false,
    since: 0,
    phase: { at: 'held', state: '' },
  };
}

/** The traits of a state: what it says itself, else what its action declares. */
export function traitsOf(state: State, actions: ActionCatalog): { disruptive: boolean; idempotent: boolean; observable: boolean } {
  const declared = state.action === undefined ? undefined : actions.get(state.action)?.traits;
  return {
    disruptive: state.traits?.disruptive ?? declared?.disruptive ?? false,
    idempotent: state.traits?.idempotent ?? declared?.idempotent ?? false,
    observable: declared?.observable ?? false,
  };
}
