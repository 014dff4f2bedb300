/**
 * A process of a benchmark over a fleet that its parent has put into a database:
 *
 *     fly FOLDER        drives it with work that never ends; prints `flying N` when nothing more begins
 *     return FOLDER T   opens it after a crash; prints when its first work began: ms since T (ms since the epoch), and since it was opened
 *     read FOLDER T     the rival of that: reads and parses the same rows with bare SQLite
 *     finish FOLDER     drives it to its end with work that ends at once; prints its peak of memory
 *     hold FOLDER       the rival of that: keeps the plan and a plain object a target in memory
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SIMULATED_ACTIONS } from '../src/checking/scenario.ts';
import type { Action } from '../src/drivers/contract.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { SqliteStore } from '../src/runtime/embedded/sqlite-store.ts';
import { RunLoop } from '../src/runtime/loop.ts';
import { openRun } from '../src/runtime/start-run.ts';
import { peakMemory } from './figure.ts';
import { InstantExecutor } from './fleet.ts';

const [mode, folder = '', since = '0'] = process.argv.slice(2);
const file = join(folder, 'db.sqlite');

/** Work that never ends, and tells when it is begun. */
function endless(onBegin: () => void): ReadonlyMap<string, Action> {
  const forever = () => {
    onBegin();
    return new Promise<never>(() => {});
  };
  return new Map([...SIMULATED_ACTIONS].map(([name, declaration]) => [name, { declaration, run: forever, observe: forever }]));
}

function sinceParent(): number {
  return performance.timeOrigin + performance.now() - Number(since);
}

switch (mode) {
  case 'fly': {
    const loop = openRun(
      new SqliteStore(file),
      'fleet',
      endless(() => {}),
    );
    loop.onChange = () => {
      if (loop.state.counts.inFlight === loop.plan.targets.length && loop.inFlight() === loop.plan.targets.length)
        console.log(`flying ${loop.inFlight()}`);
    };
    setInterval(() => {}, 60_000);
    break;
  }
  case 'return': {
    const opened = performance.now();
    openRun(
      new SqliteStore(file),
      'fleet',
      endless(() => {
        console.log(JSON.stringify({ fromStartMs: sinceParent(), fromOpenMs: performance.now() - opened, peak: peakMemory() }));
        process.exit(0);
      }),
    );
    break;
  }
  case 'read': {
    const opened = performance.now();
    const database = new DatabaseSync(file);
    let rows = 0;
    for (const [table, column] of [
      ['plan', 'body'],
      ['run', 'state'],
      ['chunk', 'body'],
      ['member', 'state'],
    ] as const)
      for (const row of database.prepare(`SELECT ${column} AS text FROM ${table}`).all()) {
        JSON.parse(row['text'] as string);
        rows++;
      }
    console.log(JSON.stringify({ fromStartMs: sinceParent(), fromOpenMs: performance.now() - opened, rows }));
    break;
  }
  case 'finish': {
    const store = new SqliteStore(file);
    const stored = store.loadRun('fleet');
    if (!stored) throw new Error('no run');
    const loop = new RunLoop({
      run: 'fleet',
      plan: stored.plan,
      actions: SIMULATED_ACTIONS,
      store,
      clock: systemClock,
      executor: new InstantExecutor(),
    });
    loop.onChange = () => {
      if (!loop.finished) return;
      loop.stop();
      store.close();
      console.log(JSON.stringify({ peak: peakMemory(), succeeded: loop.state.counts.succeeded }));
    };
    loop.start();
    break;
  }
  case 'hold': {
    const database = new DatabaseSync(file);
    const plan = JSON.parse(database.prepare('SELECT body FROM plan').get()?.['body'] as string) as { targets: { id: string }[] };
    const states = plan.targets.map((target, member) => ({ ...target, member, phase: { at: 'acting', state: 's0', since: Date.now() } }));
    console.log(JSON.stringify({ peak: peakMemory(), targets: states.length }));
    break;
  }
  default:
    throw new Error(`no such mode: ${mode}`);
}
