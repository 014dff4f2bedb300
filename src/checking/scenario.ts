/** Random upgrades for the simulator: every policy there is, over few targets. */
import type { ActionCatalog, ActionDeclaration } from '../model/action.ts';
import type { Check, Procedure, Release, Stage, Target, Upgrade } from '../model/documents/index.ts';
import { object } from '../model/schema.ts';
import type { Plan } from '../planning/plan.ts';
import { planUpgrade } from '../planning/planner.ts';
import type { Random } from './random.ts';

function declare(name: string, traits: ActionDeclaration['traits']): ActionDeclaration {
  return {
    name,
    title: name,
    inputs: object({}),
    outcomes: { success: 'it worked', failure: 'it did not' },
    traits,
    result: { exit: 'int' },
  };
}

/** Actions of every temper: `seen` can be observed afterwards, `blind` cannot, `safe` may be repeated. */
export const SIMULATED_ACTIONS: ActionCatalog = new Map(
  [
    declare('sim.seen', { disruptive: true, observable: true }),
    declare('sim.blind', { disruptive: true }),
    declare('sim.safe', { idempotent: true }),
    declare('sim.check', { idempotent: true }),
    declare('sim.version', { idempotent: true }),
  ].map((action) => [action.name, action]),
);

function check(name: string): Check {
  return { name, action: 'sim.check', timeout: '20s', every: '3s' };
}

function procedure(random: Random, name: string, rollback: string | undefined): Procedure {
  const length = 1 + random.below(3);
  const states: Procedure['states'] = {};
  for (let index = 0; index < length; index++) {
    const next = index === length - 1 ? 'good' : `s${index + 1}`;
    const action = random.pick(['sim.seen', 'sim.seen', 'sim.blind', 'sim.safe']);
    states[`s${index}`] = {
      action,
      timeout: '10m',
      on: {
        success: next,
        ...(action === 'sim.seen' && random.chance(0.3) ? { lost: 'bad' } : {}),
        failure: rollback === undefined && random.chance(0.2) ? 'reverted' : 'bad',
      },
      ...(action === 'sim.safe' && random.chance(0.5) ? { attempts: 2, delay: '2s' } : {}),
    };
  }
  states['good'] = { final: true };
  states['bad'] = { final: true, result: 'failed' };
  if (Object.values(states).some((state) => state.on?.['failure'] === 'reverted')) states['reverted'] = { final: true, result: 'reverted' };
  return {
    kind: 'Procedure',
    name,
    start: 's0',
    states,
    ...(rollback === undefined ? {} : { rollback }),
    ...(random.chance(0.5) ? { observe: { action: 'sim.version', version: '""' } } : {}),
  };
}

function stage(random: Random, name: string, role: string, grouped: boolean): Stage {
  const waves = random.chance(0.3) ? { waves: [1, 'rest'] } : {};
  return {
    name,
    select: `target.labels.role == "${role}"`,
    procedure: name,
    ...(grouped
      ? { groupBy: 'target.labels.group', strategy: { groups: random.pick([1, 2, 'all']), within: random.pick([1, 2, 'all']), ...waves } }
      : random.chance(0.2)
        ? { strategy: { parallel: 1, live: { action: 'sim.check', by: '0' }, ...waves } }
        : { strategy: { parallel: random.pick([1, 2, '50%', 'all']), ...waves } }),
    ...(random.chance(0.5)
      ? { budget: { failures: random.below(3), ...(grouped && random.chance(0.4) ? { per: 'stage' as const } : {}) } }
      : {}),
    onFailure: random.pick(['suspend', 'suspend', 'continue', 'rollback', 'fail']),
    ...(random.chance(0.2) ? { soak: '30s' } : {}),
    ...(random.chance(0.3) ? { gate: random.chance(0.5) ? { approval: 'go on?' } : { check: check(`gate-${name}`) } } : {}),
    ...(random.chance(0.3) ? { barrier: check(`barrier-${name}`) } : {}),
  };
}

/** A plan nobody would write, and every part of which somebody will. */
export function randomPlan(random: Random): Plan {
  const roles = ['a', 'b', 'c'].slice(0, 1 + random.below(3));
  const targets: Target[] = roles.flatMap((role) =>
    Array.from({ length: 1 + random.below(5) }, (_, index) => ({
      id: `${role}-${index}`,
      product: 'sim',
      version: '1.0.0',
      labels: { role, group: String(random.below(3)) },
    })),
  );
  const procedures = new Map<string, Procedure>();
  const stages: Stage[] = [];
  roles.forEach((role, index) => {
    const name = `stage-${role}`;
    const rollback = random.chance(0.7) ? `${name}-back` : undefined;
    procedures.set(name, procedure(random, name, rollback));
    if (rollback !== undefined) {
      const { observe: _, ...back } = procedure(random, rollback, 'none');
      procedures.set(rollback, { ...back, rollback: undefined } as unknown as Procedure);
    }
    stages.push(stage(random, name, role, random.chance(0.5)));
    if (index < roles.length - 1 && random.chance(0.4))
      stages.push(random.chance(0.7) ? { commit: `commit-${role}` } : { approval: `approval-${role}` });
  });
  const releases: Release[] = [
    { kind: 'Release', product: 'sim', version: '1.0.0', scheme: 'semver' },
    { kind: 'Release', product: 'sim', version: '2.0.0', scheme: 'semver', from: [{ versions: '1.0.0' }] },
  ];
  const upgrade: Upgrade = {
    kind: 'Upgrade',
    name: 'simulated',
    product: 'sim',
    to: '2.0.0',
    stages,
    ...(random.chance(0.6) ? { freeze: { acquire: check('freeze'), release: check('thaw') } } : {}),
    ...(random.chance(0.2) ? { approval: 'begin?' } : {}),
    ...(random.chance(0.2) ? { window: { from: '08:00', to: '20:00' } } : {}),
    ...(random.chance(0.3) ? { preflight: [check('preflight-1'), check('preflight-2')] } : {}),
    ...(random.chance(0.3) ? { postUpgrade: [check('post')] } : {}),
  };
  const planned = planUpgrade({ upgrade, targets, services: [], releases, procedures, actions: SIMULATED_ACTIONS });
  if (!planned.ok) throw new Error(`the scenario has no plan: ${JSON.stringify(planned.faults)}`);
  return planned.plan;
}
