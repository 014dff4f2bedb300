import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Release } from '../model/documents/index.ts';
import { findPath, releaseGraph } from './graph.ts';

type From = NonNullable<Release['from']>;
const release = (version: string, ...from: From): Release => ({ kind: 'Release', product: 'thingpark', version, from });

/** Releases of ThingPark Enterprise; the edges are ours. */
const THINGPARK = [
  release('7.1.3a'),
  release('7.2.2c', { versions: '7.1.*' }),
  release('7.2.2d', { versions: '7.2.*' }),
  release('7.2.10', { versions: '7.2.*' }),
  release('7.3.6', { versions: '7.2.*', latestFix: true }),
  release('8.0', { versions: '7.3.*', latestFix: true, kind: 'major', destructive: true }),
];
const graph = releaseGraph('thingpark', THINGPARK.toReversed());

const PATHS: [from: string, to: string, way: string[]][] = [
  ['7.1.3a', '7.2.2c', ['7.2.2c']],
  ['7.1.3a', '8.0', ['7.2.2c', '7.2.10', '7.3.6', '8.0']],
  ['7.2.2c', '7.2.10', ['7.2.10']],
  ['7.2.2c', '7.3.6', ['7.2.10', '7.3.6']],
  ['7.2.10', '8.0', ['7.3.6', '8.0']],
  ['7.3.6', '8.0', ['8.0']],
  ['8.0', '8.0', []],
  ['8.0.0', '8.0', []],
  // A version that has no document of its own still has a way on.
  ['7.2.3', '7.2.10', ['7.2.10']],
];
for (const [from, to, way] of PATHS)
  test(`from ${from} to ${to} the way is ${way.join(', ') || 'none, being there'}`, () => {
    const answer = findPath(graph, from, to);
    assert.ok(answer.ok);
    assert.deepEqual(
      answer.hops.map((hop) => hop.to),
      way,
    );
    assert.deepEqual(
      answer.hops.map((hop) => hop.from),
      [from, ...way].slice(0, -1),
    );
  });

function refusalOf(releases: Release[], from: string, to: string) {
  const answer = findPath(releaseGraph('thingpark', releases), from, to);
  assert.ok(!answer.ok, `there is a way: ${answer.ok ? answer.hops.map((hop) => hop.to).join(', ') : ''}`);
  return answer;
}

test('a hop says its kind and whether it is destructive; unsaid, the kind follows from the numbers', () => {
  const answer = findPath(graph, '7.1.3a', '8.0');
  assert.ok(answer.ok);
  assert.deepEqual(
    answer.hops.map(({ kind, destructive }) => [kind, destructive]),
    [
      ['minor', false],
      ['hotfix', false],
      ['minor', false],
      ['major', true],
    ],
  );
});

test('of two ways the one with fewer hops is taken, whatever the order of the releases', () => {
  const releases = [
    release('1'),
    release('2', { versions: '1' }),
    release('3', { versions: '1 || 2' }),
    release('4', { versions: '2 || 3' }),
  ];
  for (const order of [releases, releases.toReversed()]) {
    const answer = findPath(releaseGraph('thingpark', order), '1', '4');
    assert.ok(answer.ok);
    assert.deepEqual(
      answer.hops.map((hop) => hop.to),
      ['3', '4'],
    );
  }
});

test('a floor names the latest fix of the line that would do', () => {
  // Without an edge to 7.2.10 there is no way to it, and only the floor is left to say why.
  const refusal = refusalOf(
    [release('7.2.2c'), release('7.2.10'), release('7.3.6', { versions: '7.2.*', latestFix: true })],
    '7.2.2c',
    '7.3.6',
  );
  assert.deepEqual(refusal.reasons, ['7.3.6 takes only the latest fix of a line; of 7.2 that is 7.2.10, not 7.2.2c']);
  assert.equal(refusal.expected, '7.2.* (latest fix only)');
});

test('a floor counts fixes within the range only', () => {
  const releases = [release('7.2.2c'), release('7.2.10'), release('7.3.6', { versions: '>=7.2 <=7.2.5', latestFix: true })];
  assert.equal(findPath(releaseGraph('thingpark', releases), '7.2.2c', '7.3.6').ok, true);
});

test('a release is not its own floor', () => {
  const releases = [release('7.2.2c'), release('7.2.2d'), release('7.2.10', { versions: '7.2.*', latestFix: true })];
  assert.equal(findPath(releaseGraph('thingpark', releases), '7.2.2d', '7.2.10').ok, true);
  assert.equal(refusalOf(releases, '7.2.2c', '7.2.10').reasons.length, 1);
});

test('a refusal names how far the way goes and what would lead on', () => {
  const refusal = refusalOf([...THINGPARK, release('9.0', { versions: '8.1' })], '7.2.2d', '9.0');
  assert.equal(refusal.message, 'there is no way from thingpark 7.2.2d to 9.0');
  assert.equal(refusal.expected, '8.1');
  assert.equal(refusal.reachable?.version, '8.0');
  assert.deepEqual(
    refusal.reachable?.hops.map((hop) => hop.to),
    ['7.2.10', '7.3.6', '8.0'],
  );
});

test('a release that nothing leads to says so', () => {
  assert.deepEqual(refusalOf(THINGPARK, '7.2.10', '7.1.3a').reasons, ['no edge leads to 7.1.3a']);
});

test('an unknown wanted release names the one that was meant, and what there is', () => {
  const refusal = refusalOf(THINGPARK, '7.1.3a', '7.3.7');
  assert.equal(refusal.message, 'thingpark has no release 7.3.7');
  assert.equal(refusal.suggestion, '7.3.6');
  assert.deepEqual(refusal.reasons, ['known are 7.1.3a, 7.2.2c, 7.2.2d, 7.2.10, 7.3.6, 8.0']);
});

test('a from that is no version is refused as such', () => {
  assert.match(refusalOf(THINGPARK, 'latest', '8.0').message, /latest is no version/);
});

test('a way never goes past the wanted release and back', () => {
  const releases = [release('1'), release('2', { versions: '>=1.5' }), release('3', { versions: '*' })];
  refusalOf(releases, '1', '2');
});

test('a way back is taken only where it is said', () => {
  const releases = [release('1', { versions: '2' }), release('2', { versions: '1' }), release('3', { versions: '2' })];
  const back = findPath(releaseGraph('thingpark', releases), '2', '1');
  assert.deepEqual(back.ok && back.hops.map((hop) => hop.to), ['1']);
  refusalOf(releases, '3', '1');
});

test('the risks of an edge come with its hop, and warn unless they say that they block', () => {
  const risks = [
    { name: 'disk', message: 'small disks', when: 'target.labels.disk == "small"' },
    { name: 'data', message: 'loses data', block: true },
  ];
  const answer = findPath(releaseGraph('thingpark', [release('1'), release('2', { versions: '1', risks })]), '1', '2');
  assert.ok(answer.ok);
  assert.deepEqual(
    answer.hops[0]?.risks.map(({ name, block }) => [name, block]),
    [
      ['disk', false],
      ['data', true],
    ],
  );
});

test('trains go one after the other', () => {
  const train = (version: string, ...from: From): Release => ({
    ...release(version, ...from),
    product: 'osp',
    scheme: { trains: ['ocata', 'pike', 'queens'] },
  });
  const releases = [train('ocata'), train('pike', { versions: 'ocata' }), train('queens', { versions: 'pike' })];
  const answer = findPath(releaseGraph('osp', releases), 'ocata', 'queens');
  assert.deepEqual(answer.ok && answer.hops.map((hop) => hop.to), ['pike', 'queens']);
});
