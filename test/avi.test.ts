/** The Avi pack against its lab: the vendor's fault matrix row by row, and a load on every virtual service during the whole upgrade. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { AVI_LAB, type AviLab, type AviLabOptions, CONTROLLERS, ENGINES, startAviLab } from '../src/packs/avi/lab.ts';
import { counts, type Entry, ledgers, start, temporaryFolder, until, upshift } from './command-line.fixture.ts';

type TestLab = { lab: AviLab; folder: string; env: NodeJS.ProcessEnv };

async function aviLab(t: TestContext, options: Partial<AviLabOptions> = {}): Promise<TestLab> {
  const { path, remove } = temporaryFolder();
  const folder = join(path, 'lab');
  const lab = await startAviLab({ ...AVI_LAB, workMs: 50, rebootMs: 400, ...options, folder });
  t.after(async () => {
    await lab.stop();
    remove();
  });
  return { lab, folder, env: { UPSHIFT_DATA: join(path, 'data') } };
}

function upgrade(one: TestLab, ...more: string[]) {
  return upshift(['avi', 'upgrade', '--documents', one.folder, '--yes', ...more], one.env);
}

function version(one: TestLab, id: string): string {
  return readFileSync(join(one.folder, 'targets', id, 'version'), 'utf8').trim();
}

function assertThawed(one: TestLab): void {
  assert.equal(existsSync(join(one.folder, 'readonly')), false, 'the API is writable again');
}

function assertVersions(one: TestLab, controllers: string, engines: string, except: Record<string, string> = {}): void {
  for (const id of CONTROLLERS) assert.equal(version(one, id), except[id] ?? controllers, id);
  for (const id of Object.keys(ENGINES)) assert.equal(version(one, id), except[id] ?? engines, id);
}

/** One request; resolves with whether it was answered. */
function answered(url: string): Promise<boolean> {
  return new Promise((done) => {
    get(url, { agent: false, timeout: 3000 }, (response) => {
      response.resume();
      response.on('end', () => done(response.statusCode === 200));
      response.on('error', () => done(false));
    })
      .on('timeout', function (this: { destroy(): void }) {
        this.destroy();
      })
      .on('error', () => done(false));
  });
}

/** Asks every virtual service again and again until it is stopped; counts what was lost. */
function load(lab: AviLab): { stop(): Promise<Record<string, { asked: number; lost: number }>> } {
  let going = true;
  const counted: Record<string, { asked: number; lost: number }> = {};
  const loops = lab.services.map(async ({ name, url }) => {
    const one = { asked: 0, lost: 0 };
    counted[name] = one;
    while (going) {
      one.asked++;
      if (!(await answered(url))) one.lost++;
      await new Promise((next) => setTimeout(next, 10));
    }
  });
  return {
    stop: async () => {
      going = false;
      await Promise.all(loops);
      return counted;
    },
  };
}

describe('the Avi pack', { concurrency: 2 }, () => {
  test('a rolling upgrade loses no request where the plan said non-disruptive, and says who is disrupted', async (t) => {
    const one = await aviLab(t);
    const asking = load(one.lab);
    const ran = await upgrade(one);
    const lost = await asking.stop();
    assert.equal(ran.code, 0, ran.out + ran.err);
    assertVersions(one, '17.2.1', '17.2.1');
    assertThawed(one);
    for (const name of ['shop', 'api', 'mail']) {
      assert.equal(lost[name]?.lost, 0, `${name} lost ${lost[name]?.lost} of ${lost[name]?.asked}`);
      assert.ok((lost[name]?.asked ?? 0) > 50);
      assert.match(ran.out, new RegExp(`${name} \\(.*\\) +keeps working during engines`));
    }
    assert.ok((lost['wiki']?.lost ?? 0) > 0, 'a service on one engine is down while that reboots');
    assert.match(ran.out, /wiki \(elastic n\+m\) +DOWN during engines/);
    assert.match(ran.out, /Note Upgrade the Avi Ansible modules/);
    assert.match(ran.out, /Was down +2 services[\s\S]*wiki/);
    // Serially within a group.
    const all = ledgers(one.folder);
    for (const group of ['east', 'west']) {
      const spans = Object.keys(ENGINES)
        .filter((id) => ENGINES[id] === group)
        .map((id) => [(all.get(id) as Entry[])[0]?.at, (all.get(id) as Entry[]).at(-1)?.at] as [string, string])
        .sort();
      for (let next = 1; next < spans.length; next++)
        assert.ok((spans[next - 1]?.[1] as string) <= (spans[next]?.[0] as string), JSON.stringify(spans));
    }
  });

  test('the tasks of a controller run in the vendor’s order', async (t) => {
    const one = await aviLab(t);
    await upgrade(one);
    const tasks = (ledgers(one.folder).get('c-2') as Entry[]).filter((entry) => entry.phase === 'begin').map((entry) => entry.action);
    assert.deepEqual(tasks, [
      'COPY_AND_VERIFY_IMAGE',
      'INSTALL_IMAGE',
      'PREPARE_CONTROLLER_FOR_SHUTDOWN',
      'PREPARE_FOR_REBOOT_CONTROLLER_NODES',
      'reboot',
      'PRE_UPGRADE_HOOKS',
      'MIGRATE_CONFIG',
      'START_PRIMARY_CONTROLLER',
      'START_ALL_CONTROLLERS',
      'POST_UPGRADE_HOOKS',
      'SET_CONTROLLER_UPGRADE_COMPLETED',
    ]);
  });

  /** The vendor's fault matrix: what happens, what the upgrade ends as (its exit code), and the versions of controllers and engines after it. */
  const MATRIX: [what: string, options: Partial<AviLabOptions>, code: number, controllers: string, engines: string, says: RegExp][] = [
    ['a controller reboots at COPY', { fail: ['c-2:reboot-COPY_AND_VERIFY_IMAGE'] }, 3, '17.1.2', '17.1.2', /rebooted while it copied/],
    ['a controller reboots at INSTALL', { fail: ['c-3:reboot-INSTALL_IMAGE'] }, 3, '17.1.2', '17.1.2', /rebooted while it installed/],
    [
      'a controller reboots at STOP',
      { fail: ['c-1:reboot-PREPARE_CONTROLLER_FOR_SHUTDOWN'] },
      3,
      '17.1.2',
      '17.1.2',
      /rebooted while it stopped/,
    ],
    ['a controller reboots at MIGRATE', { fail: ['c-2:reboot-MIGRATE_CONFIG'] }, 3, '17.1.2', '17.1.2', /rebooted while it migrated/],
    ['a controller reboots at POST_HOOKS', { fail: ['c-2:reboot-POST_UPGRADE_HOOKS'] }, 3, '17.1.2', '17.1.2', /rebooted during its hooks/],
    ['the disk of a follower is full', { fail: ['c-3:COPY_AND_VERIFY_IMAGE'] }, 3, '17.1.2', '17.1.2', /COPY_AND_VERIFY_IMAGE failed/],
    ['an engine is off throughout', { dead: ['se-5'] }, 0, '17.2.1', '17.2.1', /se-5 .*done: skipped — the engine was disconnected/],
    ['an engine disconnects', { drop: ['se-2'] }, 0, '17.2.1', '17.2.1', /succeeded/],
    ['the image is damaged', { image: 'damaged' }, 2, '17.1.2', '17.1.2', /damaged: its digest is wrong/],
    ['an engine image is given as the controller’s', { image: 'engine' }, 2, '17.1.2', '17.1.2', /is no controller image/],
    [
      'the image is that of another platform',
      { platform: 'bare-metal' },
      2,
      '17.1.2',
      '17.1.2',
      /takes controller_docker\.tgz, not controller\.pkg/,
    ],
  ];
  for (const [what, options, code, controllers, engines, says] of MATRIX)
    test(`fault matrix: ${what} → exit code ${code}`, async (t) => {
      const one = await aviLab(t, options);
      const ran = await upgrade(one);
      assert.equal(ran.code, code, ran.out + ran.err);
      assertVersions(one, controllers, engines, Object.fromEntries((options.dead ?? []).map((id) => [id, '17.1.2'])));
      assert.match(ran.out, says);
      assertThawed(one);
      if (code === 2)
        for (const [id, entries] of ledgers(one.folder)) assert.deepEqual(entries, [], `${id}: refused before anything is touched`);
    });

  test('fault matrix: an engine that reboots in the middle suspends the engines and aborts nothing; retry brings it to the end', async (t) => {
    const one = await aviLab(t, { fail: ['se-4:reboot-SE_UPGRADE'] });
    const ran = await upgrade(one);
    assert.equal(ran.code, 4, ran.out + ran.err);
    assert.match(ran.out, /se-4.*the engine rebooted while it was upgraded/);
    for (const id of CONTROLLERS) assert.equal(version(one, id), '17.2.1');
    assert.equal((await upshift(['retry', 'last', 'se-4'], one.env)).code, 0);
    const resumed = await upshift(['resume'], one.env);
    assert.equal(resumed.code, 0, resumed.out + resumed.err);
    assertVersions(one, '17.2.1', '17.2.1');
    assertThawed(one);
  });

  test('on error: continue goes on with the others, rollback takes the engines back, and resume may leave the suspended one out', async (t) => {
    const fails = { fail: ['se-1:SE_UPGRADE:3'] };
    const goesOn = await aviLab(t, fails);
    const ran = await upgrade(goesOn, '--on-error', 'continue');
    assert.equal(ran.code, 0, ran.out + ran.err);
    assertVersions(goesOn, '17.2.1', '17.2.1', { 'se-1': '17.1.2' });
    assert.match(ran.out, /Failed +1 target: se-1/);
    const back = await aviLab(t, fails);
    assert.equal((await upgrade(back, '--on-error', 'rollback')).code, 3);
    assertVersions(back, '17.2.1', '17.1.2');
    assertThawed(back);
    const left = await aviLab(t, fails);
    assert.equal((await upgrade(left)).code, 4);
    assert.equal((await upshift(['skip', 'last', 'se-1'], left.env)).code, 0);
    assert.equal((await upshift(['resume'], left.env)).code, 0);
    assertVersions(left, '17.2.1', '17.2.1', { 'se-1': '17.1.2' });
  });

  test('configuration is read-only from the first change to the end; status is readable meanwhile, and the API’s absence is no failure', async (t) => {
    const one = await aviLab(t, { workMs: 150 });
    const running = start(['avi', 'upgrade', '--documents', one.folder, '--yes'], one.env);
    const write = async () =>
      (await fetch(`${one.lab.controllers[2]?.url}/api/virtualservice/shop`, { method: 'PUT', body: '{}' }).catch(() => undefined))?.status;
    assert.equal(await write(), 200);
    await until('the API is read-only', async () => (await write()) === 403);
    assert.equal((await fetch(`${one.lab.controllers[2]?.url}/api/cluster/runtime`)).status, 200);
    let away = false;
    await until('the API is away while the controllers reboot', async () => {
      away ||= (await write()) === undefined;
      return away;
    });
    const ran = await running.ended;
    assert.equal(ran.code, 0, ran.out + ran.err);
    assert.equal(await write(), 200);
  });

  test('the coordinator is killed (kill -9) at the controllers, in the migration and at the engines: each time it goes on, and does nothing twice', async (t) => {
    const one = await aviLab(t, { workMs: 800 });
    let running = start(['avi', 'upgrade', '--documents', one.folder, '--yes'], one.env);
    for (const [prefix, action] of [
      ['c-', 'INSTALL_IMAGE'],
      ['c-', 'MIGRATE_CONFIG'],
      ['se-', 'SE_UPGRADE'],
    ] as const) {
      await until(`${action} is going on`, () =>
        [...ledgers(one.folder)].some(
          ([id, entries]) => id.startsWith(prefix) && entries.at(-1)?.action === action && entries.at(-1)?.phase === 'begin',
        ),
      );
      running.child.kill('SIGKILL');
      await running.ended;
      running = start(['resume'], one.env);
    }
    const ran = await running.ended;
    assert.equal(ran.code, 0, ran.out + ran.err);
    assertVersions(one, '17.2.1', '17.2.1');
    assertThawed(one);
    for (const [id, entries] of ledgers(one.folder))
      for (const [action, times] of Object.entries(counts(entries))) assert.equal(times, 1, `${id} ${action}`);
  });

  test('abort before the commit takes every controller back; after it, nothing goes back', async (t) => {
    const before = await aviLab(t, { workMs: 300 });
    const first = start(['avi', 'upgrade', '--documents', before.folder, '--yes'], before.env);
    await until('a controller installs', () =>
      [...ledgers(before.folder)].some(([id, entries]) => id.startsWith('c-') && entries.at(-1)?.action === 'INSTALL_IMAGE'),
    );
    await upshift(['abort'], before.env);
    assert.equal((await first.ended).code, 3);
    assertVersions(before, '17.1.2', '17.1.2');
    assertThawed(before);
  });

  test('a third version among the nodes is refused before anything is touched', async (t) => {
    const one = await aviLab(t);
    writeFileSync(join(one.folder, 'targets/se-6/version'), '16.4.9\n');
    const ran = await upgrade(one);
    assert.equal(ran.code, 2, ran.out + ran.err);
    assert.match(ran.out, /at most two versions are active/);
    for (const entries of ledgers(one.folder).values()) assert.deepEqual(entries, []);
    assertThawed(one);
  });

  test('too distant a version: a warning and nothing done; force makes it disruptive and says so; disruptive skips the rolling', async (t) => {
    const one = await aviLab(t);
    const file = join(one.folder, 'release.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replace('>=17.1.0 <17.2.1', '>=17.1.5 <17.2.1'));
    const refused = await upgrade(one);
    assert.equal(refused.code, 1);
    assert.match(refused.out, /Warning .*too distant.*>=17\.1\.5/);
    for (const entries of ledgers(one.folder).values()) assert.deepEqual(entries, []);
    const forced = await upgrade(one, '--force');
    assert.equal(forced.code, 0, forced.out + forced.err);
    assert.match(forced.out, /forced from 17\.1\.2: this upgrade is disruptive/);
    assert.match(forced.out, /shop .*DOWN during engines/);
    assertVersions(one, '17.2.1', '17.2.1');
    const named = await upgrade(one, '--image', '/tmp/controller.pkg');
    assert.equal(named.code, 1);
    assert.match(named.err, /controller:\/\/upgrade_pkgs\/controller\.pkg/);
  });
});
