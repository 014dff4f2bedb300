/**
 * Starting again after kill -9 with 100,000 targets in flight, to the first work begun: a new process opens the run as `upshift resume` does,
 * the digest of its plan checked. The rival is a process that only reads and parses the same rows.
 */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { newRun } from '../src/machines/run/state.ts';
import { SqliteStore } from '../src/runtime/embedded/sqlite-store.ts';
import { type Figure, median } from './figure.ts';
import { benchFolder, fleetPlan } from './fleet.ts';
import { complete, kill, launch, nodeWords, until } from './process.ts';

const TARGETS = 100_000;
const ROUNDS = 5;

type Times = { fromStartMs: number; fromOpenMs: number };

/** On a copy of what the kill left behind, log and all: a start changes it. */
async function timed(mode: 'return' | 'read', left: string): Promise<Times> {
  const folder = benchFolder();
  cpSync(left, folder.path, { recursive: true });
  const { out } = await complete(process.execPath, nodeWords('fleet-process.ts', mode, folder.path, String(Date.now())));
  folder.remove();
  return JSON.parse(out) as Times;
}

export async function run(report: (figure: Figure) => void): Promise<void> {
  const folder = benchFolder();
  const plan = fleetPlan(TARGETS, 8);
  const store = new SqliteStore(join(folder.path, 'db.sqlite'));
  store.createRun('fleet', plan, newRun('fleet', plan), Date.now());
  store.close();
  const flying = launch(process.execPath, nodeWords('fleet-process.ts', 'fly', folder.path));
  try {
    await until('everything is in flight', () => {
      if (flying.child.exitCode !== null) throw new Error('the run ended early');
      return flying.out().includes(`flying ${TARGETS}`);
    });
  } finally {
    await kill(flying);
  }
  const own: Times[] = [];
  const rival: Times[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    own.push(await timed('return', folder.path));
    rival.push(await timed('read', folder.path));
  }
  folder.remove();
  const figure = (name: string, of: (times: Times) => number, more: Partial<Figure> = {}) => {
    const value = median(own.map(of));
    const rivalValue = median(rival.map(of));
    report({
      name,
      value,
      unit: 'ms',
      rival: 'bare SQLite reading and parsing the same rows',
      rivalValue,
      ratio: value / rivalValue,
      ...more,
    });
    return value;
  };
  const value = median(own.map((times) => times.fromStartMs));
  figure(`first work after kill -9 with ${TARGETS.toLocaleString('en')} in flight, from process start`, (times) => times.fromStartMs, {
    goal: '< 1,000 ms',
    met: value < 1000,
  });
  figure('the same from opening the database', (times) => times.fromOpenMs);
}
