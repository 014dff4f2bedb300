/**
 * The main job: a lab of hosts behind controllers, an upgrade of all of them, and what came of it.
 *
 *     npm start                 run it; in a terminal the lab stays up afterwards, to look around
 *     npm start -- --exit       end with the run's exit code
 *     npm start -- --kill       kill the orchestrator midway (kill -9), start it again, and show that nothing was done twice
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startLab } from '../src/packs/generic/lab.ts';

const UPSHIFT = fileURLToPath(new URL('../bin/upshift', import.meta.url));
const KNOWN = ['--exit', '--kill'];

const flags = new Set(process.argv.slice(2));
for (const flag of flags)
  if (!KNOWN.includes(flag)) {
    console.error(`npm start: unknown flag ${flag}; there are ${KNOWN.join(', ')}`);
    process.exit(1);
  }

const folder = mkdtempSync(join(tmpdir(), 'upshift-start-'));
const data = join(folder, 'data');
let child: ChildProcess | undefined;

// The terminal sends Ctrl-C to the orchestrator as well; it knows what to do, and this script ends after it.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => child?.kill('SIGTERM'));

function upshift(...words: string[]): Promise<number> {
  return new Promise((done) => {
    child = spawn(UPSHIFT, words, { stdio: 'inherit', env: { ...process.env, UPSHIFT_DATA: data } });
    child.once('exit', (code, signal) => done(code ?? (signal === 'SIGKILL' ? 137 : 1)));
  });
}

type Entry = { at: string; fence: string; action: string; phase: string; outcome: string | null };

function ledgers(): Map<string, Entry[]> {
  const targets = join(folder, 'targets');
  return new Map(
    readdirSync(targets)
      .sort()
      .map((id) => {
        const text = readFileSync(join(targets, id, 'ledger.jsonl'), 'utf8');
        return [
          id,
          text
            .split('\n')
            .filter(Boolean)
            .map((line) => JSON.parse(line) as Entry),
        ];
      }),
  );
}

/** Whether some target of the last stage is in the middle of installing. */
function inTheMiddle(): boolean {
  for (const [id, entries] of ledgers()) {
    const last = entries.at(-1);
    if (id.startsWith('se-') && last?.action === 'install' && last.phase === 'begin') return true;
  }
  return false;
}

async function killMidway(): Promise<void> {
  while (child?.exitCode === null && !inTheMiddle()) await new Promise((next) => setTimeout(next, 50));
  if (child?.exitCode !== null) return;
  await new Promise((next) => setTimeout(next, 300));
  child.kill('SIGKILL');
}

/** Judges from what the targets themselves wrote down. Returns whether nothing was done twice. */
function proof(): boolean {
  console.log('\nWhat was really done, from the ledgers of the targets:');
  let twice = 0;
  for (const [id, entries] of ledgers()) {
    const begun = entries.filter((entry) => entry.phase === 'begin' && (entry.action === 'install' || entry.action === 'reboot'));
    const counts = new Map<string, number>();
    for (const { action } of begun) counts.set(action, (counts.get(action) ?? 0) + 1);
    twice += [...counts.values()].filter((count) => count > 1).length;
    console.log(`  ${id.padEnd(6)} ${[...counts].map(([action, count]) => `${action} ×${count}`).join(', ')}`);
  }
  console.log(twice === 0 ? 'Nothing was done twice.' : `${twice} actions were done twice.`);
  return twice === 0;
}

const lab = await startLab({
  folder,
  hosts: 6,
  controllers: 2,
  groups: 2,
  installMs: 1200,
  rebootMs: 700,
  slow: [],
  drop: [],
  dead: [],
  fail: [],
});
console.log(`A lab of ${lab.targets.length} hosts in ${folder}: 2 controllers, and 6 hosts in 2 groups behind them.\n`);
let code: number;
const first = upshift('apply', folder, '--yes');
if (flags.has('--kill')) {
  await killMidway();
  code = await first;
  if (code === 137) {
    console.log(
      `${process.stdout.isTTY ? '\x1b[?25h' : ''}\n✂ The orchestrator was killed (kill -9) while hosts were installing. Starting it again.\n`,
    );
    code = await upshift('resume');
  }
  if (!proof()) code = 2;
} else code = await first;

if (process.stdout.isTTY && !flags.has('--exit') && code === 0) {
  console.log(`\nThe lab stays up. From another terminal, in this folder:
  export UPSHIFT_DATA=${data}
  bin/upshift show --all           what was done
  bin/upshift show last se-2       one target, with its output
  bin/upshift plan ${folder}
Ctrl-C ends it.`);
  await new Promise<void>((done) => process.once('SIGINT', () => done()));
}
await lab.stop();
if (existsSync(folder)) rmSync(folder, { recursive: true, force: true });
process.exit(code);
