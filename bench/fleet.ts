/** Runs over a simulated fleet, for benchmarks: work that ends at once. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SIMULATED_ACTIONS } from '../src/checking/scenario.ts';
import type { Ending, Work } from '../src/machines/machine.ts';
import { newRun } from '../src/machines/run/state.ts';
import type { Procedure, Stage } from '../src/model/documents/index.ts';
import type { Plan } from '../src/planning/plan.ts';
import { planUpgrade } from '../src/planning/planner.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { SqliteStore } from '../src/runtime/embedded/sqlite-store.ts';
import { RunLoop } from '../src/runtime/loop.ts';
import type { Executor } from '../src/runtime/ports.ts';

/** A plan over `count` targets whose procedure has `states` states. Targets are labelled with groups of `groupSize`. */
export function fleetPlan(count: number, states: number, stage: Partial<Stage> = {}, groupSize = 10): Plan {
  const procedure: Procedure = {
    kind: 'Procedure',
    name: 'p',
    start: 's0',
    states: { end: { final: true }, bad: { final: true, result: 'failed' } },
  };
  for (let state = 0; state < states; state++)
    procedure.states[`s${state}`] = {
      action: 'sim.seen',
      timeout: '1h',
      on: { success: state === states - 1 ? 'end' : `s${state + 1}`, failure: 'bad' },
    };
  const planned = planUpgrade({
    upgrade: {
      kind: 'Upgrade',
      name: 'fleet',
      product: 'p',
      to: '2',
      procedure: 'p',
      stages: [{ name: 'all', strategy: { parallel: 'all' }, ...stage }],
    },
    targets: Array.from({ length: count }, (_, index) => ({
      id: `t-${index}`,
      product: 'p',
      version: '1',
      labels: { group: `g${Math.floor(index / groupSize)}` },
    })),
    services: [],
    releases: [
      { kind: 'Release', product: 'p', version: '1' },
      { kind: 'Release', product: 'p', version: '2', from: [{ versions: '1' }] },
    ],
    procedures: new Map([['p', procedure]]),
    actions: SIMULATED_ACTIONS,
  });
  if (!planned.ok) throw new Error(JSON.stringify(planned.faults));
  return planned.plan;
}

/** Every piece of work ends with success in the next turn of the event loop. */
export class InstantExecutor implements Executor {
  onStart: (work: Work) => void = () => {};
  #ready: ((ending: Ending) => void)[] = [];

  start(work: Work, end: (ending: Ending) => void): () => void {
    this.onStart(work);
    if (this.#ready.push(end) === 1)
      setImmediate(() => {
        const ready = this.#ready;
        this.#ready = [];
        for (const one of ready) one({ kind: 'ended', outcome: 'success' });
      });
    return () => {};
  }
}

export type Folder = { path: string; remove(): void };

export function benchFolder(): Folder {
  const path = mkdtempSync(join(tmpdir(), 'upshift-bench-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export function openFleet(folder: Folder, plan: Plan, executor: Executor, create = true): { store: SqliteStore; loop: RunLoop } {
  const store = new SqliteStore(join(folder.path, 'db.sqlite'));
  if (create) store.createRun('fleet', plan, newRun('fleet', plan), Date.now());
  const loop = new RunLoop({ run: 'fleet', plan, actions: SIMULATED_ACTIONS, store, clock: systemClock, executor });
  if (create) loop.start();
  return { store, loop };
}

/** Runs a fleet to its end; returns how long it took, in ms. */
export function runFleet(plan: Plan, folder: Folder, executor: Executor = new InstantExecutor()): Promise<number> {
  const { store, loop } = openFleet(folder, plan, executor);
  const begun = performance.now();
  return new Promise((done) => {
    loop.onChange = () => {
      if (!loop.finished) return;
      const took = performance.now() - begun;
      loop.stop();
      store.close();
      done(took);
    };
  });
}
