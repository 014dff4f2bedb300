/** The parts that several documents share. */
import { AMOUNT_PATTERN } from '../amount.ts';
import { DURATION_PATTERN } from '../duration.ts';
import * as s from '../schema.ts';

export const NAME_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._ -]*$';
/** An id names a target's folder in logs and its fence on the wire, so it holds nothing a shell or a path would read. */
export const ID_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._:-]*$';

export const name = s.string({
  pattern: NAME_PATTERN,
  maxLength: 100,
  expected: 'a name of letters, digits, dots, dashes, underscores and spaces',
});
export const id = s.string({
  pattern: ID_PATTERN,
  maxLength: 200,
  expected: 'an id of letters, digits, dots, dashes, underscores and colons',
});
export const text = s.string({ maxLength: 10_000, expected: 'a text' });
export const version = s.string({ minLength: 1, maxLength: 100, expected: 'a version in quotes, such as "17.2"' });
export const duration = s.string({ pattern: DURATION_PATTERN, maxLength: 30, expected: 'a duration such as 30s, 45m or 1h30m' });
export const expression = s.string({ minLength: 1, maxLength: 4000, expected: 'a CEL expression' });
export const amount = s.union(
  [
    s.integer({ minimum: 1, expected: 'a count' }),
    s.string({ pattern: AMOUNT_PATTERN, expected: 'a count, a share above 0 such as 25%, or all' }),
  ],
  { expected: 'a count from 1, a share above 0 such as 25%, or all' },
);
export const allowance = s.union(
  [
    s.integer({ minimum: 0, expected: 'a count' }),
    s.string({ pattern: '^(all|[0-9]+|(100|[1-9]?[0-9](\\.[0-9]+)?)%)$', expected: 'a count, a share such as 5%, or all' }),
  ],
  { expected: 'a count from 0, a share such as 5%, or all' },
);
export const values = s.record(s.anything(), { description: 'Values; every text may hold ${expressions}.' });

export const traits = s.object(
  {
    disruptive: s.optional(s.boolean(), {
      description: 'What the target serves is interrupted while this runs; it never repeats itself (P4).',
    }),
    idempotent: s.optional(s.boolean(), {
      description: 'Running it twice does no harm, so an unknown outcome is answered by running it again.',
    }),
  },
  { description: 'What Upshift must know to be safe. Unsaid, they are what the action declares.' },
);
export type Traits = s.Static<typeof traits>;

export const check = s.object({
  name: s.optional(name),
  title: s.optional(text),
  action: s.string({ expected: 'an action such as http.get or ssh.run' }),
  with: s.optional(values),
  target: s.optional(id, { description: 'The target it is asked of; left out for actions that need none.' }),
  timeout: s.optional(duration, { description: 'How long to go on asking before it counts as failed (default 1m).' }),
  every: s.optional(duration, { description: 'How long between two tries (default 5s).' }),
  passes: s.optional(expression, { description: 'A condition over `result`; without it the outcome success passes.' }),
});
export type Check = s.Static<typeof check>;
