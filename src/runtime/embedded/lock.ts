/**
 * One writer at a time: a lock the kernel takes back when its process dies, however it dies.
 *
 * It is an exclusive transaction on a file of its own, so that readers of the database are never in its way.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { FaultError, fault } from '../../model/fault.ts';

const BUSY = 5;

export type Lock = { release(): void };

/** Takes the lock of a data folder, or returns undefined where another process has it. */
export function tryLock(folder: string): Lock | undefined {
  let database: DatabaseSync;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    database = new DatabaseSync(join(folder, 'lock.sqlite'), { timeout: 0 });
  } catch (error) {
    throw new FaultError(
      fault('data-folder', folder, `the data folder ${folder} cannot be used: ${(error as Error).message}`, {
        remedy: 'Name another with --data, or give this user permission.',
      }),
    );
  }
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (((error as { errcode?: number }).errcode ?? 0) % 256 === BUSY) return undefined;
    throw new FaultError(
      fault('data-folder', folder, `the data folder ${folder} cannot be locked: ${(error as Error).message}`, {
        remedy: 'Check permissions and space, or name another folder with --data.',
      }),
    );
  }
  writeFileSync(join(folder, 'owner.json'), JSON.stringify({ pid: process.pid, since: new Date().toISOString() }));
  return { release: () => database.close() };
}

/** Takes the lock, or says who has it. */
export function lock(folder: string): Lock {
  const taken = tryLock(folder);
  if (taken) return taken;
  let owner = 'another process';
  try {
    const { pid, since } = JSON.parse(readFileSync(join(folder, 'owner.json'), 'utf8')) as { pid: number; since: string };
    owner = `process ${pid}, since ${since}`;
  } catch {
    // Who it is only makes the message better.
  }
  throw new FaultError(
    fault('data-in-use', folder, `another Upshift is working in ${folder} (${owner})`, {
      effect: 'wait',
      remedy: 'Watch it with `upshift watch`, or use another folder with --data.',
    }),
  );
}
