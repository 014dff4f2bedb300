import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Stage, Strategy } from '../model/documents/index.ts';
import { stageWidth, worstFailures } from './plan.ts';
import { boxes, faultsOf, outline, planOf, stageOf, targetOf } from './planning.fixture.ts';

const ten = boxes('aaaabbbbcc');
const stageWith = (more: Partial<Stage>) => stageOf({ targets: ten, stages: [{ name: 'boxes', ...more }] });
const GROUP = 'target.labels.group';

const WIDTHS: [says: string, stage: Partial<Stage>, width: { groups: number; within: number }, atOnce: number][] = [
  ['nothing', {}, { groups: 1, within: 1 }, 1],
  ['parallel 3', { strategy: { parallel: 3 } }, { groups: 1, within: 3 }, 3],
  ['parallel 30', { strategy: { parallel: 30 } }, { groups: 1, within: 10 }, 10],
  ['parallel 25%', { strategy: { parallel: '25%' } }, { groups: 1, within: 3 }, 3],
  ['parallel 1%', { strategy: { parallel: '1%' } }, { groups: 1, within: 1 }, 1],
  ['parallel all', { strategy: { parallel: 'all' } }, { groups: 1, within: 10 }, 10],
  ['groups alone', { groupBy: GROUP }, { groups: 1, within: 1 }, 1],
  ['all groups, one within', { groupBy: GROUP, strategy: { groups: 'all', within: 1 } }, { groups: 3, within: 1 }, 3],
  ['two groups, half within', { groupBy: GROUP, strategy: { groups: 2, within: '50%' } }, { groups: 2, within: 2 }, 4],
  ['all groups, all within', { groupBy: GROUP, strategy: { groups: 'all', within: 'all' } }, { groups: 3, within: 4 }, 10],
  ['parallel all, budget 0', { strategy: { parallel: 'all' }, budget: { failures: 0 } }, { groups: 1, within: 10 }, 1],
  ['parallel all, budget 20%', { strategy: { parallel: 'all' }, budget: { failures: '20%' } }, { groups: 1, within: 10 }, 3],
  [
    'all groups with a budget per group',
    { groupBy: GROUP, strategy: { groups: 'all', within: 'all' }, budget: { failures: 1 } },
    { groups: 3, within: 4 },
    6,
  ],
  [
    'all groups with a budget for the stage',
    { groupBy: GROUP, strategy: { groups: 'all', within: 'all' }, budget: { failures: 1, per: 'stage' } },
    { groups: 3, within: 4 },
    2,
  ],
];
for (const [says, stage, width, atOnce] of WIDTHS)
  test(`a stage that says ${says} has at most ${atOnce} of ten in flight`, () => {
    const compiled = stageWith(stage);
    assert.deepEqual(compiled.width, width);
    assert.equal(stageWidth(compiled), atOnce);
  });

const WAVES: [waves: Strategy['waves'], groupBy: string | undefined, sizes: number[]][] = [
  [undefined, undefined, [10]],
  [[1, '10%', 'rest'], undefined, [1, 1, 8]],
  [[1, 3, 'rest'], undefined, [1, 3, 6]],
  [['1%', 'rest'], undefined, [1, 9]],
  [[1], undefined, [1, 9]],
  [[4, 4, 4, 'rest'], undefined, [4, 4, 2]],
  [['50%', '50%'], undefined, [5, 5]],
  [[20, 'rest'], undefined, [10]],
  [[1, 'rest'], GROUP, [1, 2]],
  [['50%', 'all'], GROUP, [2, 1]],
];
for (const [waves, groupBy, sizes] of WAVES)
  test(`waves of ${waves?.join(', ') ?? 'nothing said'}${groupBy ? ' over three groups' : ' over ten'} are ${sizes.join(', then ')}`, () => {
    const compiled = stageWith({ ...(groupBy ? { groupBy } : {}), strategy: waves ? { waves } : {} });
    assert.deepEqual(
      compiled.waves.map((wave, index) => wave.until - (compiled.waves[index - 1]?.until ?? 0)),
      sizes,
    );
  });

const BUDGETS: [says: string, stage: Partial<Stage>, failures: number | undefined, worst: number][] = [
  ['nothing, one at a time', {}, undefined, 1],
  ['nothing, four at a time', { strategy: { parallel: 4 } }, undefined, 4],
  ['failures 2', { budget: { failures: 2 }, strategy: { parallel: 4 } }, 2, 3],
  ['failures all', { budget: { failures: 'all' } }, 10, 10],
  ['failures 5% of ten', { budget: { failures: '5%' } }, 0, 1],
  ['failures 1 per group', { groupBy: GROUP, budget: { failures: 1 } }, 1, 6],
  // The smallest group sets what a share is: half of two.
  ['failures 50% per group', { groupBy: GROUP, budget: { failures: '50%' } }, 1, 6],
  ['go on whatever fails', { onFailure: 'continue' }, undefined, 10],
];
for (const [says, stage, failures, worst] of BUDGETS)
  test(`a budget that says ${says} loses ${worst} of ten at worst`, () => {
    const compiled = stageWith(stage);
    assert.equal(compiled.budget?.failures, failures);
    assert.equal(worstFailures(compiled), worst);
  });

test('groups keep the order of the inventory, and their targets are together', () => {
  const stage = stageOf({ targets: boxes('abab'), stages: [{ name: 'boxes', groupBy: GROUP }] });
  assert.deepEqual(stage.groups, [
    { key: 'a', first: 0, count: 2 },
    { key: 'b', first: 2, count: 2 },
  ]);
  assert.deepEqual(stage.order, [0, 2, 1, 3]);
});

test('a target without the label is in a group of its own kind', () => {
  const targets = [...boxes('a'), targetOf('bare')];
  assert.deepEqual(
    stageOf({ targets, stages: [{ name: 'boxes', groupBy: GROUP }] }).groups.map((group) => group.key),
    ['a', ''],
  );
});

const ORDERS: [order: string[], ids: string[]][] = [
  [[], ['c', 'a', 'b', 'd']],
  [['target.id'], ['a', 'b', 'c', 'd']],
  [['target.vars.weight'], ['b', 'a', 'c', 'd']],
  [['target.labels.role == "active"'], ['c', 'b', 'd', 'a']],
  [
    ['target.labels.role == "active"', 'target.id'],
    ['b', 'c', 'd', 'a'],
  ],
];
for (const [order, ids] of ORDERS)
  test(`ordered by ${order.join(', then ') || 'nothing'} the targets are ${ids.join(', ')}`, () => {
    const targets = [
      targetOf('c', '1', { labels: { role: 'standby' }, vars: { weight: 10 } }),
      targetOf('a', '1', { labels: { role: 'active' }, vars: { weight: 9 } }),
      targetOf('b', '1', { labels: { role: 'standby' }, vars: { weight: 2 } }),
      targetOf('d', '1', { labels: { role: 'standby' }, vars: { weight: 100 } }),
    ];
    const stage = stageOf({ targets, stages: [{ name: 'boxes', strategy: order.length > 0 ? { order } : {} }] });
    assert.deepEqual(
      stage.order.map((index) => targets[index]?.id),
      ids,
    );
  });

test('a stage that selects nobody says so, with the labels there are', () => {
  const faults = faultsOf({ targets: boxes('ab'), stages: [{ name: 'west', select: 'target.labels.group == "west"' }, { name: 'all' }] });
  assert.deepEqual(
    faults.map(({ kind, subject }) => [kind, subject]),
    [['stage-empty', 'west']],
  );
  assert.match(faults[0]?.expected ?? '', /group=a, .*group=b/);
});

test('an expression that cannot be evaluated is one fault, in however many hops', () => {
  const faults = faultsOf({ targets: boxes('ab'), to: '4', stages: [{ name: 'all', select: 'target.vars.n / 0 > 1' }] });
  assert.equal(faults.length, 1);
});

test('a stage for all after a canary takes the rest', () => {
  const plan = planOf({ targets: boxes('aaa'), stages: [{ name: 'canary', select: 'target.id == "box-2"' }, { name: 'all' }] });
  assert.deepEqual(outline(plan), ['canary@0: box-2 1→2', 'all@0: box-1 1→2, box-3 1→2']);
});

test('two procedures may take the same targets one after the other, and so may one with other params', () => {
  const plan = planOf({
    targets: boxes('a'),
    stages: [
      { name: 'prepare', procedure: 'careful' },
      { name: 'bootstrap', params: { step: 4 } },
      { name: 'rest', params: { step: 5 } },
      { name: 'again', params: { step: 5 } },
    ],
  });
  assert.deepEqual(outline(plan), ['prepare@0: box-1 1→2', 'bootstrap@0: box-1 1→2', 'rest@0: box-1 1→2']);
});

test('members are numbered through the whole plan', () => {
  const plan = planOf({ targets: boxes('aab'), to: '3', stages: [{ name: 'a', select: 'target.labels.group == "a"' }, { name: 'b' }] });
  assert.deepEqual(
    plan.steps.map((step) => (step.kind === 'stage' ? [step.base, step.order.length] : [])),
    [
      [0, 2],
      [2, 1],
      [3, 2],
      [5, 1],
    ],
  );
});

test('params of a stage go before those of the upgrade', () => {
  const stage = stageOf({ targets: boxes('a'), stages: [{ name: 's', params: { b: 3 } }], upgrade: { params: { a: 1, b: 2 } } });
  assert.deepEqual(stage.params, { a: 1, b: 3 });
});
