/**
 * Whatever comes in from outside, nothing is thrown, nothing takes long, and every refusal says why.
 *
 * UPSHIFT_FUZZ_CASES says how many cases there are, over all doors; UPSHIFT_FUZZ_SEED where they begin. A failure names the seed of its
 * one case: UPSHIFT_FUZZ_SEED=… UPSHIFT_FUZZ_CASES=1 is that case again, at every door.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { after, before, describe, test } from 'node:test';
import { readAnsibleInventory } from '../src/catalog/ansible-inventory.ts';
import { loadDocuments } from '../src/catalog/document-set.ts';
import { Random } from '../src/checking/random.ts';
import { SIMULATED_ACTIONS } from '../src/checking/scenario.ts';
import { EXIT } from '../src/cli/exit-codes.ts';
import { planLines } from '../src/cli/print-plan.ts';
import { runProgram } from '../src/cli/program.ts';
import { styleFor } from '../src/cli/style.ts';
import type { Action, ActionEnd } from '../src/drivers/contract.ts';
import { catalogOf } from '../src/drivers/contract.ts';
import { openDrivers } from '../src/drivers/registry.ts';
import { startJob } from '../src/drivers/shell/detached.ts';
import { runMachine } from '../src/machines/run/run.ts';
import { newRun } from '../src/machines/run/state.ts';
import type { Procedure } from '../src/model/documents/index.ts';
import { compileExpression, compileTemplate, SCOPES, type Scope, type ScopeName } from '../src/model/expression.ts';
import type { Fault } from '../src/model/fault.ts';
import { problemText } from '../src/model/problem.ts';
import { type Plan, planDigest } from '../src/planning/plan.ts';
import { planUpgrade } from '../src/planning/planner.ts';
import { simplePlan } from '../src/runtime/conformance.fixture.ts';
import { DriverExecutor } from '../src/runtime/executor.ts';
import { VirtualClock } from '../src/runtime/memory/virtual-clock.ts';
import { temporaryFolder } from './command-line.fixture.ts';
import { anything, badDocuments, flipped, goodDocuments, mutated, mutatedExpression, STRANGE } from './fuzz.fixture.ts';

const CASES = Number(process.env['UPSHIFT_FUZZ_CASES'] ?? 2_000);
const SEED = Number(process.env['UPSHIFT_FUZZ_SEED'] ?? Date.now() % 1_000_000_000);
const MAX_CASE_MS = 2_000;

/** Runs a door's share of the cases; a failure names its seed and what went in. */
async function cases(share: number, one: (random: Random, note: (what: unknown) => void) => void | Promise<void>): Promise<void> {
  const count = Math.max(1, Math.round(CASES * share));
  for (let index = 0; index < count; index++) {
    const seed = SEED + index;
    let noted: unknown = 'nothing yet';
    const began = performance.now();
    try {
      await one(new Random(seed), (what) => {
        noted = what;
      });
      const took = performance.now() - began;
      assert.ok(took < MAX_CASE_MS, `it took ${Math.round(took)} ms`);
    } catch (error) {
      const shown =
        typeof noted === 'string' ? noted : JSON.stringify(noted, (_, value) => (typeof value === 'bigint' ? `${value}n` : value));
      throw new Error(`UPSHIFT_FUZZ_SEED=${seed}: ${(error as Error).message}\n--- the case:\n${shown}\n---`, { cause: error });
    }
  }
}

/** A fault that a person can do something with. */
function assertExplained(why: Fault): void {
  assert.match(why.kind, /^[a-z][a-z0-9-]*$/);
  assert.ok(typeof why.message === 'string' && why.message.trim() !== '', JSON.stringify(why));
  assert.ok(typeof why.subject === 'string', JSON.stringify(why));
  if (why.cause) assertExplained(why.cause);
}

const ACTIONS = catalogOf(openDrivers().actions);

describe(`doors that anything may come through, from seed ${SEED}`, () => {
  test('documents: every problem has a place and a message, and what has none can be planned or is refused with a reason', async (t) => {
    const good = goodDocuments();
    const others = [...good, ...badDocuments()];
    const reached = { faulty: 0, planned: 0, refused: 0 };
    await cases(0.25, (random, note) => {
      const bytes = flipped(mutated(random.pick(good), random, others), random);
      note(Buffer.from(bytes).toString('utf8'));
      const { set, problems } = loadDocuments([{ file: 'fuzz.yaml', bytes }], ACTIONS);
      for (const problem of problems) {
        assert.equal(problem.file, 'fuzz.yaml');
        // Line 0 says that it is about the file as a whole.
        assert.ok(
          Number.isInteger(problem.line) && problem.line >= 0 && Number.isInteger(problem.column) && problem.column >= 0,
          problemText(problem),
        );
        assert.ok(problem.message.trim() !== '', JSON.stringify(problem));
        assert.ok(problemText(problem).length > 0);
      }
      if (problems.some((problem) => problem.severity === 'error')) return void reached.faulty++;
      for (const upgrade of set.upgrades.values()) {
        const planned = planUpgrade({ ...set, upgrade, actions: ACTIONS });
        reached[planned.ok ? 'planned' : 'refused']++;
        if (planned.ok) assertUsable(planned.plan);
        else {
          assert.ok(planned.faults.length > 0, 'a refusal gives a reason');
          planned.faults.forEach(assertExplained);
        }
      }
    });
    t.diagnostic(JSON.stringify(reached));
    // Otherwise the mutations are too wild, or too tame, to show anything; few cases say nothing of that.
    if (CASES >= 20_000) for (const [what, count] of Object.entries(reached)) assert.ok(count > 0, `none was ${what}`);
  });

  test('Ansible inventories: as documents', async () => {
    const text =
      '[web]\nweb[1:3] ansible_user=root port=22\n[db]\ndb1 ansible_host=10.0.0.1\n[all:children]\nweb\ndb\n[web:vars]\nupshift_product=p\n';
    const yaml =
      'all:\n  children:\n    web:\n      hosts:\n        w1: {ansible_host: 10.0.0.1}\n      vars: {upshift_product: p, upshift_version: "1"}\n';
    await cases(0.05, (random, note) => {
      const [file, from] = random.pick([
        ['hosts.ini', text],
        ['hosts.yml', yaml],
      ] as const);
      const bytes = flipped(mutated(from, random, [text, yaml]), random);
      note(Buffer.from(bytes).toString('utf8'));
      const { problems } = loadDocuments([{ file, bytes }], ACTIONS, readAnsibleInventory);
      for (const problem of problems) assert.ok(problem.file === file && problem.message.trim() !== '', problemText(problem));
    });
  });

  test('expressions and templates: compiled or refused at a place within the text, evaluated or explained', async () => {
    const names = Object.keys(SCOPES) as ScopeName[];
    await cases(0.35, (random, note) => {
      const name = random.pick(names);
      const scope: Scope = name === 'result' ? { name, result: { exit: 'int', stdout: 'string', body: 'dyn' } } : { name };
      const text = mutatedExpression(random);
      const whole = random.chance(0.5)
        ? text
        : `a ${random.pick(['${', '$${', '$ {'])}${text}${random.pick(['}', '', '}}'])} b \${${mutatedExpression(random)}}`;
      const variables = { ...plainVariables(random), result: anything(random, 2) };
      note({ scope, whole, variables });
      for (const compiled of [compileExpression(scope, text), compileTemplate(scope, whole)]) {
        if (!compiled.ok) {
          const { message, offset } = compiled.problem;
          assert.ok(message.trim() !== '');
          assert.ok(Number.isInteger(offset) && offset >= 0 && offset <= whole.length + 1, `offset ${offset} of ${whole.length}`);
          continue;
        }
        const value = compiled.compiled.evaluate(variables);
        if (!value.ok) assertExplained(value.fault);
      }
    });
  });

  test('drivers: whatever an action answers, throws or leaves out is an end that the machines take, told once', async () => {
    const [declaration] = [SIMULATED_ACTIONS.get('sim.seen')];
    assert.ok(declaration);
    const states: Procedure['states'] = {
      work: {
        action: 'sim.seen',
        on: { success: 'good', failure: 'bad', odd: 'bad' },
        outcomes: { odd: 'result.exit > 3' },
        save: { code: 'result.exit', all: 'result' },
      },
      good: { final: true },
      bad: { final: true, result: 'failed' },
    };
    const plan = simplePlan(1, {}, {}, states);
    await cases(0.12, async (random, note) => {
      const answer = random.chance(0.3) ? anything(random) : likelyEnd(random);
      const way = random.pick(['answers', 'throws', 'rejects', 'never ends'] as const);
      note({ way, answer });
      const action: Action = {
        declaration,
        run: (call) => {
          if (random.chance(0.2)) call.output(String(answer));
          if (way === 'throws') throw answer;
          if (way === 'rejects') return Promise.reject(answer);
          return way === 'never ends' ? new Promise(() => {}) : Promise.resolve(answer as ActionEnd);
        },
      };
      const clock = new VirtualClock();
      const executor = new DriverExecutor({ plan, actions: new Map([['sim.seen', action]]), secrets: { s: 'secret' }, clock });
      const fence = { run: 'r', machine: 0, visit: 1, attempt: 1 };
      const work = {
        kind: 'action',
        fence,
        member: 0,
        procedure: 'p',
        state: 'work',
        deadline: clock.now(),
        case: null,
        values: {},
      } as const;
      const ends: unknown[] = [];
      const ended = new Promise<void>((done) => {
        executor.start(
          work,
          (ending) => {
            ends.push(ending);
            done();
          },
          () => {},
        );
      });
      if (way === 'never ends') {
        await new Promise((next) => setImmediate(next));
        while (clock.advance());
      }
      await ended;
      await new Promise((next) => setImmediate(next));
      assert.equal(ends.length, 1);
      const [ending] = ends as [{ kind: string; outcome?: unknown; fault?: Fault }];
      assert.ok(['ended', 'unknown', 'absent', 'lost'].includes(ending.kind), JSON.stringify(ending));
      if (ending.kind === 'ended') assert.equal(typeof ending.outcome, 'string');
      if (ending.kind === 'unknown' || ending.kind === 'lost') assert.ok(ending.fault);
      if (ending.fault) assert.equal(typeof ending.fault.kind, 'string');
      assert.doesNotThrow(() => JSON.stringify(ending));
    });
  });

  test('the status of a detached job: garbage is an unknown end, never a success', async () => {
    const words = [
      'exit',
      'exit 0',
      'exit 1',
      'exit -1',
      'exit 0x0',
      'exit 00',
      'exit absent',
      'absent',
      'lost',
      'lost reboot',
      'lost gone',
      'refused',
    ];
    await cases(0.08, async (random, note) => {
      const lines = Array.from({ length: random.below(4) }, () => random.pick(random.chance(0.6) ? words : STRANGE));
      const said = Buffer.from(flipped(lines.join('\n'), random));
      const exit = random.pick([0, 0, 1, 120, 121, 127, 255]);
      note({ lines, exit });
      const transport = {
        run: async (_: string, options: { onStdout(chunk: Buffer): void; onStderr(chunk: Buffer): void }) => {
          options.onStdout(Buffer.from(String(random.pick(STRANGE))));
          for (let at = 0; at < said.length; ) {
            const to = at + 1 + random.below(said.length);
            options.onStderr(said.subarray(at, to));
            at = to;
          }
          return { kind: 'ended' as const, exit };
        },
      };
      const end = await startJob(transport, 'run/1/1/1', 'true', {
        signal: new AbortController().signal,
        deadline: Date.now() + 1000,
        output: () => {},
      });
      const last = said.toString('utf8').trim().split('\n').at(-1) ?? '';
      if (end.kind === 'exit') {
        assert.ok(Number.isInteger(end.exit) && end.exit >= 0);
        assert.match(last, /^exit \d+$/, 'only a status that is whole is an end');
      }
      if ('fault' in end) assertExplained(end.fault);
    });
  });

  describe('the command line', () => {
    const folder = temporaryFolder();
    const home = process.cwd();
    const data = process.env['UPSHIFT_DATA'];
    before(() => {
      const good = goodDocuments();
      good.forEach((text, index) => void writeFileSync(join(folder.path, `good-${index}.yaml`), text));
      badDocuments().forEach((text, index) => void writeFileSync(join(folder.path, `bad-${index}.yaml`), text));
      mkdirSync(join(folder.path, 'empty'));
      mkdirSync(join(folder.path, 'good'));
      writeFileSync(join(folder.path, 'good', 'all.yaml'), good[0] as string);
      writeFileSync(join(folder.path, 'plan.json'), '{"digest": "x", "steps": []}');
      writeFileSync(join(folder.path, 'hosts.ini'), '[a]\nh1\n');
      process.chdir(folder.path);
      process.env['UPSHIFT_DATA'] = join(folder.path, 'data');
    });
    after(() => {
      process.chdir(home);
      if (data === undefined) delete process.env['UPSHIFT_DATA'];
      else process.env['UPSHIFT_DATA'] = data;
      folder.remove();
    });

    test('arguments: an exit code that is documented, and a reason wherever it is not 0', async () => {
      const codes: number[] = Object.values(EXIT);
      await cases(0.15, async (random, note) => {
        const words = commandWords(random);
        note(words);
        const { code, out, err } = await captured(words);
        assert.ok(codes.includes(code), `exit code ${code}`);
        // What lint finds, and what was asked for as JSON, is the answer itself and goes to stdout.
        const explained = words[0] === 'lint' || words.includes('--json') ? err + out : err;
        if (code !== 0) assert.notEqual(explained.trim(), '', 'no reason was given');
        if (code !== 0) assert.doesNotMatch(explained, /^\s+at .*\.ts:\d+/m, 'a stack is no reason');
        assert.doesNotMatch(out + err, /\[object Object\]|function Object\(\)|\[native code\]/);
      });
    });
  });
});

/** A plan that was made can be shown, identified, and begun. */
function assertUsable(plan: Plan): void {
  assert.equal(planDigest(JSON.parse(JSON.stringify(plan)) as Plan), plan.digest, 'a plan is the same once it was written and read');
  planLines(plan, styleFor({ isTTY: false }, {}), 100);
  const machine = runMachine(plan);
  const reaction = machine.receive(newRun('r', plan), { type: 'start' }, 1_700_000_000_000);
  assert.ok(reaction.ok, 'a plan can be started');
  machine.outstanding(reaction.state);
}

function plainVariables(random: Random): Record<string, unknown> {
  return {
    target: { id: 'se-1', product: 'p', version: '1', labels: { role: 'a', group: 'b' }, vars: { x: anything(random, 2) } },
    release: { product: 'p', version: '2', components: {}, artifacts: {}, values: {} },
    from: '1',
    to: '2',
    params: { list: ['a', 'b', anything(random, 1)] },
    upgrade: { name: 'u', product: 'p', from: '1', to: '2' },
    run: 'r',
    case: '',
    values: {},
    secrets: {},
    outcome: 'success',
  };
}

/** Something that looks like an action's end, with parts of it wrong. */
function likelyEnd(random: Random): unknown {
  const part = (good: unknown) => (random.chance(0.5) ? good : anything(random));
  const why = { kind: 'k', subject: 's', message: 'm', effect: 'fail', outcome: 'none' };
  return random.pick([
    () => ({ outcome: part('success'), result: part({ exit: part(0) }), fault: part(why) }),
    () => ({ outcome: part('failure'), result: { exit: anything(random) } }),
    () => ({ unknown: part(why) }),
    () => ({ lost: part(why) }),
    () => ({ absent: part(true) }),
  ])();
}

const COMMANDS: readonly string[] = [
  'lint',
  'plan',
  'path',
  'schema',
  'show',
  'runs',
  'completion',
  'complete-words',
  'version',
  'help',
  'apply',
  'resume',
  'pause',
  'go',
  'approve',
  'abort',
  'retry',
  'rollback',
  'skip',
  'decide',
];
const WORDS: readonly string[] = [
  ...['.', 'good', 'empty', 'none', 'good-0.yaml', 'good-2.yaml', 'bad-1.yaml', 'bad-7.yaml', 'plan.json', 'hosts.ini', 'lab-host', 'last'],
  ...[
    '--json',
    '--all',
    '--help',
    '--',
    '-',
    '--from',
    '--to',
    '1.0.0',
    '2.0.0',
    '--upgrade',
    'lab-1-to-2',
    '--ansible',
    '--data',
    '--counter',
  ],
  ...[
    'Inventory',
    'upgrade',
    'bash',
    'se-1',
    '--as',
    'success',
    '--reason',
    '--key',
    '--no-wait',
    '--nonsense',
    '-x',
    '--from=',
    '--counter=x',
  ],
];

/** A command with whatever may follow it. None of them changes anything outside of this folder, for nobody says --yes, and no run exists. */
function commandWords(random: Random): string[] {
  const command = random.chance(0.95) ? random.pick(COMMANDS) : random.pick(STRANGE);
  const words = Array.from({ length: random.below(6) }, () => random.pick(random.chance(0.7) ? WORDS : STRANGE));
  return [command, ...words].map((word) => word.replaceAll('\0', ''));
}

type Captured = { code: number; out: string; err: string };

/** Runs a command in this process, with what it prints caught. */
async function captured(words: string[]): Promise<Captured> {
  const printed = { out: '', err: '' };
  const { stdout, stderr } = process;
  const originals = { out: stdout.write, err: stderr.write };
  const capture = (into: 'out' | 'err') =>
    ((chunk: string | Uint8Array) => {
      printed[into] += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
      return true;
    }) as typeof stdout.write;
  stdout.write = capture('out');
  stderr.write = capture('err');
  try {
    return { code: await runProgram(words), ...printed };
  } finally {
    stdout.write = originals.out;
    stderr.write = originals.err;
  }
}
