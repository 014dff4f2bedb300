/** The generic lab: hosts behind controllers, each a process with an SSH server, and the documents to upgrade them. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { type LabTarget, labDocuments } from './documents.ts';
import { type HostOptions, prepareHost } from './host.ts';
import { newKeyPair } from './keys.ts';

export type LabOptions = {
  folder: string;
  hosts: number;
  controllers: number;
  groups: number;
  installMs: number;
  rebootMs: number;
  /** Targets whose installer takes ten times as long. */
  slow: string[];
  /** Targets that cut the connection once, midway through installing. */
  drop: string[];
  /** Targets that are off. */
  dead: string[];
  /** `target:action:times`: the action fails that many times first. */
  fail: string[];
};

export type Lab = { folder: string; targets: LabTarget[]; stop(): Promise<void> };

/** `target:action:times` in its parts. */
export function parseFault(text: string): { target: string; action: string; times: number } | undefined {
  const match = /^([^:]+):([A-Za-z_-]+)(?::(\d+))?$/.exec(text);
  return match ? { target: match[1] as string, action: match[2] as string, times: Number(match[3] ?? 1) } : undefined;
}

/** The ids of a lab's targets: c-1, c-2, … and se-1, se-2, … */
export function labTargets(options: Pick<LabOptions, 'hosts' | 'controllers' | 'groups'>): Pick<LabTarget, 'id' | 'role' | 'group'>[] {
  const names = ['east', 'west', 'north', 'south'];
  return [
    ...Array.from({ length: options.controllers }, (_, index) => ({
      id: `c-${index + 1}`,
      role: 'controller' as const,
      group: 'controllers',
    })),
    ...Array.from({ length: options.hosts }, (_, index) => {
      const group = Math.floor((index * options.groups) / options.hosts);
      return { id: `se-${index + 1}`, role: 'engine' as const, group: names[group] ?? `group-${group + 1}` };
    }),
  ];
}

/** Starts the hosts and writes the documents; resolves when all of them answer. */
export async function startLab(given: LabOptions): Promise<Lab> {
  const options = { ...given, folder: resolve(given.folder) };
  const targets = labTargets(options);
  const hosts = await startHosts({
    ...options,
    hosts: targets.map(({ id }) => ({ id, version: '1.0.0' })),
  });
  const placed = targets.map((target, index) => ({ ...target, ...(hosts.ports[index] as Ports) }));
  writeDocuments(options.folder, labDocuments(options.folder, placed));
  return { folder: options.folder, targets: placed, stop: hosts.stop };
}

export type Ports = { ssh: number; http: number };
export type HostsOptions = Pick<LabOptions, 'folder' | 'installMs' | 'rebootMs' | 'slow' | 'drop' | 'dead' | 'fail'> & {
  hosts: { id: string; version: string; commands?: Record<string, string>; process?: URL }[];
  /** The action during which `drop` cuts the connection; default install. */
  dropDuring?: string;
};

/** Starts hosts, with a key to log in by and a known_hosts file beside them. */
export async function startHosts(options: HostsOptions): Promise<{ ports: Ports[]; stop(): Promise<void> }> {
  mkdirSync(options.folder, { recursive: true });
  const client = newKeyPair();
  const identity = join(options.folder, 'id_ed25519');
  writeFileSync(identity, client.private, { mode: 0o600 });
  writeFileSync(`${identity}.pub`, client.public);
  const children: ChildProcess[] = [];
  const started = await Promise.all(
    options.hosts.map(async ({ id, version, commands, process }) => {
      const folder = join(options.folder, 'targets', id);
      const faults = Object.fromEntries(
        options.fail.flatMap((text) => {
          const one = parseFault(text);
          return one?.target === id ? [[one.action, one.times]] : [];
        }),
      );
      prepareHost(folder, version, faults, commands);
      const key = newKeyPair();
      const hostOptions: HostOptions = {
        id,
        folder,
        hostKey: key.private,
        authorizedKey: client.public,
        installMs: options.installMs * (options.slow.includes(id) ? 10 : 1),
        rebootMs: options.rebootMs,
        ...(options.drop.includes(id) ? { drop: options.dropDuring ?? 'installer install' } : {}),
      };
      const { child, ports } = await startHost(hostOptions, process);
      children.push(child);
      if (options.dead.includes(id)) child.kill('SIGKILL');
      return { ports, knownHost: `[127.0.0.1]:${ports.ssh} ${key.public.trim()}` };
    }),
  );
  writeFileSync(join(options.folder, 'known_hosts'), `${started.map((host) => host.knownHost).join('\n')}\n`);
  return { ports: started.map((host) => host.ports), stop: () => stopAll(children) };
}

/** How to log in to the hosts of a lab. */
export function labLogin(folder: string): Record<string, string> {
  return { host: '127.0.0.1', user: 'lab', identity: join(folder, 'id_ed25519'), knownHosts: join(folder, 'known_hosts') };
}

export function writeDocuments(folder: string, files: Record<string, unknown[]>): void {
  for (const [file, documents] of Object.entries(files))
    writeFileSync(join(folder, file), documents.map((document) => stringify(document, { lineWidth: 140 })).join('---\n'));
}

function startHost(
  options: HostOptions,
  process = new URL('host-process.ts', import.meta.url),
): Promise<{ child: ChildProcess; ports: { ssh: number; http: number } }> {
  return new Promise((done, fail) => {
    const child = fork(fileURLToPath(process), [], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // Not those of a test runner: they would make SIGUSR2, which is our reboot, write a report.
      execArgv: ['--disable-warning=ExperimentalWarning'],
      // Hosts start many times over, so what was compiled once is kept.
      env: {
        ...globalThis.process.env,
        NODE_COMPILE_CACHE: fileURLToPath(new URL('../../../node_modules/.cache/upshift', import.meta.url)),
      },
    });
    child.once('error', fail);
    child.once('exit', (code) => fail(new Error(`the lab host ${options.id} ended with ${code}`)));
    child.once('message', (ports: { ssh: number; http: number }) => {
      child.removeAllListeners('exit');
      done({ child, ports });
    });
    child.send(options);
  });
}

async function stopAll(children: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    children.map((child) => {
      if (child.exitCode !== null || child.signalCode !== null) return undefined;
      const gone = new Promise((done) => child.once('exit', done));
      child.disconnect();
      return gone;
    }),
  );
}
