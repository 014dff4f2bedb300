/**
 * Plants one bug after the other in a copy of the sources, and fails where the tests do not notice.
 *
 *     npm run test:mutants [-- WORD]      only mutants whose name contains the word
 *
 * The tests that are to catch them first have to pass on the copy as it is. A mutant is caught by a test that fails or hangs; one that does
 * not even load proves nothing and counts as broken. Exit code 1 unless all are caught.
 */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MUTANTS, type Mutant } from './mutants-list.ts';

const ROOT = resolve(fileURLToPath(new URL('..', import.meta.url)));
const COPIED = ['src', 'test', 'bin', 'scripts', 'package.json', 'tsconfig.json'];
const AT_ONCE = 2;
/** Many times what any of these test files takes; a mutant that hangs is caught. */
const PATIENCE_MS = 60_000;
/** Says that the mutant was never put to the test. */
const NEVER_LOADED = /SyntaxError|ERR_MODULE_NOT_FOUND|ERR_INVALID_TYPESCRIPT_SYNTAX|ReferenceError/;

const word = process.argv[2] ?? '';
const mutants = MUTANTS.filter((mutant) => mutant.name.includes(word));
const folder = mkdtempSync(join(tmpdir(), 'upshift-mutants-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

function copyTo(name: string): string {
  const copy = join(folder, name);
  for (const path of COPIED) if (existsSync(join(ROOT, path))) cpSync(join(ROOT, path), join(copy, path), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

type Tested = { passed: boolean; hung: boolean; output: string };

function runTests(copy: string, files: readonly string[]): Promise<Tested> {
  return new Promise((done) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--test', '--test-reporter=tap', ...files], {
      cwd: copy,
      // A group of its own, so that whatever a test started goes with it.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let hung = false;
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    const timer = setTimeout(() => {
      hung = true;
      process.kill(-(child.pid as number), 'SIGKILL');
    }, PATIENCE_MS);
    child.once('close', (code) => {
      clearTimeout(timer);
      // A file in which nothing was tested is no pass.
      done({ passed: code === 0 && /^# pass [1-9]/m.test(output), hung, output });
    });
  });
}

/** The first test that failed, as it is called. */
function firstFailure(output: string): string {
  const failures = [...output.matchAll(/^( *)not ok \d+ - (.*)$/gm)].sort((a, b) => (b[1] as string).length - (a[1] as string).length);
  return failures[0]?.[2] ?? 'a test failed';
}

async function tryMutant(copy: string, mutant: Mutant): Promise<string | undefined> {
  const file = join(copy, mutant.file);
  const text = readFileSync(file, 'utf8');
  const found = text.split(mutant.find).length - 1;
  if (found !== 1) return `BROKEN    ${mutant.name}: its text occurs ${found} times in ${mutant.file}`;
  const began = Date.now();
  writeFileSync(
    file,
    text.replace(mutant.find, () => mutant.replace),
  );
  try {
    const { passed, hung, output } = await runTests(copy, mutant.tests);
    if (passed) return `SURVIVED  ${mutant.name}: ${mutant.tests.join(', ')} passed`;
    if (!hung && NEVER_LOADED.test(output)) return `BROKEN    ${mutant.name}: ${NEVER_LOADED.exec(output)?.[0]}`;
    const seconds = ((Date.now() - began) / 1000).toFixed(1);
    console.log(`caught    ${mutant.name}: ${hung ? 'the tests hang' : firstFailure(output)} (${seconds} s)`);
    return undefined;
  } finally {
    writeFileSync(file, text);
  }
}

const copies = Array.from({ length: AT_ONCE }, (_, index) => copyTo(String(index)));
const files = [...new Set(mutants.flatMap((mutant) => mutant.tests))];
const sound = await runTests(copies[0] as string, files);
if (!sound.passed) {
  console.error(`The tests fail without any mutant, so they prove nothing: ${sound.hung ? 'they hang' : firstFailure(sound.output)}`);
  process.exit(1);
}
console.log(`${files.length} test files pass without a mutant; ${mutants.length} mutants follow`);
const waiting = [...mutants];
let caught = 0;
await Promise.all(
  copies.map(async (copy) => {
    for (let mutant = waiting.shift(); mutant; mutant = waiting.shift()) {
      const complaint = await tryMutant(copy, mutant);
      if (complaint === undefined) caught++;
      else console.log(complaint);
    }
  }),
);
console.log(`${caught} of ${mutants.length} caught`);
process.exit(caught === mutants.length && caught > 0 ? 0 : 1);
