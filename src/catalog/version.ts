/**
 * Versions and how they compare, by the product's scheme.
 *
 * - `semver`: 1.2.3-rc.1, after semver.org 2.0.0; build metadata is ignored.
 * - `dotted`: numbers and letters between dots and dashes, 7.2.2c < 7.2.2d < 7.2.10; a missing part is 0, a letter after a number is a fix of it.
 * - trains: named, in the order given: ocata < pike < queens.
 */
import type { SchemeDocument } from '../model/documents/index.ts';

export type Scheme = {
  name: string;
  /** Whether the text is a version under this scheme. */
  isVersion(text: string): boolean;
  /** Below 0 where `a` is older. Both must be versions. */
  compare(a: string, b: string): number;
  /** The line a version is a fix of (8.0.3 → 8.0, 7.2.2c → 7.2); a train is its own line. */
  line(version: string): string;
};

const SEMVER = /^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?$/;
const DOTTED = /^v?[0-9]+[A-Za-z]*([.-][0-9A-Za-z]+)*$/;

const semver: Scheme = {
  name: 'semver',
  isVersion: (text) => SEMVER.test(text),
  compare(a, b) {
    const [x, y] = [SEMVER.exec(a), SEMVER.exec(b)];
    if (!x || !y) throw new Error(`not semver: ${x ? b : a}`);
    for (const part of [1, 2, 3]) {
      const difference = compareNumbers(x[part] as string, y[part] as string);
      if (difference !== 0) return difference;
    }
    if (x[4] === y[4]) return 0;
    if (x[4] === undefined) return 1;
    if (y[4] === undefined) return -1;
    return comparePrerelease(x[4].split('.'), y[4].split('.'));
  },
  line: (version) => {
    const match = SEMVER.exec(version);
    return match ? `${match[1]}.${match[2]}` : version;
  },
};

/** Compares digits as numbers of any length, without losing precision. */
function compareNumbers(a: string, b: string): number {
  const [x, y] = [a.replace(/^0+(?=\d)/, ''), b.replace(/^0+(?=\d)/, '')];
  return x.length - y.length || (x < y ? -1 : x > y ? 1 : 0);
}

function comparePrerelease(a: string[], b: string[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i], b[i]];
    if (x === undefined) return -1;
    if (y === undefined) return 1;
    const [xNumber, yNumber] = [/^\d+$/.test(x), /^\d+$/.test(y)];
    if (xNumber !== yNumber) return xNumber ? -1 : 1;
    const difference = xNumber ? compareNumbers(x, y) : x < y ? -1 : x > y ? 1 : 0;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Numbers and words, in order: 7.2.2c → 7 2 2 c. */
function dottedParts(version: string): string[] {
  return version.replace(/^v/, '').match(/\d+|[A-Za-z]+/g) ?? [];
}

const dotted: Scheme = {
  name: 'dotted',
  isVersion: (text) => DOTTED.test(text),
  compare(a, b) {
    const [x, y] = [dottedParts(a), dottedParts(b)];
    for (let i = 0; i < Math.max(x.length, y.length); i++) {
      const [left, right] = [x[i] ?? '0', y[i] ?? '0'];
      const [leftNumber, rightNumber] = [/^\d/.test(left), /^\d/.test(right)];
      // A letter is a fix of the number before it, so it is newer than nothing and older than a further number is not comparable: 7.2c > 7.2.
      if (leftNumber !== rightNumber) return leftNumber ? (x[i] === undefined ? -1 : 1) : y[i] === undefined ? 1 : -1;
      const difference = leftNumber ? compareNumbers(left, right) : left < right ? -1 : left > right ? 1 : 0;
      if (difference !== 0) return difference;
    }
    return 0;
  },
  line: (version) => dottedParts(version).slice(0, 2).join('.'),
};

function trains(names: readonly string[]): Scheme {
  const places = new Map(names.map((name, index) => [name, index]));
  return {
    name: `trains ${names.join(', ')}`,
    isVersion: (text) => places.has(text),
    compare(a, b) {
      const [x, y] = [places.get(a), places.get(b)];
      if (x === undefined || y === undefined) throw new Error(`not a known train: ${x === undefined ? a : b}`);
      return x - y;
    },
    line: (version) => version,
  };
}

/** The scheme a document names; `dotted` where it names none. */
export function schemeOf(document: SchemeDocument | undefined): Scheme {
  if (document === undefined || document === 'dotted') return dotted;
  return document === 'semver' ? semver : trains(document.trains);
}
