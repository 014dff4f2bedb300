/**
 * Benchmarks, each with its rival in the same run: `npm run bench`, `npm run bench -- NAME [--json]`.
 *
 * With --json one line a figure: {name, value, unit, rival, rivalValue, ratio, goal, met}.
 */
import { readdirSync } from 'node:fs';
import { type Figure, printFigure } from './figure.ts';

const names = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.bench.ts'))
  .map((name) => name.replace('.bench.ts', ''))
  .sort();
const words = process.argv.slice(2);
const json = words.includes('--json');
const wanted = words.filter((word) => !word.startsWith('--'));
const unknown = [...wanted.filter((word) => !names.includes(word)), ...words.filter((word) => word.startsWith('--') && word !== '--json')];
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(', ')}; there are ${names.join(', ')}, and --json.`);
  process.exit(1);
}
for (const name of wanted.length > 0 ? wanted : names) {
  if (!json) console.log(`\n${name}`);
  const { run } = (await import(`./${name}.bench.ts`)) as { run(report: (figure: Figure) => void): Promise<void> };
  await run((figure) => printFigure(figure, json));
}
