/** The authored document: product, wanted version, stages, policies. */
import * as s from '../schema.ts';
import { allowance, amount, check, duration, expression, id, name, text, values, version } from './common.ts';

export const strategy = s.object({
  parallel: s.optional(amount, { description: 'How many targets at a time, without groups (default 1).' }),
  groups: s.optional(amount, { description: 'How many groups at a time (default 1).' }),
  within: s.optional(amount, { description: 'How many targets at a time within a group (default 1).' }),
  waves: s.optional(s.array(amount, { minItems: 1 }), {
    description: 'Canary waves: [1, "10%", rest]; targets, or groups where there are groups.',
  }),
  order: s.optional(s.array(expression, { minItems: 1 }), {
    description: 'Expressions over `target`; smaller first, then by inventory order.',
  }),
  live: s.optional(
    s.object({
      action: s.string({ expected: 'an action such as ssh.run' }),
      with: s.optional(values),
      timeout: s.optional(duration),
      by: expression,
    }),
    {
      description:
        'An order read anew before each target: the one whose `by` (over `result`) is smallest goes next. Only one at a time, without groups.',
    },
  ),
});
export type Strategy = s.Static<typeof strategy>;

export const gate = s.object(
  { approval: s.optional(text, { description: 'A person must approve; the text says what of.' }), check: s.optional(check) },
  { description: 'What must be given before the next wave or stage.' },
);

export const onFailure = s.oneOf(['suspend', 'continue', 'rollback', 'fail']);

export const stage = s.object({
  name: s.optional(name),
  title: s.optional(text),
  select: s.optional(expression, {
    description: 'A condition over `target`; default: every target of the inventory with a version to change.',
  }),
  groupBy: s.optional(expression, { description: 'An expression over `target`; targets with the same value are a group.' }),
  strategy: s.optional(strategy),
  procedure: s.optional(id),
  params: s.optional(values),
  budget: s.optional(
    s.object({
      failures: allowance,
      per: s.optional(s.oneOf(['stage', 'group']), { description: 'Default: group where there are groups, else stage.' }),
    }),
    { description: 'How many may fail before the stage stops; targets in flight count as if they would fail.' },
  ),
  perHop: s.optional(s.boolean(), { description: 'Repeat this stage for each hop.' }),
  soak: s.optional(duration, { description: 'How long things are watched after each wave and after the stage.' }),
  gate: s.optional(gate, { description: 'Asked after each wave but the last.' }),
  barrier: s.optional(check, { description: 'Must hold after the stage before the run goes on.' }),
  onFailure: s.optional(onFailure),
  commit: s.optional(name, { description: 'A commit point instead of a stage: nothing before it is rolled back after it.' }),
  approval: s.optional(text, { description: 'An approval instead of a stage.' }),
});
export type Stage = s.Static<typeof stage>;

export const window = s.object(
  {
    days: s.optional(s.array(s.oneOf(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']), { minItems: 1 })),
    from: s.string({ pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$', expected: 'a time of day such as "22:30"' }),
    to: s.string({ pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$', expected: 'a time of day such as "05:00"' }),
    zone: s.optional(s.string(), { description: 'An IANA time zone; default UTC.' }),
  },
  { description: 'When targets may be started. What is in flight at its end is finished.' },
);
export type Window = s.Static<typeof window>;

export const upgrade = s.object(
  {
    kind: s.literal('Upgrade'),
    name: id,
    title: s.optional(text),
    product: id,
    from: s.optional(version, { description: 'The version of the product now; default: what the inventory says.' }),
    to: version,
    params: s.optional(values),
    secrets: s.optional(s.record(s.object({ env: s.optional(s.string({ minLength: 1 })), file: s.optional(s.string({ minLength: 1 })) })), {
      description: 'Where secrets are read when they are needed: an environment variable or a file. Never written anywhere.',
    }),
    approval: s.optional(text, { description: 'Ask before anything is changed; the text says what of.' }),
    window: s.optional(window),
    preflight: s.optional(s.array(check), { description: 'Must pass before anything is changed; all of them are asked.' }),
    freeze: s.optional(s.object({ acquire: check, release: check }), {
      description: 'Makes configuration read-only from the first change to the end; released in every ending (P7).',
    }),
    procedure: s.optional(id, { description: 'The procedure of stages that name none.' }),
    stages: s.array(stage, { minItems: 1 }),
    postUpgrade: s.optional(s.array(check), { description: 'Jobs after the last stage, in order.' }),
  },
  { title: 'Upgrade', description: 'Which product goes to which version, in which stages, under which policies.' },
);
export type Upgrade = s.Static<typeof upgrade>;
