/** `apply` and `resume`: drive a run in this process. */
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { catalogOf } from '../../drivers/contract.ts';
import { type OpenDrivers, openDrivers } from '../../drivers/registry.ts';
import { FaultError, fault } from '../../model/fault.ts';
import type { Plan } from '../../planning/plan.ts';
import type { RunLoop } from '../../runtime/loop.ts';
import type { Store } from '../../runtime/ports.ts';
import { readSecrets } from '../../runtime/secrets.ts';
import { createRun, openRun } from '../../runtime/start-run.ts';
import { summarize } from '../../runtime/summary.ts';
import { listenForControls } from '../control-socket.ts';
import { drive } from '../drive.ts';
import { EXIT, EXIT_HELP, exitCodeOf } from '../exit-codes.ts';
import { ansibleOption, dataOption, jsonOption, packOption, print, upgradeOption } from '../options.ts';
import { planLines } from '../print-plan.ts';
import { summaryLines } from '../print-summary.ts';
import { styleFor } from '../style.ts';
import { dataFolder, findRun, openForWriting } from '../workspace.ts';
import { makePlan, type PlanOptions, readPlan } from './plan.ts';

export type DriveFlags = { data?: string; json?: boolean; wait?: boolean; yes?: boolean };

export function addApplyCommands(program: Command, end: (code: number) => void): void {
  program
    .command('apply')
    .summary('carry out an upgrade, or a plan that was saved')
    .description(
      'Shows the plan, asks, and carries it out in this process, with progress until the end. Whatever happens to this process, `upshift resume` goes on.',
    )
    .argument('[paths...]', 'documents, or one plan written by `upshift plan --out` (default: this folder)')
    .option('--yes', 'do not ask')
    .option('--wait', 'where a person must decide, go on waiting (default in a terminal)')
    .option('--no-wait', 'where a person must decide, end with exit code 4 (default elsewhere)')
    .addOption(upgradeOption())
    .addOption(ansibleOption())
    .addOption(packOption())
    .option('--observe', 'read the version of every target before planning')
    .addOption(dataOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `\n${EXIT_HELP}\n\nCtrl-C once: nothing new is started, what is in flight is waited for. Twice: out at once. Either way \`upshift resume\` goes on.`,
    )
    .action(async (paths: string[], options: PlanOptions & DriveFlags) => {
      const drivers = openDrivers();
      try {
        end(await apply(paths, options, drivers));
      } finally {
        await drivers.close();
      }
    });

  program
    .command('resume')
    .summary('go on with a run that was interrupted')
    .description('Takes a run up where it is: work that was in flight is found out about first, and nothing disruptive is done twice.')
    .argument('[run]', 'its name, or the start of it (default: the newest that has not ended)')
    .option('--wait', 'where a person must decide, go on waiting (default in a terminal)')
    .option('--no-wait', 'where a person must decide, end with exit code 4 (default elsewhere)')
    .addOption(dataOption())
    .addOption(jsonOption())
    .addHelpText('after', `\n${EXIT_HELP}`)
    .action(async (name: string | undefined, options: DriveFlags) => {
      const drivers = openDrivers();
      const { store, release } = openForWriting(dataFolder(options.data));
      try {
        const { run } = findRun(store.runs(), name);
        end(await driveRun(store, run, drivers, options));
      } finally {
        release();
        await drivers.close();
      }
    });
}

/** Plans, shows, asks, and carries out; returns the exit code. */
export async function apply(paths: string[], options: PlanOptions & DriveFlags, drivers: OpenDrivers): Promise<number> {
  const style = styleFor();
  const plan = readPlan(paths, drivers) ?? (await makePlan(paths, options, drivers));
  if (!options.json) for (const line of planLines(plan, style, process.stdout.columns ?? 100)) print(line);
  if (plan.steps.length === 0) {
    if (options.json) print(JSON.stringify({ type: 'nothing-to-do', upgrade: plan.upgrade, digest: plan.digest }));
    return EXIT.succeeded;
  }
  readSecrets(plan);
  if (!options.yes && !(await agreed(plan))) {
    print('Nothing was done.');
    return EXIT.usage;
  }
  const { store, release } = openForWriting(dataFolder(options.data));
  try {
    const run = createRun(store, plan);
    if (options.json) print(JSON.stringify({ type: 'started', run, upgrade: plan.upgrade, digest: plan.digest }));
    else print(`\n${style.dim('Run')} ${style.bold(run)}\n`);
    return await driveRun(store, run, drivers, options);
  } finally {
    release();
  }
}

async function agreed(plan: Plan): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    throw new FaultError(
      fault('not-confirmed', plan.upgrade, 'nobody is there to be asked', {
        expected: '--yes, where this is no terminal',
        remedy: 'Look at the plan with `upshift plan`, then apply it with --yes.',
      }),
    );
  const asking = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const answer = await asking.question('\nApply this plan? Only "yes" does: ');
    return answer.trim().toLowerCase() === 'yes';
  } catch {
    return false;
  } finally {
    asking.close();
  }
}

/** Drives a run and prints how it ended. */
async function driveRun(store: Store, run: string, drivers: OpenDrivers, options: DriveFlags): Promise<number> {
  const loop = openRun(store, run, drivers.actions);
  const socket = await listenForControls(dataFolder(options.data), async (request) => {
    if (request.run !== run)
      return fault('run-not-driven', request.run, `this process drives ${run}, not ${request.run}`, {
        effect: 'wait',
        remedy: `Wait for ${run} to end, then use upshift resume ${request.run}.`,
      });
    return loop.control(request.control);
  });
  try {
    const code = await drive(loop, {
      json: options.json ?? false,
      wait: options.wait ?? (process.stdin.isTTY === true && process.stdout.isTTY === true),
    });
    printEnd(store, loop, drivers, options);
    return loop.finished ? exitCodeOf(loop.state) : code;
  } finally {
    socket.close();
    loop.stop();
  }
}

function printEnd(store: Store, loop: RunLoop, drivers: OpenDrivers, options: DriveFlags): void {
  if (!loop.finished) {
    if (!options.json) print(`\nThe run has not ended. See it with: upshift show ${loop.run}; go on with: upshift resume ${loop.run}`);
    return;
  }
  const summary = summarize(loop.plan, loop.state, store.history(loop.run), catalogOf(drivers.actions));
  if (options.json) print(JSON.stringify({ type: 'summary', ...summary, exitCode: exitCodeOf(loop.state) }));
  else for (const line of summaryLines(summary, loop.state, styleFor(), process.stdout.columns ?? 100)) print(line);
}
