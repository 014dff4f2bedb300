/**
 * Kills the orchestrator (kill -9) at random moments of real upgrades of the lab, starts it again each time, and judges what came of it by
 * nothing but the targets' own ledgers.
 *
 *     npm run test:storm -- [--kills 50] [--pack generic|avi|tpvm] [--seed 1] [--json]
 *
 * Without --pack, the labs of all packs take turns.
 *
 * The seed fixes the labs, their faults and the moments; the machine's own pace is not fixed, so a failure may need a few tries to come
 * again. Exit code 1 where a promise is broken, with the seed and the ledgers.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { LedgerEntry } from '../src/checking/ledger.ts';
import { Random } from '../src/checking/random.ts';
import { counts, ledgers, type Ran, start, temporaryFolder, upshift } from '../test/command-line.fixture.ts';
import { SUBJECTS, type Subject } from './storm-subjects.ts';

/** From the start of a process to its end: before the first line of ours runs, and well into the next action. */
const LONGEST_LIFE_MS = 1_800;
/** So many kills of one run at most, so that it ends. */
const KILLS_A_RUN = 12;
/** A process of a run that was left alone ends within this. */
const PATIENCE_MS = 60_000;
/** What the whole may take: a life, a start, and a share of the runs' undisturbed ends for each kill. */
const MS_A_KILL = 10_000;
const LEDGER_LINES = 40;

const { values: flags } = parseArgs({
  options: {
    kills: { type: 'string', default: '50' },
    seed: { type: 'string' },
    pack: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
const kills = Number(flags.kills);
const seed = flags.seed === undefined ? Date.now() % 1_000_000 : Number(flags.seed);
if (!Number.isInteger(kills) || kills < 1 || !Number.isInteger(seed)) {
  console.error('test:storm: --kills and --seed take whole numbers, --kills from 1');
  process.exit(1);
}

const subjects = SUBJECTS.filter((subject) => flags.pack === undefined || subject.name === flags.pack);
if (subjects.length === 0) {
  console.error(`test:storm: there is no lab ${flags.pack}; there are ${SUBJECTS.map((subject) => subject.name).join(', ')}`);
  process.exit(1);
}

type View = {
  phase: string;
  waiting: { kind: string; text: string }[];
  members: { target: string; status: string; state?: string; title?: string }[];
};

/** One run of one lab, with whatever happens to it. */
class StormyRun {
  readonly #subject: Subject;
  readonly #folder: string;
  readonly #env: NodeJS.ProcessEnv;
  readonly #random: Random;
  /** `target action` an operator has asked for once more. */
  readonly #again = new Map<string, number>();
  readonly #retries = new Map<string, number>();
  readonly orders: string[] = [];
  kills = 0;

  constructor(subject: Subject, folder: string, env: NodeJS.ProcessEnv, random: Random) {
    this.#subject = subject;
    this.#folder = folder;
    this.#env = env;
    this.#random = random;
  }

  /** Carries the upgrade out, killed at most so often; the exit code it came to. */
  async carryOut(mostKills: number): Promise<number> {
    let words = this.#subject.apply(this.#folder);
    for (;;) {
      const { code, out, err } = await this.#live(words, this.kills < mostKills);
      // A process that was killed before it had made a run has left none to resume.
      const begun = code !== 1 || !/there is no run yet/.test(err);
      if (code === 4) await this.#help();
      else if (code !== 137 && begun) {
        if (code === 1) throw new Error(`${words.join(' ')} ended with 1: ${out}${err}`);
        return code;
      }
      words = begun ? ['resume'] : this.#subject.apply(this.#folder);
    }
  }

  /** Lets a process live until it ends, or until it is killed. */
  async #live(words: string[], mortal: boolean): Promise<Ran> {
    const started = start(words, this.#env);
    const life = mortal ? this.#random.next() * LONGEST_LIFE_MS : PATIENCE_MS;
    const timer = setTimeout(() => started.child.kill('SIGKILL'), life);
    const ran = await started.ended;
    clearTimeout(timer);
    if (ran.code !== 137) return ran;
    if (!mortal) throw new Error(`${words.join(' ')} did not end within ${PATIENCE_MS / 1000} s: ${ran.out}${ran.err}`);
    this.kills++;
    return ran;
  }

  /** Does what an operator would: decides by what the target wrote down, retries what failed. */
  async #help(): Promise<void> {
    const view = JSON.parse((await upshift(['show', '--json', '--all'], this.#env)).out) as View;
    const deciding = view.members.filter((member) => member.status === 'deciding');
    for (const { target, state } of deciding) await this.#decide(target, state as string);
    if (deciding.length > 0) return;
    const failed = view.members.filter((member) => member.status === 'failed');
    if (failed.length === 0) throw new Error(`the run waits for a person, and nothing has failed: ${JSON.stringify(view.waiting)}`);
    for (const { target } of failed) {
      const counter = (this.#retries.get(target) ?? 0) + 1;
      this.#retries.set(target, counter);
      for (const action of Object.keys(counts(ledgers(this.#folder).get(target) ?? []))) this.#allow(target, action);
      await this.#order(`retries ${target}`, ['retry', 'last', target, '--counter', String(counter)]);
    }
  }

  async #decide(target: string, state: string): Promise<void> {
    const action = state === 'uninstall' ? 'rollback' : state;
    const last = ledgers(this.#folder)
      .get(target)
      ?.findLast((entry) => entry.action === action);
    const as = last?.phase === 'end' ? (last.outcome ?? 'success') : 'again';
    if (as === 'again') this.#allow(target, action);
    await this.#order(`decides ${state} of ${target}: ${as}`, ['decide', 'last', target, '--as', as]);
  }

  async #order(what: string, words: string[]): Promise<void> {
    this.orders.push(what);
    const { code, err } = await upshift(words, this.#env);
    if (code !== 0) throw new Error(`${words.join(' ')} ended with ${code}: ${err}`);
  }

  #allow(target: string, action: string): void {
    const key = `${target} ${action}`;
    this.#again.set(key, (this.#again.get(key) ?? 0) + 1);
  }

  /** What is wrong with how it ended. `wanted`: the exit code its faults demand. */
  violations(code: number, wanted: number): string[] {
    const found = this.#subject.violations(this.#folder, wanted === 3, (target, action) => this.#again.get(`${target} ${action}`) ?? 0);
    return code === wanted ? found : [`the run ended with exit code ${code}, and its faults demand ${wanted}`, ...found];
  }
}

function ledgerText(all: ReadonlyMap<string, readonly LedgerEntry[]>): string {
  return [...all]
    .flatMap(([target, entries]) => entries.map((entry) => ({ target, ...entry })))
    .sort((a, b) => (a.at < b.at ? -1 : 1))
    .slice(-LEDGER_LINES)
    .map(
      ({ at, target, action, phase, outcome, fence }) =>
        `    ${at.slice(11)}  ${target.padEnd(5)} ${action} ${phase} ${outcome ?? ''}  ${fence}`,
    )
    .join('\n');
}

function say(text: string, data: Record<string, unknown>): void {
  console.log(flags.json ? JSON.stringify(data) : text);
}

const random = new Random(seed);
const until = Date.now() + 60_000 + kills * MS_A_KILL;
const violations: string[] = [];
let killed = 0;
let runs = 0;
if (!flags.json) console.log(`seed ${seed}: at least ${kills} kills`);
while ((killed < kills || runs < 2 * subjects.length) && violations.length === 0) {
  const subject = subjects[runs % subjects.length] as Subject;
  const { weather } = subject;
  const {
    name: fault,
    faults,
    code: wanted,
  } = (weather[Math.floor(runs / subjects.length) % weather.length] as Subject['weather'][number])(random);
  const name = `${subject.name}, ${fault}`;
  const began = Date.now();
  const { path, remove } = temporaryFolder();
  const folder = join(path, 'lab');
  const lab = await subject.start(folder, faults);
  const run = new StormyRun(subject, folder, { UPSHIFT_DATA: join(path, 'data') }, random);
  let code = -1;
  try {
    code = await run.carryOut(Math.min(KILLS_A_RUN, Math.max(1, kills - killed)));
    violations.push(...run.violations(code, wanted));
  } catch (error) {
    violations.push((error as Error).message);
  }
  runs++;
  killed += run.kills;
  if (killed < kills && Date.now() > until) violations.push(`only ${killed} kills in the time for ${kills}`);
  const seconds = (Date.now() - began) / 1000;
  const helped = run.orders.length > 0 ? `; the operator ${run.orders.join(', ')}` : '';
  say(`run ${runs}: ${name}: ${run.kills} kills, exit code ${code}, ${seconds.toFixed(1)} s${helped}`, {
    type: 'run',
    run: runs,
    name,
    kills: run.kills,
    code,
    seconds,
    orders: run.orders,
    violations,
  });
  if (violations.length > 0) {
    const excerpt = ledgerText(ledgers(folder));
    say(`seed ${seed}, run ${runs}:\n${violations.map((one) => `  ${one}`).join('\n')}\n  the ledgers:\n${excerpt}`, {
      type: 'violations',
      seed,
      run: runs,
      violations,
      excerpt,
    });
  }
  await lab.stop();
  remove();
}
say(`${killed} kills, ${runs} runs, ${violations.length} violations`, {
  type: 'end',
  seed,
  kills: killed,
  runs,
  violations: violations.length,
});
process.exit(violations.length > 0 ? 1 : 0);
