/**
 * The Avi lab: three controllers that form a cluster, engines in groups, and virtual services that really answer over HTTP as long as one
 * of their engines is up.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, resolve } from 'node:path';
import { labLogin, type Ports, startHosts, writeDocuments } from '../generic/lab.ts';
import { CONTROLLER_COMMANDS, ENGINE_COMMANDS } from './commands.ts';

export type HaMode = 'elastic active-active' | 'elastic n+m' | 'legacy active-standby' | 'mesos east-west';
export type VirtualService = { name: string; ha: HaMode; engines: string[] };

export type AviLabOptions = {
  folder: string;
  workMs: number;
  rebootMs: number;
  /** `target:TASK[:times]` makes a task fail, `target:reboot-TASK` makes the node reboot in the middle of it. */
  fail: string[];
  drop: string[];
  dead: string[];
  platform: 'vm' | 'bare-metal';
  image: 'good' | 'damaged' | 'engine';
};

export const AVI_LAB: Omit<AviLabOptions, 'folder'> = {
  workMs: 250,
  rebootMs: 700,
  fail: [],
  drop: [],
  dead: [],
  platform: 'vm',
  image: 'good',
};

export const CONTROLLERS = ['c-1', 'c-2', 'c-3'] as const;
export const ENGINES: Record<string, string> = {
  'se-1': 'east',
  'se-2': 'east',
  'se-3': 'east',
  'se-4': 'west',
  'se-5': 'west',
  'se-6': 'west',
};

/** One virtual service for each way of being highly available, and one that is not. */
export const VIRTUAL_SERVICES: VirtualService[] = [
  { name: 'shop', ha: 'elastic active-active', engines: ['se-1', 'se-2'] },
  { name: 'api', ha: 'elastic n+m', engines: ['se-2', 'se-3'] },
  { name: 'mail', ha: 'legacy active-standby', engines: ['se-4', 'se-5'] },
  { name: 'wiki', ha: 'elastic n+m', engines: ['se-6'] },
];

export type AviLab = {
  folder: string;
  /** Where each virtual service answers. */
  services: { name: string; url: string }[];
  controllers: { id: string; url: string }[];
  stop(): Promise<void>;
};

/** Starts the lab and writes its inventory and releases; resolves when every node answers. */
export async function startAviLab(given: AviLabOptions): Promise<AviLab> {
  const options = { ...given, folder: resolve(given.folder) };
  const ids = [...CONTROLLERS, ...Object.keys(ENGINES)];
  prepareImages(options);
  const hosts = await startHosts({
    folder: options.folder,
    installMs: options.workMs,
    rebootMs: options.rebootMs,
    slow: [],
    drop: options.drop,
    dropDuring: 'se upgrade',
    dead: options.dead,
    fail: options.fail,
    hosts: ids.map((id) => ({
      id,
      version: '17.1.2',
      commands: id.startsWith('c-') ? CONTROLLER_COMMANDS : ENGINE_COMMANDS,
      ...(id.startsWith('c-') ? { process: new URL('controller-process.ts', import.meta.url) } : {}),
    })),
  });
  const ports = new Map(ids.map((id, index) => [id, hosts.ports[index] as Ports]));
  writeFileSync(
    join(options.folder, 'cluster-nodes'),
    JSON.stringify(Object.fromEntries(CONTROLLERS.map((id) => [id, ports.get(id)?.http]))),
  );
  const fronts = await Promise.all(
    VIRTUAL_SERVICES.map((service) => startFront(service.engines.map((id) => (ports.get(id) as Ports).http))),
  );
  writeDocuments(
    options.folder,
    aviDocuments(options.folder, (id) => ports.get(id) as Ports),
  );
  return {
    folder: options.folder,
    services: VIRTUAL_SERVICES.map(({ name }, index) => ({
      name,
      url: `http://127.0.0.1:${portOf(fronts[index] as Server)}/`,
    })),
    controllers: CONTROLLERS.map((id) => ({ id, url: `http://127.0.0.1:${ports.get(id)?.http}` })),
    stop: async () => {
      for (const front of fronts) {
        front.closeAllConnections();
        front.close();
      }
      await hosts.stop();
    },
  };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** An image as a text: its type, its version, and the digest of the rest. */
function imageText(type: string, version: string, damaged: boolean): string {
  const body = `type ${type}\nversion ${version}\ncontent ${'x'.repeat(200)}\n`;
  return `${body}sha256 ${createHash('sha256')
    .update(damaged ? `${body}!` : body)
    .digest('hex')}\n`;
}

function prepareImages(options: AviLabOptions): void {
  const folder = join(options.folder, 'upgrade_pkgs');
  mkdirSync(folder, { recursive: true });
  const text = imageText(options.image === 'engine' ? 'se' : 'controller', '17.2.1', options.image === 'damaged');
  writeFileSync(join(folder, 'controller.pkg'), text);
  writeFileSync(join(folder, 'controller_docker.tgz'), text);
  writeFileSync(join(options.folder, 'platform'), options.platform === 'vm' ? 'controller.pkg\n' : 'controller_docker.tgz\n');
}

/** The address of a virtual service: a request goes to the first of its engines that is up, and is lost where none is. */
function startFront(engines: readonly number[]): Promise<Server> {
  const server = createServer((request, response) => {
    request.resume();
    const attempt = (place: number) => {
      const port = engines[place];
      if (port === undefined) return void request.socket.destroy();
      get({ host: '127.0.0.1', port, path: '/version', timeout: 2000, agent: false }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => response.writeHead(200).end(Buffer.concat(parts)));
        answer.on('error', () => attempt(place + 1));
      })
        .on('timeout', function (this: { destroy(): void }) {
          this.destroy();
        })
        .on('error', () => attempt(place + 1));
    };
    attempt(0);
  });
  return new Promise((done) => server.listen(0, '127.0.0.1', () => done(server)));
}

/** The lab's inventory and releases. `portsOf`: where a node answers. */
export function aviDocuments(folder: string, portsOf: (id: string) => Ports): Record<string, unknown[]> {
  const connect = (id: string) => ({ ssh: { port: portsOf(id).ssh }, http: { url: `http://127.0.0.1:${portsOf(id).http}` } });
  return {
    'inventory.yaml': [
      {
        kind: 'Inventory',
        name: 'the Avi lab',
        defaults: { version: '17.1.2', connect: { ssh: { ...labLogin(folder), user: 'aviseuser' } } },
        targets: [
          ...CONTROLLERS.map((id) => ({ id, product: 'avi-controller', connect: connect(id) })),
          ...Object.entries(ENGINES).map(([id, group]) => ({ id, product: 'avi-se', labels: { group }, connect: connect(id) })),
        ],
        services: [
          { name: 'rest-api', title: 'REST API', on: [...CONTROLLERS], needs: 2 },
          ...VIRTUAL_SERVICES.map(({ name, ha, engines }) => ({ name, title: `${name} (${ha})`, on: engines, needs: 1 })),
        ],
      },
    ],
    'release.yaml': [
      { kind: 'Release', product: 'avi-vantage', version: '17.1.2', components: { 'avi-controller': '17.1.2', 'avi-se': '17.1.2' } },
      {
        kind: 'Release',
        product: 'avi-vantage',
        version: '17.2.1',
        components: { 'avi-controller': '17.2.1', 'avi-se': '17.2.1' },
        from: [{ versions: '>=17.1.0 <17.2.1', kind: 'minor' }],
        notes: ['Upgrade the Avi Ansible modules and the OpenStack drivers along with it, where you use them.'],
      },
    ],
  };
}
