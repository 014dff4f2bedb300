/** What the process ends with; documented in `upshift help exit-codes` and README.md. */
import type { RunState } from '../machines/run/state.ts';
import type { Fault } from '../model/fault.ts';
import * as vector from '../model/vector.ts';

export const EXIT = { succeeded: 0, usage: 1, failed: 2, reverted: 3, operator: 4, refused: 5, interrupted: 130 } as const;

export const EXIT_HELP = `Exit codes
  0    succeeded, or nothing to do
  1    a usage or document error; nothing was changed
  2    the run failed
  3    the run was rolled back
  4    a person must decide; \`upshift show\` says what
  5    refused, because the world differs from the plan
  130  interrupted; \`upshift resume\` goes on`;

/** Whether a fault, or what caused it, is of a kind. */
export function hasKind(value: Fault | undefined, kind: string): boolean {
  for (let at = value; at; at = at.cause) if (at.kind === kind) return true;
  return false;
}

/** The exit code a run has earned so far. */
export function exitCodeOf(state: RunState): number {
  const { phase, ending, counts } = state;
  if (phase.at !== 'finished') return EXIT.operator;
  if (phase.result === 'succeeded') return state.unreleased.length > 0 ? EXIT.operator : EXIT.succeeded;
  const touched = counts.succeeded + counts.reverted > 0 || [...vector.entries(state.members)].some((code) => code === 'x' || code === 'y');
  if (hasKind(ending?.fault, 'world-differs') && !touched) return EXIT.refused;
  return phase.result === 'reverted' ? EXIT.reverted : EXIT.failed;
}
