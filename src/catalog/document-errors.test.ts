/**
 * Every error of documents, as people read it: `goldens/` holds a small file for each (NAME.input, since formatters would mend a .yaml) and,
 * beside it, what is printed for it. What ends in .ini or .yml is an Ansible inventory. UPDATE_GOLDENS=1 writes the expectations anew; read
 * the difference before it is kept.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { test } from 'node:test';
import { catalogOf } from '../drivers/contract.ts';
import { openDrivers } from '../drivers/registry.ts';
import { type Problem, problemText } from '../model/problem.ts';
import { MAX_BYTES } from '../model/source.ts';
import { readAnsibleInventory } from './ansible-inventory.ts';
import { type FileBytes, loadDocuments } from './document-set.ts';

const FOLDER = new URL('goldens/', import.meta.url);
const ACTIONS = catalogOf(openDrivers().actions);
const inputs = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.input'))
  .map((name) => basename(name, '.input'));

function fileOf(name: string): FileBytes {
  return { file: name, bytes: readFileSync(new URL(`${name}.input`, FOLDER)) };
}

function problemsOf(files: readonly FileBytes[]): Problem[] {
  const foreign = (file: FileBytes) => (['.ini', '.yml'].includes(extname(file.file)) ? readAnsibleInventory(file) : undefined);
  return loadDocuments(files, ACTIONS, foreign).problems;
}

function printed(problems: readonly Problem[]): string {
  return problems.map((problem) => `${problemText(problem)}\n`).join('');
}

for (const name of inputs)
  test(`the document ${name} gets the message that is expected`, () => {
    const found = printed(problemsOf([fileOf(name)]));
    const golden = new URL(`${name}.expected.txt`, FOLDER);
    assert.notEqual(found, '', 'a document in goldens/ has a mistake');
    if (process.env['UPDATE_GOLDENS']) writeFileSync(golden, found);
    assert.equal(found, readFileSync(golden, 'utf8'));
  });

test('every expectation has its document', () => {
  const expectations = readdirSync(FOLDER).filter((name) => name.endsWith('.expected.txt'));
  assert.deepEqual(expectations.toSorted(), inputs.map((name) => `${name}.expected.txt`).toSorted());
});

test('every place that is named exists in the file', () => {
  for (const name of inputs) {
    const lines = readFileSync(new URL(`${name}.input`, FOLDER), 'latin1').split('\n');
    for (const problem of problemsOf([fileOf(name)])) {
      assert.ok(problem.line <= lines.length, `${name}: line ${problem.line} of ${lines.length}`);
      if (problem.line > 0)
        assert.ok(problem.column >= 1 && problem.column <= (lines[problem.line - 1] ?? '').length + 1, printed([problem]));
    }
  }
});

test('a set of files reports the problems of all of them at once, in the order of the files', () => {
  const names = ['word-unknown.yaml', 'target-twice.yaml', 'input-unknown.yaml', 'yaml-colon.yaml'];
  const problems = problemsOf(names.map(fileOf));
  const files = [...new Set(problems.map((problem) => problem.file))];
  assert.deepEqual(files, names.toSorted());
});

test('a file of 50 MB is refused without being parsed', () => {
  const problems = problemsOf([{ file: 'large.yaml', bytes: new Uint8Array(50 * 1024 * 1024) }]);
  assert.equal(printed(problems), 'large.yaml: error: the file is too large\n    expected at most 32 MiB; found 50 MiB\n');
  assert.equal(MAX_BYTES, 32 * 1024 * 1024);
});

test('a YAML bomb is refused in no time and no space', () => {
  const before = process.memoryUsage().heapUsed;
  problemsOf([fileOf('yaml-bomb.yaml')]);
  assert.ok(process.memoryUsage().heapUsed - before < 100 * 1024 * 1024);
});

test('a misspelt key, missing for that reason, is one problem', () => {
  const problems = problemsOf([{ file: 'a.yaml', bytes: Buffer.from('kind: Inventory\ntragets: []\n') }]);
  assert.deepEqual(
    problems.map(({ message, suggestion }) => [message, suggestion]),
    [['unknown key tragets', 'targets']],
  );
});
