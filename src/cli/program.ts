/** The command line: its commands, and how errors end. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { FaultError } from '../model/fault.ts';
import { addApplyCommands } from './commands/apply.ts';
import { addAviCommand } from './commands/avi.ts';
import { addCompletionCommand } from './commands/completion.ts';
import { addControlCommands } from './commands/control.ts';
import { addDocumentCommands } from './commands/documents.ts';
import { addLabCommand } from './commands/lab.ts';
import { addPacksCommand } from './commands/packs.ts';
import { addPlanCommand } from './commands/plan.ts';
import { addRunCommands } from './commands/runs.ts';
import { addTpvmCommand } from './commands/tpvm.ts';
import { ProblemsPrinted } from './documents.ts';
import { EXIT, EXIT_HELP, hasKind } from './exit-codes.ts';
import { print } from './options.ts';
import { faultLines } from './print-run.ts';
import { styleFor } from './style.ts';

export function version(): string {
  return (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
}

/** Builds the program; `end` is told the exit code. */
export function buildProgram(end: (code: number) => void): Command {
  const program = new Command('upshift')
    .description(
      'Carries clusters and device fleets from one version to the next: in stages, through reboots and its own crashes, to the end or safely back.',
    )
    .showSuggestionAfterError()
    .showHelpAfterError('(see --help)')
    .helpCommand('help [command]', 'help for a command')
    .exitOverride()
    .addHelpText(
      'after',
      `
A first run
  upshift lab ssh --dir /tmp/lab &     eight hosts on this machine, to try it on
  upshift plan /tmp/lab                what would be done
  upshift apply /tmp/lab               do it, and watch
  upshift show                         what is going on, why it waits, what you can do

${EXIT_HELP}`,
    );
  addDocumentCommands(program, end);
  addPlanCommand(program, end);
  addApplyCommands(program, end);
  addRunCommands(program, end);
  addControlCommands(program, end);
  addPacksCommand(program);
  addLabCommand(program, end);
  addAviCommand(program, end);
  addTpvmCommand(program, end);
  addCompletionCommand(program);
  program
    .command('version')
    .summary('print the version')
    .action(() => print(`upshift ${version()} (Node.js ${process.versions.node})`));
  program.version(version(), '-V, --version', 'print the version');
  const inherit = (command: Command) => {
    for (const child of command.commands) {
      child.copyInheritedSettings(command);
      inherit(child);
    }
  };
  inherit(program);
  return program;
}

/** Runs the command line and returns the exit code. Expected failures are printed; a programmer's error is thrown. */
export async function runProgram(argv: readonly string[]): Promise<number> {
  let code: number = EXIT.succeeded;
  try {
    await buildProgram((ended) => {
      code = ended;
    }).parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof ProblemsPrinted) return EXIT.usage;
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.succeeded : EXIT.usage;
    if (!(error instanceof FaultError)) throw error;
    const style = styleFor(process.stderr);
    process.stderr.write(`${faultLines(error.fault, style, process.stderr.columns ?? 100).join('\n')}\n`);
    return hasKind(error.fault, 'world-differs') || hasKind(error.fault, 'plan-changed') ? EXIT.refused : EXIT.usage;
  }
}
