/** Creating a run, and opening one that exists. */
import { randomBytes } from 'node:crypto';
import type { Action } from '../drivers/contract.ts';
import { catalogOf } from '../drivers/contract.ts';
import { newRun } from '../machines/run/state.ts';
import { FaultError, fault } from '../model/fault.ts';
import { type Plan, planDigest } from '../planning/plan.ts';
import { checksOf } from '../planning/planner.ts';
import { systemClock } from './clock.ts';
import { DriverExecutor } from './executor.ts';
import { RunLoop } from './loop.ts';
import type { Store } from './ports.ts';
import { readSecrets } from './secrets.ts';

/** P9: the plan is what was shown, and this Upshift can do all of it. Throws a FaultError where not. */
export function checkPlan(plan: Plan, actions: ReadonlyMap<string, Action>): void {
  if (plan.format !== 1)
    throw new FaultError(
      fault('plan-format', plan.upgrade ?? 'plan', 'the plan is of another Upshift', {
        expected: 'format 1',
        found: String(plan.format),
        remedy: 'Plan again.',
      }),
    );
  const digest = planDigest(plan);
  if (digest !== plan.digest)
    throw new FaultError(
      fault('plan-changed', plan.upgrade, 'the plan was changed after it was made', {
        expected: plan.digest,
        found: digest,
        remedy: 'Plan again; plans are not edited.',
      }),
    );
  const names = [
    ...Object.values(plan.procedures).flatMap((procedure) => [
      ...Object.values(procedure.states).flatMap((state) => (state.action === undefined ? [] : [state.action])),
      ...(procedure.observe ? [procedure.observe.action] : []),
    ]),
    ...checksOf(plan).map((check) => check.action),
  ];
  const missing = [...new Set(names.filter((name) => !actions.has(name)))];
  if (missing.length > 0)
    throw new FaultError(
      fault('action-unknown', plan.upgrade, `the plan uses actions that this Upshift does not have: ${missing.join(', ')}`),
    );
}

/** A name no other run has, here or elsewhere: fences are made of it. */
export function runName(plan: Plan): string {
  return `${plan.upgrade.replaceAll(/[^A-Za-z0-9._-]/g, '-')}-${randomBytes(4).toString('hex')}`;
}

/**
 * Puts a new run into the store.
 *
 * @throws FaultError `run-in-the-way` where an unfinished run changes some of the same targets.
 */
export function createRun(store: Store, plan: Plan, name = runName(plan)): string {
  const ours = new Set(plan.targets.map((target) => target.id));
  for (const summary of store.runs()) {
    if (summary.phase === 'finished') continue;
    const other = store.loadRun(summary.run);
    const shared = other?.plan.targets.filter((target) => ours.has(target.id)) ?? [];
    if (shared.length > 0)
      throw new FaultError(
        fault(
          'run-in-the-way',
          summary.run,
          `the run ${summary.run} has not ended and changes ${shared.length} of the same targets (${shared[0]?.id}${shared.length > 1 ? ', …' : ''})`,
          {
            remedy: `Go on with it: upshift resume ${summary.run}; or end it: upshift abort ${summary.run}`,
          },
        ),
      );
  }
  store.createRun(name, plan, newRun(name, plan), Date.now());
  return name;
}

/** Opens a run with drivers. `passive`: only to take orders. */
export function openRun(store: Store, run: string, actions: ReadonlyMap<string, Action>, options: { passive?: boolean } = {}): RunLoop {
  const stored = store.loadRun(run);
  if (!stored) throw new FaultError(fault('run-unknown', run, `there is no run ${run}`, { remedy: 'List them with `upshift runs`.' }));
  checkPlan(stored.plan, actions);
  const secrets = options.passive ? {} : readSecrets(stored.plan);
  const executor = new DriverExecutor({ plan: stored.plan, actions, secrets, clock: systemClock });
  const loop = new RunLoop(
    {
      run,
      plan: stored.plan,
      actions: catalogOf(actions),
      store,
      clock: systemClock,
      executor,
      ...(options.passive ? { passive: true } : {}),
    },
    stored,
  );
  if (loop.state.phase.at === 'new' && !options.passive) loop.start();
  return loop;
}
