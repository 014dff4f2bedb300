/** Planning a fleet: a million targets in under 10 s and 2 GB, at a cost that grows linearly. The rival is a bare sort-and-group of the same targets. */
import { SIMULATED_ACTIONS } from '../src/checking/scenario.ts';
import type { Target } from '../src/model/documents/index.ts';
import { planUpgrade } from '../src/planning/planner.ts';
import { type Figure, peakMemory } from './figure.ts';

function fleet(count: number): Target[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `t-${index}`,
    product: 'p',
    version: '1.0.0',
    labels: { role: index % 50 === 0 ? 'controller' : 'engine', group: `g-${Math.floor(index / 100)}`, rank: String(index % 7) },
    connect: { ssh: { host: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}` } },
  }));
}

function plan(targets: Target[]): number {
  const start = performance.now();
  const planned = planUpgrade({
    upgrade: {
      kind: 'Upgrade',
      name: 'u',
      product: 'p',
      to: '2.0.0',
      procedure: 'work',
      stages: [
        { name: 'controllers', select: 'target.labels.role == "controller"', strategy: { parallel: '10%' }, budget: { failures: 3 } },
        { commit: 'controllers' },
        {
          name: 'engines',
          select: 'target.labels.role == "engine"',
          groupBy: 'target.labels.group',
          strategy: { groups: '10%', within: 1, order: ['target.labels.rank'], waves: [1, '10%', 'rest'] },
        },
      ],
    },
    targets,
    services: Array.from({ length: 1000 }, (_, index) => ({
      name: `s-${index}`,
      on: [`t-${index * 2 + 1}`, `t-${index * 2 + 3}`],
      needs: 1,
    })),
    releases: [
      { kind: 'Release', product: 'p', version: '1.0.0', scheme: 'semver' },
      { kind: 'Release', product: 'p', version: '2.0.0', scheme: 'semver', from: [{ versions: '1.0.0' }] },
    ],
    procedures: new Map([
      [
        'work',
        {
          kind: 'Procedure',
          name: 'work',
          start: 'a',
          states: {
            a: { action: 'sim.seen', on: { success: 'b', failure: 'c' } },
            b: { final: true },
            c: { final: true, result: 'failed' },
          },
        },
      ],
    ]),
    actions: SIMULATED_ACTIONS,
  });
  if (!planned.ok) throw new Error(JSON.stringify(planned.faults[0]));
  return performance.now() - start;
}

function bare(targets: Target[]): number {
  const start = performance.now();
  const engines = targets
    .filter((target) => target.labels?.['role'] === 'engine')
    .sort((a, b) => (a.labels?.['rank'] ?? '').localeCompare(b.labels?.['rank'] ?? ''));
  const groups = Map.groupBy(engines, (target) => target.labels?.['group']);
  if (groups.size === 0) throw new Error('no groups');
  JSON.stringify(targets);
  return performance.now() - start;
}

export async function run(report: (figure: Figure) => void): Promise<void> {
  plan(fleet(20_000));
  const perTarget: number[] = [];
  for (const count of [10_000, 100_000, 1_000_000]) {
    const targets = fleet(count);
    const own = plan(targets) / 1000;
    const rival = bare(targets) / 1000;
    perTarget.push((own * 1e6) / count);
    report({
      name: `plan ${count.toLocaleString('en')} targets`,
      value: own,
      unit: 's',
      rival: 'bare filter, sort, group and stringify',
      rivalValue: rival,
      ratio: own / rival,
      ...(count === 1_000_000 ? { goal: '< 10 s', met: own < 10 } : {}),
    });
  }
  report({ name: 'peak memory with 1,000,000 targets', value: peakMemory(), unit: 'MiB', goal: '< 2,048 MiB', met: peakMemory() < 2048 });
  const growth = (perTarget[2] as number) / (perTarget[1] as number);
  report({
    name: 'cost per target, 1,000,000 over 100,000',
    value: growth,
    unit: '×',
    goal: '< 2 (linear, but for sorting)',
    met: growth < 2,
  });
}
