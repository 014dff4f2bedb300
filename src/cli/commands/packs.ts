/** `packs`: which products there are ways for. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { PACKS } from '../../packs/registry.ts';
import { jsonOption, print, printJson } from '../options.ts';
import { styleFor, wrap } from '../style.ts';

/** What a pack says of itself in pack.yaml. */
export type PackSheet = {
  name: string;
  title: string;
  description: string;
  version: string;
  products: string[];
  can: string[];
  source: string;
};

export function readPack(folder: string): PackSheet & { documents: string[] } {
  const sheet = parse(readFileSync(join(folder, 'pack.yaml'), 'utf8')) as PackSheet;
  const documents = ['procedures', 'upgrades'].flatMap((kind) =>
    existsSync(join(folder, kind)) ? readdirSync(join(folder, kind)).map((name) => `${kind}/${name}`) : [],
  );
  return { ...sheet, documents };
}

export function addPacksCommand(program: Command): void {
  program
    .command('packs')
    .summary('list the packs: products that have ways of their own')
    .addOption(jsonOption())
    .action((options: { json?: boolean }) => {
      const packs = PACKS.map((pack) => readPack(pack.folder));
      if (options.json) return printJson(packs);
      const style = styleFor();
      for (const pack of packs) {
        print(`${style.bold(pack.name)}  ${pack.title}`);
        for (const line of wrap(pack.description, (process.stdout.columns ?? 100) - 4)) print(`    ${line}`);
        print(style.dim(`    products ${pack.products.join(', ')}; can ${pack.can.join(', ')}`));
        print(style.dim(`    ${pack.documents.join(', ')}\n`));
      }
      print('`--pack NAME` brings the documents of a pack along; `upshift lab NAME` starts its lab.');
    });
}
