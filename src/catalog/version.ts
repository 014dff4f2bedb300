/**
 * Versions and how they compare, by the product's scheme.
 *
 * - `semver`: 1.2.3-rc.1, after semver.org 2.0.0; build metadata is ignored.
 * - `dotted`: numbers and letters between dots and dashes, 7.2.2c < 7.2.2d < 7.2.10. Zeros at the end say nothing (7.2 is 7.2.0), letters
 *   after a number are a fix of it (7.2 < 7.2c < 7.2.1), and what is named a pre-release comes before its release (8.0-rc1 < 8.0).
 * - trains: named, in the order given: ocata < pike < queens.
 */
import type { SchemeDocument } from '../model/documents/index.ts';

export type Scheme = {
  name: string;
  /** What a version looks like, as an error says it. */
  form: string;
  /** Every version there is, where they are listed. */
  names: readonly string[];
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
  form: 'MAJOR.MINOR.PATCH, such as "17.2.1"',
  names: [],
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

const PRERELEASE = /^(dev|snapshot|alpha|beta|pre|preview|rc)$/i;

/** Numbers and words, in order: 7.2.2c → 7 2 2 c. Zeros that end the version, or stand before a pre-release, are left out. */
function dottedParts(version: string): string[] {
  const parts = version.replace(/^v/, '').match(/\d+|[A-Za-z]+/g) ?? [];
  return parts.filter((part, place) => {
    if (!/^0+$/.test(part)) return true;
    const next = parts.slice(place).find((other) => !/^0+$/.test(other));
    return next !== undefined && !PRERELEASE.test(next);
  });
}

/** Where a part stands among what may stand in its place: a pre-release, the end of the version, letters, a number. */
function rankOf(part: string | undefined): number {
  if (part === undefined) return 1;
  if (/^\d/.test(part)) return 3;
  return PRERELEASE.test(part) ? 0 : 2;
}

const dotted: Scheme = {
  name: 'dotted',
  form: 'numbers and letters between dots and dashes, such as "7.2.2c"',
  names: [],
  isVersion: (text) => DOTTED.test(text),
  compare(a, b) {
    const [x, y] = [dottedParts(a), dottedParts(b)];
    for (let i = 0; i < Math.max(x.length, y.length); i++) {
      const [left = '', right = ''] = [x[i], y[i]];
      const rank = rankOf(x[i]);
      const difference = rank - rankOf(y[i]) || (rank === 3 ? compareNumbers(left, right) : left < right ? -1 : left > right ? 1 : 0);
      if (difference !== 0) return difference;
    }
    return 0;
  },
  line: (version) => {
    const [, major = '0', minor = '0'] = /^v?(\d+)(?:\.(\d+))?/.exec(version) ?? [];
    return `${Number(major)}.${Number(minor)}`;
  },
};

function trains(names: readonly string[]): Scheme {
  const places = new Map(names.map((name, index) => [name, index]));
  return {
    name: `trains ${names.join(', ')}`,
    form: `one of ${names.join(', ')}`,
    names,
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
