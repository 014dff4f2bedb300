/** The world at its worst: disks, clocks, databases and targets that do what they should not. The run waits, says why, and goes on. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, describe, type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { loadDocuments } from '../src/catalog/document-set.ts';
import { Random } from '../src/checking/random.ts';
import { randomPlan, SIMULATED_ACTIONS } from '../src/checking/scenario.ts';
import { catalogOf } from '../src/drivers/contract.ts';
import { openDrivers } from '../src/drivers/registry.ts';
import { fenceText, type Work } from '../src/machines/machine.ts';
import { newRun } from '../src/machines/run/state.ts';
import { problemText } from '../src/model/problem.ts';
import * as vector from '../src/model/vector.ts';
import type { Plan } from '../src/planning/plan.ts';
import { planUpgrade } from '../src/planning/planner.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { ManualExecutor, simplePlan } from '../src/runtime/conformance.fixture.ts';
import { SqliteStore } from '../src/runtime/embedded/sqlite-store.ts';
import { DriverExecutor, type DriverExecutorOptions } from '../src/runtime/executor.ts';
import { RunLoop } from '../src/runtime/loop.ts';
import { MemoryStore } from '../src/runtime/memory/memory-store.ts';
import { VirtualClock } from '../src/runtime/memory/virtual-clock.ts';
import type { Executor, Store } from '../src/runtime/ports.ts';
import { waitingOn } from '../src/runtime/view.ts';
import { start, temporaryFolder, testLab, until, upshift } from './command-line.fixture.ts';

function temporary(t: TestContext): string {
  const { path, remove } = temporaryFolder();
  t.after(remove);
  return path;
}

/** Prints a page of output and succeeds, soon. */
class TalkativeExecutor implements Executor {
  readonly begun: Work[] = [];

  start(work: Work, end: Parameters<Executor['start']>[1], output: (text: string) => void): () => void {
    this.begun.push(work);
    setImmediate(() => {
      output('x'.repeat(200_000));
      end({ kind: 'ended', outcome: 'success' });
    });
    return () => {};
  }
}

type Waiting = { loop: RunLoop; executor: TalkativeExecutor; reasons(): string[] };

/** A run on a store of one's choice, going. */
function going(t: TestContext, store: Store, plan: Plan): Waiting {
  const executor = new TalkativeExecutor();
  const loop = new RunLoop({ run: 'r', plan, actions: SIMULATED_ACTIONS, store, clock: systemClock, executor });
  t.after(() => loop.stop());
  loop.start();
  const reasons = () =>
    waitingOn({ plan, state: loop.state, member: (member) => loop.member(member), trouble: loop.trouble }).map(
      ({ kind, text }) => `${kind}: ${text}`,
    );
  return { loop, executor, reasons };
}

/** Waits until the run says that it cannot write, and sees that it does nothing meanwhile. */
async function assertWaitsForStorage({ loop, executor, reasons }: Waiting, why: RegExp): Promise<void> {
  await until('the run waits for its storage', () => loop.trouble !== undefined);
  assert.match(reasons()[0] ?? '', /^storage: nothing can be written/);
  assert.match(reasons()[0] ?? '', why);
  const begun = executor.begun.length;
  loop.turn();
  assert.notEqual(loop.trouble, undefined);
  assert.equal(executor.begun.length, begun, 'nothing begins that is not written down');
}

async function assertGoesOn({ loop, executor, reasons }: Waiting, store: Store, count: number): Promise<void> {
  await until('it goes on by itself', () => loop.finished);
  assert.deepEqual([loop.trouble, reasons()], [undefined, []]);
  assert.equal(new Set(executor.begun.map((work) => fenceText(work.fence))).size, executor.begun.length, 'nothing was begun twice');
  assert.equal(executor.begun.length, count);
  const stored = store.loadRun('r');
  assert.deepEqual(stored?.state.phase.at === 'finished' && stored.state.phase.result, 'succeeded');
}

describe('storage in trouble', () => {
  const plan = simplePlan(12, { strategy: { parallel: 2 } });

  function newStore(t: TestContext): { store: SqliteStore; file: string } {
    const file = join(temporary(t), 'db.sqlite');
    const store = new SqliteStore(file);
    t.after(() => store.close());
    store.createRun('r', plan, newRun('r', plan), Date.now());
    return { store, file };
  }

  test('a disk that fills up holds the run, with the reason; once there is room it goes on by itself', async (t) => {
    const { store, file } = newStore(t);
    const other = new DatabaseSync(file, { readOnly: true });
    const pages = Number(Object.values(other.prepare('PRAGMA page_count').get() ?? {})[0]);
    other.close();
    // Room for a few of the pages that the actions print.
    store.limitPages(pages + 200);
    const waiting = going(t, store, plan);
    await assertWaitsForStorage(waiting, /the disk is full/);
    assert.ok(waiting.executor.begun.length > 0, 'it was under way');
    store.limitPages(1_000_000);
    await assertGoesOn(waiting, store, 12);
  });

  test('a database that another process has locked for a while', async (t) => {
    const { store, file } = newStore(t);
    const hold = `const { DatabaseSync } = require('node:sqlite'); const d = new DatabaseSync(process.argv[1]); d.exec('BEGIN IMMEDIATE'); console.log('held'); process.stdin.resume(); process.stdin.on('end', () => process.exit(0))`;
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '-e', hold, file], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.after(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const waiting = going(t, store, plan);
    await assertWaitsForStorage(waiting, /locked by another process/);
    child.stdin.end();
    await once(child, 'exit');
    await assertGoesOn(waiting, store, 12);
  });

  test('an order that cannot be written is refused with the reason, instead of waiting for ever', async (t) => {
    const data = temporary(t);
    const file = join(data, 'upshift.sqlite');
    const store = new SqliteStore(file);
    const ssh = planOf([{ id: 't', connect: {} }], { action: 'command.run', with: { command: 'true' }, timeout: '3s' });
    store.createRun('r', ssh, newRun('r', ssh), Date.now());
    store.close();
    const other = new DatabaseSync(file);
    t.after(() => other.close());
    other.exec('BEGIN IMMEDIATE');
    const refused = await upshift(['pause', 'r'], { UPSHIFT_DATA: data });
    assert.equal(refused.code, 1, refused.out + refused.err);
    assert.match(refused.err, /locked by another process/);
    other.exec('ROLLBACK');
    const taken = await upshift(['pause', 'r'], { UPSHIFT_DATA: data });
    assert.equal(taken.code, 0, taken.err);
  });

  test('a database that is read-only for a while', async (t) => {
    const { store, file } = newStore(t);
    const readOnly = new SqliteStore(file, { readOnly: true });
    t.after(() => readOnly.close());
    let current: Store = readOnly;
    const switched = new Proxy(store, {
      get: (_, name) => {
        const value: unknown = Reflect.get(current, name);
        return typeof value === 'function' ? value.bind(current) : value;
      },
    });
    const waiting = going(t, switched, plan);
    await assertWaitsForStorage(waiting, /cannot be written/);
    assert.equal(waiting.executor.begun.length, 0);
    current = store;
    await assertGoesOn(waiting, store, 12);
  });
});

describe('a clock that jumps an hour, forward and back', () => {
  const HOUR_MS = 3_600_000;

  test('hurries or delays what waits for a time, and neither repeats nor loses anything', () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = new Random(seed);
      const plan = randomPlan(random);
      const store = new MemoryStore();
      const clock = new VirtualClock();
      const executor = new ManualExecutor();
      store.createRun('r', plan, newRun('r', plan), clock.now());
      const loop = new RunLoop({ run: 'r', plan, actions: SIMULATED_ACTIONS, store, clock, executor, schedule: () => {} });
      loop.start();
      for (let step = 0; step < 5_000 && !loop.finished; step++) {
        loop.turn();
        if (random.chance(0.2)) clock.shift(random.chance(0.5) ? HOUR_MS : -HOUR_MS);
        if (executor.going.length > 0)
          executor.end('success', executor.going[0]?.work.kind === 'version' ? { version: '1.0.0' } : { key: 1 });
        else if (!clock.advance() && loop.state.phase.at === 'approval')
          void loop.control({ type: 'approve', key: `a${step}`, by: 'test' });
      }
      assert.equal(loop.finished, true, `seed ${seed}: ${JSON.stringify(loop.state.phase)}`);
      assert.equal(loop.state.phase.at === 'finished' && loop.state.phase.result, 'succeeded', `seed ${seed}`);
      const fences = executor.begun.map((work) => `${work.kind} ${fenceText(work.fence)}`);
      assert.equal(new Set(fences).size, fences.length, `seed ${seed}: something began twice`);
    }
  });

  for (const [way, jump] of [
    ['forward', HOUR_MS],
    ['back', -HOUR_MS],
  ] as const)
    test(`a timer of the machine's clock goes off after the time it was set for, though the clock went ${way}`, async (t) => {
      const now = Date.now;
      t.after(() => {
        Date.now = now;
      });
      const began = performance.now();
      const rung = new Promise<void>((ring) => systemClock.at(systemClock.now() + 300, ring));
      Date.now = () => now() + jump;
      await rung;
      const took = performance.now() - began;
      assert.ok(took > 250 && took < 5_000, `${took} ms`);
    });
});

const PRODUCT = { product: 'p', version: '1' };
const RELEASES = [
  { kind: 'Release', product: 'p', version: '1' },
  { kind: 'Release', product: 'p', version: '2', from: [{ versions: '1' }] },
];
const DRIVERS = openDrivers();
after(() => DRIVERS.close());

type State = { action: string; with: Record<string, unknown>; timeout: string };

/** A plan of one stage, all targets at once, whose procedure is one state. */
function planOf(targets: { id: string; connect: Record<string, unknown> }[], state: State): Plan {
  const documents = [
    { kind: 'Inventory', name: 'i', targets: targets.map((target) => ({ ...PRODUCT, ...target })) },
    ...RELEASES,
    {
      kind: 'Procedure',
      name: 'p',
      start: 'work',
      states: {
        work: { ...state, on: { success: 'good', failure: 'bad' } },
        good: { final: true },
        bad: { final: true, result: 'failed' },
      },
    },
    {
      kind: 'Upgrade',
      name: 'u',
      product: 'p',
      to: '2',
      procedure: 'p',
      stages: [{ name: 'all', strategy: { parallel: 'all' }, onFailure: 'continue' }],
    },
  ];
  const files = documents.map((document, index) => ({ file: `${index}.json`, bytes: Buffer.from(JSON.stringify(document)) }));
  const actions = catalogOf(DRIVERS.actions);
  const { set, problems } = loadDocuments(files, actions);
  assert.deepEqual(problems.map(problemText), []);
  const [upgrade] = set.upgrades.values();
  assert.ok(upgrade);
  const planned = planUpgrade({ ...set, upgrade, actions });
  assert.ok(planned.ok, JSON.stringify(planned));
  return planned.plan;
}

/** A run of a plan with the real drivers. */
function driven(t: TestContext, plan: Plan, limits: DriverExecutorOptions['limits'] = {}): RunLoop {
  const store = new MemoryStore();
  store.createRun('r', plan, newRun('r', plan), Date.now());
  const executor = new DriverExecutor({ plan, actions: DRIVERS.actions, secrets: {}, clock: systemClock, limits });
  const loop = new RunLoop({ run: 'r', plan, actions: catalogOf(DRIVERS.actions), store, clock: systemClock, executor });
  t.after(() => loop.stop());
  loop.start();
  return loop;
}

/** A server that does with each connection what the test says, and goes when it is over. */
async function listening(t: TestContext, accept: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    accept(socket);
  });
  return opened(t, server, () => {
    for (const socket of sockets) socket.destroy();
  });
}

async function opened(t: TestContext, server: Server, cut: () => void): Promise<number> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    cut();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Writes for ever, as fast as it is read. */
function pour(socket: Socket, text: string): void {
  const more = () => {
    while (!socket.destroyed && socket.write(text));
  };
  socket.on('drain', more);
  more();
}

describe('targets that answer garbage', () => {
  const noise = Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 167) % 256));
  const GARBAGE: Record<string, (socket: Socket) => void> = {
    'says nothing': () => {},
    'hangs up': (socket) => void socket.end(),
    'sends noise': (socket) => void socket.end(noise),
    'sends a page that never begins': (socket) => pour(socket, 'x'.repeat(65_536)),
    'begins an answer and hangs': (socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf'),
    'sends an answer that never ends': (socket) => {
      socket.write('HTTP/1.1 500 Broken\r\nTransfer-Encoding: chunked\r\n\r\n');
      pour(socket, `10000\r\n${'x'.repeat(0x10000)}\r\n`);
    },
    'sends headers without end': (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      pour(socket, `x-${'y'.repeat(1000)}: z\r\n`);
    },
    'sends a chunk of nonsense': (socket) => void socket.end('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nx\r\n'),
    'greets as SSH and sends noise': (socket) => void socket.write(Buffer.concat([Buffer.from('SSH-2.0-noise\r\n'), noise])),
    'greets as SSH and hangs': (socket) => void socket.write('SSH-2.0-silent\r\n'),
    'greets as an old SSH': (socket) => void socket.write('SSH-1.5-old\r\n'),
    'greets without end': (socket) => {
      socket.write('SSH-2.0-');
      pour(socket, 'x'.repeat(65_536));
    },
  };
  const ACTIONS: [name: string, state: State, connect: (port: number) => Record<string, unknown>][] = [
    ['http.get', { action: 'http.get', with: { url: '/' }, timeout: '3s' }, (port) => ({ http: { url: `http://127.0.0.1:${port}` } })],
    [
      'ssh.run',
      { action: 'ssh.run', with: { command: 'true' }, timeout: '3s' },
      (port) => ({ ssh: { host: '127.0.0.1', port, user: 'u', identity: '/none', knownHosts: '/none' } }),
    ],
  ];
  for (const [name, state, connect] of ACTIONS)
    test(`fail by themselves under ${name}, soon, each with a reason, and keep nobody`, { timeout: 60_000 }, async (t) => {
      const targets = await Promise.all(
        Object.entries(GARBAGE).map(async ([what, accept]) => ({
          id: what.replaceAll(' ', '-'),
          connect: connect(await listening(t, accept)),
        })),
      );
      const plan = planOf(targets, state);
      const loop = driven(t, plan);
      await until('all of them have ended', () => loop.finished || loop.state.counts.deciding > 0, 30);
      assert.equal(loop.finished, true, JSON.stringify([...loop.members()].map((member) => member.phase)));
      for (const member of loop.members()) {
        const { phase } = member;
        const what = targets[member.member]?.id ?? '';
        assert.equal(phase.at, 'done', what);
        assert.equal(phase.at === 'done' && phase.result, 'failed', what);
        const why = phase.at === 'done' ? phase.fault : undefined;
        assert.ok(why && why.message.length > 10 && why.message.length < 1_000, `${what}: ${JSON.stringify(why)}`);
      }
    });
});

describe('targets that hang', () => {
  test('hold up nobody: of 1,000, 300 hang, and the others are done meanwhile', { timeout: 100_000 }, async (t) => {
    const silent = await listening(t, () => {});
    const healthy = createHttpServer((_, response) => response.end('{"ok": true}'));
    const answering = await opened(t, healthy, () => healthy.closeAllConnections());
    // Those that hang come first, and are more than may be at once.
    const targets = Array.from({ length: 1_000 }, (_, index) => ({
      id: `t-${String(index).padStart(4, '0')}`,
      connect: { http: { url: `http://127.0.0.1:${index < 300 ? silent : answering}` } },
    }));
    const plan = planOf(targets, { action: 'http.get', with: { url: '/' }, timeout: '8s' });
    const loop = driven(t, plan, { atOnce: 100, settledMs: 300 });
    await until('all that answer are done', () => loop.state.counts.succeeded === 700, 60);
    assert.deepEqual(loop.state.counts, { inFlight: 300, deciding: 0, succeeded: 700, failed: 0, reverted: 0, skipped: 0 });
    await until('the others have timed out', () => loop.finished, 60);
    assert.equal(loop.state.counts.failed, 300);
    for (let member = 0; member < 1_000; member++) assert.equal(vector.get(loop.state.members, member), member < 300 ? 'x' : 's');
    const { phase } = loop.member(0);
    assert.equal(phase.at === 'done' && phase.fault?.kind, 'timeout');
  });
});

describe('an action that prints 1 GB', () => {
  const MAX_RSS_MB = 300;

  for (const [way, more] of [
    ['over the connection', { traits: { idempotent: true }, with: { detached: false } }],
    ['into its folder on the target', { traits: { disruptive: true }, with: {} }],
  ] as const)
    test(`${way} leaves the orchestrator below ${MAX_RSS_MB} MB`, { timeout: 110_000 }, async (t) => {
      const lab = await testLab(t, { hosts: 1, controllers: 0, groups: 1 });
      const procedure = {
        kind: 'Procedure',
        name: 'lab-host',
        start: 'print',
        states: {
          print: {
            action: 'ssh.run',
            timeout: '90s',
            traits: more.traits,
            with: { command: "yes 'a line that says nothing' | head -c 1000000000 && touch ~/printed", ...more.with },
            on: { success: 'good', failure: 'bad' },
          },
          good: { final: true },
          bad: { final: true, result: 'failed' },
        },
      };
      writeFileSync(join(lab.folder, 'procedure.yaml'), stringify(procedure));
      const started = start(['apply', lab.folder, '--yes', '--json'], lab.env);
      let peakMb = 0;
      const timer = setInterval(() => {
        try {
          const status = readFileSync(`/proc/${started.child.pid}/status`, 'utf8');
          peakMb = Math.max(peakMb, Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024);
        } catch {
          // It has just ended.
        }
      }, 50);
      t.after(() => {
        clearInterval(timer);
        started.child.kill('SIGKILL');
      });
      const ran = await started.ended;
      assert.equal(ran.code, 0, ran.out + ran.err);
      assert.ok(existsSync(join(lab.folder, 'targets/se-1/home/printed')), 'all of it was taken');
      assert.ok(ran.out.length < 2_000_000, 'the output is not the report');
      t.diagnostic(`at most ${Math.round(peakMb)} MB`);
      assert.ok(peakMb > 20 && peakMb < MAX_RSS_MB, `${Math.round(peakMb)} MB`);
    });
});
