/** The tables of the embedded store, as numbered migrations: each runs once, in order, in one transaction. */

export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE plan (digest TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID, STRICT;
  CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    upgrade TEXT NOT NULL,
    product TEXT NOT NULL,
    wanted TEXT NOT NULL,
    digest TEXT NOT NULL,
    createdAt INTEGER NOT NULL,
    endedAt INTEGER,
    phase TEXT NOT NULL,
    result TEXT,
    state TEXT NOT NULL
  ) STRICT;
  -- The vectors of a run's state, chunk by chunk, so that a change writes only the chunks it touched.
  CREATE TABLE chunk (run INTEGER NOT NULL, field TEXT NOT NULL, place INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, field, place)) WITHOUT ROWID, STRICT;
  -- key: the run's number times 2^32, plus the member's.
  CREATE TABLE member (key INTEGER PRIMARY KEY, state TEXT NOT NULL) STRICT;
  -- One page a commit: JSON of [at, machine, type, message, change, refused] for each message, numbered from seq. machine: -1 is the run itself.
  CREATE TABLE history (run INTEGER NOT NULL, seq INTEGER NOT NULL, page TEXT NOT NULL, PRIMARY KEY (run, seq)) WITHOUT ROWID, STRICT;
  CREATE TABLE output (seq INTEGER PRIMARY KEY, run INTEGER NOT NULL, machine INTEGER NOT NULL, visit INTEGER NOT NULL, attempt INTEGER NOT NULL, at INTEGER NOT NULL, text TEXT NOT NULL) STRICT;
  CREATE TABLE unstarted (run INTEGER NOT NULL, machine INTEGER NOT NULL, work TEXT NOT NULL, PRIMARY KEY (run, machine, work)) WITHOUT ROWID, STRICT;
  CREATE TABLE version (target TEXT PRIMARY KEY, product TEXT NOT NULL, version TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID, STRICT;
  `,
];
