/**
 * Three commands on each of 200 hosts over SSH, from nothing to the last one's end: through our driver and its pool, and beside it a bare ssh2
 * loop at the same concurrency, and Ansible's raw and command modules with as many forks. The hosts are ports of real OpenSSH servers.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ssh2 from 'ssh2';
import type { Action, Call } from '../src/drivers/contract.ts';
import { sshDriver } from '../src/drivers/ssh/index.ts';
import { type Figure, median } from './figure.ts';
import { benchFolder, type Folder } from './fleet.ts';
import { missingOpenSsh, type SshHosts, startHosts } from './openssh.ts';
import { complete, launch } from './process.ts';

const HOSTS = 200;
/** Ansible's command module starts Python on each host for each task: on these two cores 200 hosts would take minutes. */
const COMMAND_HOSTS = 40;
const COMMANDS = 3;
const AT_ONCE = 50;
const ROUNDS = 3;
const COMMAND = 'echo upshift';

/** Does something for each, so many at once; returns how long it took, in ms. */
async function forEach<T>(items: readonly T[], work: (item: T, index: number) => Promise<void>): Promise<number> {
  const begun = performance.now();
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      await work(items[index] as T, index);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return performance.now() - begun;
}

async function ours(hosts: SshHosts): Promise<number> {
  const driver = sshDriver();
  const action = driver.actions.find((one) => one.declaration.name === 'ssh.run') as Action;
  const connect = { user: hosts.user, identity: hosts.identity, knownHosts: hosts.knownHosts, config: join(hosts.home, 'no-config') };
  const took = await forEach(hosts.ports, async (port, index) => {
    for (let command = 0; command < COMMANDS; command++) {
      const call: Call = {
        fence: `bench/${index}/${command}/1`,
        subject: `host-${index}`,
        connect: { ssh: { host: '127.0.0.1', port, ...connect } },
        input: { command: COMMAND },
        deadline: Date.now() + 60_000,
        disruptive: false,
        observing: false,
        signal: new AbortController().signal,
        output: () => {},
      };
      const end = await action.run(call);
      if (!('outcome' in end) || end.outcome !== 'success' || end.result['stdout'] !== 'upshift\n')
        throw new Error(`host ${index}: ${JSON.stringify(end)}`);
    }
  });
  await driver.close();
  return took;
}

/** The least that does it: connect, check the key, run, end. */
async function bare(hosts: SshHosts): Promise<number> {
  const privateKey = readFileSync(hosts.identity);
  const [, , known = ''] = readFileSync(hosts.knownHosts, 'utf8').split('\n')[0]?.split(' ') ?? [];
  const clients: ssh2.Client[] = [];
  const took = await forEach(hosts.ports, async (port) => {
    const client = new ssh2.Client();
    clients.push(client);
    await new Promise<void>((done, fail) => {
      client.on('ready', done).on('error', fail);
      client.connect({
        host: '127.0.0.1',
        port,
        username: hosts.user,
        privateKey,
        algorithms: { serverHostKey: ['ssh-ed25519'] },
        hostVerifier: (key: Buffer) => key.toString('base64') === known,
      });
      client.setNoDelay(true);
    });
    for (let command = 0; command < COMMANDS; command++)
      await new Promise<void>((done, fail) =>
        client.exec(COMMAND, (error, stream) => {
          if (error) return fail(error);
          let out = '';
          stream.on('data', (chunk: Buffer) => {
            out += chunk;
          });
          stream.stderr.resume();
          stream.on('close', () => (out === 'upshift\n' ? done() : fail(new Error(`it said ${out}`))));
        }),
      );
  });
  for (const client of clients) client.destroy();
  return took;
}

/** A playbook of as many tasks as there are commands, over the first `count` hosts. Returns how long it took in ms, Ansible's own start left out. */
async function ansible(folder: Folder, hosts: SshHosts, module: 'raw' | 'command', count: number): Promise<number> {
  const place = join(folder.path, 'ansible');
  const sockets = join(place, 'cp');
  execFileSync('mkdir', ['-p', sockets, join(place, 'home')]);
  const args = `-o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=${hosts.knownHosts} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes`;
  writeFileSync(
    join(place, 'ansible.cfg'),
    `[defaults]\nforks = ${AT_ONCE}\ngathering = explicit\nremote_tmp = ${place}/remote\nlocal_tmp = ${place}/local\nretry_files_enabled = false\ninterpreter_python = /usr/bin/python3\n[ssh_connection]\npipelining = true\nssh_args = ${args}\ncontrol_path_dir = ${sockets}\n`,
  );
  const inventory = hosts.ports.slice(0, count).map((port, index) => `h${index} ansible_host=127.0.0.1 ansible_port=${port}`);
  writeFileSync(
    join(place, 'hosts'),
    `${inventory.join('\n')}\n[all:vars]\nansible_user=${hosts.user}\nansible_ssh_private_key_file=${hosts.identity}\n`,
  );
  const tasks = Array.from({ length: COMMANDS }, () => ({ [module]: COMMAND }));
  writeFileSync(join(place, 'play.json'), JSON.stringify([{ hosts: 'all', gather_facts: false, tasks }]));
  writeFileSync(join(place, 'nothing.json'), JSON.stringify([{ hosts: 'all', gather_facts: false, tasks: [] }]));
  const env = { ...process.env, HOME: join(place, 'home'), ANSIBLE_CONFIG: join(place, 'ansible.cfg'), ANSIBLE_HOME: join(place, 'home') };
  const play = (name: string) => complete('ansible-playbook', ['-i', join(place, 'hosts'), join(place, name)], { cwd: place, env });
  try {
    const nothing = await play('nothing.json');
    return (await play('play.json')).tookMs - nothing.tookMs;
  } finally {
    // The connections it keeps open are processes of their own.
    for (const socket of readdirSync(sockets)) await launch('ssh', ['-o', `ControlPath=${join(sockets, socket)}`, '-O', 'exit', 'x']).ended;
  }
}

function hasAnsible(): boolean {
  try {
    execFileSync('ansible-playbook', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export async function run(report: (figure: Figure) => void): Promise<void> {
  const missing = missingOpenSsh();
  if (missing !== undefined) {
    console.error(`  skipped: ${missing}`);
    return;
  }
  const folder = benchFolder();
  const hosts = await startHosts(folder, HOSTS);
  const own: number[] = [];
  const loop: number[] = [];
  const raw: number[] = [];
  const command: number[] = [];
  const withAnsible = hasAnsible();
  try {
    for (let round = 0; round <= ROUNDS; round++) {
      const figures = [await ours(hosts), await bare(hosts)] as const;
      // The first fills the caches of both.
      if (round === 0) continue;
      own.push(figures[0]);
      loop.push(figures[1]);
      if (withAnsible) raw.push(await ansible(folder, hosts, 'raw', HOSTS));
      if (withAnsible && round === 1) command.push(await ansible(folder, hosts, 'command', COMMAND_HOSTS));
    }
  } finally {
    await hosts.close();
    folder.remove();
  }
  const value = median(own) / 1000;
  const figure = (rival: string, times: readonly number[], scale: number, goal: string, holds: (theirs: number) => boolean) => {
    const rivalValue = (median(times) / 1000) * scale;
    report({
      name: `${HOSTS} hosts × ${COMMANDS} commands over SSH, ${AT_ONCE} at once`,
      value,
      unit: 's',
      rival,
      rivalValue,
      ratio: value / rivalValue,
      goal,
      met: holds(rivalValue),
    });
  };
  figure('bare ssh2 loop', loop, 1, 'within 1.2 times', (theirs) => value <= 1.2 * theirs);
  if (!withAnsible) {
    console.error('  skipped: ansible-playbook is missing: apt-get install ansible-core');
    return;
  }
  figure(`Ansible raw, ${AT_ONCE} forks, pipelining, its start left out`, raw, 1, '3 times as fast', (theirs) => theirs >= 3 * value);
  figure(
    `Ansible command, the same, ${COMMAND_HOSTS} hosts scaled to ${HOSTS}`,
    command,
    HOSTS / COMMAND_HOSTS,
    '15 times as fast',
    (theirs) => theirs >= 15 * value,
  );
}
