/** `completion`: scripts for bash, zsh and fish, which ask Upshift itself what may come next. */
import type { Command } from 'commander';
import { FaultError, fault } from '../../model/fault.ts';
import { print } from '../options.ts';
import { dataFolder, openForReading } from '../workspace.ts';

const SCRIPTS: Record<string, string> = {
  bash: `# upshift completion; use: source <(upshift completion bash)
_upshift() {
  local words; words=$("\${COMP_WORDS[0]}" complete-words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || return
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
  [ \${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o filenames -F _upshift upshift`,
  zsh: `#compdef upshift
# upshift completion; use: source <(upshift completion zsh)
_upshift() {
  local -a found; found=(\${(f)"$(\${words[1]} complete-words -- \${words[2,CURRENT]} 2>/dev/null | tr ' ' '\\n')"})
  (( \${#found} )) && compadd -a found || _files
}
compdef _upshift upshift`,
  fish: `# upshift completion; use: upshift completion fish | source
complete -c upshift -f -a '(upshift complete-words -- (commandline -opc)[2..-1] (commandline -ct) | string split " ")'`,
};

const TAKES_RUN = new Set(['resume', 'show', 'watch', 'pause', 'go', 'approve', 'abort', 'retry', 'skip', 'rollback', 'decide']);

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .summary('print a completion script for your shell')
    .argument('<shell>', Object.keys(SCRIPTS).join(', '))
    .addHelpText('after', '\nIn ~/.bashrc:  source <(upshift completion bash)')
    .action((shell: string) => {
      const script = Object.hasOwn(SCRIPTS, shell) ? SCRIPTS[shell] : undefined;
      if (script === undefined)
        throw new FaultError(
          fault('shell-unknown', shell, `there is no completion for ${shell}`, { expected: Object.keys(SCRIPTS).join(', ') }),
        );
      print(script);
    });

  program
    .command('complete-words', { hidden: true })
    .argument('[words...]')
    .action((words: string[]) => print(wordsAfter(program, words).join(' ')));
}

/** What may stand at the place of the last word. */
export function wordsAfter(program: Command, words: readonly string[]): string[] {
  const last = words.at(-1) ?? '';
  let command = program;
  for (const word of words.slice(0, -1)) command = command.commands.find((one) => one.name() === word) ?? command;
  if (last.startsWith('-')) return command.options.flatMap((option) => (option.long ? [option.long] : []));
  const visible = command.commands.filter((one) => !(one as unknown as { _hidden: boolean })._hidden).map((one) => one.name());
  if (visible.length > 0) return visible;
  if (!TAKES_RUN.has(command.name())) return [];
  try {
    const store = openForReading(dataFolder(undefined));
    const runs = store?.runs() ?? [];
    store?.close();
    return runs
      .filter((run) => run.phase !== 'finished' || command.name() === 'show')
      .slice(0, 20)
      .map((run) => run.run);
  } catch {
    return [];
  }
}
