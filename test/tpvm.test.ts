/** The TPVM pack against its lab: every edge of the vendor's table is taken, and judged by the devices' own ledgers and files. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { startTpvmLab, TPVM_LAB, type TpvmLabOptions } from '../src/packs/tpvm/lab.ts';
import { counts, type Entry, ledgers, start, temporaryFolder, until, upshift } from './command-line.fixture.ts';

type Lab = { folder: string; env: NodeJS.ProcessEnv };

async function lab(t: TestContext, options: Partial<TpvmLabOptions> = {}): Promise<Lab> {
  const { path, remove } = temporaryFolder();
  const folder = join(path, 'lab');
  const running = await startTpvmLab({ ...TPVM_LAB, workMs: 100, ...options, folder });
  t.after(async () => {
    await running.stop();
    remove();
  });
  return { folder, env: { UPSHIFT_DATA: join(path, 'data') } };
}

function file({ folder }: Lab, name: string): string {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
}

type Row = { state: string; result: string; detailedStatus: string; remedy: string; ip: string; device: string };

async function execute(
  one: Lab,
  ip = '10.20.0.2',
  image = 'tpvm-4.6.0.qcow2',
): Promise<{ code: number; out: string; row: Row | undefined; path: string[] }> {
  const ran = await upshift(
    ['tpvm', 'upgrade', 'execute', '--ip', ip, '--firmware-host', 'firmware', '--image', image, '--documents', one.folder, '--yes'],
    one.env,
  );
  const shown = await upshift(['tpvm', 'upgrade', 'show', '--json'], one.env);
  const [row] = JSON.parse(shown.out) as Row[];
  const history = row
    ? (
        JSON.parse((await upshift(['show', 'last', row.device, '--json'], one.env)).out) as { stages: { history: { change: string }[] }[] }
      ).stages.flatMap((stage) => stage.history)
    : [];
  const path = history.map((record) => /^acting: (.+)$/.exec(record.change)?.[1]).filter((name): name is string => name !== undefined);
  return { code: ran.code, out: ran.out + ran.err, row, path };
}

const UPGRADE = ['device-validation', 'tpvm-config-validation', 'tpvm-upgrade'];
const REPLACE = ['device-validation', 'tpvm-config-validation', 'tpvm-configuration', 'tpvm-installation'];
const REJOIN = 'xco-deploy-peer-and-rejoin';

/** What the lab is asked to do, the way through the table that follows, the result, and what the detailed status says. */
const EDGES: [what: string, options: Partial<TpvmLabOptions>, path: string[], result: string, says: RegExp, version: string][] = [
  ['a normal upgrade', {}, [...UPGRADE, REJOIN], 'succeeded', /Normal Upgrade: upgraded and back as a peer/, '4.6.0'],
  [
    'a device that XCO does not count as a peer',
    { fail: ['xco:check'] },
    ['device-validation'],
    'failed',
    /cannot be upgraded as it is/,
    '4.5.0',
  ],
  ['a device that does not answer', { fail: ['xco:validate'] }, UPGRADE.slice(0, 2), 'failed', /cannot be read/, '4.5.0'],
  [
    'a TPVM with an address that is none of the peers',
    { moved: ['slx-2'] },
    UPGRADE.slice(0, 2),
    'failed',
    /none of the XCO peers/,
    '4.5.0',
  ],
  [
    'an upgrade that fails, and a revert that works',
    { fail: ['slx-2:upgrade'] },
    [...UPGRADE, 'tpvm-revert'],
    'reverted',
    /back on its old version/,
    '4.5.0',
  ],
  [
    'an upgrade that fails, and a revert that fails',
    { fail: ['slx-2:upgrade', 'slx-2:revert'] },
    [...UPGRADE, 'tpvm-revert'],
    'failed',
    /and so did the way back/,
    '4.5.0',
  ],
  [
    'a rejoin that fails after an upgrade',
    { fail: ['xco:rejoin'] },
    [...UPGRADE, REJOIN, 'tpvm-revert'],
    'reverted',
    /back on its old version/,
    '4.5.0',
  ],
  [
    'a node replacement',
    { replaced: ['slx-2'] },
    [...REPLACE, REJOIN],
    'succeeded',
    /Node Replacement: upgraded and back as a peer/,
    '4.6.0',
  ],
  [
    'a replacement whose configuration is refused',
    { replaced: ['slx-2'], fail: ['xco:config'] },
    REPLACE.slice(0, 3),
    'failed',
    /could not be programmed/,
    '',
  ],
  [
    'a replacement whose installation fails',
    { replaced: ['slx-2'], fail: ['slx-2:install'] },
    REPLACE,
    'failed',
    /could not be installed/,
    '',
  ],
  [
    'a replaced node that does not rejoin',
    { replaced: ['slx-2'], fail: ['xco:rejoin'] },
    [...REPLACE, REJOIN],
    'failed',
    /no snapshot to go back to/,
    '4.6.0',
  ],
];

describe('the TPVM pack', { concurrency: 2 }, () => {
  for (const [what, options, path, result, says, version] of EDGES)
    test(`${what}: ${path.at(-1)}, ${result}`, async (t) => {
      const one = await lab(t, options);
      const ran = await execute(one);
      assert.deepEqual(ran.path, path, ran.out);
      assert.equal(ran.row?.state, 'TPVM Upgrade Workflow Finished');
      assert.equal(ran.row?.result, result);
      assert.match(ran.row?.detailedStatus ?? '', says);
      assert.equal(file(one, 'targets/slx-2/tpvm.version'), version);
    });

  test('a TPVM that is configured and does not run is no case of the table: it ends, and says so', async (t) => {
    const one = await lab(t);
    writeFileSync(join(one.folder, 'targets/slx-2/tpvm.state'), 'stopped\n');
    const ran = await execute(one);
    assert.equal(ran.row?.result, 'failed');
    assert.match(ran.row?.remedy ?? '', /Start the TPVM/);
  });

  test('the active node’s TPVM is not upgraded: the device refuses, and is as it was', async (t) => {
    const one = await lab(t);
    const ran = await execute(one, '10.20.0.1');
    assert.match(ran.out, /only the standby/);
    assert.equal(file(one, 'targets/slx-1/tpvm.version'), '4.5.0');
  });

  test('a single-node deployment, and an image that the firmware host does not have, are refused before anything is touched', async (t) => {
    const single = await lab(t, { single: true });
    const refused = await execute(single);
    assert.equal(refused.code, 2, refused.out);
    assert.match(refused.out, /single node/);
    const wrong = await execute(await lab(t), '10.20.0.2', 'tpvm-4.6.1.qcow2');
    assert.match(wrong.out, /has no image tpvm-4\.6\.1/);
    for (const entries of ledgers(single.folder).values()) assert.deepEqual(entries, []);
  });

  test('both devices: the standby first, then a failover, then the former active', async (t) => {
    const one = await lab(t);
    const ran = await upshift(['apply', '--pack', 'tpvm', '--yes', one.folder], one.env);
    assert.equal(ran.code, 0, ran.out + ran.err);
    const all = ledgers(one.folder);
    const [first, second] = [all.get('slx-2')?.[0]?.at as string, all.get('slx-1')?.[0]?.at as string];
    assert.ok(first < second, 'the standby, slx-2, went first');
    assert.equal(file(one, 'xco/active'), 'slx-2');
    for (const id of ['slx-1', 'slx-2']) assert.deepEqual(counts(all.get(id) as Entry[]), { upgrade: 1 });
  });

  test('where device and XCO DB differ the device wins; a replaced device gets trusted-peer only where it was', async (t) => {
    const drifted = await lab(t);
    const path = join(drifted.folder, 'targets/slx-2/tpvm.config');
    writeFileSync(path, readFileSync(path, 'utf8').replace('dns 10.20.0.53', 'dns 10.20.0.54'));
    await execute(drifted);
    assert.match(file(drifted, 'xco/db/slx-2'), /dns 10\.20\.0\.54/);
    const replaced = await lab(t, { replaced: ['slx-2'] });
    await execute(replaced);
    assert.doesNotMatch(file(replaced, 'targets/slx-2/tpvm.config'), /trusted-peer/);
    const keys = file(replaced, 'targets/slx-2/tpvm.config')
      .split('\n')
      .map((line) => line.split(' ')[0]);
    assert.ok(keys.indexOf('auto-boot') < keys.indexOf('password') && keys.indexOf('password') < keys.indexOf('hostname'), keys.join());
  });

  test('a cut connection and a kill -9 during the upgrade are found out about: it runs once', async (t) => {
    const dropped = await lab(t, { drop: ['slx-2'], workMs: 600 });
    assert.equal((await execute(dropped)).row?.result, 'succeeded');
    assert.deepEqual(counts(ledgers(dropped.folder).get('slx-2') as Entry[]), { upgrade: 1 });
    const killed = await lab(t, { workMs: 600 });
    const first = start(['apply', '--pack', 'tpvm', '--yes', killed.folder], killed.env);
    await until('slx-2 upgrades', () => ledgers(killed.folder).get('slx-2')?.at(-1)?.phase === 'begin');
    first.child.kill('SIGKILL');
    await first.ended;
    const ran = await upshift(['resume'], killed.env);
    assert.equal(ran.code, 0, ran.out + ran.err);
    for (const id of ['slx-1', 'slx-2']) assert.deepEqual(counts(ledgers(killed.folder).get(id) as Entry[]), { upgrade: 1 });
  });

  test('show lists executions in columns, with the remedy', async (t) => {
    const one = await lab(t, { moved: ['slx-2'] });
    await execute(one);
    const shown = await upshift(['tpvm', 'upgrade', 'show', '--ip', '10.20.0.2'], one.env);
    assert.match(shown.out, /EXECUTION +DEVICE IP +VERSION +STATE +NEXT +RESULT +DETAILED STATUS AND REMEDY/);
    assert.match(shown.out, /→ A changed DHCP lease/);
    assert.match((await upshift(['tpvm', 'upgrade', 'show', '--ip', '10.0.0.9'], one.env)).out, /No TPVM upgrades/);
  });
});
