/** `plan`: what would be done, without doing it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { FileBytes } from '../../catalog/document-set.ts';
import { catalogOf } from '../../drivers/contract.ts';
import { type OpenDrivers, openDrivers } from '../../drivers/registry.ts';
import type { Fault } from '../../model/fault.ts';
import type { Plan } from '../../planning/plan.ts';
import { planUpgrade } from '../../planning/planner.ts';
import { observeVersions } from '../../runtime/observe-versions.ts';
import { checkPlan } from '../../runtime/start-run.ts';
import { chooseUpgrade, loadChecked, ProblemsPrinted } from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import { ansibleOption, dataOption, jsonOption, packOption, print, printJson, upgradeOption } from '../options.ts';
import { planLines } from '../print-plan.ts';
import { faultLines } from '../print-run.ts';
import { plural, type Style, styleFor } from '../style.ts';
import { dataFolder, openForReading } from '../workspace.ts';

export type PlanOptions = { data?: string; ansible?: string[]; upgrade?: string; observe?: boolean; pack?: string[]; extra?: FileBytes[] };

export function addPlanCommand(program: Command, end: (code: number) => void): void {
  program
    .command('plan')
    .summary('show what an upgrade would do')
    .description(
      'Compiles an upgrade against inventory and releases, and shows it: stages, order, worst case, services touched, the last safe return. Changes nothing.',
    )
    .argument('[paths...]', 'files and folders with documents (default: this folder)')
    .addOption(upgradeOption())
    .addOption(ansibleOption())
    .addOption(packOption())
    .option('--observe', 'read the version of every target first, instead of believing the inventory')
    .option('--out <file>', 'write the plan, to be applied later just as it was shown')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action(async (paths: string[], options: PlanOptions & { out?: string; json?: boolean }) => {
      const drivers = openDrivers();
      try {
        const plan = await makePlan(paths, options, drivers);
        if (options.out !== undefined) writeFileSync(options.out, JSON.stringify(plan));
        if (options.json) printJson(plan);
        else {
          const style = styleFor();
          for (const line of planLines(plan, style, process.stdout.columns ?? 100)) print(line);
          if (options.out !== undefined) print(`\nWritten to ${options.out}. Apply it with: upshift apply ${options.out}`);
        }
        end(EXIT.succeeded);
      } finally {
        await drivers.close();
      }
    });
}

/** The plan in a file, or undefined where the file is no plan. */
export function readPlan(paths: readonly string[], drivers: OpenDrivers): Plan | undefined {
  const [file] = paths;
  if (paths.length !== 1 || file === undefined || !file.endsWith('.json') || !existsSync(file)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
  if (value === null || typeof value !== 'object' || !('digest' in value) || !('steps' in value)) return undefined;
  checkPlan(value as Plan, drivers.actions);
  return value as Plan;
}

/** Loads, observes where that is wanted, and plans; prints every fault and throws where there is no plan. */
export async function makePlan(paths: readonly string[], options: PlanOptions, drivers: OpenDrivers): Promise<Plan> {
  const style = styleFor(process.stderr);
  const actions = catalogOf(drivers.actions);
  const set = loadChecked({ paths, ansible: options.ansible, packs: options.pack, extra: options.extra }, actions, style);
  const upgrade = chooseUpgrade(set, options.upgrade);
  const observed = knownVersions(options);
  if (options.observe) {
    const read = await observeVersions({
      set,
      upgrade,
      drivers: drivers.actions,
      progress: (done, total) => showProgress(done, total, style),
    });
    for (const [target, version] of read.versions) observed.set(target, version);
    if (read.faults.length > 0) return refuse(read.faults, style);
  }
  const planned = planUpgrade({ ...set, upgrade, actions, observed });
  return planned.ok ? planned.plan : refuse(planned.faults, style);
}

function showProgress(done: number, total: number, style: Style): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${style.dim(`reading versions ${done}/${total}`)}${done === total ? '\r\x1b[2K' : ''}`);
}

function refuse(faults: readonly Fault[], style: Style): never {
  for (const one of faults.slice(0, 20)) process.stderr.write(`${faultLines(one, style, process.stderr.columns ?? 100).join('\n')}\n`);
  if (faults.length > 20) process.stderr.write(`  and ${faults.length - 20} more\n`);
  process.stderr.write(`There is no plan: ${plural(faults.length, 'thing')} in the way.\n`);
  throw new ProblemsPrinted();
}

/** What earlier runs have left behind is newer knowledge than the inventory. */
function knownVersions(options: PlanOptions): Map<string, string> {
  const store = openForReading(dataFolder(options.data));
  if (!store) return new Map();
  try {
    return new Map(store.versions().map((known) => [known.target, known.version]));
  } finally {
    store.close();
  }
}
