/** `pause`, `go`, `approve`, `abort`, `retry`, `skip`, `rollback`, `decide`: what a person tells a run. */
import type { Command } from 'commander';
import { openDrivers } from '../../drivers/registry.ts';
import type { ControlBody } from '../../machines/messages.ts';
import { FaultError } from '../../model/fault.ts';
import type { StoredRun } from '../../runtime/ports.ts';
import { EXIT } from '../exit-codes.ts';
import { vectorCode } from '../member-codes.ts';
import { dataOption, jsonOption, keyOption, print, printJson } from '../options.ts';
import { controlOf, dataFolder, deliver, findRun, memberOf, openForReading } from '../workspace.ts';

type Options = { data?: string; json?: boolean; key?: string; reason?: string; as?: string; counter?: string };

const RUN = 'the run: its name, the start of it, or `last`';

export function addControlCommands(program: Command, end: (code: number) => void): void {
  const make = (name: string, summary: string, description: string) =>
    program.command(name).summary(summary).description(description).addOption(keyOption()).addOption(dataOption()).addOption(jsonOption());

  const send = async (
    name: string | undefined,
    target: string | undefined,
    options: Options,
    body: (member: number | undefined) => ControlBody,
  ) => {
    const folder = dataFolder(options.data);
    const store = openForReading(folder);
    const { run } = findRun(store?.runs() ?? [], name);
    const stored = store?.loadRun(run) as StoredRun;
    store?.close();
    const member = target === undefined ? undefined : memberOf(stored.plan, vectorCode(stored.state), target);
    const control = controlOf(body(member), options.key);
    const drivers = openDrivers();
    const { refused, driven } = await deliver(folder, run, control, drivers.actions);
    await drivers.close();
    if (refused) throw new FaultError(refused);
    if (options.json) printJson({ run, ...control, driven });
    else print(`${run}: ${control.type} is on record${driven ? '' : `; no process drives the run: upshift resume ${run}`}`);
    end(EXIT.succeeded);
  };

  make('pause', 'start nothing more', 'Nothing new is started; what is in flight is finished. `upshift go` ends the pause.')
    .argument('[run]', RUN)
    .option('--reason <text>', 'why; shown to whoever looks')
    .action((run: string | undefined, options: Options) =>
      send(run, undefined, options, () => ({ type: 'pause', ...(options.reason === undefined ? {} : { reason: options.reason }) })),
    );

  make(
    'go',
    'end a pause, or accept what suspended the run',
    'Ends a pause. Where a failure has suspended the run, accepts that failure and goes on.',
  )
    .argument('[run]', RUN)
    .action((run: string | undefined, options: Options) => send(run, undefined, options, () => ({ type: 'continue' })));

  make('approve', 'give the approval a run waits for', 'Gives the approval a run waits for.')
    .argument('[run]', RUN)
    .action((run: string | undefined, options: Options) => send(run, undefined, options, () => ({ type: 'approve' })));

  make(
    'abort',
    'stop a run',
    'Stops a run. Before a commit point what was done is rolled back, newest first; after one it stays. What is in flight is finished first.',
  )
    .argument('[run]', RUN)
    .option('--reason <text>', 'why; shown to whoever looks')
    .action((run: string | undefined, options: Options) =>
      send(run, undefined, options, () => ({ type: 'abort', ...(options.reason === undefined ? {} : { reason: options.reason }) })),
    );

  make('rollback', 'stop a run and go back', 'Stops a run and rolls back everything since the last commit point, newest first.')
    .argument('[run]', RUN)
    .option('--reason <text>', 'why; shown to whoever looks')
    .action((run: string | undefined, options: Options) =>
      send(run, undefined, options, () => ({ type: 'rollback', ...(options.reason === undefined ? {} : { reason: options.reason }) })),
    );

  make(
    'retry',
    'try a failed target, or a failed check, again',
    'Tries a failed target again. Without a target: the check that suspended the run.',
  )
    .argument('<run>', RUN)
    .argument('[target]')
    .option('--counter <n>', 'the retry counter wanted; a counter that was reached before changes nothing')
    .action((run: string, target: string | undefined, options: Options) =>
      send(run, target, options, (member) => ({
        type: 'retry',
        ...(member === undefined ? {} : { member }),
        ...(options.counter === undefined ? {} : { counter: Number(options.counter) }),
      })),
    );

  make('skip', 'leave a failed target as it is', 'Leaves a failed target as it is, and no longer counts it as failed.')
    .argument('<run>', RUN)
    .argument('<target>')
    .action((run: string, target: string, options: Options) =>
      send(run, target, options, (member) => ({ type: 'skip', member: member as number })),
    );

  make(
    'decide',
    'say what became of an action',
    'Says what became of an action whose outcome nobody knows: one of its outcomes (success, failure, …), or `again` to do it again.',
  )
    .argument('<run>', RUN)
    .argument('<target>')
    .requiredOption('--as <outcome>', 'success, failure, another outcome of the state, or again')
    .action((run: string, target: string, options: Options) =>
      send(run, target, options, (member) => ({ type: 'decide', member: member as number, as: options.as as string })),
    );
}
