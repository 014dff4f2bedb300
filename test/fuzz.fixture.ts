/** Texts gone wrong, each from a seed: what a tired hand, a bad merge or a hostile file does to a good one. */
import { readdirSync, readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import type { Random } from '../src/checking/random.ts';
import { STARTER } from '../src/cli/starter.ts';
import { labDocuments } from '../src/packs/generic/documents.ts';
import { labTargets } from '../src/packs/generic/lab.ts';

const SEPARATOR = '\n---\n';

/** Whole sets of good documents: the lab's, the starter's, and those of the goldens. */
export function goodDocuments(): string[] {
  const targets = labTargets({ hosts: 4, controllers: 2, groups: 2 }).map((target) => ({ ...target, ssh: 22, http: 80 }));
  const lab = Object.values(labDocuments('/lab', targets)).flat();
  const goldens = new URL('goldens/', import.meta.url);
  return [
    lab.map((document) => stringify(document)).join(SEPARATOR),
    lab.map((document) => JSON.stringify(document, null, 1)).join(SEPARATOR),
    Object.values(STARTER).join(SEPARATOR),
    ...readdirSync(goldens)
      .filter((name) => name.endsWith('.documents'))
      .map((name) => readFileSync(new URL(name, goldens), 'utf8')),
  ];
}

/** Every mistake the catalog's own goldens know, as texts to splice. */
export function badDocuments(): string[] {
  const folder = new URL('../src/catalog/goldens/', import.meta.url);
  return readdirSync(folder)
    .filter((name) => name.endsWith('.input') && /\.ya?ml\./.test(name))
    .map((name) => readFileSync(new URL(name, folder), 'utf8'));
}

/** Names that mean something to JavaScript, numbers beyond what they should be, and signs that mean something to somebody. */
const STRANGE = [
  ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype', 'length', 'valueOf', 'then'],
  ...['', ' ', '~', 'null', 'true', 'yes', 'NaN', '.nan', '.inf', '-0', '0', '-1', '1e309', '9007199254740993', '0x1F', '017', '1_000'],
  ...['1.10', '2026-01-01', '99999999999999999999h', '-5m', '1s2s', '100%', '101%', '-1%', '0%', '1e3%', 'all', 'rest', '[]', '{}', '[[]]'],
  ...[
    '&a',
    '*a',
    '*b',
    '<<: *a',
    '!!binary abc',
    '!!set {a}',
    '!!js/function x',
    '? a',
    '|',
    '>-',
    '- - -',
    '%YAML 9.9',
    '...',
    '---',
    '\t',
  ],
  ...['ünïcödé', '日本語', '🚀', '\u202e', '\u0000', '\ufeff', '\u2028', '\ud800', 'a\u0301', '\u001b[31m', '\r', '\r\n\r\n'],
  ...['${', '${}', '$${x}', '${target.id', '${target.id}', '${secrets.x}', '${raw(from)}', "it's", '"', '#', ': ', 'x'.repeat(3_000)],
];

type Mutation = (text: string, random: Random, others: readonly string[]) => string;

function lineOf(lines: readonly string[], random: Random): number {
  return random.below(Math.max(1, lines.length));
}

function onLines(change: (lines: string[], random: Random) => void): Mutation {
  return (text, random) => {
    const lines = text.split('\n');
    change(lines, random);
    return lines.join('\n');
  };
}

const KEY = /^(\s*(?:- )*)([\w-]+|"[^"]*")(:.*)$/;

function keysOf(lines: readonly string[]): string[] {
  return lines.flatMap((line) => KEY.exec(line)?.[2] ?? []);
}

function valuesOf(lines: readonly string[]): string[] {
  return lines.flatMap((line) => /:\s+(\S.*)$/.exec(line)?.[1] ?? []);
}

/** Changes one line that has a key. */
function onKey(change: (parts: { lead: string; key: string; rest: string }, lines: string[], random: Random) => string): Mutation {
  return onLines((lines, random) => {
    for (let tries = 0; tries < 10; tries++) {
      const at = lineOf(lines, random);
      const match = KEY.exec(lines[at] ?? '');
      if (!match) continue;
      lines[at] = change({ lead: match[1] as string, key: match[2] as string, rest: match[3] as string }, lines, random);
      return;
    }
  });
}

const MUTATIONS: readonly Mutation[] = [
  onLines((lines, random) => lines.splice(lineOf(lines, random), 1 + random.below(3))),
  onLines((lines, random) => {
    const at = lineOf(lines, random);
    lines.splice(lineOf(lines, random), 0, ...lines.slice(at, at + 1 + random.below(6)));
  }),
  onLines((lines, random) => {
    const [a, b] = [lineOf(lines, random), lineOf(lines, random)];
    [lines[a], lines[b]] = [lines[b] ?? '', lines[a] ?? ''];
  }),
  onLines((lines, random) => {
    const at = lineOf(lines, random);
    lines[at] = random.chance(0.5) ? `  ${lines[at]}` : (lines[at] ?? '').replace(/^ {1,2}/, '');
  }),
  onKey(({ lead, rest }, lines, random) => `${lead}${random.pick(random.chance(0.6) ? keysOf(lines) : STRANGE)}${rest}`),
  onKey(({ lead, key }, lines, random) => `${lead}${key}: ${random.pick(random.chance(0.5) ? valuesOf(lines) : STRANGE)}`),
  // The value that the same key has elsewhere: what is wrong then is only what it means.
  ...[0, 1, 2].map(() =>
    onKey(({ lead, key, rest }, lines, random) => {
      const same = lines.flatMap((line) => (KEY.exec(line)?.[2] === key ? (KEY.exec(line)?.[3] ?? []) : []));
      return `${lead}${key}${random.pick([rest, ...same])}`;
    }),
  ),
  onKey(({ lead, key }, _lines, random) => `${lead}${key}: ${nested(random)}`),
  onKey(({ lead, key, rest }) => `${lead}${key}: [${rest.slice(1).trim()}, ${rest.slice(1).trim()}]`),
  (text, random) => {
    const at = random.below(text.length + 1);
    return text.slice(0, at) + random.pick(STRANGE) + text.slice(at);
  },
  (text, random) => text.slice(0, random.below(text.length + 1)),
  (text, random, others) => {
    const other = random.pick(others).split('\n');
    const lines = text.split('\n');
    return [...lines.slice(0, lineOf(lines, random)), ...other.slice(lineOf(other, random))].join('\n');
  },
  (text, random, others) => `${text}${SEPARATOR}${random.pick(others)}`,
];

function nested(random: Random): string {
  const depth = 1 + random.below(random.chance(0.2) ? 400 : 12);
  const [open, close] = random.pick([
    ['[', ']'],
    ['{a: ', '}'],
    ['[{b: ', '}]'],
  ] as const);
  return open.repeat(depth) + close.repeat(random.chance(0.8) ? depth : random.below(depth));
}

/** One mutation of a text, now and then up to four. */
export function mutated(text: string, random: Random, others: readonly string[]): string {
  let changed = text;
  for (let left = random.chance(0.7) ? 1 : 2 + random.below(3); left > 0; left--) changed = random.pick(MUTATIONS)(changed, random, others);
  return changed;
}

/** A text as bytes, some of which may have been flipped. */
export function flipped(text: string, random: Random): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  if (random.chance(0.8) || bytes.length === 0) return bytes;
  for (let left = 1 + random.below(4); left > 0; left--) {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
  }
  return bytes;
}

export const EXPRESSIONS: readonly string[] = [
  'target.labels.role == "controller"',
  'target.labels["group"] in ["a", "b"]',
  'has(target.vars.x) && target.vars.x.y > 3',
  'target.?vars.x.orValue("").size() > 0',
  'params.list.exists(i, i == target.id) || params.list.all(i, i != "a")',
  'params.list.map(i, i + "!").filter(i, i.startsWith("a"))[0]',
  'result.exit == 0 && result.stdout.contains("ok")',
  'result.body.version != to ? "old" : result.body.version',
  'int(result.stdout) * 2 - 1 >= 0',
  'from < to && !(from == "1.0.0")',
  'target.id.matches("^se-[0-9]+$")',
  '{"a": 1, "b": [1, 2.5, null, true, b"x"]}["b"]',
  'string(size(target.labels)) + target.product',
  'duration("1h") < duration("90m")',
  'timestamp("2026-01-01T00:00:00Z").getFullYear() == 2026',
  'raw(target.id)',
];

const FRAGMENTS: readonly string[] = [
  ...[
    '(',
    ')',
    '[',
    ']',
    '{',
    '}',
    '"',
    "'",
    '.',
    '.?',
    ',',
    ':',
    '?',
    '!',
    '-',
    '+',
    '*',
    '/',
    '%',
    '==',
    '=',
    '<',
    '&&',
    '||',
    ' in ',
    '\\',
  ],
  ...['0', '-1', '1e400', '0x', '9223372036854775808', '1u', 'null', 'true', 'target', 'result', 'params', 'size(', 'has(', 'map(', 'x'],
  ...['"\\u', 'r"', 'b"', '"""', '//', '\n', '🚀', '\u0000', '__proto__', 'constructor', '.toString()', '((((((((((', 'type(', 'dyn('],
];

/** An expression somebody has sat on. */
export function mutatedExpression(random: Random): string {
  let text = random.pick(EXPRESSIONS);
  for (let left = random.below(5); left > 0; left--) {
    const at = random.below(text.length + 1);
    const to = at + random.below(6);
    const other = random.pick(EXPRESSIONS);
    const roll = random.next();
    if (roll < 0.3) text = text.slice(0, at) + text.slice(to);
    else if (roll < 0.7) text = text.slice(0, at) + random.pick(FRAGMENTS) + text.slice(to);
    else if (roll < 0.9) text = text.slice(0, at) + other.slice(random.below(other.length));
    else text = `(${text}) ${random.pick(['&&', '||', '==', '+', '?', 'in'])} (${other})`;
  }
  return text;
}

/** Anything that JSON could hold, and a little that it could not. */
export function anything(random: Random, depth = 3): unknown {
  const roll = random.below(depth > 0 ? 14 : 11);
  if (roll === 0) return undefined;
  if (roll === 1) return null;
  if (roll === 2) return random.chance(0.5);
  if (roll === 3) return random.pick([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1e21, 2 ** 53]);
  if (roll === 4) return BigInt(random.below(100)) ** 20n;
  if (roll === 5) return new Date(random.chance(0.5) ? Number.NaN : random.below(1e9));
  if (roll === 6) return Buffer.from('bytes');
  if (roll === 7) return () => 'called';
  if (roll < 11) return random.pick(STRANGE);
  if (roll === 11) return Array.from({ length: random.below(4) }, () => anything(random, depth - 1));
  if (roll === 12) return new Map([[anything(random, 0), anything(random, depth - 1)]]);
  return Object.fromEntries(Array.from({ length: random.below(5) }, () => [random.pick(STRANGE), anything(random, depth - 1)]));
}

export { STRANGE };
