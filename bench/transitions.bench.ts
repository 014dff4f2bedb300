/**
 * Durable transitions a second on the embedded runtime: targets of 8 states, whose work ends at once. A transition is one message handled and
 * on disk. The rival is bare SQLite doing what a transition must at least do (one state, one line of history) in batches of the same size.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { type Figure, median } from './figure.ts';
import { benchFolder, fleetPlan, runFleet } from './fleet.ts';

const STATES = 8;
const BATCH = 2_000;

function bareInserts(count: number): number {
  const folder = benchFolder();
  const database = new DatabaseSync(join(folder.path, 'bare.sqlite'));
  database.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE member (id INTEGER PRIMARY KEY, state TEXT); CREATE TABLE history (seq INTEGER PRIMARY KEY, body TEXT)',
  );
  const member = database.prepare('INSERT INTO member (id, state) VALUES (?, ?) ON CONFLICT DO UPDATE SET state = excluded.state');
  const history = database.prepare('INSERT INTO history (body) VALUES (?)');
  const state = 'x'.repeat(250);
  const body = 'y'.repeat(150);
  const begun = performance.now();
  for (let at = 0; at < count; at += BATCH) {
    database.exec('BEGIN IMMEDIATE');
    for (let one = at; one < Math.min(count, at + BATCH); one++) {
      member.run(one % (count / STATES), state);
      history.run(body);
    }
    database.exec('COMMIT');
  }
  const took = performance.now() - begun;
  database.close();
  folder.remove();
  return (count / took) * 1000;
}

export async function run(report: (figure: Figure) => void): Promise<void> {
  for (const count of [10_000, 100_000]) {
    const plan = fleetPlan(count, STATES);
    // Each target: its begin, one result a state, and its report to the run.
    const messages = count * (STATES + 2);
    const own: number[] = [];
    const rival: number[] = [];
    for (let round = 0; round < 3; round++) {
      const folder = benchFolder();
      own.push((messages / (await runFleet(plan, folder))) * 1000);
      folder.remove();
      rival.push(bareInserts(messages));
    }
    const value = median(own);
    const rivalValue = median(rival);
    report({
      name: `durable transitions, ${count.toLocaleString('en')} targets`,
      value,
      unit: '/s',
      rival: 'bare SQLite, same batches',
      rivalValue,
      ratio: value / rivalValue,
      goal: '>= 80,000/s and >= a third of bare SQLite',
      met: value >= 80_000 && value / rivalValue >= 1 / 3,
    });
  }
}
