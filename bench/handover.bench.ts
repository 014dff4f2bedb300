/**
 * The hand-over in a serial roll: from the end of one target's last work to the start of the next one's first, durable. The rival is a bare
 * SQLite commit of what a hand-over must at least write. And what a transition costs in fleets of 100 to 100,000, at the same concurrency.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Ending, Work } from '../src/machines/machine.ts';
import type { Plan, PlanStage } from '../src/planning/plan.ts';
import { type Figure, median, percentile } from './figure.ts';
import { benchFolder, fleetPlan, InstantExecutor, runFleet } from './fleet.ts';
import { lineChart } from './line-chart.ts';
import { ROOT } from './process.ts';

const TARGETS = 10_000;
const STATES = 2;
const ROUNDS = 3;

const FLEETS = [100, 1_000, 10_000, 100_000];
const COST_STATES = 4;
/** In flight at once, in every fleet: so that each commit holds as many transitions. */
const AT_ONCE = 100;

/** Notes when the last work of a member ended, and how long its group then waited for the first of the next. */
class HandoverExecutor extends InstantExecutor {
  readonly waitsMs: number[] = [];
  readonly #groupSize: number;
  readonly #endedAt = new Map<number, number>();

  constructor(groupSize: number) {
    super();
    this.#groupSize = groupSize;
  }

  override start(work: Work, end: (ending: Ending) => void): () => void {
    if (work.kind !== 'action') return super.start(work, end);
    const group = Math.floor(work.member / this.#groupSize);
    if (work.state === 's0') {
      const ended = this.#endedAt.get(group);
      if (ended !== undefined) this.waitsMs.push(performance.now() - ended);
    }
    if (work.state !== `s${STATES - 1}`) return super.start(work, end);
    return super.start(work, (ending) => {
      this.#endedAt.set(group, performance.now());
      end(ending);
    });
  }
}

function serialPlan(groups: number): Plan {
  const stage =
    groups === 1 ? { strategy: { parallel: 1 } } : { groupBy: 'target.labels.group', strategy: { groups: 'all' as const, within: 1 } };
  const plan = fleetPlan(TARGETS, STATES, stage, TARGETS / groups);
  const { groups: planned } = plan.steps[0] as PlanStage;
  if (planned.length !== groups || planned.some((group) => group.count !== TARGETS / groups)) throw new Error('the plan has other groups');
  return plan;
}

/** Commits of `rows` hand-overs each: two states, a run's chunk and head, a page of history. */
function bareCommits(commits: number, rows: number): number[] {
  const folder = benchFolder();
  const database = new DatabaseSync(join(folder.path, 'bare.sqlite'));
  database.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE member (id INTEGER PRIMARY KEY, state TEXT); CREATE TABLE history (seq INTEGER PRIMARY KEY, body TEXT)',
  );
  const member = database.prepare('INSERT INTO member (id, state) VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state');
  const history = database.prepare('INSERT INTO history (body) VALUES (?)');
  const took: number[] = [];
  for (let commit = 0; commit < commits; commit++) {
    const begun = performance.now();
    database.exec('BEGIN IMMEDIATE');
    for (let row = 0; row < rows; row++) {
      member.run(2 * (commit * rows + row), `${commit}${'x'.repeat(120)}`);
      member.run(2 * (commit * rows + row) + 1, `${commit}${'x'.repeat(120)}`);
    }
    member.run(-1, `${commit}${'x'.repeat(1000)}`);
    history.run('y'.repeat(400 * rows));
    database.exec('COMMIT');
    took.push(performance.now() - begun);
  }
  database.close();
  folder.remove();
  return took;
}

async function handover(report: (figure: Figure) => void, groups: number): Promise<void> {
  const plan = serialPlan(groups);
  const own: { p50: number; p99: number }[] = [];
  const rival: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const folder = benchFolder();
    const executor = new HandoverExecutor(TARGETS / groups);
    await runFleet(plan, folder, executor);
    folder.remove();
    if (executor.waitsMs.length !== TARGETS - groups) throw new Error(`${executor.waitsMs.length} hand-overs`);
    own.push({ p50: percentile(executor.waitsMs, 0.5), p99: percentile(executor.waitsMs, 0.99) });
    rival.push(percentile(bareCommits(groups === 1 ? 2_000 : 200, groups), 0.99));
  }
  const where = `${TARGETS.toLocaleString('en')} targets in ${groups === 1 ? 'one group' : `${groups} groups`}, one at a time in each`;
  const value = median(own.map(({ p99 }) => p99));
  const rivalValue = median(rival);
  report({
    name: `hand-over p99, ${where}`,
    value,
    unit: 'ms',
    rival: 'p99 of a bare SQLite commit of the same',
    rivalValue,
    ratio: value / rivalValue,
    goal: '< 5 ms',
    met: value < 5,
  });
  report({ name: `hand-over p50, ${where}`, value: median(own.map(({ p50 }) => p50)), unit: 'ms' });
}

async function costs(report: (figure: Figure) => void): Promise<void> {
  const plans = FLEETS.map((count) => fleetPlan(count, COST_STATES, { strategy: { parallel: AT_ONCE } }));
  const own: number[][] = FLEETS.map(() => []);
  const rival: number[][] = FLEETS.map(() => []);
  for (let round = 0; round < ROUNDS; round++)
    for (const [index, plan] of plans.entries()) {
      const count = FLEETS[index] as number;
      // A small fleet is run several times, so that its figure is not one of a cold start.
      for (let again = 0; again < Math.max(1, 1_000 / count); again++) {
        const folder = benchFolder();
        const transitions = count * (COST_STATES + 2);
        own[index]?.push(((await runFleet(plan, folder)) * 1000) / transitions);
        folder.remove();
        const commits = Math.min(500, transitions / AT_ONCE);
        const took = bareCommits(commits, AT_ONCE / 2).reduce((sum, one) => sum + one, 0);
        rival[index]?.push((took * 1000) / (commits * AT_ONCE));
      }
    }
  const values = own.map(median);
  const rivals = rival.map(median);
  const small = values[1] as number;
  for (const [index, count] of FLEETS.entries()) {
    const value = values[index] as number;
    const rivalValue = rivals[index] as number;
    const last = index === FLEETS.length - 1;
    report({
      name: `cost per transition, ${count.toLocaleString('en')} targets`,
      value,
      unit: 'µs',
      rival: 'bare SQLite, same batches',
      rivalValue,
      ratio: value / rivalValue,
      ...(last ? { goal: 'flat: less than twice that of 1,000 targets', met: value < 2 * small } : {}),
    });
  }
  writeFileSync(
    join(ROOT, 'docs/performance-cost.svg'),
    lineChart({
      title: 'Cost of a durable transition, by the size of the fleet',
      x: 'targets in the run',
      y: 'µs per transition',
      at: FLEETS,
      lines: [
        { name: `Upshift, ${AT_ONCE} targets at once`, values },
        { name: 'bare SQLite, same batches', values: rivals },
      ],
    }),
  );
}

export async function run(report: (figure: Figure) => void): Promise<void> {
  await handover(report, 100);
  await handover(report, 1);
  await costs(report);
}
