/** A whole upgrade through the command line over OpenSSH's own server: installing, rebooting, and a kill -9 midway. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { prepareHost } from '../../src/packs/generic/host.ts';
import { counts, ledgers, start, temporaryFolder, until, upshift } from '../command-line.fixture.ts';
import { answers, freePort } from './ports.fixture.ts';

const SSHD = '/usr/sbin/sshd';
const skip = !existsSync(SSHD) && `${SSHD} is missing: apt-get install openssh-server`;

/** A host with a real sshd, which a "reboot" kills with everything that runs there. */
class RealHost {
  readonly folder: string;
  readonly #root: string;
  port = 0;
  #child: ChildProcess | undefined;
  #watch: NodeJS.Timeout | undefined;

  constructor(root: string, id: string) {
    this.#root = root;
    this.folder = join(root, 'targets', id);
    prepareHost(this.folder, '1.0.0', {});
    writeFileSync(join(this.folder, 'bin/reboot'), '#!/bin/sh\ntouch "$LAB/reboot-wanted"\nsleep 30\n', { mode: 0o755 });
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(this.folder, 'host_key')]);
  }

  async boot(): Promise<void> {
    if (this.port === 0) this.port = await freePort();
    writeFileSync(join(this.folder, 'boot_id'), `${randomUUID()}\n`);
    const config = join(this.folder, 'sshd.conf');
    const env = [
      `HOME=${this.folder}/home`,
      `LAB=${this.folder}`,
      'LAB_SECONDS=0.4',
      `UPSHIFT_BOOT_ID=${this.folder}/boot_id`,
      `PATH=${this.folder}/bin:/usr/bin:/bin`,
    ];
    writeFileSync(
      config,
      [
        `Port ${this.port}`,
        'ListenAddress 127.0.0.1',
        `HostKey ${this.folder}/host_key`,
        `AuthorizedKeysFile ${this.#root}/id.pub`,
        'PermitRootLogin yes',
        'StrictModes no',
        'UsePAM no',
        'PidFile none',
        'MaxStartups 200',
        `SetEnv ${env.join(' ')}`,
      ].join('\n'),
    );
    this.#child = spawn(SSHD, ['-D', '-e', '-f', config], { stdio: 'ignore' });
    await until('sshd answers', () => answers(this.port));
    this.#watch = setInterval(() => {
      if (existsSync(join(this.folder, 'reboot-wanted'))) void this.#reboot();
    }, 50);
  }

  async #reboot(): Promise<void> {
    await this.stop();
    rmSync(join(this.folder, 'reboot-wanted'));
    const next = join(this.folder, 'next');
    writeFileSync(
      join(this.folder, 'ledger.jsonl'),
      `${JSON.stringify({ at: new Date().toISOString(), fence: '', action: 'reboot', phase: 'begin', outcome: null })}\n`,
      { flag: 'a' },
    );
    if (existsSync(next)) {
      writeFileSync(join(this.folder, 'version'), readFileSync(next));
      rmSync(next);
    }
    await this.boot();
  }

  /** Ends the server, its sessions and every job, as a power cut would. */
  async stop(): Promise<void> {
    clearInterval(this.#watch);
    const child = this.#child;
    const sessions = execFileSync('sh', ['-c', `ps -o pid= --ppid ${child?.pid} || true`], { encoding: 'utf8' })
      .split(/\s+/)
      .filter(Boolean)
      .map(Number);
    for (const file of globSync(join(this.folder, 'home/.upshift/jobs/*/*/*/pid')))
      if (!existsSync(join(file, '../exit'))) kill(-Number(readFileSync(file, 'utf8')));
    for (const pid of sessions) kill(pid);
    if (child && child.exitCode === null) {
      const gone = new Promise((done) => child.once('exit', done));
      child.kill('SIGKILL');
      await gone;
    }
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

async function realHosts(t: TestContext, count: number): Promise<{ folder: string; env: NodeJS.ProcessEnv }> {
  const { path, remove } = temporaryFolder();
  mkdirSync('/run/sshd', { recursive: true });
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(path, 'id')]);
  const hosts = Array.from({ length: count }, (_, index) => new RealHost(path, `node-${index + 1}`));
  t.after(async () => {
    for (const host of hosts) await host.stop();
    remove();
  });
  for (const host of hosts) await host.boot();
  writeFileSync(
    join(path, 'known_hosts'),
    hosts.map((host) => `[127.0.0.1]:${host.port} ${readFileSync(join(host.folder, 'host_key.pub'), 'utf8')}`).join(''),
  );
  const ssh = { host: '127.0.0.1', user: userInfo().username, identity: join(path, 'id'), knownHosts: join(path, 'known_hosts') };
  const failed = { final: true, result: 'failed' };
  const documents = [
    {
      kind: 'Inventory',
      defaults: { product: 'p', version: '1.0.0', connect: { ssh } },
      targets: hosts.map((host, index) => ({ id: `node-${index + 1}`, connect: { ssh: { port: host.port } } })),
    },
    { kind: 'Release', product: 'p', version: '1.0.0' },
    { kind: 'Release', product: 'p', version: '2.0.0', from: [{ versions: '1.0.0' }] },
    {
      kind: 'Procedure',
      name: 'p',
      observe: { action: 'ssh.run', with: { command: 'cat "$LAB/version"' }, version: 'result.stdout.trim()' },
      start: 'install',
      states: {
        install: {
          action: 'ssh.run',
          with: { command: `installer install \${to}` },
          traits: { disruptive: true },
          on: { success: 'reboot', failure: 'failed' },
        },
        reboot: { action: 'ssh.reboot', timeout: '1m', on: { success: 'verify', failure: 'failed' } },
        verify: {
          action: 'ssh.run',
          with: { command: `test "$(cat "$LAB/version")" = \${to}` },
          traits: { idempotent: true },
          on: { success: 'done', failure: 'failed' },
        },
        done: { final: true },
        failed,
      },
    },
    { kind: 'Upgrade', name: 'real', product: 'p', to: '2.0.0', stages: [{ name: 'nodes', procedure: 'p', strategy: { parallel: 2 } }] },
  ];
  writeFileSync(join(path, 'all.yaml'), documents.map((document) => stringify(document)).join('---\n'));
  return { folder: path, env: { UPSHIFT_DATA: join(path, 'data') } };
}

describe('an upgrade over OpenSSH', { skip }, () => {
  test('runs to the end: each host is installed and rebooted once', async (t) => {
    const { folder, env } = await realHosts(t, 3);
    const ran = await upshift(['apply', join(folder, 'all.yaml'), '--yes'], env);
    assert.equal(ran.code, 0, ran.out + ran.err);
    for (const [id, entries] of ledgers(folder)) assert.deepEqual(counts(entries), { install: 1, reboot: 1 }, id);
  });

  test('a kill -9 while hosts install is survived, and nothing is done twice', async (t) => {
    const { folder, env } = await realHosts(t, 3);
    const first = start(['apply', join(folder, 'all.yaml'), '--yes'], env);
    await until('hosts install', () => [...ledgers(folder).values()].some((entries) => entries.at(-1)?.phase === 'begin'));
    first.child.kill('SIGKILL');
    await first.ended;
    const ran = await upshift(['resume'], env);
    assert.equal(ran.code, 0, ran.out + ran.err);
    for (const [id, entries] of ledgers(folder)) assert.deepEqual(counts(entries), { install: 1, reboot: 1 }, id);
  });
});
