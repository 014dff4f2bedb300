/** Checks an upgrade against the releases, procedures, targets and actions it names. */
import type { ActionCatalog } from '../model/action.ts';
import { type Check, type Procedure, type Release, type Stage, stepsOf, type Target, type Upgrade } from '../model/documents/index.ts';
import { compileTemplate } from '../model/expression.ts';
import { foundText, type Path } from '../model/problem.ts';
import type { SourceDocument } from '../model/source.ts';
import { nearest } from '../model/suggestion.ts';
import { checkAction, checkCondition, checkExpression, checkTemplates, type KnownNames, namesNeeded } from './expression-check.ts';
import type { Placed, ProblemReport } from './problem-report.ts';

type Known = {
  releases: Release[];
  procedures: ReadonlyMap<string, Procedure>;
  targets: Target[];
  actions: ActionCatalog;
  report: ProblemReport;
};

export function checkUpgrade(placed: Placed<Upgrade>, known: Known): void {
  const { body, source } = placed;
  const { report, releases } = known;
  const names: KnownNames = { params: new Set(Object.keys(body.params ?? {})), secrets: new Set(Object.keys(body.secrets ?? {})) };
  const versions = releases.filter((release) => release.product === body.product).map((release) => release.version);
  if (versions.length === 0)
    report.undeclared(source, ['product'], 'product with releases', body.product, [...new Set(releases.map((release) => release.product))]);
  else if (!versions.includes(body.to)) report.undeclared(source, ['to'], `release of ${body.product}`, body.to, versions);
  for (const [name, from] of Object.entries(body.secrets ?? {}))
    if ((from.env === undefined) === (from.file === undefined))
      report.add(source, ['secrets', name], `the secret ${name} is read from one place`, {
        expected: 'either env or file',
        found: from.env === undefined ? 'neither' : 'both',
      });
  checkTemplates(report, source, ['params'], { name: 'check' }, body.params, names);
  const check = (one: Check, path: Path) => checkOne(placed, known, one, path, names);
  (body.preflight ?? []).forEach((one, index) => check(one, ['preflight', index]));
  (body.postUpgrade ?? []).forEach((one, index) => check(one, ['postUpgrade', index]));
  if (body.freeze) {
    check(body.freeze.acquire, ['freeze', 'acquire']);
    check(body.freeze.release, ['freeze', 'release']);
  }
  if (body.window?.zone !== undefined && !isTimeZone(body.window.zone))
    report.add(source, ['window', 'zone'], 'not a time zone', {
      expected: 'an IANA name such as Europe/Paris',
      found: foundText(body.window.zone),
      suggestion: nearest(body.window.zone, Intl.supportedValuesOf('timeZone')),
    });
  const stageNames = new Set<string>();
  body.stages.forEach((stage, index) => {
    const path: Path = ['stages', index];
    const name = stage.name ?? stage.commit ?? stage.approval;
    if (stage.name !== undefined && stageNames.has(stage.name))
      report.add(source, [...path, 'name'], `two stages are called ${stage.name}`);
    if (name !== undefined) stageNames.add(name);
    if (stage.commit !== undefined || stage.approval !== undefined) checkMark(placed, known, stage, path);
    else checkStage(placed, known, stage, path, names, check);
  });
  if (body.procedure !== undefined && !known.procedures.has(body.procedure))
    report.undeclared(source, ['procedure'], 'procedure', body.procedure, [...known.procedures.keys()]);
}

function isTimeZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** A commit point or an approval stands alone. */
function checkMark({ source }: Placed<Upgrade>, { report }: Known, stage: Stage, path: Path): void {
  const mark = stage.commit === undefined ? 'approval' : 'commit';
  for (const key of Object.keys(stage))
    if (key !== mark && key !== 'title' && key !== 'perHop')
      report.add(source, [...path, key], `${mark} stands alone in the list of stages`, {
        expected: `- ${mark}: NAME`,
        found: `${key} beside it`,
        ofKey: true,
      });
}

function checkStage(
  { body, source }: Placed<Upgrade>,
  { report, procedures, actions }: Known,
  stage: Stage,
  path: Path,
  upgradeNames: KnownNames,
  check: (one: Check, path: Path) => void,
): void {
  const names: KnownNames = { ...upgradeNames, params: new Set([...Object.keys(body.params ?? {}), ...Object.keys(stage.params ?? {})]) };
  if (stage.name === undefined) report.add(source, path, 'the stage has no name', { expected: 'name: NAME' });
  const procedureName = stage.procedure ?? body.procedure;
  if (procedureName === undefined)
    report.add(source, path, `the stage${stage.name === undefined ? '' : ` ${stage.name}`} names no procedure`, {
      expected: 'procedure here, or once for the whole upgrade',
    });
  else if (stage.procedure !== undefined && !procedures.has(stage.procedure))
    report.undeclared(source, [...path, 'procedure'], 'procedure', stage.procedure, [...procedures.keys()]);
  else checkNeeds(source, path, report, stage, procedureName, procedures, names);
  if (stage.select !== undefined) checkCondition(report, source, [...path, 'select'], { name: 'select' }, stage.select, names);
  if (stage.groupBy !== undefined) checkExpression(report, source, [...path, 'groupBy'], { name: 'select' }, stage.groupBy, names);
  stage.strategy?.order?.forEach((order, index) =>
    checkExpression(report, source, [...path, 'strategy', 'order', index], { name: 'select' }, order, names),
  );
  const strategy = stage.strategy ?? {};
  if (stage.groupBy === undefined)
    for (const key of ['groups', 'within'] as const)
      if (strategy[key] !== undefined)
        report.add(source, [...path, 'strategy', key], `${key} needs groupBy`, { expected: 'groupBy, or parallel instead', ofKey: true });
  if (stage.groupBy !== undefined && strategy.parallel !== undefined)
    report.add(source, [...path, 'strategy', 'parallel'], 'with groups, say how many groups and how many within each', {
      expected: 'groups and within',
      ofKey: true,
    });
  if (stage.budget && stage.onFailure === 'continue')
    report.add(source, [...path, 'budget'], 'a budget has no effect where failures are passed over', {
      expected: 'no budget, or another onFailure',
      ofKey: true,
      severity: 'warning',
    });
  if (stage.groupBy === undefined && stage.budget?.per === 'group')
    report.add(source, [...path, 'budget', 'per'], 'a budget per group needs groupBy');
  if (strategy.live) {
    const live: Path = [...path, 'strategy', 'live'];
    const action = checkAction(report, source, live, actions, strategy.live, { name: 'with' }, names);
    if (action) checkExpression(report, source, [...live, 'by'], { name: 'result', result: action.result }, strategy.live.by, names);
    if (stage.groupBy !== undefined || (strategy.parallel !== undefined && strategy.parallel !== 1))
      report.add(source, live, 'an order that is read live is for one target at a time', {
        expected: 'no groupBy, and parallel: 1',
        ofKey: true,
      });
  }
  strategy.waves?.forEach((wave, index) => {
    if ((wave === 'rest' || wave === 'all') && index < (strategy.waves?.length ?? 0) - 1)
      report.add(source, [...path, 'strategy', 'waves', index], `nothing is left after ${wave}`, { expected: `${wave} as the last wave` });
  });
  if (stage.gate && (stage.gate.approval === undefined) === (stage.gate.check === undefined))
    report.add(source, [...path, 'gate'], 'a gate is one thing', {
      expected: 'either approval or check',
      found: stage.gate.check ? 'both' : 'neither',
    });
  const waves = strategy.waves ?? ['rest'];
  if (stage.gate && (waves[0] === 'rest' || waves[0] === 'all'))
    report.add(source, [...path, 'gate'], 'the gate is never asked: it stands between waves, and the stage has one', {
      expected: 'strategy: {waves: [1, rest]}, or an approval as a step of its own',
      severity: 'warning',
      ofKey: true,
    });
  if (stage.gate?.check) check(stage.gate.check, [...path, 'gate', 'check']);
  if (stage.barrier) check(stage.barrier, [...path, 'barrier']);
}

/** What the procedures of a stage need of the upgrade: params, secrets, and a rollback where failures are to be rolled back. */
function checkNeeds(
  source: SourceDocument,
  path: Path,
  report: ProblemReport,
  stage: Stage,
  name: string,
  procedures: ReadonlyMap<string, Procedure>,
  { params, secrets }: KnownNames,
): void {
  const procedure = procedures.get(name);
  if (!procedure) return;
  const back = procedure.rollback === undefined ? undefined : procedures.get(procedure.rollback);
  for (const one of back ? [procedure, back] : [procedure]) {
    for (const param of new Set(one.params ?? []).union(neededBy(one, 'params')).difference(params ?? new Set()))
      report.add(source, path, `the procedure ${one.name} wants the param ${param}`, {
        expected: `params: {${param}: …} in the upgrade or the stage`,
      });
    for (const secret of neededBy(one, 'secrets').difference(secrets ?? new Set()))
      report.add(source, path, `the procedure ${one.name} wants the secret ${secret}`, {
        expected: `secrets: {${secret}: {env: NAME}} or {file: PATH} in the upgrade`,
      });
  }
  if (stage.onFailure === 'rollback' && procedure.rollback === undefined)
    report.add(source, [...path, 'onFailure'], `the procedure ${name} has no rollback`, {
      expected: 'rollback: PROCEDURE in it, or another onFailure',
      severity: 'warning',
    });
}

/** The params or secrets that the expressions of a procedure use. */
function neededBy(procedure: Procedure, variable: keyof KnownNames): Set<string> {
  const names = new Set<string>();
  const add = (expression: string) => {
    for (const name of namesNeeded(expression, variable)) names.add(name);
  };
  const addTemplates = (value: unknown): void => {
    if (typeof value === 'string') {
      const compiled = compileTemplate({ name: 'with' }, value);
      if (compiled.ok) compiled.compiled.expressions.forEach(add);
    } else if (value !== null && typeof value === 'object') Object.values(value).forEach(addTemplates);
  };
  for (const state of Object.values(procedure.states)) {
    addTemplates(state.with ?? {});
    for (const expression of [...Object.values(state.outcomes ?? {}), ...Object.values(state.save ?? {})]) add(expression);
    for (const step of Object.values(state.on ?? {}).flatMap(stepsOf)) if (step.when !== undefined) add(step.when);
  }
  addTemplates(procedure.observe?.with ?? {});
  if (procedure.observe) add(procedure.observe.version);
  return names;
}

/** A check may be asked again and again, so it must be idempotent. */
function checkOne({ source }: Placed<Upgrade>, { report, actions, targets }: Known, one: Check, path: Path, names: KnownNames): void {
  const action = checkAction(report, source, path, actions, { action: one.action, with: one.with }, { name: 'check' }, names);
  if (one.target !== undefined && !targets.some((target) => target.id === one.target))
    report.undeclared(
      source,
      [...path, 'target'],
      'target',
      one.target,
      targets.map((target) => target.id),
    );
  if (!action) return;
  if (action.connects !== undefined && one.target === undefined && action.connects === 'ssh')
    report.add(source, path, `${action.name} needs a target`, { expected: 'target: ID' });
  if (one.passes !== undefined)
    checkCondition(report, source, [...path, 'passes'], { name: 'result', result: action.result }, one.passes, names);
}
