/** The contract every driver keeps: declared actions, each with inputs, outcomes and traits, and how to run and observe them. */
import type { ActionCatalog, ActionDeclaration } from '../model/action.ts';
import type { Connect } from '../model/documents/index.ts';
import type { Fault } from '../model/fault.ts';

/** One order to do something, complete: nothing is looked up elsewhere. */
export type Call = {
  /** Unique for each piece of work; targets and ledgers are given it. */
  fence: string;
  /** The target's id, or the name of a check that has none. */
  subject: string;
  connect: Connect;
  /** The action's inputs, with every expression evaluated. */
  input: Record<string, unknown>;
  /** When it must have ended, in ms since the epoch. */
  deadline: number;
  /** Whether it must never run twice. */
  disruptive: boolean;
  /** Whether this is an observation of earlier work with the same fence. */
  observing: boolean;
  /** Aborted when the work is no longer wanted; the action then ends soon, with whatever it knows. */
  signal: AbortSignal;
  /** Takes what the action prints, as it comes. */
  output(text: string): void;
};

/** How an action ended. */
export type ActionEnd =
  /** One of the declared outcomes, with the declared result fields. */
  | { outcome: string; result: Record<string, unknown>; fault?: Fault }
  /** Sent, and nobody knows. */
  | { unknown: Fault }
  /** (Observation) it never started. */
  | { absent: true }
  /** (Observation) it started and left no trace of its end. */
  | { lost: Fault };

export interface Action {
  readonly declaration: ActionDeclaration;
  /** Runs it. Rejects only on a programmer's error. */
  run(call: Call): Promise<ActionEnd>;
  /** Finds out what became of the work with this fence, following it to its end where it still runs. */
  observe?(call: Call): Promise<ActionEnd>;
}

export interface Driver {
  readonly name: string;
  readonly actions: readonly Action[];
  /** Closes what it holds open. */
  close(): Promise<void>;
}

/** The actions of several drivers by name. */
export function actionsOf(drivers: readonly Driver[]): ReadonlyMap<string, Action> {
  return new Map(drivers.flatMap((driver) => driver.actions.map((action) => [action.declaration.name, action])));
}

/** What linting and planning know of them. */
export function catalogOf(actions: ReadonlyMap<string, Action>): ActionCatalog {
  return new Map([...actions].map(([name, action]) => [name, action.declaration]));
}
