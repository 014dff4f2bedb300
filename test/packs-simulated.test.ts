/** The packs' own procedures under random outcomes, orders and crashes, on the memory runtime: P1 to P10 hold for them too. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { loadDocuments } from '../src/catalog/document-set.ts';
import { simulate } from '../src/checking/simulator.ts';
import { catalogOf } from '../src/drivers/contract.ts';
import { openDrivers } from '../src/drivers/registry.ts';
import { problemText } from '../src/model/problem.ts';
import { aviDocuments } from '../src/packs/avi/lab.ts';
import { labDocuments } from '../src/packs/generic/documents.ts';
import { labTargets } from '../src/packs/generic/lab.ts';
import { PACKS } from '../src/packs/registry.ts';
import { tpvmDocuments } from '../src/packs/tpvm/lab.ts';
import { memberCount, type Plan } from '../src/planning/plan.ts';
import { planUpgrade } from '../src/planning/planner.ts';

const actions = catalogOf(openDrivers().actions);
const FILES: Record<string, string[]> = {
  avi: ['procedures/avi-controller.yaml', 'procedures/avi-se.yaml', 'upgrades/avi.yaml'],
  tpvm: ['procedures/tpvm-upgrade.yaml', 'upgrades/tpvm.yaml'],
};

function planOf(pack: string, lab: Record<string, unknown[]>): Plan {
  const folder = PACKS.find((one) => one.name === pack)?.folder ?? '';
  const own = (FILES[pack] ?? []).map((file) => ({ file, bytes: readFileSync(join(folder, file)) }));
  const others = Object.entries(lab).map(([file, documents]) => ({
    file,
    bytes: Buffer.from(documents.map((document) => stringify(document)).join('---\n')),
  }));
  const { set, problems } = loadDocuments([...own, ...others], actions);
  const errors = problems.filter((problem) => problem.severity === 'error');
  if (errors.length > 0) throw new Error(errors.map(problemText).join('\n'));
  const [upgrade] = set.upgrades.values();
  const planned = planUpgrade({ ...set, upgrade: upgrade as NonNullable<typeof upgrade>, actions });
  if (!planned.ok) throw new Error(JSON.stringify(planned.faults));
  return planned.plan;
}

const HOSTS = labTargets({ hosts: 6, controllers: 2, groups: 2 }).map((target) => ({ ...target, ssh: 1, http: 1 }));

const PLANS: Record<string, Plan> = {
  generic: planOf('generic', labDocuments('/lab', HOSTS)),
  avi: planOf(
    'avi',
    aviDocuments('/lab', () => ({ ssh: 1, http: 1 })),
  ),
  tpvm: planOf(
    'tpvm',
    tpvmDocuments('/lab', () => 1),
  ),
};

describe('packs under random faults and crashes', () => {
  for (const [name, plan] of Object.entries(PLANS)) {
    test(`${name}: the promises hold for random seeds`, () => {
      fc.assert(
        fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), (seed) => {
          simulate(seed, { plan, actions });
        }),
        { numRuns: 150 },
      );
    });

    test(`${name}: the simulations get as far as every stage`, () => {
      let most = 0;
      for (let seed = 0; seed < 60; seed++) most = Math.max(most, simulate(seed, { plan, actions }).state.starts.length);
      assert.equal(most, memberCount(plan));
    });

    test(`${name}: the promises hold with one crash before or after each commit`, () => {
      for (let commit = 0; commit < 80; commit++)
        for (const when of ['before', 'after'] as const) simulate(commit, { plan, actions, chaos: false, crashAt: { commit, when } });
    });
  }
});
