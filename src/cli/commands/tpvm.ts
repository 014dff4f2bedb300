/** `tpvm upgrade execute` and `show`: the product's own way of asking, over the same runs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { parse, stringify } from 'yaml';
import type { FileBytes } from '../../catalog/document-set.ts';
import { openDrivers } from '../../drivers/registry.ts';
import type { Procedure, Upgrade } from '../../model/documents/index.ts';
import { stepsOf } from '../../model/documents/index.ts';
import { FaultError, fault, faultText } from '../../model/fault.ts';
import { PACKS } from '../../packs/registry.ts';
import { memberAt, moveAt, targetAt } from '../../planning/plan.ts';
import type { StoredRun } from '../../runtime/ports.ts';
import { EXIT } from '../exit-codes.ts';
import { dataOption, jsonOption, print, printJson } from '../options.ts';
import { styleFor, table, wrap } from '../style.ts';
import { dataFolder, openForReading } from '../workspace.ts';
import { apply, type DriveFlags } from './apply.ts';

const PRODUCT = 'xco-tpvm';

type ExecuteOptions = DriveFlags & {
  ip: string;
  firmwareHost: string;
  image: string;
  documents: string;
  xco: string;
  fromVersion?: string;
  toVersion?: string;
};

function bytes(file: string, value: unknown): FileBytes {
  return { file, bytes: Buffer.from(stringify(value)) };
}

/** `tpvm-4.6.0.qcow2` → `4.6.0` */
function versionOfImage(image: string): string | undefined {
  return /(\d+(?:\.\d+)+)/.exec(image)?.[1];
}

export function addTpvmCommand(program: Command, end: (code: number) => void): void {
  const tpvm = program
    .command('tpvm')
    .summary('upgrade the TPVM of an XCO node')
    .description('The TPVM upgrade workflow: one device at a time, the standby node only.');
  const upgrade = tpvm.command('upgrade').summary('execute and show TPVM upgrades');
  upgrade
    .command('execute')
    .summary('upgrade, or replace, the TPVM of one device')
    .requiredOption('--ip <ip>', 'the TPVM IP of the device (vars.ip in the inventory)')
    .requiredOption('--firmware-host <host>', 'the registered firmware host')
    .requiredOption('--image <name>', 'the TPVM image there')
    .option('--documents <dir>', 'the folder with the inventory', '.')
    .option('--xco <target>', 'the target by which XCO is reached', 'xco')
    .option('--to-version <version>', 'the version of the image, where its name does not say it')
    .option('--yes', 'do not ask')
    .option('--wait', 'where a person must decide, go on waiting')
    .option('--no-wait', 'where a person must decide, end with exit code 4')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (options: ExecuteOptions) => {
      const drivers = openDrivers();
      try {
        const extra = executionDocuments(options);
        end(await apply([join(options.documents, 'inventory.yaml')], { ...options, upgrade: 'tpvm-execution', extra }, drivers));
      } finally {
        await drivers.close();
      }
    });
  upgrade
    .command('show')
    .summary('show executions: state, next state, result, detailed status and remedy')
    .option('--ip <ip>', 'only those of a device')
    .option('--execution <id>', 'only this one')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action((options: { ip?: string; execution?: string; data?: string; json?: boolean }) => {
      show(options);
      end(EXIT.succeeded);
    });
}

/** The pack's upgrade for one device, and the two releases that follow from the image. */
function executionDocuments(options: ExecuteOptions): FileBytes[] {
  const to = options.toVersion ?? versionOfImage(options.image);
  if (to === undefined)
    throw new FaultError(
      fault('version-unknown', options.image, `the name ${options.image} does not say a version`, {
        expected: '--to-version, or a name such as tpvm-4.6.0.qcow2',
      }),
    );
  const { folder } = PACKS.find((pack) => pack.name === 'tpvm') as { folder: string };
  const pack = parse(readFileSync(join(folder, 'upgrades/tpvm.yaml'), 'utf8')) as Upgrade;
  const [stage] = pack.stages;
  const upgrade: Upgrade = {
    ...pack,
    name: 'tpvm-execution',
    title: `TPVM upgrade of ${options.ip} to ${to}`,
    to,
    params: { xco: options.xco, image: options.image, firmwareHost: options.firmwareHost },
    preflight: (pack.preflight ?? []).map((check) => ({
      ...check,
      target: options.xco,
      ...(check.name === 'image' ? { with: { command: `xco image-check ${options.firmwareHost} ${options.image}` } } : {}),
    })),
    stages: [
      {
        name: stage?.name ?? 'tpvm',
        title: 'TPVM',
        select: `target.product == "${PRODUCT}" && target.vars.ip == ${JSON.stringify(options.ip)}`,
        budget: { failures: 0 },
        onFailure: 'continue',
      },
    ],
  };
  delete (upgrade.stages[0] as { budget?: unknown }).budget;
  return [
    { file: 'procedures/tpvm-upgrade.yaml', bytes: readFileSync(join(folder, 'procedures/tpvm-upgrade.yaml')) },
    bytes('the release of the image', { kind: 'Release', product: PRODUCT, version: to, from: [{ versions: `<${to}` }] }),
    bytes('the execution', upgrade),
  ];
}

type Execution = {
  execution: string;
  ip: string;
  device: string;
  from: string;
  to: string;
  state: string;
  next: string;
  result: string;
  detailedStatus: string;
  remedy: string;
};

/** One row a device and run, newest first. */
function executionsOf(stored: StoredRun): Execution[] {
  return stored.members.flatMap((member) => {
    const { stage, position } = memberAt(stored.plan, member.member);
    if (stage.procedure !== 'tpvm-upgrade') return [];
    const target = targetAt(stored.plan, stage, position);
    const move = moveAt(stage, position);
    const procedure = stored.plan.procedures[stage.procedure] as Procedure;
    const { phase } = member;
    const name = 'state' in phase ? phase.state : null;
    const state = name === null ? undefined : procedure.states[name];
    const next = Object.entries(state?.on ?? {}).map(
      ([outcome, transition]) =>
        `${outcome}: ${[...new Set(stepsOf(transition).map((step) => procedure.states[step.to]?.title ?? step.to))].join(' or ')}`,
    );
    const why = 'fault' in phase && phase.fault ? faultText(phase.fault) : undefined;
    return {
      execution: stored.state.run,
      ip: String(target.vars?.['ip'] ?? ''),
      device: target.id,
      from: move.from,
      to: move.to,
      state: state?.title ?? phase.at,
      next: phase.at === 'done' ? 'N/A' : next.join('; '),
      result: phase.at === 'done' ? phase.result : phase.at === 'deciding' ? 'a person must decide' : 'in progress',
      detailedStatus: [member.case === null ? undefined : procedure.cases?.[member.case], member.message, why].filter(Boolean).join(': '),
      remedy: member.remedy ?? '',
    };
  });
}

function show(options: { ip?: string; execution?: string; data?: string; json?: boolean }): void {
  const store = openForReading(dataFolder(options.data));
  const runs = (store?.runs() ?? []).filter((run) => options.execution === undefined || run.run.startsWith(options.execution));
  const rows = runs
    .flatMap((run) => executionsOf(store?.loadRun(run.run) as StoredRun))
    .filter((row) => options.ip === undefined || row.ip === options.ip);
  store?.close();
  if (options.json) return printJson(rows);
  if (rows.length === 0) return print('No TPVM upgrades.');
  const style = styleFor();
  const colour = (result: string) =>
    result === 'succeeded' ? style.green(result) : result === 'in progress' ? style.cyan(result) : style.red(result);
  const wide = Math.max(24, (process.stdout.columns ?? 160) - 110);
  const lines: string[][] = [['EXECUTION', 'DEVICE IP', 'VERSION', 'STATE', 'NEXT', 'RESULT', 'DETAILED STATUS AND REMEDY'].map(style.dim)];
  for (const row of rows) {
    const text = [
      ...wrap(row.detailedStatus, wide),
      ...wrap(row.remedy, wide - 2).map((line, index) => `${index === 0 ? '→ ' : '  '}${line}`),
    ];
    lines.push([row.execution, row.ip, `${row.from} → ${row.to}`, row.state, row.next, colour(row.result), text[0] ?? '']);
    for (const more of text.slice(1)) lines.push(['', '', '', '', '', '', more]);
  }
  for (const line of table(lines)) print(line);
}
