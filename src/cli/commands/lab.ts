/** `lab`: stand-ins for devices, to try everything on. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { FaultError, fault } from '../../model/fault.ts';
import { nearest } from '../../model/suggestion.ts';
import { print } from '../options.ts';

type LabFlags = {
  hosts: number;
  controllers: number;
  groups: number;
  dir: string;
  fail: string[];
  slow: string[];
  drop: string[];
  dead: string[];
  installMs: number;
  rebootMs: number;
};

function count(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < least || value > most)
      throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`);
    return value;
  };
}

function gather(value: string, before: string[]): string[] {
  return [...before, ...value.split(',')];
}

export function addLabCommand(program: Command, end: (code: number) => void): void {
  const lab = program
    .command('lab')
    .summary('start stand-ins for devices')
    .description('Starts stand-ins for devices on this machine: real processes that speak real protocols, on loopback only.');
  lab
    .command('ssh')
    .summary('hosts with an SSH server, a service, an installer and a reboot')
    .description(
      'Starts hosts as processes of their own, each an SSH server with a directory, a service that answers its version over HTTP, an installer that takes a while and a reboot that really drops connections. Writes the documents to upgrade them, prints `ready`, and runs until Ctrl-C.',
    )
    .requiredOption('--dir <dir>', 'where to keep it')
    .option('--hosts <n>', 'how many hosts', count(1, 200), 6)
    .option('--controllers <n>', 'how many controllers in front of them', count(0, 20), 2)
    .option('--groups <n>', 'how many groups the hosts are in', count(1, 50), 2)
    .option('--install-ms <ms>', 'how long the installer takes', count(0, 3_600_000), 1500)
    .option('--reboot-ms <ms>', 'how long a reboot takes', count(0, 3_600_000), 800)
    .option('--fail <target:action[:times]>', 'let an action (install, rollback) fail first, that many times', gather, [])
    .option('--slow <target>', 'an installer that takes ten times as long', gather, [])
    .option('--drop <target>', 'cut the connection once, midway through installing', gather, [])
    .option('--dead <target>', 'a host that is off', gather, [])
    .addHelpText(
      'after',
      '\nEach target keeps a ledger of what was really done to it: DIR/targets/ID/ledger.jsonl\n\nExample\n  upshift lab ssh --dir /tmp/lab &\n  upshift apply /tmp/lab',
    )
    .action(async (options: LabFlags) => {
      const { labTargets, parseFault, startLab } = await import('../../packs/generic/lab.ts');
      const ids = labTargets(options).map((target) => target.id);
      for (const name of [
        ...options.slow,
        ...options.drop,
        ...options.dead,
        ...options.fail.map((text) => parseFault(text)?.target ?? text),
      ])
        if (!ids.includes(name)) {
          const meant = nearest(name, ids);
          throw new FaultError(
            fault('target-unknown', name, `the lab has no target ${name}`, {
              expected: ids.join(', '),
              ...(meant === undefined ? {} : { remedy: `Did you mean ${meant}?` }),
            }),
          );
        }
      const running = await startLab({ ...options, folder: options.dir });
      print(
        `${running.targets.length} hosts in ${running.folder}: ${running.targets.map((target) => `${target.id} (ssh ${target.ssh}, http ${target.http})`).join(', ')}`,
      );
      await untilStopped(running);
      end(0);
    });
  lab
    .command('avi')
    .summary('three controllers, service engines in groups, and virtual services')
    .description(
      'Starts the lab of the pack avi: three controllers that form a cluster with a REST API, engines in two groups, and virtual services that answer over HTTP as long as one of their engines is up.',
    )
    .requiredOption('--dir <dir>', 'where to keep it')
    .option('--work-ms <ms>', 'how long each task takes', count(0, 3_600_000), 250)
    .option('--reboot-ms <ms>', 'how long a reboot takes', count(0, 3_600_000), 700)
    .option('--fail <target:TASK[:times]>', 'let a task fail, or with reboot-TASK let the node reboot in the middle of it', gather, [])
    .option('--drop <engine>', 'cut the connection once, during the upgrade', gather, [])
    .option('--dead <engine>', 'an engine that is off', gather, [])
    .option('--bare-metal', 'the controllers are on bare metal: they take controller_docker.tgz')
    .option('--image <what>', "good, damaged, or engine (an engine image under the controller image's name)", 'good')
    .addHelpText('after', '\nExample\n  upshift lab avi --dir /tmp/avi &\n  upshift avi upgrade --documents /tmp/avi')
    .action(
      async (options: {
        dir: string;
        workMs: number;
        rebootMs: number;
        fail: string[];
        drop: string[];
        dead: string[];
        bareMetal?: boolean;
        image: 'good' | 'damaged' | 'engine';
      }) => {
        const { startAviLab } = await import('../../packs/avi/lab.ts');
        const running = await startAviLab({ ...options, folder: options.dir, platform: options.bareMetal ? 'bare-metal' : 'vm' });
        print(`controllers ${running.controllers.map(({ id, url }) => `${id} ${url}`).join(', ')}`);
        print(`virtual services ${running.services.map(({ name, url }) => `${name} ${url}`).join(', ')}`);
        await untilStopped(running);
        end(0);
      },
    );
  lab
    .command('tpvm')
    .summary('two switches with a TPVM each, XCO and a firmware host')
    .description(
      'Starts the lab of the pack tpvm: two switches with a CLI over SSH and a TPVM each, the XCO application with its database, and a firmware host.',
    )
    .requiredOption('--dir <dir>', 'where to keep it')
    .option('--work-ms <ms>', 'how long each piece of work takes', count(0, 3_600_000), 800)
    .option(
      '--fail <target:action[:times]>',
      'upgrade, revert, install of slx-1 or slx-2; check, validate, config, rejoin of xco',
      gather,
      [],
    )
    .option('--replaced <device>', 'a device that was exchanged', gather, [])
    .option('--moved <device>', 'a device whose TPVM has an address that XCO does not know', gather, [])
    .option('--drop <device>', 'cut the connection once, during the upgrade', gather, [])
    .option('--single', 'XCO on a single node')
    .addHelpText('after', '\nExample\n  upshift lab tpvm --dir /tmp/tpvm &\n  upshift apply --pack tpvm /tmp/tpvm')
    .action(
      async (options: {
        dir: string;
        workMs: number;
        fail: string[];
        replaced: string[];
        moved: string[];
        drop: string[];
        single?: boolean;
      }) => {
        const { startTpvmLab } = await import('../../packs/tpvm/lab.ts');
        const running = await startTpvmLab({ ...options, folder: options.dir, single: options.single ?? false });
        print(`two switches, XCO and a firmware host in ${running.folder}`);
        print('ready');
        await new Promise<void>((done) => {
          process.once('SIGINT', () => done());
          process.once('SIGTERM', () => done());
        });
        await running.stop();
        end(0);
      },
    );
}

/** Says that the lab is there, and takes it down on Ctrl-C. */
async function untilStopped(running: { stop(): Promise<void> }): Promise<void> {
  print('ready');
  await new Promise<void>((done) => {
    process.once('SIGINT', () => done());
    process.once('SIGTERM', () => done());
  });
  await running.stop();
}
