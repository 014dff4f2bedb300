/** Hosts for benchmarks of SSH: real OpenSSH servers on this machine, each port a host. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { newKeyPair } from '../src/packs/generic/keys.ts';
import type { Folder } from './fleet.ts';
import { kill, launch, type Running, until } from './process.ts';

const SSHD = '/usr/sbin/sshd';
/** sshd listens on 16 sockets at most. */
const PORTS_EACH = 16;

export type SshHosts = {
  ports: number[];
  user: string;
  identity: string;
  knownHosts: string;
  /** The home of every session: empty, so that no shell reads what slows it down. */
  home: string;
  close(): Promise<void>;
};

/** Why there can be no hosts here; undefined where there can. */
export function missingOpenSsh(): string | undefined {
  return existsSync(SSHD) ? undefined : `${SSHD} is missing: apt-get install openssh-server`;
}

export async function startHosts(folder: Folder, count: number): Promise<SshHosts> {
  // Where sshd keeps nothing, and does not start without.
  if (!existsSync('/run/sshd')) mkdirSync('/run/sshd', { mode: 0o755 });
  const file = (name: string) => join(folder.path, name);
  const hosts = { user: userInfo().username, identity: file('id'), knownHosts: file('known_hosts'), home: file('home') };
  mkdirSync(hosts.home);
  const pair = newKeyPair();
  writeFileSync(hosts.identity, pair.private, { mode: 0o600 });
  writeFileSync(file('authorized_keys'), `${pair.public}\n`);
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file('host_key')]);
  const ports = await freePorts(count);
  const servers: Running[] = [];
  const close = async () => {
    await Promise.all(servers.map((server) => kill(server, 'SIGTERM')));
  };
  for (let at = 0; at < ports.length; at += PORTS_EACH) {
    const config = file(`sshd-${at}.conf`);
    writeFileSync(
      config,
      [
        ...ports.slice(at, at + PORTS_EACH).map((port) => `ListenAddress 127.0.0.1:${port}`),
        `HostKey ${file('host_key')}`,
        `AuthorizedKeysFile ${file('authorized_keys')}`,
        'PermitRootLogin yes',
        'StrictModes no',
        'UsePAM no',
        'PidFile none',
        'MaxStartups 1000:30:2000',
        'Subsystem sftp internal-sftp',
        `SetEnv HOME=${hosts.home}`,
        'LogLevel ERROR',
      ].join('\n'),
    );
    servers.push(launch(SSHD, ['-D', '-e', '-f', config]));
  }
  const key = readFileSync(file('host_key.pub'), 'utf8').trim();
  writeFileSync(hosts.knownHosts, ports.map((port) => `[127.0.0.1]:${port} ${key}\n`).join(''));
  try {
    for (const port of ports) await until(`sshd answers on port ${port}`, () => answers(port), 20);
  } catch (error) {
    await close();
    throw error;
  }
  return { ...hosts, ports, close };
}

/** Ports nobody has, chosen by the system. */
async function freePorts(count: number): Promise<number[]> {
  const servers: Server[] = [];
  for (let index = 0; index < count; index++) {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    servers.push(server);
  }
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

function answers(port: number): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      done(true);
    });
    socket.on('error', () => done(false));
  });
}
