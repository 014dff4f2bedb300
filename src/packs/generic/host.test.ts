import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import ssh2 from 'ssh2';
import {
  actionOf,
  asFailure,
  asSuccess,
  asUnknown,
  callOf,
  observationOf,
  type TestCall,
  temporaryFolder,
  until,
  within,
} from '../../drivers/call.fixture.ts';
import type { ActionEnd, Driver } from '../../drivers/contract.ts';
import { httpDriver } from '../../drivers/http/index.ts';
import { jobFolder } from '../../drivers/shell/detached.ts';
import { sshDriver } from '../../drivers/ssh/index.ts';
import { type LabHostProcess, startLabHost } from './host.fixture.ts';
import type { HostOptions } from './host.ts';
import { newKeyPair } from './keys.ts';

type Set = { host: LabHostProcess; ssh: Driver };

async function newSet(t: TestContext, options: Partial<HostOptions> = {}): Promise<Set> {
  let set: Set | undefined;
  const folder = temporaryFolder(t, async () => {
    await set?.ssh.close();
    await set?.host.stop();
  });
  set = { host: await startLabHost(folder, options), ssh: sshDriver() };
  return set;
}

function rebootCall({ host }: Set, input: Record<string, unknown> = {}, timeoutMs = 20_000): TestCall {
  return callOf(input, { connect: host.connect, disruptive: true, timeoutMs });
}

function reboot({ ssh }: Set, call: TestCall): Promise<ActionEnd> {
  return actionOf(ssh, 'ssh.reboot').run(call);
}

function observe({ ssh }: Set, call: TestCall, name = 'ssh.reboot'): Promise<ActionEnd> {
  const action = actionOf(ssh, name);
  assert(action.observe);
  return action.observe(call);
}

/** How often it has really rebooted. */
function reboots({ host }: Set): number {
  const lines = host.read('ledger.jsonl').split('\n').filter(Boolean);
  return lines
    .map((line) => JSON.parse(line) as { action: string; phase: string })
    .filter((one) => one.action === 'reboot' && one.phase === 'begin').length;
}

function alive(pid: number): boolean {
  return existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

describe('ssh.reboot against a host that really goes away', { concurrency: 4 }, () => {
  test('succeeds when it is back with another boot id', async (t) => {
    const set = await newSet(t);
    const before = set.host.read('boot_id');
    const { result } = asSuccess(await reboot(set, rebootCall(set)));
    assert.notEqual(set.host.read('boot_id'), before);
    assert.equal(result['stdout'], `boot id ${before} → ${set.host.read('boot_id')}`);
    assert.equal(reboots(set), 1);
    const run = actionOf(set.ssh, 'ssh.run');
    asSuccess(await run.run(callOf({ command: 'true' }, { connect: set.host.connect })));
  });

  test('fails when it is refused, with what was said, and nothing was done', async (t) => {
    const set = await newSet(t);
    const command = 'echo "Failed to talk to init daemon." >&2; exit 1';
    const call = rebootCall(set, { command });
    const end = asFailure(await within(10_000, reboot(set, call)));
    assert.match(end.fault.message, /Failed to talk to init daemon/);
    assert.deepEqual([end.fault.found, end.fault.outcome], ['exit code 1', 'none']);
    asFailure(await within(10_000, observe(set, observationOf(call))));
    assert.equal(reboots(set), 0);
  });

  test('is not refused where the reboot ends its own command', async (t) => {
    const set = await newSet(t);
    asSuccess(await reboot(set, rebootCall(set, { command: 'kill -USR2 "$LAB_PID"; kill -TERM $$' })));
  });

  test('fails when it does not come back in time', async (t) => {
    const set = await newSet(t, { rebootMs: 60_000 });
    const end = asFailure(await within(12_000, reboot(set, rebootCall(set, {}, 2_500))));
    assert.deepEqual([end.fault.kind, end.fault.outcome], ['timeout', 'applied']);
  });

  test('fails when the command is accepted and nothing happens', async (t) => {
    const set = await newSet(t);
    const end = asFailure(await within(12_000, reboot(set, rebootCall(set, { command: 'true' }, 2_500))));
    assert.equal(end.fault.kind, 'timeout');
  });

  test('that was given up on is found to have succeeded by its observation, and never happens twice', async (t) => {
    const set = await newSet(t);
    const call = rebootCall(set);
    const before = set.host.read('boot_id');
    const ending = reboot(set, call);
    await until('it reboots', () => reboots(set) === 1);
    call.abort();
    asUnknown(await ending);
    asSuccess(await observe(set, observationOf(call)));
    await until('it is back', () => set.host.read('boot_id') !== before);
    assert.equal(asUnknown(await reboot(set, { ...rebootCall(set), fence: call.fence })).kind, 'started-before');
    asSuccess(await observe(set, observationOf(call)));
    assert.equal(reboots(set), 1);
  });

  test('is found to have succeeded even by an observation after its deadline', async (t) => {
    const set = await newSet(t);
    const call = rebootCall(set);
    asSuccess(await reboot(set, call));
    asSuccess(await observe(set, observationOf(call, -60_000)));
  });

  test('that never began is absent, and can never begin', async (t) => {
    const set = await newSet(t);
    const call = rebootCall(set);
    assert.deepEqual(await observe(set, observationOf(call)), { absent: true });
    asUnknown(await reboot(set, call));
    assert.deepEqual(await observe(set, observationOf(call)), { absent: true });
    assert.equal(reboots(set), 0);
  });

  test('a command that runs while the host reboots is lost', async (t) => {
    const set = await newSet(t);
    const call = callOf({ command: 'installer install 2.0.0; sleep 60' }, { connect: set.host.connect, disruptive: true });
    const ending = actionOf(set.ssh, 'ssh.run').run(call);
    await until('it runs', () => existsSync(join(set.host.folder, 'home/.upshift/jobs', jobFolder(call.fence), 'pid')));
    asSuccess(await reboot(set, rebootCall(set)));
    asUnknown(await ending);
    const end = await observe(set, observationOf(call), 'ssh.run');
    assert('lost' in end && /rebooted/.test(end.lost.message), JSON.stringify(end));
  });
});

describe('a lab host', { concurrency: 4 }, () => {
  test('activates what was installed at its next boot, and goes back', async (t) => {
    const set = await newSet(t);
    const version = async () => {
      const get = actionOf(httpDriver(), 'http.get');
      return asSuccess(await get.run(callOf({ url: '/version' }, { connect: set.host.connect }))).result['body'] as { version: string };
    };
    const run = async (command: string) =>
      asSuccess(await actionOf(set.ssh, 'ssh.run').run(callOf({ command }, { connect: set.host.connect, disruptive: true })));
    await run('installer install 2.0.0');
    assert.equal((await version()).version, '1.0.0');
    asSuccess(await reboot(set, rebootCall(set)));
    assert.equal((await version()).version, '2.0.0');
    await run('installer rollback');
    asSuccess(await reboot(set, rebootCall(set)));
    assert.equal((await version()).version, '1.0.0');
  });

  test('cuts the connection once midway through what it was told to, and what ran there goes on', async (t) => {
    const set = await newSet(t, { drop: 'install', installMs: 300 });
    const call = callOf({ command: 'installer install 2.0.0' }, { connect: set.host.connect, disruptive: true });
    assert.equal(asUnknown(await actionOf(set.ssh, 'ssh.run').run(call)).kind, 'connection-cut');
    asSuccess(await observe(set, observationOf(call), 'ssh.run'));
    assert.equal(set.host.read('next'), '2.0.0');
  });

  test('fails as often as it was told to', async (t) => {
    const set = await newSet(t);
    writeFileSync(join(set.host.folder, 'faults/install'), '1\n');
    const install = () => actionOf(set.ssh, 'ssh.run').run(callOf({ command: 'installer install 2.0.0' }, { connect: set.host.connect }));
    assert.match(asFailure(await install()).result['stderr'] as string, /damaged/);
    asSuccess(await install());
  });

  test('leaves no process behind when it is stopped', async (t) => {
    const set = await newSet(t);
    const run = actionOf(set.ssh, 'ssh.run');
    const command = 'echo $$ >> pids; sleep 300';
    const calls = [false, true].map((disruptive) => callOf({ command }, { connect: set.host.connect, disruptive }));
    const endings = calls.map((call) => run.run(call));
    const pids = () =>
      globSync(join(set.host.folder, 'home/pids')).flatMap((file) => readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number));
    await until('both run', () => pids().length === 2);
    await set.host.stop();
    for (const call of calls) call.abort();
    await Promise.all(endings);
    await until('they are gone', () => !pids().some(alive));
  });

  test('takes no login but with its key', async (t) => {
    const set = await newSet(t);
    writeFileSync(join(set.host.folder, 'id'), newKeyPair().private);
    const end = asFailure(await actionOf(set.ssh, 'ssh.run').run(callOf({ command: 'true' }, { connect: set.host.connect })));
    assert.equal(end.fault.kind, 'ssh-auth');
  });

  test('keys of the lab can always be read', () => {
    for (let round = 0; round < 600; round++) {
      const pair = newKeyPair();
      assert(!(ssh2.utils.parseKey(pair.private) instanceof Error) && !(ssh2.utils.parseKey(pair.public) instanceof Error));
    }
  });
});
