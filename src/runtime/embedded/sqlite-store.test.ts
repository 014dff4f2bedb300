import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, test } from 'node:test';
import { newRun } from '../../machines/run/state.ts';
import { FaultError } from '../../model/fault.ts';
import * as vector from '../../model/vector.ts';
import { simplePlan, storeConformance } from '../conformance.fixture.ts';
import { lock, tryLock } from './lock.ts';
import { MIGRATIONS } from './schema.ts';
import { SqliteStore } from './sqlite-store.ts';

function folder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'upshift-store-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

storeConformance('embedded', () => {
  const { path, remove } = folder();
  return { open: () => new SqliteStore(join(path, 'db.sqlite')), remove };
});

function faultOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof FaultError) return error.fault.kind;
    throw error;
  }
  return 'none';
}

describe('embedded store, in trouble', () => {
  test('a database that a newer Upshift has written is refused and left as it is', () => {
    const { path, remove } = folder();
    const file = join(path, 'db.sqlite');
    new SqliteStore(file).close();
    const database = new DatabaseSync(file);
    database.exec(`PRAGMA user_version = ${MIGRATIONS.length + 1}`);
    database.close();
    assert.equal(
      faultOf(() => new SqliteStore(file)),
      'database-newer',
    );
    const after = new DatabaseSync(file);
    assert.deepEqual({ ...after.prepare('PRAGMA user_version').get() }, { user_version: MIGRATIONS.length + 1 });
    after.close();
    remove();
  });

  test('a database of another program, and a file that is none, are refused', () => {
    const { path, remove } = folder();
    const other = new DatabaseSync(join(path, 'other.sqlite'));
    other.exec('CREATE TABLE t (x); PRAGMA user_version = 1');
    other.close();
    assert.equal(
      faultOf(() => new SqliteStore(join(path, 'other.sqlite'))),
      'database-foreign',
    );
    writeFileSync(join(path, 'text.sqlite'), 'this is no database, and it is long enough to be looked at. '.repeat(40));
    assert.equal(
      faultOf(() => new SqliteStore(join(path, 'text.sqlite'))),
      'database-foreign',
    );
    assert.equal(
      faultOf(() => new SqliteStore(join(path, 'no', 'such', 'folder.sqlite'))),
      'database-unopenable',
    );
    remove();
  });

  test('a full disk fails the commit whole, and the same commit succeeds once there is room', () => {
    const { path, remove } = folder();
    const file = join(path, 'db.sqlite');
    const plan = simplePlan(2000);
    const store = new SqliteStore(file);
    const state = newRun('r', plan);
    store.createRun('r', plan, state, 1);
    const limit = new DatabaseSync(file);
    const pages = Number(Object.values(limit.prepare('PRAGMA page_count').get() ?? {})[0]);
    limit.close();
    const commit = {
      run: 'r',
      state: { ...state, members: vector.set(state.members, 7, 'f' as const), visit: 5 },
      members: [],
      history: Array.from({ length: 3000 }, (_, at) => ({
        at,
        machine: 1,
        type: 'begin',
        message: 'x'.repeat(300),
        change: 'y',
        refused: false,
      })),
      outputs: [],
      versions: [],
    };
    store.limitPages(pages + 2);
    assert.equal(
      faultOf(() => store.commit(commit)),
      'disk-full',
    );
    assert.equal(store.history('r').length, 0);
    store.limitPages(1_000_000);
    store.commit(commit);
    assert.equal(store.history('r').length, 3000);
    store.close();
    const again = new SqliteStore(file);
    const loaded = again.loadRun('r');
    assert.equal(loaded?.state.visit, 5);
    assert.equal(vector.get(loaded?.state.members as vector.Vector<string>, 7), 'f');
    again.close();
    remove();
  });

  test('a database that another process has locked is said to be, and is usable afterwards', () => {
    const { path, remove } = folder();
    const file = join(path, 'db.sqlite');
    const plan = simplePlan(1);
    const store = new SqliteStore(file);
    store.createRun('r', plan, newRun('r', plan), 1);
    const other = new DatabaseSync(file);
    other.exec('BEGIN IMMEDIATE');
    const commit = { run: 'r', state: { ...newRun('r', plan), visit: 1 }, members: [], history: [], outputs: [], versions: [] };
    assert.equal(
      faultOf(() => store.commit(commit)),
      'database-busy',
    );
    other.exec('ROLLBACK');
    other.close();
    store.commit(commit);
    assert.equal(store.loadRun('r')?.state.visit, 1);
    store.close();
    remove();
  });

  test('a database that cannot be written is readable, and a write says why it fails', {
    skip: process.getuid?.() === 0 ? 'root may write anything; the read-only open below covers the message' : false,
  }, () => {
    const { path, remove } = folder();
    const file = join(path, 'db.sqlite');
    new SqliteStore(file).close();
    chmodSync(file, 0o400);
    assert.equal(
      faultOf(() => new SqliteStore(file).createRun('r', simplePlan(1), newRun('r', simplePlan(1)), 1)),
      'database-read-only',
    );
    remove();
  });

  test('a store opened for reading refuses to write, and says so', () => {
    const { path, remove } = folder();
    const file = join(path, 'db.sqlite');
    const plan = simplePlan(1);
    new SqliteStore(file).close();
    const store = new SqliteStore(file, { readOnly: true });
    assert.deepEqual(store.runs(), []);
    assert.equal(
      faultOf(() => store.createRun('r', plan, newRun('r', plan), 1)),
      'database-read-only',
    );
    store.close();
    remove();
  });
});

describe('the lock of a data folder', () => {
  test('one holder at a time; the second is told who has it', () => {
    const { path, remove } = folder();
    const held = lock(path);
    assert.equal(tryLock(path), undefined);
    try {
      lock(path);
      assert.fail('the second holder got it');
    } catch (error) {
      assert.ok(error instanceof FaultError);
      assert.equal(error.fault.kind, 'data-in-use');
      assert.match(error.fault.message, new RegExp(`process ${process.pid}`));
    }
    held.release();
    tryLock(path)?.release();
    remove();
  });

  test('a folder that cannot be made is a clear fault', () => {
    const { path, remove } = folder();
    writeFileSync(join(path, 'file'), '');
    assert.equal(
      faultOf(() => lock(join(path, 'file'))),
      'data-folder',
    );
    remove();
  });
});
