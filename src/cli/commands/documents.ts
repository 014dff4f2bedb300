/** `init`, `lint`, `schema`, `path`: everything that reads documents and changes nothing. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { findPath, releaseGraph } from '../../catalog/graph.ts';
import { catalogOf } from '../../drivers/contract.ts';
import { openDrivers } from '../../drivers/registry.ts';
import { KINDS, type Kind, publishedSchema } from '../../model/documents/index.ts';
import { FaultError, fault } from '../../model/fault.ts';
import { problemText } from '../../model/problem.ts';
import { nearest } from '../../model/suggestion.ts';
import { pathFault } from '../../planning/hops.ts';
import { lint, loadChecked } from '../documents.ts';
import { EXIT } from '../exit-codes.ts';
import { ansibleOption, jsonOption, packOption, print, printJson } from '../options.ts';
import { STARTER } from '../starter.ts';
import { plural, styleFor } from '../style.ts';

export function addDocumentCommands(program: Command, end: (code: number) => void): void {
  program
    .command('init')
    .summary('write a first set of documents')
    .description(
      'Writes an inventory, a release, a procedure and an upgrade to start from, with the JSON Schemas your editor completes them by. Files that exist are left alone.',
    )
    .argument('[dir]', 'where to', '.')
    .action((dir: string) => init(dir));

  program
    .command('lint')
    .summary('check documents')
    .description('Checks documents, each by itself and all together, and reports every problem at once with file, line and column.')
    .argument('[paths...]', 'files and folders (default: this folder)')
    .addOption(ansibleOption())
    .addOption(packOption())
    .addOption(jsonOption())
    .action((paths: string[], options: { json?: boolean; ansible?: string[]; pack?: string[] }) => {
      const { set, problems, files } = lint({ paths, ansible: options.ansible, packs: options.pack }, catalogOf(openDrivers().actions));
      const errors = problems.filter((problem) => problem.severity === 'error').length;
      if (options.json) printJson({ files, errors, warnings: problems.length - errors, problems });
      else {
        const style = styleFor();
        for (const problem of problems) print(problemText(problem));
        const found = `${plural(set.targets.length, 'target')}, ${plural(set.releases.length, 'release')}, ${plural(set.procedures.size, 'procedure')}, ${plural(set.upgrades.size, 'upgrade')} in ${plural(files, 'file')}`;
        if (errors > 0)
          print(
            style.red(`${plural(errors, 'error')}${problems.length > errors ? `, ${plural(problems.length - errors, 'warning')}` : ''}`),
          );
        else print(`${style.green('No errors')}: ${found}${problems.length > 0 ? `; ${plural(problems.length, 'warning')}` : ''}`);
      }
      end(errors > 0 ? EXIT.usage : EXIT.succeeded);
    });

  program
    .command('schema')
    .summary('print the JSON Schema of a document kind')
    .argument('<kind>', KINDS.join(', '))
    .addHelpText(
      'after',
      '\nIn a YAML file, this first line makes editors complete and check it:\n  # yaml-language-server: $schema=./schemas/upgrade.json',
    )
    .action((name: string) => {
      const kind = KINDS.find((one) => one.toLowerCase() === name.toLowerCase());
      if (!kind) {
        const meant = nearest(name, KINDS);
        throw new FaultError(
          fault('kind-unknown', name, `there is no document kind ${name}`, {
            expected: KINDS.join(', '),
            ...(meant === undefined ? {} : { remedy: `Did you mean ${meant}?` }),
          }),
        );
      }
      printJson(publishedSchema(kind));
    });

  program
    .command('path')
    .summary('print the hops from one version to another')
    .description('Prints the hops from one version of a product to another, or why there is no way and the nearest that would do.')
    .argument('<product>')
    .argument('[paths...]', 'files and folders with releases (default: this folder)')
    .requiredOption('--from <version>')
    .requiredOption('--to <version>')
    .addOption(jsonOption())
    .action((product: string, paths: string[], options: { from: string; to: string; json?: boolean }) => {
      const style = styleFor();
      const set = loadChecked({ paths }, catalogOf(openDrivers().actions), styleFor(process.stderr));
      const products = [...new Set(set.releases.map((release) => release.product))];
      if (!products.includes(product)) {
        const meant = nearest(product, products);
        throw new FaultError(
          fault('product-unknown', product, `no release is of the product ${product}`, {
            expected: products.join(', ') || 'a Release document (there is none)',
            ...(meant === undefined ? {} : { remedy: `Did you mean ${meant}?` }),
          }),
        );
      }
      const answer = findPath(releaseGraph(product, set.releases), options.from, options.to);
      if (options.json) printJson(answer);
      else if (!answer.ok) throw new FaultError(pathFault(product, options.from, answer));
      else if (answer.hops.length === 0) print(`${product} is at ${options.to} already: no hop.`);
      else
        for (const [index, hop] of answer.hops.entries()) {
          print(
            `${String(index + 1).padStart(2)}  ${hop.from} → ${style.bold(hop.to)}  ${style.dim(hop.kind)}${hop.destructive ? style.red('  destructive') : ''}`,
          );
          for (const risk of hop.risks)
            print(
              `      ${risk.block ? style.red('blocked') : style.yellow('risk')} ${risk.name}: ${risk.message}${risk.when === undefined ? '' : style.dim(` (when ${risk.when})`)}`,
            );
        }
      end(answer.ok ? EXIT.succeeded : EXIT.usage);
    });
}

function init(dir: string): void {
  const style = styleFor();
  const files: Record<string, string> = { ...STARTER };
  for (const kind of KINDS) files[`schemas/${kind.toLowerCase()}.json`] = `${JSON.stringify(publishedSchema(kind as Kind), null, 2)}\n`;
  mkdirSync(join(dir, 'schemas'), { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    const file = join(dir, name);
    if (existsSync(file)) print(`${style.dim('kept   ')} ${file}`);
    else {
      writeFileSync(file, text);
      print(`${style.green('written')} ${file}`);
    }
  }
  print(`\nNext: edit them, then \`upshift lint ${dir}\` and \`upshift plan ${dir}\`.`);
}
