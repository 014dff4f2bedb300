/** Memory: of `upshift apply` while it waits for an approval, and of a run of 100,000 targets. Rivals: processes that hold only what must be held. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newRun } from '../src/machines/run/state.ts';
import { SqliteStore } from '../src/runtime/embedded/sqlite-store.ts';
import { writeDocuments } from './documents.ts';
import { type Figure, median } from './figure.ts';
import { benchFolder, fleetPlan } from './fleet.ts';
import { complete, kill, launch, nodeWords, ROOT, residentMemory, until } from './process.ts';

const TARGETS = 100_000;
const SETTLE_MS = 2_000;

async function idle(): Promise<{ own: number; rival: number }> {
  const folder = benchFolder();
  writeDocuments(folder.path, { approval: 'May it begin?' });
  writeFileSync(join(folder.path, 'wait.mjs'), 'setInterval(() => {}, 60_000); console.log("waiting");\n');
  const own = launch(join(ROOT, 'bin/upshift'), ['apply', '--yes', '--wait', folder.path, '--data', join(folder.path, 'data')]);
  const rival = launch(process.execPath, [join(folder.path, 'wait.mjs')]);
  try {
    await until('it waits for the approval', () => {
      if (own.child.exitCode !== null) throw new Error(own.out());
      return /May it begin/.test(own.out().split('\nRun ')[1] ?? '');
    });
    await new Promise((done) => setTimeout(done, SETTLE_MS));
    return { own: residentMemory(own.child.pid as number), rival: residentMemory(rival.child.pid as number) };
  } finally {
    await kill(own);
    await kill(rival);
    folder.remove();
  }
}

async function fleet(mode: 'finish' | 'hold', file: string): Promise<number> {
  const { out } = await complete(process.execPath, nodeWords('fleet-process.ts', mode, file));
  return (JSON.parse(out) as { peak: number }).peak;
}

export async function run(report: (figure: Figure) => void): Promise<void> {
  const waiting: { own: number; rival: number }[] = [];
  for (let round = 0; round < 3; round++) waiting.push(await idle());
  const idleValue = median(waiting.map((one) => one.own));
  const idleRival = median(waiting.map((one) => one.rival));
  report({
    name: 'memory of `upshift apply` that waits for an approval',
    value: idleValue,
    unit: 'MiB',
    rival: 'Node.js that waits for nothing',
    rivalValue: idleRival,
    ratio: idleValue / idleRival,
    goal: '< 120 MiB',
    met: idleValue < 120,
  });
  const plan = fleetPlan(TARGETS, 8);
  const own: number[] = [];
  const rival: number[] = [];
  for (let round = 0; round < 3; round++) {
    const folder = benchFolder();
    const store = new SqliteStore(join(folder.path, 'db.sqlite'));
    store.createRun('fleet', plan, newRun('fleet', plan), Date.now());
    store.close();
    rival.push(await fleet('hold', folder.path));
    own.push(await fleet('finish', folder.path));
    folder.remove();
  }
  const value = median(own);
  const rivalValue = median(rival);
  report({
    name: `peak memory of a run of ${TARGETS.toLocaleString('en')} targets`,
    value,
    unit: 'MiB',
    rival: 'Node.js holding the plan and an object a target',
    rivalValue,
    ratio: value / rivalValue,
    goal: '< 600 MiB',
    met: value < 600,
  });
}
