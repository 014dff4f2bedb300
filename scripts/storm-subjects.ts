/** What the storm of kills can be let loose on: a lab, its faults, and what must hold afterwards. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ledgerViolations } from '../src/checking/ledger.ts';
import type { Random } from '../src/checking/random.ts';
import { AVI_LAB, CONTROLLERS, ENGINES, startAviLab } from '../src/packs/avi/lab.ts';
import { startLab } from '../src/packs/generic/lab.ts';
import { startTpvmLab, TPVM_LAB } from '../src/packs/tpvm/lab.ts';
import { ledgers, QUICK } from '../test/command-line.fixture.ts';

/** What is wrong with a lab, and the exit code its run must come to all the same. */
export type Weather = { name: string; faults: object; code: number };

export type Subject = {
  name: string;
  weather: readonly ((random: Random) => Weather)[];
  start(folder: string, faults: object): Promise<{ stop(): Promise<void> }>;
  apply(folder: string): string[];
  /** What is wrong afterwards. `again`: how often an operator asked for an action of a target once more. */
  violations(folder: string, back: boolean, again: (target: string, action: string) => number): string[];
};

function versionsWrong(folder: string, wanted: Record<string, string>, file = 'version'): string[] {
  return Object.entries(wanted).flatMap(([id, version]) => {
    const found = readFileSync(join(folder, 'targets', id, file), 'utf8').trim();
    return found === version ? [] : [`${id} is at ${found}, not at ${version}`];
  });
}

/** Engines and controllers by name, so many of each. */
function ids(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);
}

const engines = ids('se', QUICK.hosts);
const controllers = ids('c', QUICK.controllers);

const generic: Subject = {
  name: 'generic',
  weather: [
    () => ({ name: 'fair', faults: {}, code: 0 }),
    (random) => ({ name: 'connections dropped', faults: { drop: [random.pick(engines), random.pick(controllers)] }, code: 0 }),
    (random) => ({ name: 'an engine fails', faults: { fail: [`${random.pick(engines)}:install:1`] }, code: 0 }),
    (random) => ({ name: 'a controller fails', faults: { fail: [`${random.pick(controllers)}:install:1`] }, code: 3 }),
    (random) => ({ name: 'an engine is slow', faults: { slow: [random.pick(engines)] }, code: 0 }),
    (random) => ({
      name: 'one slow, one dropped, one fails twice',
      faults: { slow: ['se-1'], drop: [random.pick(['se-2', 'se-3'])], fail: ['se-4:install:2'] },
      code: 0,
    }),
  ],
  start: (folder, faults) => startLab({ ...QUICK, ...faults, folder }),
  apply: (folder) => ['apply', folder, '--yes'],
  violations: (folder, back, again) => [
    ...ledgerViolations(ledgers(folder), {
      // Going back is a reboot of its own.
      allowed: (target, action) => 1 + again(target, action) + (back && action === 'reboot' ? 1 : 0),
      serial: new Map([
        ['east', engines.slice(0, QUICK.hosts / 2)],
        ['west', engines.slice(QUICK.hosts / 2)],
      ]),
      freezer: 'c-1',
    }),
    ...versionsWrong(folder, Object.fromEntries([...engines, ...controllers].map((id) => [id, back ? '1.0.0' : '2.0.0']))),
    ...(existsSync(join(folder, 'targets/c-1/frozen')) ? ['P7: c-1 is still frozen'] : []),
  ],
};

/** What a rollback does is idempotent, and may be done again after a kill. */
const AVI_BACK = new Set(['STOP_CONTROLLER', 'ROLLBACK_IMAGE', 'SE_ROLLBACK']);

const avi: Subject = {
  name: 'avi',
  weather: [
    () => ({ name: 'fair', faults: {}, code: 0 }),
    (random) => ({ name: 'a connection dropped', faults: { drop: [random.pick(Object.keys(ENGINES))] }, code: 0 }),
    (random) => ({ name: 'an engine fails', faults: { fail: [`${random.pick(Object.keys(ENGINES))}:SE_UPGRADE`] }, code: 0 }),
    (random) => ({
      name: 'a controller fails',
      faults: { fail: [`${random.pick(CONTROLLERS)}:${random.pick(['INSTALL_IMAGE', 'MIGRATE_CONFIG'])}`] },
      code: 3,
    }),
    (random) => ({ name: 'a controller reboots', faults: { fail: [`${random.pick(CONTROLLERS)}:reboot-INSTALL_IMAGE`] }, code: 3 }),
  ],
  start: (folder, faults) => startAviLab({ ...AVI_LAB, workMs: 120, rebootMs: 300, ...faults, folder }),
  apply: (folder) => ['avi', 'upgrade', '--documents', folder, '--yes'],
  violations: (folder, back, again) => [
    ...ledgerViolations(ledgers(folder), {
      // Going back is a reboot of its own, and one controller may have rebooted by itself.
      allowed: (target, action) =>
        AVI_BACK.has(action) ? Number.POSITIVE_INFINITY : 1 + again(target, action) + (back && action === 'reboot' ? 2 : 0),
      serial: new Map(['east', 'west'].map((group) => [group, Object.keys(ENGINES).filter((id) => ENGINES[id] === group)])),
      freezer: 'c-1',
    }),
    ...versionsWrong(folder, Object.fromEntries([...CONTROLLERS, ...Object.keys(ENGINES)].map((id) => [id, back ? '17.1.2' : '17.2.1']))),
    ...(existsSync(join(folder, 'readonly')) ? ['P7: the API is still read-only'] : []),
  ],
};

const tpvm: Subject = {
  name: 'tpvm',
  weather: [
    () => ({ name: 'fair', faults: {}, code: 0 }),
    (random) => ({ name: 'a connection dropped', faults: { drop: [random.pick(['slx-1', 'slx-2'])] }, code: 0 }),
    () => ({ name: 'a device was exchanged', faults: { replaced: ['slx-2'] }, code: 0 }),
  ],
  start: (folder, faults) => startTpvmLab({ ...TPVM_LAB, workMs: 300, ...faults, folder }),
  apply: (folder) => ['apply', '--pack', 'tpvm', folder, '--yes'],
  violations: (folder, _back, again) => [
    ...ledgerViolations(ledgers(folder), {
      // What XCO itself does is idempotent.
      allowed: (target, action) => (target === 'xco' ? Number.POSITIVE_INFINITY : 1 + again(target, action)),
      serial: new Map([['pair', ['slx-1', 'slx-2']]]),
    }),
    ...versionsWrong(folder, { 'slx-1': '4.6.0', 'slx-2': '4.6.0' }, 'tpvm.version'),
  ],
};

export const SUBJECTS: readonly Subject[] = [generic, avi, tpvm];
