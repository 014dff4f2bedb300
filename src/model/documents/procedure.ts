/** A state machine for one target, as data. */
import * as s from '../schema.ts';
import { duration, expression, id, name, text, traits, values } from './common.ts';

export const result = s.oneOf(['succeeded', 'failed', 'reverted', 'skipped'], { description: 'What the target ends as.' });

export const step = s.object({
  when: s.optional(expression, { description: 'A condition over case, outcome, values, result, target; the first that holds is taken.' }),
  to: id,
  case: s.optional(id, { description: 'The case the target follows from here on.' }),
  result: s.optional(result),
  message: s.optional(text, { description: 'The detailed status shown from here on.' }),
  remedy: s.optional(text, { description: 'What a person can do about it.' }),
});
export type Step = s.Static<typeof step>;

export const transition = s.union([s.string({ minLength: 1, expected: 'a state' }), step, s.array(step, { minItems: 1 })], {
  expected: 'a state, a map with `to`, or a list of such maps with `when`',
});
export type Transition = s.Static<typeof transition>;

/** An outcome that every observable action may end with: it began, and was gone without a trace. Without a next state a person decides. */
export const LOST = 'lost';

/** The steps of a transition, in the order they are tried. */
export function stepsOf(transition: Transition): Step[] {
  if (typeof transition === 'string') return [{ to: transition }];
  return Array.isArray(transition) ? transition : [transition];
}

export const state = s.object({
  title: s.optional(text),
  description: s.optional(text),
  cases: s.optional(s.array(id, { minItems: 1 }), { description: 'The cases that come through here; default all.' }),
  action: s.optional(s.string({ expected: 'an action such as ssh.run' })),
  next: s.optional(id, { description: 'The state that follows at once, where this one has no action.' }),
  target: s.optional(s.string({ minLength: 1 }), {
    description: 'The target the action is done on, where that is another than the one that is upgraded; may hold ${expressions}.',
  }),
  with: s.optional(values),
  timeout: s.optional(duration, { description: 'Default 10m.' }),
  traits: s.optional(traits),
  attempts: s.optional(s.integer({ minimum: 1, maximum: 100 }), {
    description: 'How often an idempotent action is tried before its failure counts (default 1).',
  }),
  delay: s.optional(duration, { description: 'How long between two attempts (default 5s).' }),
  outcomes: s.optional(s.record(expression), {
    description:
      'Outcomes of this state beyond those of the action: each label with the condition over `result` that means it; the first that holds.',
  }),
  save: s.optional(s.record(expression), { description: 'Values kept for later states as values.NAME, from `result`.' }),
  on: s.optional(s.record(transition), {
    description: 'For each outcome the state that follows; `lost` (begun, and gone without a trace) may be left to a person.',
  }),
  final: s.optional(s.boolean()),
  result: s.optional(result),
  message: s.optional(text),
  remedy: s.optional(text),
});
export type State = s.Static<typeof state>;

export const observation = s.object(
  {
    action: s.string({ expected: 'an action such as http.get' }),
    with: s.optional(values),
    timeout: s.optional(duration),
    version: expression,
  },
  { description: 'Reads the version a target really has, before anything is changed there (P9).' },
);

export const procedure = s.object(
  {
    kind: s.literal('Procedure'),
    name: id,
    title: s.optional(text),
    description: s.optional(text),
    cases: s.optional(s.record(text, { minProperties: 1 }), { description: 'The named ways through it, each with its title.' }),
    params: s.optional(s.array(name), { description: 'The params an upgrade must give for it.' }),
    observe: s.optional(observation),
    rollback: s.optional(id, { description: 'The procedure that takes a target back to the version it came from.' }),
    start: id,
    states: s.record(state, { minProperties: 1 }),
  },
  { title: 'Procedure', description: 'The states one target walks through, each with its action and what follows each outcome.' },
);
export type Procedure = s.Static<typeof procedure>;
