/** The direction of imports: fails on an arrow against ARCHITECTURE.md, on a circle, and on I/O in the pure folders. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

/** For each folder below src, the folders it may import from besides itself. */
const MAY_KNOW: Record<string, readonly string[]> = {
  model: [],
  catalog: ['model'],
  planning: ['model', 'catalog'],
  machines: ['model', 'planning'],
  drivers: ['model'],
  runtime: ['model', 'catalog', 'planning', 'machines', 'drivers'],
  checking: ['model', 'catalog', 'planning', 'machines', 'drivers', 'runtime'],
  packs: ['model', 'drivers/contract.ts'],
  cli: ['model', 'catalog', 'planning', 'machines', 'drivers', 'runtime', 'checking', 'packs'],
};
const PURE = new Set(['model', 'catalog', 'planning', 'machines']);
/** A digest is a function of its input. */
const PURE_MODULES = new Set(['node:crypto']);
const FORBIDDEN_IN_PURE = /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bprocess\.|\bsetTimeout\(|\bfetch\(/;

const problems: string[] = [];
const imports = new Map<string, string[]>();

for (const file of globSync('src/**/*.ts')) {
  const text = readFileSync(file, 'utf8');
  const folder = file.split('/')[1] as string;
  const test = file.endsWith('.test.ts') || file.includes('.fixture.');
  const known = MAY_KNOW[folder];
  if (!known) problems.push(`${file}: src/${folder} is not in the table of scripts/check-direction.ts`);
  if (PURE.has(folder) && !test) {
    const line = text.split('\n').findIndex((one) => FORBIDDEN_IN_PURE.test(one) && !/^\s*(\*|\/\/)/.test(one));
    if (line >= 0) problems.push(`${file}:${line + 1}: src/${folder} is pure: no I/O, clock or randomness`);
  }
  const targets: string[] = [];
  for (const [, typeOnly, from = ''] of text.matchAll(/^(?:import|export)\s+(type\s)?[^'"]*?from\s+'([^']+)'|/gm)) {
    if (from === '') continue;
    if (from.startsWith('node:') && PURE.has(folder) && !test && !PURE_MODULES.has(from))
      problems.push(`${file}: imports ${from}, but src/${folder} is pure`);
    if (!from.startsWith('.')) continue;
    const target = normalize(join(dirname(file), from));
    const [, toFolder = '', ...rest] = target.split('/');
    if (!typeOnly) targets.push(target);
    const allowed = toFolder === folder || known?.some((one) => one === toFolder || `${toFolder}/${rest.join('/')}` === one);
    if (!allowed && !test) problems.push(`${file}: imports ${target}; src/${folder} may know ${known?.join(', ') || 'nothing of ours'}`);
  }
  if (!test) imports.set(file, targets);
}

const done = new Set<string>();
function findCircle(file: string, way: readonly string[]): void {
  if (way.includes(file)) {
    problems.push(`a circle: ${[...way.slice(way.indexOf(file)), file].join(' → ')}`);
    return;
  }
  if (done.has(file)) return;
  for (const next of imports.get(file) ?? []) findCircle(next, [...way, file]);
  done.add(file);
}
for (const file of imports.keys()) findCircle(file, []);

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
console.log(`${imports.size} files, every import in its direction`);
