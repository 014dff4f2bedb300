/** One version of a product: its components, its artifacts, and which versions may go there. */
import * as s from '../schema.ts';
import { expression, id, name, text, values, version } from './common.ts';

export const scheme = s.union(
  [
    s.oneOf(['semver', 'dotted'], { expected: 'semver or dotted' }),
    s.object({ trains: s.array(s.string({ minLength: 1 }), { minItems: 1 }) }, { expected: '{trains: [oldest, …, newest]}' }),
  ],
  { description: 'How versions compare: semver; dotted (numbers with letters, 7.2.2c); or named trains, oldest first.', default: 'dotted' },
);
export type SchemeDocument = s.Static<typeof scheme>;

export const edgeKind = s.oneOf(['major', 'minor', 'hotfix']);

export const edge = s.object({
  versions: s.string({ minLength: 1, expected: 'a range such as "7.3.6", ">=7.2 <8.0", "7.3.*" or "queens"' }),
  kind: s.optional(edgeKind),
  latestFix: s.optional(s.boolean(), { description: 'Only the latest known fix of each line within the range may go (a floor).' }),
  destructive: s.optional(s.boolean(), { description: 'The way there is back up, uninstall, deploy, restore.' }),
  risks: s.optional(
    s.array(
      s.object({
        name,
        message: text,
        when: s.optional(expression, { description: 'A condition over `target`; without it the risk concerns everyone.' }),
        block: s.optional(s.boolean(), { description: 'Refuse the upgrade where it holds; otherwise it is a warning.' }),
      }),
    ),
  ),
});
export type Edge = s.Static<typeof edge>;

export const artifact = s.object({
  name: s.string({ minLength: 1 }),
  url: s.optional(s.string()),
  sha256: s.optional(s.string({ pattern: '^[0-9a-f]{64}$', expected: '64 hexadecimal digits' })),
  size: s.optional(s.integer({ minimum: 0 }), { description: 'In bytes.' }),
});

export const release = s.object(
  {
    kind: s.literal('Release'),
    product: id,
    version,
    title: s.optional(text),
    scheme: s.optional(scheme),
    components: s.optional(s.record(version), {
      description: 'The version of each component (another product) that belongs to this release.',
    }),
    artifacts: s.optional(s.record(artifact)),
    values: s.optional(values, { description: 'Anything procedures read as ${release.values.NAME}.' }),
    notes: s.optional(s.array(text), { description: 'What an operator should know; printed with the plan.' }),
    from: s.optional(s.array(edge), { description: 'Which versions may go here.' }),
  },
  { title: 'Release', description: 'One version of a product, and which versions may go there.' },
);
export type Release = s.Static<typeof release>;
