/**
 * Simulates upgrade after upgrade, each from a seed, and judges them by the promises.
 *
 *     npm run test:simulate -- [--seeds 10000] [--from 0]
 *
 * On failure: every seed that failed (as many as are enough to see a pattern), and the whole trace of the shortest. Exit code 1.
 */
import { parseArgs } from 'node:util';
import { SimulationFailed, simulate } from '../src/checking/simulator.ts';

const ENOUGH_FAILURES = 20;

const { values: flags } = parseArgs({
  options: { seeds: { type: 'string', default: '10000' }, from: { type: 'string', default: '0' } },
});
const seeds = Number(flags.seeds);
const from = Number(flags.from);
if (!Number.isInteger(seeds) || seeds < 1 || !Number.isInteger(from) || from < 0) {
  console.error('test:simulate: --seeds and --from take whole numbers, --seeds from 1');
  process.exit(1);
}

const failures: SimulationFailed[] = [];
const results = new Map<string, number>();
let crashes = 0;
let started = 0;
let done = 0;
let told = Date.now();
for (let seed = from; seed < from + seeds && failures.length < ENOUGH_FAILURES; seed++) {
  try {
    const simulation = simulate(seed);
    const { phase } = simulation.state;
    const result = phase.at === 'finished' ? phase.result : phase.at;
    results.set(result, (results.get(result) ?? 0) + 1);
    crashes += simulation.crashes;
    started += simulation.started;
  } catch (error) {
    if (!(error instanceof SimulationFailed)) throw error;
    failures.push(error);
    console.log(`FAILED  ${error.message.split('\n')[0]} (${error.trace.length} lines of trace)`);
  }
  done++;
  if (Date.now() - told >= 1000) {
    told = Date.now();
    console.log(`${done} of ${seeds} seeds, ${crashes} crashes, ${started} actions`);
  }
}
const [shortest] = failures.toSorted((a, b) => a.trace.length - b.trace.length);
if (shortest) {
  console.log(`\nThe shortest, seed ${shortest.seed} (npm run test:simulate -- --from ${shortest.seed} --seeds 1):`);
  console.log(shortest.trace.map((line) => `  ${line}`).join('\n'));
  console.log(`  ${(shortest.cause as Error).message}`);
}
const ended = [...results].map(([result, count]) => `${count} ${result}`).join(', ');
console.log(`${done} seeds (${ended}), ${crashes} crashes, ${started} actions, ${failures.length} failures`);
process.exit(failures.length > 0 ? 1 : 0);
