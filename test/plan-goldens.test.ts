/**
 * Plans as people read them: for each upgrade of `goldens/*.documents` what is printed. UPDATE_GOLDENS=1 writes the expectations anew; read
 * the difference before it is kept.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { loadDocuments } from '../src/catalog/document-set.ts';
import { planLines } from '../src/cli/print-plan.ts';
import { styleFor } from '../src/cli/style.ts';
import { catalogOf } from '../src/drivers/contract.ts';
import { openDrivers } from '../src/drivers/registry.ts';
import { problemText } from '../src/model/problem.ts';
import type { Plan } from '../src/planning/plan.ts';
import { planUpgrade } from '../src/planning/planner.ts';

const FOLDER = new URL('goldens/', import.meta.url);
const ACTIONS = catalogOf(openDrivers().actions);
const COLUMNS = 100;

function plansOf(name: string): Plan[] {
  const bytes = readFileSync(new URL(`${name}.documents`, FOLDER));
  const { set, problems } = loadDocuments([{ file: name, bytes }], ACTIONS);
  assert.deepEqual(problems.map(problemText), []);
  return [...set.upgrades.values()].map((upgrade) => {
    const planned = planUpgrade({ ...set, upgrade, actions: ACTIONS });
    assert.ok(planned.ok, planned.ok ? '' : JSON.stringify(planned.faults, null, 1));
    return planned.plan;
  });
}

const names = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.documents'))
  .map((name) => basename(name, '.documents'));

for (const name of names)
  test(`the plan of ${name} reads as it is expected`, () => {
    const lines = plansOf(name).flatMap((plan) => [...planLines(plan, styleFor({ isTTY: false }, {}), COLUMNS), '']);
    for (const line of lines) assert.ok(line.length <= COLUMNS, `too wide: ${line}`);
    const found = lines.join('\n');
    const golden = new URL(`${name}.plan.txt`, FOLDER);
    if (process.env['UPDATE_GOLDENS']) writeFileSync(golden, found);
    assert.equal(found, readFileSync(golden, 'utf8'));
  });

test('there are plans to read', () => assert.ok(names.length >= 3));
