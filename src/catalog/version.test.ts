import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { SchemeDocument } from '../model/documents/index.ts';
import { parseRange } from './range.ts';
import { schemeOf } from './version.ts';

const OPENSTACK: SchemeDocument = { trains: ['ocata', 'pike', 'queens'] };

/** Oldest first; what stands together in a list is one version. */
const ORDERS: [name: string, scheme: SchemeDocument, order: string[][]][] = [
  [
    'semver',
    'semver',
    // The row of semver.org 2.0.0, item 11, among its neighbours.
    [
      ['0.9.9'],
      ['1.0.0-alpha'],
      ['1.0.0-alpha.1'],
      ['1.0.0-alpha.beta'],
      ['1.0.0-beta'],
      ['1.0.0-beta.2'],
      ['1.0.0-beta.11'],
      ['1.0.0-rc.1'],
      ['1.0.0', 'v1.0.0', '1.0.0+build.7'],
      ['1.2.0'],
      ['1.10.0'],
      ['10.0.0'],
      ['99999999999999999999.0.0'],
      ['99999999999999999999.0.1'],
    ],
  ],
  [
    'dotted versions, as ThingPark has them',
    'dotted',
    [['7.1.3a'], ['7.2', '7.2.0'], ['7.2a'], ['7.2.1'], ['7.2.2c'], ['7.2.2d'], ['7.2.10'], ['7.3.6'], ['8.0', '8', '8.0.0', 'v8.0']],
  ],
  [
    'dotted versions with what is not a number',
    'dotted',
    [
      ['8.0-alpha1'],
      ['8.0-beta2'],
      ['8.0-rc1', '8.0.0-rc1'],
      ['8.0-rc2'],
      ['8.0-rc10'],
      ['8.0'],
      ['8.0-lts'],
      ['8.0.1-rc1'],
      ['8.0.1'],
      ['8.0.1-2'],
      ['17.01', '17.1'],
      ['17.1.2'],
    ],
  ],
  ['trains', OPENSTACK, [['ocata'], ['pike'], ['queens']]],
];

for (const [name, document, order] of ORDERS)
  test(`${name} stand in their order`, () => {
    const scheme = schemeOf(document);
    order.forEach((left, i) => {
      order.forEach((right, j) => {
        for (const a of left) for (const b of right) assert.equal(Math.sign(scheme.compare(a, b)), Math.sign(i - j), `${a} against ${b}`);
      });
    });
  });

const NO_VERSIONS: [SchemeDocument, string[]][] = [
  ['semver', ['', '1', '1.2', '1.2.3.4', '01.2.3', '1.2.3-', '1.2.3-01..1', 'latest', '1.2.3 ']],
  ['dotted', ['', 'latest', '.1', '1.', '1..2', '7.2 c', '>=1', '1.0;rm', '-1']],
  [OPENSTACK, ['', 'Pike', 'rocky', 'ocata ']],
];
for (const [document, texts] of NO_VERSIONS)
  test(`what is no version under ${schemeOf(document).name} is refused`, () => {
    for (const text of texts) assert.equal(schemeOf(document).isVersion(text), false, JSON.stringify(text));
  });

test('a version belongs to the line of its first two numbers, a train to itself', () => {
  const rows: [SchemeDocument, string, string][] = [
    ['dotted', '7.2.2c', '7.2'],
    ['dotted', '7.2c', '7.2'],
    ['dotted', '8', '8.0'],
    ['dotted', 'v8.0.3', '8.0'],
    ['semver', '17.2.1-rc.1', '17.2'],
    [OPENSTACK, 'pike', 'pike'],
  ];
  for (const [document, version, line] of rows) assert.equal(schemeOf(document).line(version), line, version);
});

const part = fc.oneof(fc.nat(3).map(String), fc.constantFrom('0a', '1a', '2c', '00', '10'));
const tail = fc.oneof(part, fc.constantFrom('a', 'b', 'rc1', 'rc', 'lts', 'beta2'));
const dottedVersion = fc
  .tuple(part, fc.array(fc.tuple(fc.constantFrom('.', '-'), tail), { maxLength: 4 }))
  .map(([first, rest]) => first + rest.flat().join(''));
const prerelease = fc.array(fc.oneof(fc.nat(12).map(String), fc.constantFrom('a', 'rc', '1a', 'B')), { maxLength: 3 });
const semverVersion = fc
  .tuple(fc.nat(2), fc.nat(2), fc.nat(12), prerelease)
  .map(([major, minor, patch, pre]) => `${major}.${minor}.${patch}${pre.length > 0 ? `-${pre.join('.')}` : ''}`);

for (const [document, version] of [
  ['dotted', dottedVersion],
  ['semver', semverVersion],
] as const)
  test(`comparing ${document} versions is a total order`, () => {
    const { compare, isVersion } = schemeOf(document);
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        assert.ok(isVersion(a), a);
        assert.equal(compare(a, a), 0);
        assert.equal(Math.sign(compare(a, b)), -Math.sign(compare(b, a)) || 0);
        if (compare(a, b) <= 0 && compare(b, c) <= 0) assert.ok(compare(a, c) <= 0, `${a} <= ${b} <= ${c}`);
        // Versions that are equal are the same to every third.
        if (compare(a, b) === 0) assert.equal(Math.sign(compare(a, c)), Math.sign(compare(b, c)), `${a} = ${b} against ${c}`);
      }),
      { numRuns: 3000 },
    );
  });

const RANGES: [SchemeDocument, range: string, within: string[], without: string[]][] = [
  ['dotted', '7.3.6', ['7.3.6', '7.3.6.0'], ['7.3.60', '7.3']],
  ['dotted', '=7.3.6', ['7.3.6'], ['7.3.5']],
  ['dotted', '>=7.2 <8.0', ['7.2', '7.2.2c', '7.3.6', '8.0-rc1'], ['7.1.3a', '8.0', '8.0.1']],
  ['dotted', '>= 7.2  < 8.0', ['7.2', '7.3.6'], ['7.1.3a', '8.0']],
  ['dotted', '>7.2 <=7.3.6', ['7.2a', '7.3.6'], ['7.2', '7.2.0', '7.3.7']],
  ['dotted', '7.3.*', ['7.3', '7.3.6', '7.3a', '7.3-2', 'v7.3.1'], ['7.30', '7.30.1', '17.3.1', '7.2']],
  ['dotted', '7.x', ['7.1.3a', '7.3.6'], ['70.1', '8.0']],
  ['dotted', '7.1.* || 7.3.*', ['7.1.3a', '7.3.6'], ['7.2.2c']],
  ['dotted', '*', ['7.1.3a', '8.0'], ['latest']],
  ['semver', '17.1', ['17.1.0', '17.1.9'], ['17.10.0', '17.2.0']],
  ['semver', '>=17.1 <17.2', ['17.1.0', '17.1.9'], ['17.2.0', '17.0.9']],
  ['semver', '17.1.2', ['17.1.2', 'v17.1.2'], ['17.1.20']],
  [OPENSTACK, 'ocata || pike', ['ocata', 'pike'], ['queens', 'rocky']],
  [OPENSTACK, '>=ocata <queens', ['ocata', 'pike'], ['queens']],
];
for (const [document, text, within, without] of RANGES)
  test(`the ${typeof document === 'string' ? document : 'train'} range ${text} has ${within.join(', ')} and not ${without.join(', ')}`, () => {
    const parsed = parseRange(schemeOf(document), text);
    assert.ok(parsed.ok);
    for (const version of within) assert.equal(parsed.range.includes(version), true, version);
    for (const version of without) assert.equal(parsed.range.includes(version), false, version);
  });

test('what is no range is refused with the word that is wrong', () => {
  const rows: [SchemeDocument, string, RegExp][] = [
    ['dotted', '', /empty/],
    ['dotted', '7.1 ||', /empty/],
    ['dotted', '^7.1', /\^7\.1/],
    ['dotted', '>=7.*', />=7\.\*/],
    ['dotted', 'seven.*', /seven\.\*/],
    ['dotted', '>=7.2, <8.0', /7\.2,/],
    ['semver', '17.1.2.3', /17\.1\.2\.3/],
    [OPENSTACK, 'rocky', /rocky/],
    [OPENSTACK, 'ocata.*', /ocata\.\*/],
  ];
  for (const [document, text, word] of rows) {
    const parsed = parseRange(schemeOf(document), text);
    assert.ok(!parsed.ok, text);
    assert.match(parsed.message, word);
  }
});
