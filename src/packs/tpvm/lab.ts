/** The TPVM lab: two switches with a TPVM each, the XCO application and its database, and a firmware host. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { labLogin, startHosts, writeDocuments } from '../generic/lab.ts';
import { SLX, XCO } from './commands.ts';

export type TpvmLabOptions = {
  folder: string;
  workMs: number;
  /** `target:action[:times]`: upgrade, revert, install of a device; check, validate, config, rejoin of xco. */
  fail: string[];
  /** Devices that were exchanged: no TPVM configuration, no TPVM. */
  replaced: string[];
  /** Devices whose TPVM came back with an address that XCO does not know. */
  moved: string[];
  /** A single XCO node. */
  single: boolean;
  drop: string[];
};

export const TPVM_LAB: Omit<TpvmLabOptions, 'folder'> = { workMs: 800, fail: [], replaced: [], moved: [], single: false, drop: [] };

const DEVICES = [
  { id: 'slx-1', ip: '10.20.0.1', role: 'active' },
  { id: 'slx-2', ip: '10.20.0.2', role: 'standby' },
] as const;

/** The TPVM configuration of a device; trusted-peer exists on one node only. */
function configuration(device: (typeof DEVICES)[number]): string {
  const lines = [
    'auto-boot enable',
    `ip ${device.ip}`,
    'password ***',
    'interface management dhcp',
    'insight enable',
    'hostname tpvm',
    'timezone UTC',
    'dns 10.20.0.53',
    'ntp 10.20.0.123',
    'ldap 10.20.0.89',
    'ldap-ca lab',
  ];
  if (device.id === 'slx-1') lines.push('trusted-peer 10.20.0.2');
  return `${lines.join('\n')}\n`;
}

export type TpvmLab = { folder: string; stop(): Promise<void> };

/** Starts the lab and writes its inventory and releases; resolves when every host answers. */
export async function startTpvmLab(given: TpvmLabOptions): Promise<TpvmLab> {
  const options = { ...given, folder: resolve(given.folder) };
  const ids = [...DEVICES.map((device) => device.id), 'xco', 'firmware'];
  prepareXco(options);
  const hosts = await startHosts({
    folder: options.folder,
    installMs: options.workMs,
    rebootMs: 300,
    slow: [],
    drop: options.drop,
    dropDuring: 'slx tpvm-upgrade',
    dead: [],
    fail: options.fail,
    hosts: ids.map((id) => ({ id, version: '4.5.0', commands: id.startsWith('slx') ? { slx: SLX } : { xco: XCO } })),
  });
  for (const device of DEVICES) prepareDevice(options, device);
  writeDocuments(
    options.folder,
    tpvmDocuments(options.folder, (id) => hosts.ports[ids.indexOf(id)]?.ssh ?? 0),
  );
  return { folder: options.folder, stop: hosts.stop };
}

function prepareXco(options: TpvmLabOptions): void {
  const xco = join(options.folder, 'xco');
  for (const name of ['db', 'joined']) mkdirSync(join(xco, name), { recursive: true });
  mkdirSync(join(options.folder, 'images'), { recursive: true });
  writeFileSync(join(options.folder, 'images/tpvm-4.6.0.qcow2'), 'an image\n');
  const peers = options.single ? DEVICES.slice(0, 1) : DEVICES;
  writeFileSync(join(xco, 'peers'), peers.map(({ id, ip }) => `${ip} ${id}\n`).join(''));
  writeFileSync(join(xco, 'devices'), DEVICES.map(({ id, ip }) => `${ip} ${id}\n`).join(''));
  writeFileSync(join(xco, 'active'), 'slx-1\n');
  for (const device of DEVICES) {
    writeFileSync(join(xco, 'db', device.id), configuration(device));
    if (!options.replaced.includes(device.id)) writeFileSync(join(xco, 'joined', device.id), '');
  }
}

function prepareDevice(options: TpvmLabOptions, device: (typeof DEVICES)[number]): void {
  const folder = join(options.folder, 'targets', device.id);
  writeFileSync(join(folder, 'tpvm.version'), '4.5.0\n');
  writeFileSync(join(folder, 'tpvm.state'), 'running\n');
  writeFileSync(join(folder, 'tpvm.config'), configuration(device));
  if (options.moved.includes(device.id))
    writeFileSync(join(folder, 'tpvm.config'), configuration({ ...device, ip: '10.99.0.9' } as unknown as (typeof DEVICES)[number]));
  if (!options.replaced.includes(device.id)) return;
  for (const name of ['tpvm.config', 'tpvm.version']) rmSync(join(folder, name));
  writeFileSync(join(folder, 'tpvm.state'), 'absent\n');
}

/** The lab's inventory and releases. `portOf`: where a host's SSH server listens. */
export function tpvmDocuments(folder: string, portOf: (id: string) => number): Record<string, unknown[]> {
  const at = (id: string) => ({ ssh: { port: portOf(id) } });
  return {
    'inventory.yaml': [
      {
        kind: 'Inventory',
        name: 'the TPVM lab',
        defaults: { connect: { ssh: labLogin(folder) } },
        targets: [
          ...DEVICES.map(({ id, ip }) => ({ id, product: 'xco-tpvm', version: '4.5.0', vars: { ip }, connect: at(id) })),
          { id: 'xco', product: 'xco', connect: at('xco') },
          { id: 'firmware', product: 'firmware-host', connect: at('firmware') },
        ],
        services: [{ name: 'xco', title: 'XCO', on: DEVICES.map((device) => device.id), needs: 1 }],
      },
    ],
    'release.yaml': [
      { kind: 'Release', product: 'xco-tpvm', version: '4.5.0' },
      {
        kind: 'Release',
        product: 'xco-tpvm',
        version: '4.6.0',
        from: [{ versions: '4.5.*' }],
        artifacts: { tpvm: { name: 'tpvm-4.6.0.qcow2' } },
      },
    ],
  };
}
