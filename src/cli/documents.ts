/** Files and folders into documents. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { parse } from 'yaml';
import { readAnsibleInventory } from '../catalog/ansible-inventory.ts';
import { type DocumentSet, type FileBytes, loadDocuments } from '../catalog/document-set.ts';
import type { ActionCatalog } from '../model/action.ts';
import type { Upgrade } from '../model/documents/index.ts';
import { FaultError, fault } from '../model/fault.ts';
import { type Problem, problemText } from '../model/problem.ts';
import { MAX_BYTES } from '../model/source.ts';
import { nearest } from '../model/suggestion.ts';
import { PACKS } from '../packs/registry.ts';
import { plural, type Style } from './style.ts';

const EXTENSIONS = new Set(['.yaml', '.yml', '.json']);

/** The files named, and those of the folders named (not of folders below them). A file that is too large is not read. */
export function readFiles(paths: readonly string[]): FileBytes[] {
  const files: string[] = [];
  for (const path of paths) {
    let folder: boolean;
    try {
      folder = statSync(path).isDirectory();
    } catch (error) {
      throw new FaultError(
        fault(
          'file-unreadable',
          path,
          `${path} cannot be read: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file or folder' : (error as Error).message}`,
        ),
      );
    }
    if (!folder) {
      files.push(path);
      continue;
    }
    const names = readdirSync(path).filter((name) => EXTENSIONS.has(extname(name)) && !name.startsWith('.') && !name.startsWith('package'));
    if (names.length === 0)
      throw new FaultError(
        fault('no-documents', path, `there are no documents in ${path}`, {
          expected: 'files that end in .yaml, .yml or .json',
          remedy: 'Name the files, or write a first set with `upshift init`.',
        }),
      );
    files.push(...names.sort().map((name) => join(path, name)));
  }
  return files.map((file) => {
    try {
      // One byte more than is allowed is enough to be refused for it.
      return { file, bytes: statSync(file).size > MAX_BYTES ? Buffer.alloc(statSync(file).size) : readFileSync(file) };
    } catch (error) {
      throw new FaultError(fault('file-unreadable', file, `${file} cannot be read: ${(error as Error).message}`));
    }
  });
}

export type Linted = { set: DocumentSet; problems: Problem[]; files: number };

export type DocumentSources = {
  paths: readonly string[];
  /** Files that are an Ansible inventory, whatever their name. */
  ansible?: readonly string[] | undefined;
  /** Packs whose procedures and upgrades come along. */
  packs?: readonly string[] | undefined;
  /** Documents that are not in files. */
  extra?: readonly FileBytes[] | undefined;
};

/** The folders of the documents of packs. */
function packFolders(names: readonly string[]): string[] {
  return names.flatMap((name) => {
    const pack = PACKS.find((one) => one.name === name);
    const known = PACKS.map((one) => one.name);
    const meant = nearest(name, known);
    if (!pack)
      throw new FaultError(
        fault('pack-unknown', name, `there is no pack ${name}`, {
          expected: known.join(', '),
          ...(meant === undefined ? {} : { remedy: `Did you mean ${meant}?` }),
        }),
      );
    return [join(pack.folder, 'procedures'), join(pack.folder, 'upgrades')];
  });
}

/** Reads and checks documents. */
export function lint(sources: DocumentSources, actions: ActionCatalog): Linted {
  const { paths, ansible = [], packs = [], extra = [] } = sources;
  const files = [...readFiles(paths.length > 0 ? paths : ['.']), ...readFiles(ansible), ...readFiles(packFolders(packs)), ...extra];
  const foreign = new Set(ansible);
  const { set, problems } = loadDocuments(files, actions, (file) => (foreign.has(file.file) ? readAnsibleInventory(file) : undefined));
  return { set, problems, files: files.length };
}

/** Thrown where documents have errors; the problems are printed already. */
export class ProblemsPrinted extends Error {}

/** As {@link lint}, but prints problems on stderr and throws where one is an error. */
export function loadChecked(sources: DocumentSources, actions: ActionCatalog, style: Style): DocumentSet {
  const { set, problems } = lint(sources, actions);
  for (const problem of problems) process.stderr.write(`${problemText(problem)}\n`);
  const errors = problems.filter((problem) => problem.severity === 'error').length;
  if (errors > 0) {
    process.stderr.write(`${style.red(plural(errors, 'error'))} in the documents; nothing was done.\n`);
    throw new ProblemsPrinted();
  }
  return set;
}

/** The products a pack is for, as it says itself. */
function packProducts(folder: string): string[] {
  return (parse(readFileSync(join(folder, 'pack.yaml'), 'utf8')) as { products: string[] }).products;
}

/** The upgrade that is meant: the one named, or the only one there is. */
export function chooseUpgrade(set: DocumentSet, name: string | undefined): Upgrade {
  const names = [...set.upgrades.keys()];
  if (name !== undefined) {
    const found = set.upgrades.get(name);
    if (found) return found;
    const meant = nearest(name, names);
    throw new FaultError(
      fault('upgrade-unknown', name, `no upgrade is called ${name}`, {
        expected: names.join(', ') || 'an Upgrade document (there is none)',
        ...(meant === undefined ? {} : { remedy: `Did you mean ${meant}?` }),
      }),
    );
  }
  const [only] = set.upgrades.values();
  if (!only) {
    const products = new Set(set.targets.map((target) => target.product));
    const packs = PACKS.filter((pack) => packProducts(pack.folder).some((product) => products.has(product))).map((pack) => pack.name);
    throw new FaultError(
      fault('no-upgrade', 'documents', 'there is no Upgrade among the documents', {
        remedy:
          packs.length > 0
            ? `The pack ${packs[0]} has one for these targets: add --pack ${packs[0]}.`
            : 'Write one (`upshift init` shows how), or name the files.',
      }),
    );
  }
  if (names.length > 1)
    throw new FaultError(
      fault('several-upgrades', 'documents', `there are ${names.length} upgrades`, {
        expected: `--upgrade with one of ${names.join(', ')}`,
      }),
    );
  return only;
}
