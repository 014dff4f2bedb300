/** The data folder a command works with: its database, its lock, and the process that may already have it. */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import type { Action } from '../drivers/contract.ts';
import type { Control, ControlBody } from '../machines/messages.ts';
import { type Fault, FaultError, fault } from '../model/fault.ts';
import { nearest } from '../model/suggestion.ts';
import type { Plan } from '../planning/plan.ts';
import { lock, tryLock } from '../runtime/embedded/lock.ts';
import { SqliteStore } from '../runtime/embedded/sqlite-store.ts';
import type { RunSummary } from '../runtime/ports.ts';
import { openRun } from '../runtime/start-run.ts';
import { sendControl } from './control-socket.ts';

export const DATABASE = 'upshift.sqlite';

/** The folder the option names, else UPSHIFT_DATA, else `.upshift` here. */
export function dataFolder(option: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  return resolve(option ?? env['UPSHIFT_DATA'] ?? '.upshift');
}

/** Opens the database for reading; undefined where there is none yet. */
export function openForReading(folder: string): SqliteStore | undefined {
  const file = join(folder, DATABASE);
  return existsSync(file) ? new SqliteStore(file, { readOnly: true }) : undefined;
}

/** Opens the database for this process alone. */
export function openForWriting(folder: string): { store: SqliteStore; release(): void } {
  const held = lock(folder);
  try {
    const store = new SqliteStore(join(folder, DATABASE));
    return {
      store,
      release: () => {
        store.close();
        held.release();
      },
    };
  } catch (error) {
    held.release();
    throw error;
  }
}

/** The run that is meant: by its name, by the start of its name, or `last`, the newest. */
export function findRun(runs: readonly RunSummary[], name: string | undefined): RunSummary {
  const open = runs.filter((run) => run.phase !== 'finished');
  if (name === undefined || name === 'last') {
    const newest = open[0] ?? runs[0];
    if (newest) return newest;
    throw new FaultError(
      fault('no-run', 'runs', 'there is no run yet', { remedy: 'Start one with `upshift apply`, or name the data folder with --data.' }),
    );
  }
  const exact = runs.find((run) => run.run === name);
  if (exact) return exact;
  const matching = runs.filter((run) => run.run.startsWith(name));
  if (matching.length === 1) return matching[0] as RunSummary;
  const names = runs.map((run) => run.run);
  const meant = nearest(name, names);
  throw new FaultError(
    fault('run-unknown', name, matching.length > 1 ? `several runs begin with ${name}` : `there is no run ${name}`, {
      expected: (matching.length > 1 ? matching.map((run) => run.run) : names).slice(0, 5).join(', ') || 'a run (there is none yet)',
      ...(meant === undefined ? {} : { remedy: `Did you mean ${meant}?` }),
    }),
  );
}

/** The members of a target, one for each stage it is in, in order. */
export function membersOf(plan: Plan, id: string): number[] {
  const found: number[] = [];
  for (const step of plan.steps) {
    if (step.kind !== 'stage') continue;
    step.order.forEach((index, position) => {
      if (plan.targets[index]?.id === id) found.push(step.base + position);
    });
  }
  if (found.length > 0) return found;
  const meant = nearest(
    id,
    plan.targets.map((target) => target.id),
  );
  throw new FaultError(
    fault('target-unknown', id, `the run has no target ${id}`, meant === undefined ? {} : { remedy: `Did you mean ${meant}?` }),
  );
}

/** The member a person means by a target's id: the one that is going on or has failed, in the latest stage that has it. */
export function memberOf(plan: Plan, codes: (member: number) => string, id: string): number {
  const found = membersOf(plan, id);
  return found.findLast((member) => 'dxuyvfb'.includes(codes(member))) ?? (found.at(-1) as number);
}

/** Whether a process works in the data folder just now. */
export function isDriven(folder: string): boolean {
  const held = tryLock(folder);
  held?.release();
  return held === undefined;
}

/** An order as it is sent: with who, and with a key that makes sending it twice safe. */
export function controlOf(body: ControlBody, key: string | undefined): Control {
  let by = 'somebody';
  try {
    by = userInfo().username;
  } catch {
    // A user without a name is still a person.
  }
  return { ...body, key: key ?? randomUUID(), by };
}

/** Brings an order to its run: through the process that drives it, or, where none does, straight into the database. */
export async function deliver(
  folder: string,
  run: string,
  control: Control,
  actions: ReadonlyMap<string, Action>,
): Promise<{ refused?: Fault; driven: boolean }> {
  const held = tryLock(folder);
  if (!held) {
    const answer = await sendControl(folder, { run, control });
    if (answer === 'unreachable')
      throw new FaultError(
        fault('owner-silent', folder, 'the process that drives runs here does not answer', {
          effect: 'wait',
          remedy: 'Try again; if it hangs, end it and use `upshift resume`.',
        }),
      );
    return answer.ok ? { driven: true } : { refused: answer.fault, driven: true };
  }
  const store = new SqliteStore(join(folder, DATABASE));
  try {
    const loop = openRun(store, run, actions, { passive: true });
    // A run waits until it can write again; a person who gives an order is told.
    const troubled = new Promise<never>((_, fail) => {
      loop.onChange = () => {
        if (!loop.trouble) return;
        loop.stop();
        fail(new FaultError(loop.trouble));
      };
    });
    const refused = await Promise.race([loop.control(control), troubled]);
    await loop.drain();
    return refused ? { refused, driven: false } : { driven: false };
  } finally {
    store.close();
    held.release();
  }
}
