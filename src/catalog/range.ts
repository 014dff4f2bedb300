/**
 * Ranges of versions: `7.3.6`, `7.3.*`, `>=7.2 <8.0`, `ocata || pike`, `*`. Words next to each other must all hold, `||` separates choices.
 */
import type { Scheme } from './version.ts';

export type Range = { text: string; includes(version: string): boolean };

export type ParsedRange = { ok: true; range: Range } | { ok: false; message: string };

const COMPARATOR = /^(>=|<=|>|<|=)?(.+)$/;

/** Parses a range under a scheme. */
export function parseRange(scheme: Scheme, text: string): ParsedRange {
  const choices: ((version: string) => boolean)[] = [];
  for (const choice of text.split('||')) {
    const words = choice
      .replaceAll(/([<>=])\s+/g, '$1')
      .trim()
      .split(/\s+/)
      .filter(Boolean);
    if (words.length === 0) return { ok: false, message: 'a choice of the range is empty' };
    const tests: ((version: string) => boolean)[] = [];
    for (const word of words) {
      if (word === '*') continue;
      const test = parseWord(scheme, word);
      if (typeof test === 'string') return { ok: false, message: test };
      tests.push(test);
    }
    choices.push((version) => tests.every((test) => test(version)));
  }
  return { ok: true, range: { text, includes: (version) => scheme.isVersion(version) && choices.some((test) => test(version)) } };
}

function parseWord(scheme: Scheme, word: string): string | ((version: string) => boolean) {
  const [, operator = '=', operand = ''] = COMPARATOR.exec(word) ?? [];
  if (operand.endsWith('.*') || operand.endsWith('.x')) {
    if (operator !== '=') return `${word} mixes a comparison with a wildcard`;
    return parseWildcard(scheme, operand.slice(0, -2));
  }
  // A semver version may leave parts out: 17.1 means 17.1.*, and >=17.1 means >=17.1.0.
  if (scheme.name === 'semver' && operator === '=' && /^v?\d+(\.\d+)?$/.test(operand)) return parseWildcard(scheme, operand);
  const filled =
    scheme.name === 'semver' && /^v?\d+(\.\d+)?$/.test(operand) ? `${operand}${'.0'.repeat(3 - operand.split('.').length)}` : operand;
  if (!scheme.isVersion(filled)) return `${operand} is no version under the scheme ${scheme.name}`;
  switch (operator) {
    case '>=':
      return (version) => scheme.compare(version, filled) >= 0;
    case '<=':
      return (version) => scheme.compare(version, filled) <= 0;
    case '>':
      return (version) => scheme.compare(version, filled) > 0;
    case '<':
      return (version) => scheme.compare(version, filled) < 0;
    default:
      return (version) => scheme.compare(version, filled) === 0;
  }
}

/** Every version that begins with these parts: 7.3.* has 7.3, 7.3.6, 7.3a and 7.3-2. */
function parseWildcard(scheme: Scheme, prefix: string): string | ((version: string) => boolean) {
  if (!/^v?\d+(\.\d+)*$/.test(prefix) || scheme.names.length > 0) return `${prefix}.* is no wildcard under the scheme ${scheme.name}`;
  const bare = prefix.replace(/^v/, '');
  return (version) => {
    const text = version.replace(/^v/, '');
    return text.startsWith(bare) && !/^\d/.test(text.slice(bare.length));
  };
}
