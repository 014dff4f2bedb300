/** `runs`, `show`, `watch`: what is and was going on. */
import type { Command } from 'commander';
import { catalogOf } from '../../drivers/contract.ts';
import { openDrivers } from '../../drivers/registry.ts';
import { newTarget, type TargetState } from '../../machines/target-state.ts';
import { durationText } from '../../model/duration.ts';
import { FaultError, fault } from '../../model/fault.ts';
import { memberAt } from '../../planning/plan.ts';
import { TOLD_ANEW } from '../../runtime/executor.ts';
import type { OutputRecord, Store, StoredRun } from '../../runtime/ports.ts';
import { summarize } from '../../runtime/summary.ts';
import { runView, type ViewSource } from '../../runtime/view.ts';
import { EXIT, exitCodeOf } from '../exit-codes.ts';
import { Painter } from '../live.ts';
import { dataOption, jsonOption, print, printJson } from '../options.ts';
import { PHASE_WORDS, runLines } from '../print-run.ts';
import { summaryLines } from '../print-summary.ts';
import { styleFor, table } from '../style.ts';
import { dataFolder, findRun, isDriven, membersOf, openForReading } from '../workspace.ts';

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
      const driven = isDriven(dataFolder(options.data));
      const rows = runs.map((run) => [
        run.run,
        `${run.product} → ${run.to}`,
        new Date(run.createdAt).toISOString().replace('T', ' ').slice(0, 16),
        run.endedAt === undefined ? '' : durationText(run.endedAt - run.createdAt),
        run.result === 'succeeded'
          ? style.green(run.result)
          : run.result === undefined
            ? driven
              ? style.cyan(PHASE_WORDS[run.phase] ?? run.phase)
              : style.yellow('interrupted')
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
      end(await watch(store, run, dataFolder(options.data)));
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

/** `folder`: the data folder, to find out whether any process drives the run. */
export function sourceOfStored(stored: StoredRun, folder: string): ViewSource {
  const members = new Map<number, TargetState>(stored.members.map((member) => [member.member, member]));
  return { plan: stored.plan, state: stored.state, member: (member) => members.get(member), undriven: !isDriven(folder) };
}

function showRun(store: Store, stored: StoredRun, options: { data?: string; json?: boolean; all?: boolean }): void {
  const view = runView(sourceOfStored(stored, dataFolder(options.data)), { all: options.all ?? false, now: Date.now() });
  const finished = stored.state.phase.at === 'finished';
  const drivers = openDrivers();
  const summary = finished ? summarize(stored.plan, stored.state, store.history(stored.state.run), catalogOf(drivers.actions)) : undefined;
  if (options.json) return printJson({ ...view, ...(finished ? { exitCode: exitCodeOf(stored.state), summary } : {}) });
  const style = styleFor();
  const columns = process.stdout.columns ?? 100;
  for (const line of runLines(view, style, { now: Date.now(), columns })) print(line);
  if (summary) for (const line of summaryLines(summary, stored.state, style, columns)) print(line);
}

/** Every state a target went through, in each stage it is in, and what was printed there. */
function showTarget(store: Store, stored: StoredRun, id: string, json: boolean): void {
  const { plan, state: run } = stored;
  const found = membersOf(plan, id).map((member) => ({
    member,
    stage: memberAt(plan, member).stage,
    state: stored.members.find((one) => one.member === member) ?? newTarget(run.run, member),
    history: store.history(run.run, { machine: member }),
    outputs: printedBy(store.outputs(run.run, member)),
  }));
  if (json)
    return printJson({
      run: run.run,
      target: id,
      stages: found.map(({ stage, history, ...rest }) => ({
        stage: stage.name,
        ...rest,
        history: history.map(({ body, ...record }) => ({ ...record, message: JSON.parse(body) as unknown })),
      })),
    });
  const style = styleFor();
  print(`${style.bold(id)}  ${style.dim(run.run)}`);
  for (const { stage, state, history, outputs } of found) {
    print(`\n  ${style.bold(stage.title ?? stage.name)}`);
    if (state.message !== undefined) print(`  ${state.message}`);
    if (state.remedy !== undefined && state.phase.at === 'done' && state.phase.result !== 'succeeded') print(`  → ${state.remedy}`);
    if (history.length === 0) print(style.dim('  not begun'));
    const titled = (change: string) =>
      change.replace(
        /^(\w+): (.+)$/,
        (_all, at: string, name: string) =>
          `${at}: ${plan.procedures[stage.procedure]?.states[name]?.title ?? plan.procedures[stage.rollback ?? '']?.states[name]?.title ?? name}`,
      );
    const rows = history.map((one) => [
      new Date(one.at).toISOString().slice(11, 23),
      one.type,
      one.refused ? style.yellow(`refused: ${one.change}`) : titled(one.change),
    ]);
    for (const line of table(rows)) print(`  ${line}`);
    for (const { visit, attempt, text } of outputs) {
      print(
        style.dim(`  output of ${titled(stateOfVisit(history, visit)).replace(/^\w+: /, '')}${attempt > 1 ? `, attempt ${attempt}` : ''}`),
      );
      for (const line of text.trimEnd().split('\n')) print(`    ${line}`);
    }
  }
}

type Printed = { visit: number; attempt: number; text: string };

/** What each attempt printed. An observation tells an output anew from its beginning, so what was there before it is not shown twice. */
function printedBy(outputs: readonly OutputRecord[]): Printed[] {
  return [...Map.groupBy(outputs, (one) => `${one.visit}.${one.attempt}`).values()].map((parts) => {
    const { visit, attempt } = parts[0] as OutputRecord;
    const text = parts.map((part) => part.text).join('');
    return { visit, attempt, text: text.slice(text.lastIndexOf(TOLD_ANEW) + 1) };
  });
}

/** The state of a visit, as `acting: NAME`: the one before the answer that carries its fence, or the last. */
function stateOfVisit(history: readonly { type: string; body: string; change: string }[], visit: number): string {
  const answered = history.findIndex(
    (one) => one.type === 'result' && (JSON.parse(one.body) as { fence: { visit: number } }).fence.visit === visit,
  );
  const before = answered < 0 ? history : history.slice(0, answered);
  return before.findLast((one) => /^(acting|observing): /.test(one.change))?.change ?? `visit ${visit}`;
}

async function watch(store: Store, run: string, folder: string): Promise<number> {
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
    const lines = runLines(runView(sourceOfStored(stored, folder), { limit: 400, now: Date.now() }), style, {
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
