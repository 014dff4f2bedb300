/**
 * The main job: a lab of real processes, an upgrade of all of them, and what came of it.
 *
 *     npm start                       the Avi lab: controllers, service engines, virtual services
 *     npm start -- --pack tpvm        two switches with a TPVM each; --pack generic: hosts behind controllers
 *     npm start -- --exit             end with the run's exit code; else, in a terminal, the lab stays up afterwards, to look around
 *     npm start -- --kill             kill the orchestrator midway (kill -9), start it again, and show that nothing was done twice
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AVI_LAB, startAviLab } from '../src/packs/avi/lab.ts';
import { startLab } from '../src/packs/generic/lab.ts';
import { startTpvmLab, TPVM_LAB } from '../src/packs/tpvm/lab.ts';

const UPSHIFT = fileURLToPath(new URL('../bin/upshift', import.meta.url));
const KNOWN = ['--exit', '--kill'];

type Job = {
  what: string;
  start(folder: string): Promise<{ stop(): Promise<void> }>;
  apply(folder: string): string[];
  killAt: { prefix: string; action: string };
};

const JOBS: Record<string, Job> = {
  avi: {
    what: 'three controllers, six service engines in two groups, and four virtual services',
    start: (folder) => startAviLab({ ...AVI_LAB, folder, workMs: 300, rebootMs: 900 }),
    apply: (folder) => ['avi', 'upgrade', '--documents', folder, '--yes'],
    killAt: { prefix: 'se-', action: 'SE_UPGRADE' },
  },
  tpvm: {
    what: 'two switches with a TPVM each, XCO and a firmware host',
    start: (folder) => startTpvmLab({ ...TPVM_LAB, folder, workMs: 1500 }),
    apply: (folder) => ['apply', '--pack', 'tpvm', folder, '--yes'],
    killAt: { prefix: 'slx-', action: 'upgrade' },
  },
  generic: {
    what: 'two controllers, and six hosts in two groups behind them',
    start: (folder) =>
      startLab({ folder, hosts: 6, controllers: 2, groups: 2, installMs: 1200, rebootMs: 700, slow: [], drop: [], dead: [], fail: [] }),
    apply: (folder) => ['apply', folder, '--yes'],
    killAt: { prefix: 'se-', action: 'install' },
  },
};

const words = process.argv.slice(2);
const named = words.indexOf('--pack');
const pack = named < 0 ? 'avi' : (words.splice(named, 2)[1] ?? '');
const flags = new Set(words);
const unknown = [...flags].filter((flag) => !KNOWN.includes(flag));
const job = JOBS[pack];
if (!job || unknown.length > 0) {
  console.error(
    job
      ? `npm start: unknown flag ${unknown.join(', ')}; there are ${KNOWN.join(', ')} and --pack NAME`
      : `npm start: there is no lab ${pack}; there are ${Object.keys(JOBS).join(', ')}`,
  );
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

/** Whether some target is in the middle of what the job is to be killed at. */
function inTheMiddle({ prefix, action }: Job['killAt']): boolean {
  return [...ledgers()].some(
    ([id, entries]) => id.startsWith(prefix) && entries.at(-1)?.action === action && entries.at(-1)?.phase === 'begin',
  );
}

async function killMidway(at: Job['killAt']): Promise<void> {
  while (child?.exitCode === null && !inTheMiddle(at)) await new Promise((next) => setTimeout(next, 50));
  if (child?.exitCode !== null) return;
  await new Promise((next) => setTimeout(next, 150));
  child.kill('SIGKILL');
}

/** Judges from what the targets themselves wrote down. Returns whether nothing was done twice. */
function proof(): boolean {
  console.log('\nWhat was really done, from the ledgers of the targets:');
  let twice = 0;
  for (const [id, entries] of ledgers()) {
    const begun = entries.filter((entry) => entry.phase === 'begin');
    if (begun.length === 0) continue;
    const counts = new Map<string, number>();
    for (const { action } of begun) counts.set(action, (counts.get(action) ?? 0) + 1);
    twice += [...counts.values()].filter((count) => count > 1).length;
    console.log(`  ${id.padEnd(6)} ${[...counts].map(([action, count]) => `${action} ×${count}`).join(', ')}`);
  }
  console.log(twice === 0 ? 'Nothing was done twice.' : `${twice} actions were done twice.`);
  return twice === 0;
}

const lab = await job.start(folder);
console.log(`A lab in ${folder}: ${job.what}.\n`);
let code: number;
const first = upshift(...job.apply(folder));
if (flags.has('--kill')) {
  await killMidway(job.killAt);
  code = await first;
  if (code === 137) {
    console.log(
      `${process.stdout.isTTY ? '\x1b[?25h' : ''}\n✂ The orchestrator was killed (kill -9) in the middle of its work. Starting it again.\n`,
    );
    code = await upshift('resume');
  }
  if (!proof()) code = 2;
} else code = await first;

if (process.stdout.isTTY && !flags.has('--exit') && code === 0) {
  console.log(`\nThe lab stays up. From another terminal, in this folder:
  export UPSHIFT_DATA=${data}
  bin/upshift show --all           what was done
  bin/upshift show last TARGET     one target, with its output
Ctrl-C ends it.`);
  await new Promise<void>((done) => process.once('SIGINT', () => done()));
}
await lab.stop();
if (existsSync(folder)) rmSync(folder, { recursive: true, force: true });
process.exit(code);
