/** Checks of the run: which one a phase asks, and how long it goes on asking. */
import type { Check } from '../../model/documents/index.ts';
import { durationMs } from '../../model/duration.ts';
import { type Fault, fault } from '../../model/fault.ts';
import type { Plan } from '../../planning/plan.ts';
import type { Ending } from '../machine.ts';
import { type Asking, type Draft, type RunPhase, type RunState, stageOf } from './state.ts';

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_EVERY_MS = 5_000;

/** The check a phase asks; undefined in phases that ask none. */
export function checkOf(plan: Plan, state: RunState): Check | undefined {
  const { phase } = state;
  switch (phase.at) {
    case 'preflight':
      return plan.preflight[phase.index];
    case 'freezing':
      return plan.freeze?.acquire;
    case 'thawing':
      return plan.freeze?.release;
    case 'post-upgrade':
      return plan.postUpgrade[phase.index];
    case 'barrier':
      return stageOf(plan, state)?.barrier;
    case 'gate': {
      const gate = stageOf(plan, state)?.gate;
      return gate && 'check' in gate ? gate.check : undefined;
    }
    default:
      return undefined;
  }
}

/** What a check is called in messages. */
export function checkName(check: Check): string {
  return check.title ?? check.name ?? check.action;
}

/** Begins asking: a phase whose check is asked from now on. */
export function ask(draft: Draft, check: Check, phase: (asking: Asking) => RunPhase): void {
  draft.nextVisit();
  draft.enter(phase({ attempt: 1, deadline: draft.now + (check.timeout === undefined ? DEFAULT_TIMEOUT_MS : durationMs(check.timeout)) }));
}

type Verdict = { passed: true } | { passed: false; fault: Fault } | 'asking';

/**
 * What an answer means: passed, failed for good, or asked again later. Checks are idempotent, so an unknown answer is asked again (P4).
 */
export function judge(draft: Draft, check: Check, asking: Asking, ending: Ending): Verdict {
  if (ending.kind === 'ended' && ending.outcome === 'success') return { passed: true };
  const why = ('fault' in ending ? ending.fault : undefined) ?? fault('check-failed', checkName(check), `${checkName(check)} did not pass`);
  const retryAt = draft.now + (check.every === undefined ? DEFAULT_EVERY_MS : durationMs(check.every));
  if (retryAt >= asking.deadline) {
    return {
      passed: false,
      fault: fault(
        'check-failed',
        checkName(check),
        `${checkName(check)} did not pass in time (${asking.attempt} ${asking.attempt === 1 ? 'try' : 'tries'})`,
        { cause: why },
      ),
    };
  }
  draft.state.phase = { ...draft.state.phase, asking: { ...asking, retryAt, fault: why } } as RunPhase;
  return 'asking';
}

/** The pause between two tries is over. */
export function askAgain(draft: Draft, asking: Asking): void {
  const { retryAt: _, ...rest } = asking;
  draft.state.phase = { ...draft.state.phase, asking: { ...rest, attempt: asking.attempt + 1 } } as RunPhase;
}
