/** `runs`, `show`, `watch`: what is and was going on. */
import type { Command } from 'commander';
import { catalogOf } from '../../drivers/contract.ts';
import { openDrivers } from '../../drivers/registry.ts';
import { newTarget, type TargetState } from '../../machines/target-state.ts';
import { durationText } from '../../model/duration.ts';
import { FaultError, fault } from '../../model/fault.ts';
import type { Store, StoredRun } from '../../runtime/ports.ts';
import { summarize } from '../../runtime/summary.ts';
import { runView, type ViewSource } from '../../runtime/view.ts';
import { EXIT, exitCodeOf } from '../exit-codes.ts';
import { Painter } from '../live.ts';
import { vectorCode } from '../member-codes.ts';
import { dataOption, jsonOption, print, printJson } from '../options.ts';
import { runLines } from '../print-run.ts';
import { summaryLines } from '../print-summary.ts';
import { styleFor, table } from '../style.ts';
import { dataFolder, findRun, memberOf, openForReading } from '../workspace.ts';

const POLL_MS = 500;

export function addRunCommands(program: Command, end: (code: number) => void): void {
  program
    .command('runs')
    .summary('list the runs')
    .addOption(dataOption())
    .addOption(jsonOption())
    .action((options: { data?: string; json?: boolean }) => {
      const runs = openForReading(dataFolder(options.data))?.runs() ?? [];
      if (options.json) return printJson(runs);
      if (runs.length === 0) return print('No runs yet. `upshift apply` starts one.');
      const style = styleFor();
      const rows = runs.map((run) => [
        run.run,
        `${run.product} → ${run.to}`,
        new Date(run.createdAt).toISOString().replace('T', ' ').slice(0, 16),
        run.endedAt === undefined ? '' : durationText(run.endedAt - run.createdAt),
        run.result === 'succeeded'
          ? style.green(run.result)
          : run.result === undefined
            ? style.cyan(run.phase)
            : style.red(run.result === 'reverted' ? 'rolled back' : run.result),
      ]);
      for (const line of table([['RUN', 'UPGRADE', 'STARTED (UTC)', 'TOOK', 'STATE'].map(style.dim), ...rows])) print(line);
    });

  program
    .command('show')
    .summary('show a run, or one target of it')
    .description(
      'Shows where a run is, what it waits for, and what a person can do. With a target: every state it went through, and what it printed.',
    )
    .argument('[run]', 'its name, or the start of it (default: the newest)')
    .argument('[target]')
    .option('--all', 'every target, not only those that are in flight or failed')
    .addOption(dataOption())
    .addOption(jsonOption())
    .addHelpText('after', '\nThe shape of --json is documented in docs/reference/show-json.md.')
    .action((name: string | undefined, target: string | undefined, options: { data?: string; json?: boolean; all?: boolean }) => {
      const store = opened(options.data);
      const { run } = findRun(store.runs(), name);
      const stored = store.loadRun(run) as StoredRun;
      if (target !== undefined) showTarget(store, stored, target, options.json ?? false);
      else showRun(store, stored, options);
      end(EXIT.succeeded);
    });

  program
    .command('watch')
    .summary('follow a run that another process drives')
    .argument('[run]', 'its name, or the start of it (default: the newest that has not ended)')
    .addOption(dataOption())
    .action(async (name: string | undefined, options: { data?: string }) => {
      const store = opened(options.data);
      const { run } = findRun(store.runs(), name);
      end(await watch(store, run));
    });
}

function opened(data: string | undefined): Store {
  const folder = dataFolder(data);
  const store = openForReading(folder);
  if (!store)
    throw new FaultError(
      fault('no-run', folder, `there are no runs in ${folder}`, {
        remedy: 'Start one with `upshift apply`, or name the data folder with --data.',
      }),
    );
  return store;
}

export function sourceOfStored(stored: StoredRun): ViewSource {
  const members = new Map<number, TargetState>(stored.members.map((member) => [member.member, member]));
  return { plan: stored.plan, state: stored.state, member: (member) => members.get(member) };
}

function showRun(store: Store, stored: StoredRun, options: { json?: boolean; all?: boolean }): void {
  const view = runView(sourceOfStored(stored), { all: options.all ?? false, now: Date.now() });
  const finished = stored.state.phase.at === 'finished';
  const drivers = openDrivers();
  const summary = finished ? summarize(stored.plan, stored.state, store.history(stored.state.run), catalogOf(drivers.actions)) : undefined;
  if (options.json) return printJson({ ...view, ...(finished ? { exitCode: exitCodeOf(stored.state), summary } : {}) });
  const style = styleFor();
  const columns = process.stdout.columns ?? 100;
  for (const line of runLines(view, style, { now: Date.now(), columns })) print(line);
  if (summary) for (const line of summaryLines(summary, stored.state, style, columns)) print(line);
}

function showTarget(store: Store, stored: StoredRun, id: string, json: boolean): void {
  const member = memberOf(stored.plan, vectorCode(stored.state), id);
  const state = stored.members.find((one) => one.member === member) ?? newTarget(stored.state.run, member);
  const history = store.history(stored.state.run, { machine: member });
  const outputs = store.outputs(stored.state.run, member);
  if (json)
    return printJson({
      run: stored.state.run,
      target: id,
      member,
      state,
      history: history.map(({ body, ...rest }) => ({ ...rest, message: JSON.parse(body) as unknown })),
      outputs,
    });
  const style = styleFor();
  print(`${style.bold(id)}  ${style.dim(stored.state.run)}`);
  if (state.message !== undefined) print(`  ${state.message}${state.remedy === undefined ? '' : ` → ${state.remedy}`}`);
  const rows = history.map((one) => [
    new Date(one.at).toISOString().slice(11, 23),
    one.type,
    one.refused ? style.yellow(`refused: ${one.change}`) : one.change,
  ]);
  for (const line of table(rows)) print(`  ${line}`);
  const attempts = Map.groupBy(outputs, (one) => `${one.visit}.${one.attempt}`);
  for (const [attempt, parts] of attempts) {
    print(style.dim(`  output of ${attempt}`));
    for (const line of parts
      .map((part) => part.text)
      .join('')
      .trimEnd()
      .split('\n'))
      print(`    ${line}`);
  }
}

async function watch(store: Store, run: string): Promise<number> {
  const live = process.stdout.isTTY === true;
  const painter = new Painter(process.stdout);
  const style = styleFor();
  let seen = -1;
  let stop = false;
  let last = '';
  const interrupt = () => {
    stop = true;
  };
  process.on('SIGINT', interrupt);
  let stored = store.loadRun(run) as StoredRun;
  for (;;) {
    const [newest] = store.history(run, { after: Math.max(0, seen), limit: 1 });
    if (newest || seen < 0) {
      stored = store.loadRun(run) as StoredRun;
      const all = store.history(run, { after: Math.max(0, seen) });
      seen = all.at(-1)?.seq ?? Math.max(0, seen);
    }
    const lines = runLines(runView(sourceOfStored(stored), { limit: 400, now: Date.now() }), style, {
      now: Date.now(),
      columns: painter.columns,
      ...(live ? { rows: painter.rows - 1 } : {}),
    });
    if (live) painter.paint(lines);
    else if (lines.slice(1).join('\n') !== last) print(lines.join('\n'));
    last = lines.slice(1).join('\n');
    if (stored.state.phase.at === 'finished' || stop) break;
    await new Promise((next) => setTimeout(next, POLL_MS));
  }
  if (live) painter.end();
  process.off('SIGINT', interrupt);
  return stored.state.phase.at === 'finished' ? exitCodeOf(stored.state) : EXIT.interrupted;
}
