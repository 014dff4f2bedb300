/**
 * Keeps states and history in SQLite: WAL, synchronous=FULL, one transaction a commit.
 *
 * Invariants
 * - S1 A commit is durable when `commit` returns, even if the power fails: the log is synced before.
 * - S2 A commit that throws has changed nothing.
 * - S3 A run's vectors are written by the chunk, and only chunks that are not the ones written last.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { MachineId } from '../../machines/machine.ts';
import type { RunState } from '../../machines/run/state.ts';
import { newTarget, type TargetState } from '../../machines/target-state.ts';
import { FaultError, fault } from '../../model/fault.ts';
import type { Vector } from '../../model/vector.ts';
import type { Plan } from '../../planning/plan.ts';
import type {
  Commit,
  HandledMessage,
  HistoryRecord,
  KnownVersion,
  OutputRecord,
  RunSummary,
  Store,
  StoredRun,
  WorkMark,
} from '../ports.ts';
import { MIGRATIONS } from './schema.ts';

/** Marks the file as ours: "Upsh". */
const APPLICATION_ID = 0x55707368;
/** What the store knows of a run: its number, the chunks that are in the database, and the number of the next line of history. */
type Known = { number: number; written: Record<VectorField, readonly (readonly unknown[])[]>; nextSeq: number };
/** at, machine, type, message, change, refused */
type Page = [number, number, string, unknown, string, number][];

const VECTORS = ['members', 'starts', 'groups'] as const satisfies readonly (keyof RunState)[];
type VectorField = (typeof VECTORS)[number];

/** More members than a run can have: the key of a member is its run's number times this, plus its own. */
const MEMBERS = 2 ** 32;

/** How many members one statement writes: with one each, calling SQLite costs more than its work. */
const ROWS = 32;
const putMembers = (rows: number) =>
  `INSERT INTO member (key, state) VALUES ${Array(rows).fill('(?, ?)').join(', ')} ON CONFLICT DO UPDATE SET state = excluded.state`;
const PUT_MEMBER = putMembers(1);
const PUT_MEMBERS = putMembers(ROWS);

/** SQLite's primary result codes that are operating errors, with what a person can do. */
const TROUBLES: Record<number, { kind: string; message: string; remedy: string }> = {
  5: {
    kind: 'database-busy',
    message: 'the database is locked by another process',
    remedy: 'Wait for it, or end the process that holds it.',
  },
  6: { kind: 'database-busy', message: 'the database is locked', remedy: 'Wait for it, or end the process that holds it.' },
  8: {
    kind: 'database-read-only',
    message: 'the database cannot be written',
    remedy: 'Give this user write permission for the file and its folder.',
  },
  10: { kind: 'database-io', message: 'the disk does not do what it is asked', remedy: 'Look at the disk and at the kernel log.' },
  11: { kind: 'database-damaged', message: 'the database is damaged', remedy: 'Restore it from a copy; keep the damaged file.' },
  13: { kind: 'disk-full', message: 'the disk is full', remedy: 'Free some space; the run goes on by itself.' },
  14: {
    kind: 'database-unopenable',
    message: 'the database cannot be opened',
    remedy: 'Check that the folder exists and that this user may write there.',
  },
  26: { kind: 'database-foreign', message: 'the file is no database', remedy: 'Name another folder with --data.' },
};

function machineNumber(machine: MachineId): number {
  return machine === 'run' ? -1 : machine;
}

function machineOf(number: number): MachineId {
  return number < 0 ? 'run' : number;
}

export class SqliteStore implements Store {
  readonly #file: string;
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #runs = new Map<string, Known>();

  /**
   * Opens a database, bringing its tables up to date.
   *
   * @throws FaultError `database-newer` where a newer Upshift has written it, and one of the operating errors above.
   */
  constructor(file: string, options: { readOnly?: boolean } = {}) {
    this.#file = file;
    this.#database = this.#guard(() => new DatabaseSync(file, { readOnly: options.readOnly ?? false, timeout: 2_000 }));
    try {
      this.#guard(() => this.#prepareFile(options.readOnly ?? false));
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  #prepareFile(readOnly: boolean): void {
    const number = (pragma: string) => Object.values(this.#database.prepare(`PRAGMA ${pragma}`).get() ?? {})[0] as number;
    const version = number('user_version');
    const application = number('application_id');
    if (version > 0 && application !== APPLICATION_ID)
      throw new FaultError(
        fault('database-foreign', this.#file, 'the file is a database of another program', { remedy: 'Name another folder with --data.' }),
      );
    if (version > MIGRATIONS.length)
      throw new FaultError(
        fault('database-newer', this.#file, 'a newer Upshift has written this database', {
          expected: `schema ${MIGRATIONS.length} or older`,
          found: `schema ${version}`,
          remedy: 'Use that newer Upshift, or another folder with --data.',
        }),
      );
    if (readOnly) return;
    // A checkpoint every 16 MB of log: the commit that makes it takes some 5 ms longer; at 64 MB it took 11.
    this.#database.exec(
      'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY;',
    );
    for (let next = version; next < MIGRATIONS.length; next++)
      this.#transaction(() =>
        this.#database.exec(`${MIGRATIONS[next]}; PRAGMA user_version = ${next + 1}; PRAGMA application_id = ${APPLICATION_ID};`),
      );
  }

  createRun(run: string, plan: Plan, state: RunState, at: number): void {
    this.#guard(() =>
      this.#transaction(() => {
        this.#run('INSERT INTO plan (digest, body) VALUES (?, ?) ON CONFLICT DO NOTHING', plan.digest, JSON.stringify(plan));
        const { lastInsertRowid } = this.#run(
          'INSERT INTO run (id, upgrade, product, wanted, digest, createdAt, phase, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
          run,
          plan.upgrade,
          plan.product,
          plan.to,
          plan.digest,
          at,
          state.phase.at,
          '',
        );
        this.#runs.set(run, { number: Number(lastInsertRowid), written: { members: [], starts: [], groups: [] }, nextSeq: 1 });
        this.#writeState(run, state);
      }),
    );
  }

  loadRun(run: string): StoredRun | undefined {
    return this.#guard(() => {
      const row = this.#statement('SELECT number, digest, createdAt, state FROM run WHERE id = ?').get(run) as
        | { number: number; digest: string; createdAt: number; state: string }
        | undefined;
      if (!row) return undefined;
      const plan = JSON.parse((this.#statement('SELECT body FROM plan WHERE digest = ?').get(row.digest) as { body: string }).body) as Plan;
      const head = JSON.parse(row.state) as RunState;
      const written = { members: [], starts: [], groups: [] } as Record<VectorField, readonly (readonly unknown[])[]>;
      for (const field of VECTORS) {
        const { length } = head[field];
        const chunks = (
          this.#statement('SELECT body FROM chunk WHERE run = ? AND field = ? ORDER BY place').all(row.number, field) as { body: string }[]
        ).map((chunk) => JSON.parse(chunk.body) as unknown[]);
        // A vector that was replaced by a shorter one leaves chunks behind that its length does not reach.
        const needed: unknown[][] = [];
        let count = 0;
        for (const chunk of chunks) {
          if (count >= length) break;
          needed.push(chunk.slice(0, length - count));
          count += chunk.length;
        }
        written[field] = needed;
        (head as Record<VectorField, unknown>)[field] = { length, chunks: needed };
      }
      this.#runs.set(run, { number: row.number, written, nextSeq: this.#nextSeq(row.number) });
      const first = row.number * MEMBERS;
      const members: TargetState[] = [];
      for (const one of this.#statement('SELECT key, state FROM member WHERE key >= ? AND key < ? ORDER BY key').iterate(
        first,
        first + MEMBERS,
      )) {
        const { key, state } = one as { key: number; state: string };
        members.push(decodeMember(run, key - first, state));
      }
      return { plan, state: head, members, createdAt: row.createdAt };
    });
  }

  commit(commit: Commit): void {
    const known = this.#known(commit.run);
    const { number } = known;
    const before = { ...known };
    try {
      this.#guard(() =>
        this.#transaction(() => {
          if (commit.state) this.#writeState(commit.run, commit.state);
          this.#writeMembers(number, commit.members);
          this.#writeHistory(known, commit.history);
          for (const one of commit.outputs)
            this.#run(
              'INSERT INTO output (run, machine, visit, attempt, at, text) VALUES (?, ?, ?, ?, ?, ?)',
              number,
              machineNumber(one.machine),
              one.visit,
              one.attempt,
              one.at,
              one.text,
            );
          for (const one of commit.versions)
            this.#run(
              'INSERT INTO version (target, product, version, at) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET product = excluded.product, version = excluded.version, at = excluded.at',
              one.target,
              one.product,
              one.version,
              one.at,
            );
        }),
      );
    } catch (error) {
      known.written = before.written;
      known.nextSeq = before.nextSeq;
      throw error;
    }
  }

  #writeMembers(number: number, members: readonly TargetState[]): void {
    for (let at = 0; at < members.length; ) {
      const rows = members.length - at < ROWS ? 1 : ROWS;
      const values: (number | string)[] = [];
      for (const end = at + rows; at < end; at++) {
        const state = members[at] as TargetState;
        values.push(number * MEMBERS + state.member, encodeMember(state));
      }
      this.#run(rows === 1 ? PUT_MEMBER : PUT_MEMBERS, ...values);
    }
  }

  #writeHistory(known: Known, records: readonly HandledMessage[]): void {
    if (records.length === 0) return;
    const page: Page = records.map((one) => [one.at, machineNumber(one.machine), one.type, one.message, one.change, one.refused ? 1 : 0]);
    this.#run('INSERT INTO history (run, seq, page) VALUES (?, ?, ?)', known.number, known.nextSeq, JSON.stringify(page));
    known.nextSeq += records.length;
  }

  #writeState(run: string, state: RunState): void {
    const known = this.#known(run);
    const head: Record<string, unknown> = { ...state };
    for (const field of VECTORS) {
      const vector = state[field] as Vector<unknown>;
      head[field] = { length: vector.length };
      const last = known.written[field];
      if (last === vector.chunks) continue;
      for (let place = 0; place < vector.chunks.length; place++) {
        if (vector.chunks[place] === last[place]) continue;
        this.#run(
          'INSERT INTO chunk (run, field, place, body) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body',
          known.number,
          field,
          place,
          JSON.stringify(vector.chunks[place]),
        );
      }
      known.written = { ...known.written, [field]: vector.chunks };
    }
    const { phase } = state;
    this.#run(
      'UPDATE run SET state = ?, phase = ?, result = ?, endedAt = ? WHERE number = ?',
      JSON.stringify(head),
      phase.at,
      phase.at === 'finished' ? phase.result : null,
      phase.at === 'finished' ? phase.endedAt : null,
      known.number,
    );
  }

  markUnstarted(run: string, marks: readonly WorkMark[]): void {
    const { number } = this.#known(run);
    this.#guard(() =>
      this.#transaction(() => {
        this.#run('DELETE FROM unstarted WHERE run = ?', number);
        for (const mark of marks)
          this.#run(
            'INSERT INTO unstarted (run, machine, work) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
            number,
            machineNumber(mark.machine),
            mark.key,
          );
      }),
    );
  }

  takeUnstarted(run: string): WorkMark[] {
    const { number } = this.#known(run);
    return this.#guard(() => {
      const rows = this.#statement('SELECT machine, work FROM unstarted WHERE run = ?').all(number) as { machine: number; work: string }[];
      if (rows.length > 0) this.#transaction(() => this.#run('DELETE FROM unstarted WHERE run = ?', number));
      return rows.map((row) => ({ machine: machineOf(row.machine), key: row.work }));
    });
  }

  runs(): RunSummary[] {
    return this.#guard(() =>
      this.#statement('SELECT id, upgrade, product, wanted, createdAt, endedAt, phase, result, digest FROM run ORDER BY number DESC')
        .all()
        .map((row) => {
          const { id, wanted, endedAt, result, ...rest } = row as Record<string, string | number | null>;
          return {
            run: id,
            to: wanted,
            ...rest,
            ...(endedAt === null ? {} : { endedAt }),
            ...(result === null ? {} : { result }),
          } as RunSummary;
        }),
    );
  }

  history(run: string, options: { after?: number; limit?: number; machine?: MachineId } = {}): (HistoryRecord & { seq: number })[] {
    const { number } = this.#known(run);
    const { after = 0, limit = Number.POSITIVE_INFINITY, machine } = options;
    const wanted = machine === undefined ? undefined : machineNumber(machine);
    return this.#guard(() => {
      const records: (HistoryRecord & { seq: number })[] = [];
      // The page that holds `after` may hold later ones too.
      const first = this.#statement('SELECT max(seq) AS seq FROM history WHERE run = ? AND seq <= ?').get(number, after + 1) as {
        seq: number | null;
      };
      for (const row of this.#statement('SELECT seq, page FROM history WHERE run = ? AND seq >= ? ORDER BY seq').iterate(
        number,
        first.seq ?? 0,
      )) {
        const { seq, page } = row as { seq: number; page: string };
        for (const [index, [at, of, type, message, change, refused]] of (JSON.parse(page) as Page).entries()) {
          if (seq + index <= after || (wanted !== undefined && of !== wanted)) continue;
          records.push({
            seq: seq + index,
            at,
            machine: machineOf(of),
            type,
            body: JSON.stringify(message),
            change,
            refused: refused !== 0,
          });
          if (records.length >= limit) return records;
        }
      }
      return records;
    });
  }

  outputs(run: string, machine: MachineId): OutputRecord[] {
    const { number } = this.#known(run);
    return this.#guard(() =>
      this.#statement('SELECT machine, visit, attempt, at, text FROM output WHERE run = ? AND machine = ? ORDER BY seq')
        .all(number, machineNumber(machine))
        .map((row) => ({ ...(row as Omit<OutputRecord, 'machine'>), machine })),
    );
  }

  versions(): KnownVersion[] {
    return this.#guard(() =>
      this.#statement('SELECT target, product, version, at FROM version ORDER BY target')
        .all()
        .map((row) => ({ ...row }) as KnownVersion),
    );
  }

  /** Caps the file at a number of pages: a disk that is full, for tests. The cap belongs to this connection. */
  limitPages(pages: number): void {
    this.#database.exec(`PRAGMA max_page_count = ${Math.trunc(pages)}`);
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #known(run: string): Known {
    const known = this.#runs.get(run);
    if (known) return known;
    const row = this.#guard(() => this.#statement('SELECT number FROM run WHERE id = ?').get(run)) as { number: number } | undefined;
    if (!row) throw new FaultError(fault('run-unknown', run, `there is no run ${run}`));
    const fresh = {
      number: row.number,
      written: { members: [], starts: [], groups: [] },
      nextSeq: this.#guard(() => this.#nextSeq(row.number)),
    };
    this.#runs.set(run, fresh);
    return fresh;
  }

  #nextSeq(number: number): number {
    const last = this.#statement('SELECT seq, page FROM history WHERE run = ? ORDER BY seq DESC LIMIT 1').get(number) as
      | { seq: number; page: string }
      | undefined;
    return last === undefined ? 1 : last.seq + (JSON.parse(last.page) as Page).length;
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #run(sql: string, ...values: (string | number | null)[]) {
    return this.#statement(sql).run(...values);
  }

  #transaction(work: () => void): void {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      work();
      this.#database.exec('COMMIT');
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw error;
    }
  }

  /** Operating errors become faults; anything else is a programmer's error and stays one. */
  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const code = (error as { errcode?: number }).errcode;
      const trouble = code === undefined ? undefined : TROUBLES[code & 0xff];
      if (!trouble) throw error;
      const { kind, message, remedy } = trouble;
      throw new FaultError(fault(kind, this.#file, `${this.#file}: ${message}`, { effect: 'wait', remedy }));
    }
  }
}

/** A member's state as JSON, without what it has in common with one that has not begun: a third of the bytes. */
function encodeMember(state: TargetState): string {
  const { direction, case: way, values, retry, hold } = state;
  let saved: TargetState['values'] | undefined;
  for (const _ in values) {
    saved = values;
    break;
  }
  // JSON leaves out what is undefined.
  return JSON.stringify({
    direction: direction === 'forward' ? undefined : direction,
    case: way === null ? undefined : way,
    values: saved,
    visit: state.visit,
    retry: retry === 0 ? undefined : retry,
    hold: hold === 'none' ? undefined : hold,
    touched: state.touched,
    since: state.since,
    message: state.message,
    remedy: state.remedy,
    phase: state.phase,
  } satisfies Record<Exclude<keyof TargetState, 'run' | 'member'>, unknown>);
}

function decodeMember(run: string, member: number, text: string): TargetState {
  return Object.assign(newTarget(run, member), JSON.parse(text) as Partial<TargetState>);
}
