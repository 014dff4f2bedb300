/** The ssh driver against OpenSSH's own server and agent. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { actionOf, asFailure, asSuccess, asUnknown, callOf, observationOf, until, within } from '../../src/drivers/call.fixture.ts';
import type { Driver } from '../../src/drivers/contract.ts';
import { sshDriver } from '../../src/drivers/ssh/index.ts';
import type { SshConnect } from '../../src/model/documents/index.ts';
import { newKeyPair } from '../../src/packs/generic/keys.ts';
import { answers, freePort } from './ports.fixture.ts';

const SSHD = '/usr/sbin/sshd';
const skip = !existsSync(SSHD) && `${SSHD} is missing: apt-get install openssh-server`;
const user = userInfo().username;

const folder = mkdtempSync(join(tmpdir(), 'upshift-openssh-'));
const home = join(folder, 'home');
const identity = join(folder, 'id');
const knownHosts = join(folder, 'known_hosts');
const ends: (() => void | Promise<void>)[] = [];
after(async () => {
  for (const end of ends.reverse()) await end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** Starts a server of our own; resolves with its port when it answers. */
async function startSshd(name: string, more: readonly string[] = []): Promise<number> {
  const port = await freePort();
  const hostKeys = ['ed25519', 'ecdsa'].map((type) => {
    const file = join(folder, `${name}-${type}`);
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', file]);
    return file;
  });
  const config = join(folder, `${name}.conf`);
  writeFileSync(
    config,
    [
      ...more,
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      ...hostKeys.map((file) => `HostKey ${file}`),
      `AuthorizedKeysFile ${folder}/authorized_keys`,
      'PermitRootLogin yes',
      'StrictModes no',
      'UsePAM no',
      'PidFile none',
      'MaxStartups 200',
      'LogLevel ERROR',
      `SetEnv HOME=${home} UPSHIFT_BOOT_ID=${folder}/boot_id`,
      'AcceptEnv none',
    ].join('\n'),
  );
  const child = spawn(SSHD, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (text) => {
    log = (log + text).slice(-20_000);
  });
  ends.push(() => ended(child));
  await until(`sshd answers: ${log}`, () => {
    assert.equal(child.exitCode, null, log);
    return answers(port);
  });
  const [ed25519 = ''] = hostKeys;
  writeFileSync(knownHosts, `[127.0.0.1]:${port} ${readFileSync(`${ed25519}.pub`, 'utf8')}`, { flag: 'a' });
  return port;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once('exit', done));
  child.kill();
  await gone;
}

let port = 0;
before(async () => {
  if (skip) return;
  // Where sshd keeps nothing, and does not start without.
  if (!existsSync('/run/sshd')) mkdirSync('/run/sshd', { mode: 0o755 });
  mkdirSync(home);
  writeFileSync(join(folder, 'boot_id'), 'boot-1\n');
  const pair = newKeyPair();
  writeFileSync(identity, pair.private, { mode: 0o600 });
  writeFileSync(join(folder, 'authorized_keys'), `${pair.public}\n`);
  port = await startSshd('main');
});

const connect = (more: SshConnect = {}): { ssh: SshConnect } => ({
  ssh: { host: '127.0.0.1', port, user, identity, knownHosts, config: join(folder, 'no-config'), ...more },
});

function newDriver(t: TestContext): Driver {
  const driver = sshDriver();
  t.after(() => driver.close());
  return driver;
}

const run = (driver: Driver, command: string, more: Parameters<typeof callOf>[1] = {}) =>
  actionOf(driver, 'ssh.run').run(callOf({ command }, { connect: connect(), ...more }));

/** The process of the session in which this is run: the child of sshd that serves the connection. */
const SESSION = 'echo $PPID';

function alive(pid: number): boolean {
  return existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

describe('ssh against OpenSSH', { skip }, () => {
  test('a command runs: output, errors, exit code, environment, signals', async (t) => {
    const driver = newDriver(t);
    const value = `$(touch x); 'a' "b" ü\n`;
    const call = callOf({ command: 'printf %s "$VALUE"; echo err >&2; exit 3', env: { VALUE: value } }, { connect: connect() });
    const end = asFailure(await actionOf(driver, 'ssh.run').run(call));
    assert.deepEqual(end.result, { exit: 3, stdout: value, stderr: 'err\n' });
    assert.equal(asSuccess(await run(driver, 'printf %s "$HOME"')).result['stdout'], home);
    for (const [signal, exit] of [
      ['KILL', 137],
      ['TERM', 143],
    ])
      assert.equal(asFailure(await run(driver, `kill -${signal} $$`)).result['exit'], exit);
  });

  test('a detached command goes on when its connection is killed, and its observation tells how it ended', async (t) => {
    const driver = newDriver(t);
    const command = `echo $$ > ${folder}/job; while [ ! -f ${folder}/go-on ] && [ -d ${folder} ]; do sleep 0.05; done; echo done; exit 6`;
    const call = callOf({ command }, { connect: connect(), disruptive: true });
    const session = Number(asSuccess(await run(driver, SESSION)).result['stdout']);
    const ending = actionOf(driver, 'ssh.run').run(call);
    await until('it runs', () => existsSync(join(folder, 'job')));
    process.kill(session, 'SIGKILL');
    assert.equal(asUnknown(await ending).kind, 'connection-cut');
    const job = Number(readFileSync(join(folder, 'job'), 'utf8'));
    assert(alive(job), 'it went with its connection');
    const observed = actionOf(driver, 'ssh.run').observe?.(observationOf(call));
    writeFileSync(join(folder, 'go-on'), '');
    assert.deepEqual(asFailure((await observed) as never).result, { exit: 6, stdout: 'done\n', stderr: '' });
    assert.equal(asUnknown(await actionOf(driver, 'ssh.run').run(call)).kind, 'started-before');
  });

  test('a session whose process is killed is unknown, and the next command connects anew', async (t) => {
    const driver = newDriver(t);
    const session = Number(asSuccess(await run(driver, SESSION)).result['stdout']);
    const ending = run(driver, `touch ${folder}/begun; sleep 60`);
    await until('it runs', () => existsSync(join(folder, 'begun')));
    process.kill(session, 'SIGKILL');
    assert.equal(asUnknown(await within(5_000, ending)).outcome, 'unknown');
    asSuccess(await run(driver, 'true'));
  });

  test('far more commands at once than MaxSessions all run, over one connection or a few', async (t) => {
    const driver = newDriver(t);
    const ends = await Promise.all(Array.from({ length: 40 }, () => run(driver, `sleep 0.1; ${SESSION}`)));
    // A session that has just ended may still count on the server, which then refuses the next: that one goes over another connection.
    assert(new Set(ends.map((end) => asSuccess(end).result['stdout'])).size <= 4);
  });

  test('a server that allows one session at a time still runs everything', async (t) => {
    const driver = newDriver(t);
    const narrow = await startSshd('narrow', ['MaxSessions 1']);
    const ends = await Promise.all(Array.from({ length: 4 }, () => run(driver, 'sleep 0.1', { connect: connect({ port: narrow }) })));
    for (const end of ends) asSuccess(end);
  });

  test('much output arrives to its end', async (t) => {
    const { result } = asSuccess(await run(newDriver(t), "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo the end"));
    assert((result['stdout'] as string).endsWith('x\nthe end\n'));
  });

  test('at the deadline a command is given up on, and what became of it is not claimed to be known', async (t) => {
    const driver = newDriver(t);
    const command = `echo said; trap '' TERM; echo $$ > ${folder}/deaf; while [ -d ${folder} ]; do sleep 0.1; done`;
    t.after(() => void process.kill(Number(readFileSync(join(folder, 'deaf'), 'utf8')), 'SIGKILL'));
    const { fault, result } = asFailure(await within(4_000, run(driver, command, { timeoutMs: 700 })));
    assert.deepEqual([fault.kind, fault.outcome, result['stdout']], ['timeout', 'unknown', 'said\n']);
    assert.match(fault.message, /told to end/);
  });

  test('at the deadline a detached command is ended there', async (t) => {
    const command = `sleep 300 & echo $! > ${folder}/slow; wait`;
    const end = asFailure(await within(8_000, run(newDriver(t), command, { timeoutMs: 900, disruptive: true })));
    assert.equal(end.fault.kind, 'timeout');
    const pid = Number(readFileSync(join(folder, 'slow'), 'utf8'));
    await until('it is gone', () => !alive(pid));
  });

  test('a host is reached through another', async (t) => {
    const far = await startSshd('far');
    const config = join(folder, 'config');
    const common = `  HostName 127.0.0.1\n  User ${user}\n  IdentityFile ${identity}\n  IdentitiesOnly yes\n  UserKnownHostsFile ${knownHosts}\n`;
    writeFileSync(config, `Host bastion\n  Port ${port}\n${common}Host far\n  Port ${far}\n  ProxyJump bastion\n${common}`);
    const end = await run(newDriver(t), 'echo "$SSH_CONNECTION"', { connect: { ssh: { host: 'far', config } } });
    assert.match(asSuccess(end).result['stdout'] as string, new RegExp(` ${far}\n$`));
  });

  test('a key that the server does not take is said to be the reason, with what was tried', async (t) => {
    const other = join(folder, 'other');
    writeFileSync(other, newKeyPair().private, { mode: 0o600 });
    const { fault } = asFailure(await within(5_000, run(newDriver(t), 'true', { connect: connect({ identity: other }) })));
    assert.deepEqual([fault.kind, fault.found], ['ssh-auth', 'tried publickey']);
  });

  test('a changed host key is refused', async (t) => {
    const wrong = join(folder, 'wrong_hosts');
    writeFileSync(wrong, `[127.0.0.1]:${port} ${newKeyPair().public}\n`);
    assert.equal(asFailure(await run(newDriver(t), 'true', { connect: connect({ knownHosts: wrong }) })).fault.kind, 'host-key-changed');
  });

  test('what ssh-keyscan and ssh-keygen -H write is understood', async (t) => {
    const file = join(folder, 'scanned');
    writeFileSync(file, execFileSync('ssh-keyscan', ['-p', String(port), '127.0.0.1'], { stdio: ['ignore', 'pipe', 'ignore'] }));
    execFileSync('ssh-keygen', ['-q', '-H', '-f', file], { stdio: 'ignore' });
    assert.match(readFileSync(file, 'utf8'), /^\|1\|/);
    asSuccess(await run(newDriver(t), 'true', { connect: connect({ knownHosts: file }) }));
  });

  test('a reboot is found by another boot id', async (t) => {
    const call = callOf({ command: `echo boot-2 > ${folder}/boot_id` }, { connect: connect(), disruptive: true });
    assert.equal(asSuccess(await actionOf(newDriver(t), 'ssh.reboot').run(call)).result['stdout'], 'boot id boot-1 → boot-2');
  });
});

const noAgent = skip || (!existsSync('/usr/bin/ssh-agent') && '/usr/bin/ssh-agent is missing: apt-get install openssh-client');

describe("ssh with OpenSSH's agent", { skip: noAgent }, () => {
  const socket = join(folder, 'agent');
  before(async () => {
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    ends.push(() => ended(agent));
    await until('the agent answers', () => existsSync(socket));
    // More keys than MaxAuthTries allows to be tried, the right one last.
    for (let index = 0; index < 6; index++) {
      const file = join(folder, `decoy-${index}`);
      writeFileSync(file, newKeyPair().private, { mode: 0o600 });
      add(file);
    }
    add(identity);
  });
  const add = (file: string) => execFileSync('ssh-add', [file], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: 'ignore' });

  let configs = 0;
  const go = (t: TestContext, lines: string) => {
    const config = join(folder, `agent-config-${++configs}`);
    writeFileSync(config, `IdentityAgent ${socket}\nUserKnownHostsFile ${knownHosts}\n${lines}`);
    return run(newDriver(t), 'echo in', { connect: { ssh: { host: '127.0.0.1', port, user, config } } });
  };

  test('a key that only the agent holds lets us in, where its public half is named', async (t) => {
    writeFileSync(join(folder, 'named.pub'), readFileSync(join(folder, 'authorized_keys')));
    asSuccess(await go(t, `IdentitiesOnly yes\nIdentityFile ${folder}/named.pub\n`));
  });

  test('an agent with more keys than the server has patience for is a fault that says so', async (t) => {
    const { fault } = asFailure(await within(8_000, go(t, `IdentityFile ${folder}/none\n`)));
    assert.equal(fault.kind, 'ssh-auth');
    assert.match(fault.found ?? '', /^tried agent; it said: Too many authentication failures/);
  });

  test('a locked key is used through the agent', async (t) => {
    const locked = join(folder, 'locked');
    writeFileSync(locked, readFileSync(identity), { mode: 0o600 });
    execFileSync('ssh-keygen', ['-q', '-p', '-P', '', '-N', 'open sesame', '-f', locked], { stdio: 'ignore' });
    writeFileSync(`${locked}.pub`, readFileSync(join(folder, 'authorized_keys')));
    asSuccess(await go(t, `IdentitiesOnly yes\nIdentityFile ${locked}\n`));
  });

  test('a key that OpenSSH locked opens with its passphrase', async (t) => {
    const locked = join(folder, 'locked-too');
    writeFileSync(locked, readFileSync(identity), { mode: 0o600 });
    execFileSync('ssh-keygen', ['-q', '-p', '-P', '', '-N', 'open sesame', '-f', locked], { stdio: 'ignore' });
    const driver = newDriver(t);
    asSuccess(await run(driver, 'true', { connect: connect({ identity: locked, passphrase: 'open sesame' }) }));
    const { fault } = asFailure(await run(driver, 'true', { connect: connect({ identity: locked, passphrase: 'wrong' }) }));
    assert.match(fault.found ?? '', /passphrase does not fit/);
  });
});
