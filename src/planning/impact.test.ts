import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Stage } from '../model/documents/index.ts';
import { boxes, planOf, targetOf } from './planning.fixture.ts';

const four = boxes('aabb');
const ON = four.map((target) => target.id);

type Row = [what: string, stage: Partial<Stage>, needs: number, effect: 'reduced' | 'down', up: number, upAfterFailures: number];
const GROUP = 'target.labels.group';
const ROWS: Row[] = [
  ['one at a time', {}, 3, 'reduced', 3, 3],
  ['one at a time where all are needed', {}, 4, 'down', 3, 3],
  ['two at a time', { strategy: { parallel: 2 } }, 2, 'reduced', 2, 2],
  ['all at once', { strategy: { parallel: 'all' } }, 1, 'down', 0, 0],
  ['all at once with a budget of none', { strategy: { parallel: 'all' }, budget: { failures: 0 } }, 3, 'reduced', 3, 3],
  ['one at a time with a budget of two', { budget: { failures: 2 } }, 3, 'reduced', 3, 1],
  ['one at a time whatever fails', { onFailure: 'continue' }, 3, 'reduced', 3, 0],
  ['one of each group', { groupBy: GROUP, strategy: { groups: 'all', within: 1 } }, 2, 'reduced', 2, 2],
  ['a group after the other, each at once', { groupBy: GROUP, strategy: { within: 'all' } }, 2, 'reduced', 2, 2],
  ['one of each group, one failure in each', { groupBy: GROUP, strategy: { groups: 'all' }, budget: { failures: 0 } }, 2, 'reduced', 2, 2],
  // Waves never overlap: the canary is back before the rest begin.
  ['a canary, then the rest at once', { strategy: { parallel: 'all', waves: [1, 'rest'] } }, 1, 'reduced', 1, 1],
  ['halves', { strategy: { parallel: 'all', waves: ['50%', 'rest'] } }, 2, 'reduced', 2, 2],
  ['groups in waves', { groupBy: GROUP, strategy: { groups: 'all', within: 'all', waves: [1, 'rest'] } }, 2, 'reduced', 2, 2],
];
for (const [what, stage, needs, effect, up, upAfterFailures] of ROWS)
  test(`${what}: a service on four that needs ${needs} is ${effect} with ${up} up`, () => {
    const plan = planOf({ targets: four, stages: [{ name: 'boxes', ...stage }], services: [{ name: 'shop', on: ON, needs }] });
    assert.deepEqual(plan.impacts, [{ service: 'shop', step: 0, atOnce: 4 - up, up, needs, upAfterFailures, effect }]);
  });

test('a procedure that disrupts nothing has no impact', () => {
  const plan = planOf({ targets: four, stages: [{ name: 'boxes', procedure: 'careful' }], services: [{ name: 'shop', on: ON, needs: 4 }] });
  assert.deepEqual(plan.impacts, []);
});

test('a service whose targets do not change has no impact', () => {
  const plan = planOf({ targets: [...four, targetOf('there', '2')], services: [{ name: 'shop', on: ['there'] }] });
  assert.deepEqual(plan.impacts, []);
});

test('only the targets of a service that are in the stage go down for it', () => {
  const plan = planOf({
    targets: four,
    stages: [
      { name: 'a', select: `${GROUP} == "a"`, strategy: { parallel: 'all' } },
      { name: 'b', select: `${GROUP} == "b"` },
    ],
    services: [{ name: 'shop', on: ON }],
  });
  assert.deepEqual(
    plan.impacts.map(({ step, up }) => [step, up]),
    [
      [0, 2],
      [1, 3],
    ],
  );
});

test('a service that says nothing needs one', () => {
  const plan = planOf({ targets: four, services: [{ name: 'shop', on: ['box-1'] }] });
  assert.deepEqual([plan.impacts[0]?.needs, plan.impacts[0]?.effect], [1, 'down']);
});
