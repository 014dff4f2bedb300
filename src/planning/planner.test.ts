import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Procedure, Release, Stage, Strategy, Target } from '../model/documents/index.ts';
import { moveAt, type Plan, planDigest, targetAt } from './plan.ts';
import { planUpgrade } from './planner.ts';
import {
  boxes,
  faultsOf,
  type Given,
  inputOf,
  outline,
  PROCEDURES,
  planOf,
  procedureOf,
  RELEASES,
  releaseOf,
  targetOf,
} from './planning.fixture.ts';

test('a plan for targets that are all there has no steps', () => {
  const plan = planOf({ targets: boxes('ab', '2'), stages: [{ name: 'boxes' }, { commit: 'done' }, { approval: 'sign' }] });
  assert.deepEqual([plan.steps, plan.hops, plan.unchanged, plan.risks], [[], [], 2, []]);
});

test('another spelling of the wanted version is the wanted version', () => {
  const releases = [releaseOf('7.1'), releaseOf('7.2', [{ versions: '7.1' }])];
  const plan = planOf({ targets: boxes('a', '7.2.0'), to: '7.2', releases });
  assert.deepEqual([plan.steps, plan.unchanged], [[], 1]);
});

test('several hops repeat the stages, and targets join where they stand', () => {
  const targets = [targetOf('old', '1'), targetOf('mid', '2'), targetOf('new', '3')];
  const plan = planOf({ targets, to: '3' });
  assert.deepEqual(outline(plan), ['boxes@0: old 1→2', 'boxes@1: old 2→3, mid 2→3']);
  assert.equal(plan.unchanged, 1);
  assert.deepEqual(plan.from.toSorted(), ['1', '2', '3']);
});

const role = (name: string) => `target.labels.group == "${name}"`;
const STAGES: Record<'c' | 'e', Stage> = {
  c: { name: 'controllers', select: role('c'), perHop: true },
  e: { name: 'engines', select: role('e') },
};

test('stages per hop go through every hop, the others go the whole way at once', () => {
  const plan = planOf({ targets: boxes('ce'), to: '3', stages: [STAGES.c, STAGES.e] });
  assert.deepEqual(outline(plan), ['controllers@0: box-1 1→2', 'controllers@1: box-1 2→3', 'engines: box-2 1→3']);
});

test('a stage for all after stages per hop takes those that are left', () => {
  const plan = planOf({ targets: boxes('ce'), to: '3', stages: [STAGES.c, { name: 'rest' }] });
  assert.deepEqual(outline(plan), ['controllers@0: box-1 1→2', 'controllers@1: box-1 2→3', 'rest: box-2 1→3']);
});

test('a commit point after stages per hop stands after the last of them', () => {
  const plan = planOf({ targets: boxes('ce'), to: '3', stages: [STAGES.c, { commit: 'controllers' }] });
  assert.deepEqual(outline(plan), ['controllers@0: box-1 1→2', 'controllers@1: box-1 2→3', 'commit controllers']);
});

test('an approval before stages per hop is asked once, before the first', () => {
  const plan = planOf({ targets: boxes('c'), to: '3', stages: [{ approval: 'go' }, STAGES.c] });
  assert.deepEqual(outline(plan), ['approval go', 'controllers@0: box-1 1→2', 'controllers@1: box-1 2→3']);
});

test('commit points and approvals repeat with the stages they stand between', () => {
  const stages: Stage[] = [{ name: 'a', select: role('c') }, { commit: 'a' }, { approval: 'go' }, { name: 'b', select: role('e') }];
  const plan = planOf({ targets: boxes('ce'), to: '3', stages });
  const hop = (number: number, from: number) => [
    `a@${number}: box-1 ${from}→${from + 1}`,
    'commit a',
    'approval go',
    `b@${number}: box-2 ${from}→${from + 1}`,
  ];
  assert.deepEqual(outline(plan), [...hop(0, 1), ...hop(1, 2)]);
});

test('a hop in which nobody of a stage changes leaves the stage out', () => {
  const targets = [targetOf('old', '1', { labels: { group: 'c' } }), targetOf('mid', '2', { labels: { group: 'e' } })];
  const plan = planOf({
    targets,
    to: '3',
    stages: [
      { name: 'a', select: role('c') },
      { name: 'b', select: role('e') },
    ],
  });
  assert.deepEqual(outline(plan), ['a@0: old 1→2', 'a@1: old 2→3', 'b@1: mid 2→3']);
});

test('components go to the version that each release gives them, and past releases that do not name them', () => {
  const targets = [targetOf('box', '1'), targetOf('engine', 'e1', { product: 'engine' }), targetOf('late', 'e2', { product: 'engine' })];
  const plan = planOf({ targets, to: '4' });
  assert.deepEqual(outline(plan), ['boxes@0: box 1→2, engine e1→e2', 'boxes@1: box 2→3', 'boxes@2: box 3→4, engine e2→e4, late e2→e4']);
});

test('a component that keeps its version through an upgrade is not touched', () => {
  const releases = [releaseOf('1', [], { engine: 'e1' }), releaseOf('2', [{ versions: '1' }], { engine: 'e1' })];
  const plan = planOf({ targets: [targetOf('box'), targetOf('engine', 'e1', { product: 'engine' })], releases });
  assert.deepEqual(outline(plan), ['boxes@0: box 1→2']);
  assert.equal(plan.unchanged, 1);
});

test('targets of other products are none of its business', () => {
  const plan = planOf({ targets: [targetOf('box'), targetOf('switch', 'x', { product: 'switch' })] });
  assert.deepEqual(
    plan.targets.map((target) => target.id),
    ['box'],
  );
});

test('observed versions go before those of the inventory', () => {
  const plan = planOf({ targets: boxes('ab'), observed: new Map([['box-1', '2']]) });
  assert.deepEqual(outline(plan), ['boxes@0: box-2 1→2']);
});

test('targets that no stage selects are named, and not counted as being there', () => {
  const plan = planOf({ targets: boxes('cex'), stages: [{ name: 'c', select: role('c') }] });
  assert.equal(plan.unchanged, 0);
  assert.deepEqual(plan.notes, ['No stage selects 2 targets (box-2, box-3): they stay at the version they have.']);
});

const FAULTS: [what: string, given: Given, kind: string, says: RegExp][] = [
  ['a target without a version', { targets: [targetOf('a', null)] }, 'version-unknown', /version of a is not known/],
  ['a version without a way', { targets: boxes('a', '0.9') }, 'no-path', /no way from box 0\.9 to 2/],
  [
    'an inventory of other products',
    { targets: [targetOf('a', '1', { product: 'bix' })] },
    'no-targets',
    /no target is of the product box/,
  ],
  ['an empty inventory', { targets: [] }, 'no-targets', /no target/],
  ['an engine of no release', { targets: [targetOf('a', 'e9', { product: 'engine' })] }, 'release-unknown', /engine e9/],
  ['a target that cannot be reached', { targets: [{ id: 'a', version: '1' }] }, 'target-unreachable', /a cannot be reached by ssh/],
  [
    'several that cannot be reached',
    { targets: ['a', 'b'].map((id) => ({ id, version: '1' })) },
    'target-unreachable',
    /2 targets \(a, b\) cannot/,
  ],
  [
    'an engine that is not of the release that was stated',
    {
      targets: [targetOf('a', 'e4', { product: 'engine' })],
      to: '3',
      upgrade: { from: '1' },
      releases: [...RELEASES.slice(0, 2), releaseOf('3', [{ versions: '1' }], { engine: 'e3' })],
    },
    'version-not-of-release',
    /e4 does not belong to box 1/,
  ],
];
for (const [what, given, kind, says] of FAULTS)
  test(`${what} is in the way as ${kind}`, () => {
    const faults = faultsOf(given);
    assert.deepEqual(
      faults.map((fault) => fault.kind),
      [kind],
    );
    assert.match(faults[0]?.message ?? '', says);
    assert.notEqual(faults[0]?.remedy ?? faults[0]?.expected, undefined);
  });

test('a target that is not upgraded but asked by a check comes along in the plan', () => {
  const targets = [targetOf('a'), targetOf('bastion', 'x', { product: 'host' }), targetOf('other', 'x', { product: 'host' })];
  const check = { name: 'backup', action: 'ssh.run', target: 'bastion', with: { command: 'true' } };
  const plan = planOf({ targets, upgrade: { preflight: [check] } });
  assert.deepEqual(
    plan.helpers.map((target) => target.id),
    ['bastion'],
  );
  assert.deepEqual(
    plan.targets.map((target) => target.id),
    ['a'],
  );
});

test('every fault is reported at once', () => {
  const targets = [targetOf('a', null), targetOf('b', '0.9'), targetOf('c', null), targetOf('d', '0.9')];
  assert.deepEqual(
    faultsOf({ targets }).map((fault) => [fault.kind, fault.subject]),
    [
      ['version-unknown', 'a'],
      ['version-unknown', 'c'],
      ['no-path', 'box'],
    ],
  );
});

test('targets whose ways part are told to go one after the other', () => {
  const releases = [
    releaseOf('1'),
    releaseOf('1.5'),
    releaseOf('2', [{ versions: '1' }]),
    releaseOf('2.5', [{ versions: '1.5' }]),
    releaseOf('3', [{ versions: '2 || 2.5' }]),
  ];
  const faults = faultsOf({ targets: [targetOf('a', '1'), targetOf('b', '1.5')], to: '3', releases });
  assert.deepEqual(
    faults.map(({ kind, found, expected }) => [kind, expected, found]),
    [['paths-differ', '2 → 3', '2.5 → 3']],
  );
});

const risky = (block: boolean, when?: string): Release[] => [
  releaseOf('1'),
  releaseOf('2', [{ versions: '1', risks: [{ name: 'disk', message: 'small disks fill up', block, ...(when ? { when } : {}) }] }]),
  releaseOf('3', [{ versions: '2' }]),
];

test('a risk counts the targets it concerns, and concerns everyone without a condition', () => {
  const targets = boxes('aab');
  assert.deepEqual(planOf({ targets, releases: risky(false, role('a')) }).risks, [
    { hop: '1 → 2', name: 'disk', message: 'small disks fill up', targets: 2 },
  ]);
  assert.equal(planOf({ targets, releases: risky(false) }).risks[0]?.targets, 3);
  assert.deepEqual(planOf({ targets, releases: risky(false, role('z')) }).risks, []);
});

test('a risk that blocks is a fault where it holds', () => {
  const faults = faultsOf({ targets: boxes('aab'), releases: risky(true, role('a')) });
  assert.deepEqual(
    faults.map(({ kind, message }) => [kind, message]),
    [['risk-blocks', '1 → 2 is blocked for 2 of 3 targets: small disks fill up']],
  );
  assert.ok(planOf({ targets: boxes('b'), releases: risky(true, role('a')) }));
});

test('a risk of a hop concerns those who take the hop', () => {
  const past = boxes('aa', '2');
  assert.ok(planOf({ targets: [...past, targetOf('behind', '1', { labels: { group: 'b' } })], to: '3', releases: risky(true, role('a')) }));
});

test('a plan says what is decided only during the run', () => {
  const cases = new Map<string, Procedure>([
    ...PROCEDURES,
    ['box', procedureOf('box', { cases: { normal: 'Normal', replacement: 'Replacement' } })],
  ]);
  const plan = planOf({ targets: boxes('a'), procedures: cases, upgrade: { window: { from: '22:00', to: '05:00' } } });
  assert.equal(plan.undecided.length, 2);
  assert.match(plan.undecided[1] ?? '', /Normal, Replacement/);
});

test('a plan carries the procedures it uses, with those that go back, and no others', () => {
  assert.deepEqual(Object.keys(planOf({ targets: boxes('a') }).procedures).toSorted(), ['box', 'box-back']);
});

/** The same value with the keys of every map the other way round. */
function turned<T>(value: T): T {
  if (Array.isArray(value)) return value.map(turned) as T;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, item]) => [key, turned(item as unknown)]),
  ) as T;
}

const full: Given = {
  targets: boxes('aab'),
  to: '3',
  stages: [{ name: 'boxes', groupBy: 'target.labels.group', strategy: { waves: [1, 'rest'] }, soak: '5m' }, { commit: 'done' }],
  services: [{ name: 'shop', on: ['box-1', 'box-2'], needs: 1 }],
  upgrade: { params: { a: 1, b: { c: [1, '1', null] } } },
};

test('the digest does not depend on the order of keys', () => {
  const plan = planOf(full);
  assert.match(plan.digest, /^sha256:[0-9a-f]{64}$/);
  assert.equal(planDigest(plan), plan.digest);
  assert.equal(planDigest(turned(plan)), plan.digest);
  assert.equal(planOf(turned(full)).digest, plan.digest);
});

/** Every path to a value that is no map and no list. */
function leaves(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (value === null || typeof value !== 'object') return [path];
  return Object.entries(value).flatMap(([key, item]) => leaves(item, [...path, key]));
}

test('any change of any value changes the digest', () => {
  const plan = planOf(full);
  const digests = new Set([plan.digest]);
  const paths = leaves(plan).filter((path) => path[0] !== 'digest');
  for (const path of paths) {
    // Not structuredClone, which would keep what is shared within the plan shared.
    const copy = JSON.parse(JSON.stringify(plan)) as Plan;
    const last = path.at(-1) as string;
    const owner = path.slice(0, -1).reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], copy) as Record<string, unknown>;
    owner[last] = typeof owner[last] === 'number' ? (owner[last] as number) + 1 : `${String(owner[last])}!`;
    digests.add(planDigest(copy));
  }
  assert.equal(digests.size, paths.length + 1);
  const kinds = [1, '1', [1], ['1'], { '1': 1 }, null, true, 'true', [], {}, [[]]].map((a) => planDigest({ ...plan, params: { a } }));
  assert.equal(new Set(kinds).size, kinds.length);
});

/** Follows the moves of a plan in the order of its steps; a move from anywhere but where the target is fails. */
function walk(plan: Plan, targets: readonly Target[]): Target[] {
  const versions = new Map(targets.map((target) => [target.id, target.version as string]));
  for (const step of plan.steps) {
    if (step.kind !== 'stage') continue;
    step.order.forEach((_, position) => {
      const { id } = targetAt(plan, step, position);
      const { from, to } = moveAt(step, position);
      assert.equal(versions.get(id), from, `${id} in ${step.name}`);
      versions.set(id, to);
    });
  }
  return targets.map((target) => ({ ...target, version: versions.get(target.id) as string }));
}

const anyBox = fc
  .tuple(fc.constantFrom('1', '2', '3', '4'), fc.constantFrom('c', 'e', 'x'))
  .map(([version, group]) => ({ version, group }) as { version: string; group: string; product?: string });
const anyEngine = fc
  .tuple(fc.constantFrom('e1', 'e2', 'e4'), fc.constantFrom('c', 'e', 'x'))
  .map(([version, group]) => ({ version, group, product: 'engine' }) as { version: string; group: string; product?: string });
const anyTargets = fc
  .array(fc.oneof(anyBox, anyEngine), { minLength: 1, maxLength: 12 })
  .map((all) =>
    all.map(({ version, group, product }, index) => targetOf(`t${index}`, version, { labels: { group }, ...(product ? { product } : {}) })),
  );
const anyStrategy = fc.constantFrom<Strategy[]>(
  {},
  { parallel: 'all' },
  { parallel: '30%' },
  { waves: [1, '50%', 'rest'] },
  { order: ['target.labels.group'] },
);
const anyStage = fc
  .record({
    name: fc.uuid(),
    group: fc.constantFrom('c', 'e', undefined),
    perHop: fc.boolean(),
    strategy: anyStrategy,
    mark: fc.constantFrom('commit', 'approval', undefined),
  })
  .map(({ group, mark, ...stage }): Stage[] => {
    const after: Stage[] = mark === undefined ? [] : mark === 'commit' ? [{ commit: 'safe' }] : [{ approval: 'go on' }];
    return [group === undefined ? stage : { ...stage, select: role(group) }, ...after];
  });
/** Some stages, which may overlap, and one for the rest. */
const anyStages = fc
  .tuple(fc.array(anyStage, { maxLength: 3 }), fc.boolean())
  .map(([some, perHop]): Stage[] => [...some.flat(), { name: 'rest', perHop }]);

test('a plan that was followed to its end leaves nothing to plan', () => {
  fc.assert(
    fc.property(anyTargets, anyStages, (targets, stages) => {
      const planned = planUpgrade(inputOf({ targets, stages, to: '4' }));
      if (!planned.ok) {
        // Only a stage for a label that no target has is in the way here.
        assert.deepEqual([...new Set(planned.faults.map((fault) => fault.kind))], ['stage-empty']);
        return;
      }
      const { plan } = planned;
      const after = walk(plan, targets);
      const again = planOf({ targets: after, stages, to: '4' });
      assert.deepEqual(again.steps, []);
      assert.equal(again.unchanged, targets.length);
      assert.deepEqual(
        after.map((target) => target.version),
        targets.map((target) => (target.product ? 'e4' : '4')),
      );
    }),
    { numRuns: 300 },
  );
});

test('every member of a stage is in one group and one wave, and limits are above nothing', () => {
  fc.assert(
    fc.property(anyTargets, anyStages, fc.constantFrom(undefined, 'target.labels.group'), (targets, stages, groupBy) => {
      const grouped = stages.map((stage) => (groupBy && stage.name ? { ...stage, groupBy } : stage));
      const planned = planUpgrade(inputOf({ targets, stages: grouped, to: '4' }));
      if (!planned.ok) return;
      let base = 0;
      for (const step of planned.plan.steps) {
        if (step.kind !== 'stage') continue;
        assert.equal(step.base, base);
        base += step.order.length;
        assert.equal(new Set(step.order).size, step.order.length);
        let first = 0;
        for (const group of step.groups) {
          assert.equal(group.first, first);
          first += group.count;
        }
        assert.equal(first, step.order.length);
        assert.equal(step.waves.at(-1)?.until, step.grouped ? step.groups.length : step.order.length);
        step.waves.forEach((wave, index) => assert.ok(wave.until > (step.waves[index - 1]?.until ?? 0)));
        assert.ok(step.width.groups >= 1 && step.width.within >= 1);
      }
    }),
    { numRuns: 200 },
  );
});
