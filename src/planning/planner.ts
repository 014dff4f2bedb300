/** Upgrade + inventory + catalog + observed → plan, or what is in its way. Pure: no I/O, no clock. */
import type { DocumentSet } from '../catalog/document-set.ts';
import type { Hop } from '../catalog/graph.ts';
import type { ActionCatalog } from '../model/action.ts';
import type { Check, Procedure, Release, Stage, Target, Upgrade } from '../model/documents/index.ts';
import { compileExpression } from '../model/expression.ts';
import { type Fault, fault } from '../model/fault.ts';
import { findRoute, type Route, releasesOf, type Standing, versionIn } from './hops.ts';
import { serviceImpacts } from './impact.ts';
import { type Plan, type PlanRisk, type PlanStage, type PlanStep, type PlanTarget, planDigest } from './plan.ts';
import { compileStage, emptyStageFault, type Pass, type StageContext } from './stages.ts';

export type PlanInput = Pick<DocumentSet, 'targets' | 'services' | 'releases' | 'procedures'> & {
  upgrade: Upgrade;
  actions: ActionCatalog;
  /** Versions that are newer knowledge than the inventory's, by target id. */
  observed?: ReadonlyMap<string, string>;
};

export type Planned = { ok: true; plan: Plan } | { ok: false; faults: Fault[] };

/**
 * Compiles an upgrade. The documents must have passed their checks.
 *
 * @returns the plan, or every fault that is in its way at once. O(targets log targets) in time, O(targets) in memory.
 */
export function planUpgrade(input: PlanInput): Planned {
  const { upgrade, releases, actions } = input;
  const targets = input.observed?.size
    ? input.targets.map((target) => withObserved(target, input.observed as ReadonlyMap<string, string>))
    : input.targets;
  const found = findRoute(upgrade, targets, releases);
  if ('faults' in found) return { ok: false, faults: found.faults };
  const { route } = found;
  const faults: Fault[] = [];
  const own = releasesOf(upgrade.product, releases);
  const planTargets: PlanTarget[] = route.standings.map(({ target, product, version }) => ({ ...target, product, version }));
  const steps = compileSteps(input, route, own, faults);
  for (const stage of upgrade.stages) {
    if (stage.commit !== undefined || stage.approval !== undefined) continue;
    const empty = emptyStageFault(stage, route.standings, { ...upgrade.params, ...stage.params });
    if (empty) faults.push(empty);
  }
  const procedures: Record<string, Procedure> = {};
  for (const step of steps)
    if (step.kind === 'stage')
      for (const name of [step.procedure, step.rollback])
        if (name !== undefined && !procedures[name]) procedures[name] = input.procedures.get(name) as Procedure;
  faults.push(...unreachableTargets(steps, planTargets, procedures, actions));
  const { risks, blocking } = risksOf(route, upgrade);
  faults.push(...blocking);
  if (faults.length > 0) return { ok: false, faults: distinct(faults) };
  const changed = new Set(steps.flatMap((step) => (step.kind === 'stage' ? step.order : [])));
  const isThere = (index: number) => route.standings[index]?.firstHop === route.hops.length;
  const left = planTargets.filter((_, index) => !isThere(index) && !changed.has(index)).map((target) => target.id);
  const content: Omit<Plan, 'digest'> = {
    format: 1,
    upgrade: upgrade.name,
    ...(upgrade.title === undefined ? {} : { title: upgrade.title }),
    product: upgrade.product,
    from: route.froms,
    to: upgrade.to,
    hops: route.hops,
    params: upgrade.params ?? {},
    secrets: upgrade.secrets ?? {},
    targets: planTargets,
    helpers: helpersOf(input, planTargets, procedures),
    services: input.services,
    releases: Object.fromEntries(
      [...own].filter(([version]) => version === upgrade.to || route.hops.some((hop) => hop.to === version || hop.from === version)),
    ),
    procedures,
    ...(upgrade.approval === undefined ? {} : { approval: upgrade.approval }),
    ...(upgrade.window === undefined ? {} : { window: upgrade.window }),
    preflight: upgrade.preflight ?? [],
    ...(upgrade.freeze === undefined ? {} : { freeze: upgrade.freeze }),
    postUpgrade: upgrade.postUpgrade ?? [],
    steps: changed.size === 0 ? [] : steps,
    unchanged: planTargets.filter((_, index) => isThere(index) && !changed.has(index)).length,
    impacts: serviceImpacts(steps, planTargets, input.services, procedures, actions),
    risks,
    notes: [...route.hops.flatMap((hop) => own.get(hop.to)?.notes ?? []), ...leftNotes(left)],
    undecided: undecidedOf(upgrade, steps, procedures),
  };
  return { ok: true, plan: { ...content, digest: planDigest(content) } };
}

function withObserved(target: Target, observed: ReadonlyMap<string, string>): Target {
  const version = observed.get(target.id);
  return version === undefined ? target : { ...target, version };
}

/** A mistake met again in another hop is the same mistake. */
function distinct(faults: readonly Fault[]): Fault[] {
  return [...new Map(faults.map((one) => [`${one.kind} ${one.subject} ${one.message}`, one])).values()];
}

/** Targets that have a version to change and are in no stage. */
function leftNotes(left: readonly string[]): string[] {
  if (left.length === 0) return [];
  const names = left.slice(0, 3).join(', ') + (left.length > 3 ? ', …' : '');
  return [
    left.length === 1
      ? `No stage selects ${names}: it stays at the version it has.`
      : `No stage selects ${left.length} targets (${names}): they stay at the version they have.`,
  ];
}

/** The stages in runs of equal treatment: each run is done once, or once for each hop. */
function passesOf(stages: readonly Stage[], hops: number): { stages: readonly Stage[]; hop?: number }[] {
  if (hops <= 1) return [{ stages, ...(hops === 1 ? { hop: 0 } : {}) }];
  if (!stages.some((stage) => stage.perHop)) return Array.from({ length: hops }, (_, hop) => ({ stages, hop }));
  const passes: { stages: readonly Stage[]; hop?: number }[] = [];
  for (let from = 0; from < stages.length; ) {
    const perHop = stages[from]?.perHop ?? false;
    let until = from;
    while (until < stages.length && (stages[until]?.perHop ?? false) === perHop) until++;
    const run = stages.slice(from, until);
    if (perHop) for (let hop = 0; hop < hops; hop++) passes.push({ stages: run, hop });
    else passes.push({ stages: run });
    from = until;
  }
  return passes;
}

function compileSteps(input: PlanInput, route: Route, own: Map<string, Release>, faults: Fault[]): PlanStep[] {
  const { upgrade } = input;
  const context: StageContext = { upgrade, procedures: input.procedures, faults, done: new Map() };
  const steps: PlanStep[] = [];
  let base = 0;
  for (const { stages, hop } of passesOf(upgrade.stages, route.hops.length)) {
    const pass = passOf(upgrade, route, own, hop);
    const compiled: PlanStep[] = [];
    const marksOnly = stages.every((stage) => stage.commit !== undefined || stage.approval !== undefined);
    for (const stage of stages) {
      if (stage.commit !== undefined) compiled.push({ kind: 'commit', name: stage.commit });
      else if (stage.approval !== undefined) compiled.push({ kind: 'approval', name: stage.approval });
      else {
        const one = compileStage(stage, pass, base, context);
        if (!one) continue;
        base += one.order.length;
        compiled.push(one);
      }
    }
    // A pass in which nobody changes has nothing to commit or approve either; one of nothing but marks belongs to the passes around it.
    if (marksOnly || compiled.some((step) => step.kind === 'stage')) steps.push(...compiled);
  }
  return steps;
}

/**
 * Who takes part in a pass and from which version: those whose version differs from what the pass brings. A release that does not name a
 * component leaves it as the hops before have made it.
 */
function passOf(upgrade: Upgrade, route: Route, own: Map<string, Release>, hop: number | undefined): Pass {
  const step: Hop | undefined = hop === undefined ? undefined : route.hops[hop];
  const release = own.get(step?.to ?? upgrade.to) as Release;
  const candidates: Pass['candidates'] = [];
  route.standings.forEach((standing, index) => {
    if (hop !== undefined && standing.firstHop > hop) return;
    let from = standing.version;
    for (const earlier of hop === undefined ? [] : route.hops.slice(standing.firstHop, hop))
      from = versionIn(own.get(earlier.to) as Release, standing.product) ?? from;
    const to = versionIn(release, standing.product);
    if (to !== undefined && !isSame(route, upgrade, standing, from, to)) candidates.push({ standing, index, from });
  });
  return { ...(hop === undefined ? {} : { hop }), release, candidates };
}

/** Whether two texts are one version (7.2 and 7.2.0); of components only the text is known. */
function isSame({ scheme }: Route, upgrade: Upgrade, { product }: Standing, a: string, b: string): boolean {
  return a === b || (product === upgrade.product && scheme.isVersion(a) && scheme.isVersion(b) && scheme.compare(a, b) === 0);
}

/** Targets that lack the way of connecting that an action of their procedure needs. */
function unreachableTargets(
  steps: readonly PlanStep[],
  targets: readonly PlanTarget[],
  procedures: Record<string, Procedure>,
  actions: ActionCatalog,
): Fault[] {
  const faults: Fault[] = [];
  for (const step of steps) {
    if (step.kind !== 'stage') continue;
    const ways = new Set(
      [step.procedure, step.rollback].flatMap((name) => {
        const procedure = name === undefined ? undefined : procedures[name];
        const own = Object.values(procedure?.states ?? {}).filter((state) => state.target === undefined);
        const used = [...own.map((state) => state.action), procedure?.observe?.action];
        return used.flatMap((action) => (action === undefined ? [] : (actions.get(action)?.connects ?? [])));
      }),
    );
    for (const way of ways) {
      const lacking = step.order.filter((index) => !targets[index]?.connect?.[way]).map((index) => (targets[index] as PlanTarget).id);
      if (lacking.length === 0) continue;
      faults.push(
        fault(
          'target-unreachable',
          lacking[0] as string,
          `${lacking.length === 1 ? lacking[0] : `${lacking.length} targets (${lacking.slice(0, 3).join(', ')}${lacking.length > 3 ? ', …' : ''})`} cannot be reached by ${way}`,
          {
            expected: `connect: {${way}: …}`,
            remedy: `The procedure ${step.procedure} of the stage ${step.name} uses ${way}; say in the inventory how to connect.`,
          },
        ),
      );
    }
  }
  return faults;
}

/**
 * Targets that are not upgraded but are asked or worked on: those that a check or a state names, or a param whose value is their id.
 */
function helpersOf(input: PlanInput, targets: readonly PlanTarget[], procedures: Record<string, Procedure>): PlanTarget[] {
  const { upgrade } = input;
  const known = new Set(targets.map((target) => target.id));
  const checks = [
    ...(upgrade.preflight ?? []),
    ...(upgrade.freeze ? [upgrade.freeze.acquire, upgrade.freeze.release] : []),
    ...upgrade.stages.flatMap(({ barrier, gate }) => [barrier, gate?.check]),
    ...(upgrade.postUpgrade ?? []),
  ];
  const named = new Set<unknown>([
    ...checks.map((check) => check?.target),
    ...Object.values(procedures).flatMap((procedure) => Object.values(procedure.states).map((state) => state.target)),
    ...[upgrade.params, ...upgrade.stages.map((stage) => stage.params)].flatMap((params) => Object.values(params ?? {})),
  ]);
  return input.targets
    .filter((target) => named.has(target.id) && !known.has(target.id))
    .map((target) => ({ ...target, product: target.product ?? upgrade.product, version: target.version ?? '' }));
}

/** The risks of each hop, for the targets that take it. */
function risksOf({ hops, standings }: Route, upgrade: Upgrade): { risks: PlanRisk[]; blocking: Fault[] } {
  const risks: PlanRisk[] = [];
  const blocking: Fault[] = [];
  hops.forEach((hop, place) => {
    if (hop.risks.length === 0) return;
    const going = standings.filter((standing) => standing.firstHop <= place);
    for (const risk of hop.risks) {
      let concerned = going.length;
      if (risk.when !== undefined) {
        const compiled = compileExpression({ name: 'risk' }, risk.when);
        if (!compiled.ok) throw new Error(`not checked: ${risk.when}`);
        concerned = 0;
        for (const { target, product, version } of going) {
          const value = compiled.compiled.evaluate({
            target: { id: target.id, product, version, labels: target.labels ?? {}, vars: target.vars ?? {} },
            params: upgrade.params ?? {},
            from: hop.from,
            to: hop.to,
          });
          if (value.ok && value.value === true) concerned++;
        }
      }
      if (concerned === 0) continue;
      const name = `${hop.from} → ${hop.to}`;
      if (risk.block)
        blocking.push(
          fault(
            'risk-blocks',
            risk.name,
            `${name} is blocked for ${concerned} of ${going.length} ${going.length === 1 ? 'target' : 'targets'}: ${risk.message}`,
            {
              remedy: 'Remove the cause for these targets, or wait for a release without it.',
            },
          ),
        );
      else risks.push({ hop: name, name: risk.name, message: risk.message, targets: concerned });
    }
  });
  return { risks, blocking };
}

/** What the plan cannot know. */
function undecidedOf(upgrade: Upgrade, steps: readonly PlanStep[], procedures: Record<string, Procedure>): string[] {
  const undecided: string[] = [];
  if (upgrade.window) undecided.push('when targets start: only within the window');
  for (const step of steps)
    if (step.kind === 'stage' && step.live)
      undecided.push(`the order within ${step.name}: it is read from the targets before each of them`);
  for (const name of new Set(steps.flatMap((step) => (step.kind === 'stage' ? [step.procedure] : [])))) {
    const procedure = procedures[name];
    const cases = Object.values(procedure?.cases ?? {});
    if (cases.length > 1)
      undecided.push(`which case each target follows (${cases.join(', ')}): ${procedure?.title ?? name} asks the target itself`);
  }
  return undecided;
}

/** Every check of a plan, with where it belongs. */
export function checksOf(plan: Plan): Check[] {
  const stages = plan.steps.filter((step): step is PlanStage => step.kind === 'stage');
  return [
    ...plan.preflight,
    ...(plan.freeze ? [plan.freeze.acquire, plan.freeze.release] : []),
    ...stages.flatMap((stage) => [
      ...(stage.barrier ? [stage.barrier] : []),
      ...(stage.gate && 'check' in stage.gate ? [stage.gate.check] : []),
    ]),
    ...plan.postUpgrade,
  ];
}
