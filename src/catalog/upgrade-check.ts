/** Checks an upgrade against the releases, procedures, targets and actions it names. */
import type { ActionCatalog } from '../model/action.ts';
import type { Check, Procedure, Release, Stage, Target, Upgrade } from '../model/documents/index.ts';
import type { Path } from '../model/problem.ts';
import type { Placed, ProblemReport } from './document-set.ts';
import { checkAction, checkCondition, checkExpression, checkTemplates } from './expression-check.ts';

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
  const secrets = new Set(Object.keys(body.secrets ?? {}));
  const versions = releases.filter((release) => release.product === body.product).map((release) => release.version);
  if (versions.length === 0)
    report.unknown(source, ['product'], 'product with releases', body.product, [...new Set(releases.map((release) => release.product))]);
  else if (!versions.includes(body.to)) report.unknown(source, ['to'], `release of ${body.product}`, body.to, versions);
  for (const [name, from] of Object.entries(body.secrets ?? {}))
    if ((from.env === undefined) === (from.file === undefined))
      report.add(source, ['secrets', name], `the secret ${name} is read from one place`, { expected: 'either env or file' });
  checkTemplates(report, source, ['params'], { name: 'check' }, undefined, secrets);
  const check = (one: Check, path: Path) => checkOne(placed, known, one, path, secrets);
  (body.preflight ?? []).forEach((one, index) => check(one, ['preflight', index]));
  (body.postUpgrade ?? []).forEach((one, index) => check(one, ['postUpgrade', index]));
  if (body.freeze) {
    check(body.freeze.acquire, ['freeze', 'acquire']);
    check(body.freeze.release, ['freeze', 'release']);
  }
  if (body.window?.zone !== undefined && !isTimeZone(body.window.zone))
    report.add(source, ['window', 'zone'], 'not a time zone', { expected: 'an IANA name such as Europe/Paris', found: body.window.zone });
  const names = new Set<string>();
  body.stages.forEach((stage, index) => {
    const path: Path = ['stages', index];
    const name = stage.name ?? stage.commit ?? stage.approval;
    if (stage.name !== undefined && names.has(stage.name)) report.add(source, [...path, 'name'], `two stages are called ${stage.name}`);
    if (name !== undefined) names.add(name);
    if (stage.commit !== undefined || stage.approval !== undefined) checkMark(placed, known, stage, path);
    else checkStage(placed, known, stage, path, check);
  });
  if (body.procedure !== undefined && !known.procedures.has(body.procedure))
    report.unknown(source, ['procedure'], 'procedure', body.procedure, [...known.procedures.keys()]);
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
  { report, procedures }: Known,
  stage: Stage,
  path: Path,
  check: (one: Check, path: Path) => void,
): void {
  if (stage.name === undefined) report.add(source, path, 'the stage has no name', { expected: 'name: NAME' });
  const procedureName = stage.procedure ?? body.procedure;
  if (procedureName === undefined)
    report.add(source, path, `the stage ${stage.name ?? ''} names no procedure`, {
      expected: 'procedure here, or once for the whole upgrade',
    });
  else if (stage.procedure !== undefined && !procedures.has(stage.procedure))
    report.unknown(source, [...path, 'procedure'], 'procedure', stage.procedure, [...procedures.keys()]);
  else
    for (const param of procedures.get(procedureName)?.params ?? [])
      if (!Object.hasOwn({ ...body.params, ...stage.params }, param))
        report.add(source, path, `the procedure ${procedureName} wants the param ${param}`, {
          expected: `params: {${param}: …} in the upgrade or the stage`,
        });
  if (stage.select !== undefined) checkCondition(report, source, [...path, 'select'], { name: 'select' }, stage.select);
  if (stage.groupBy !== undefined) checkExpression(report, source, [...path, 'groupBy'], { name: 'select' }, stage.groupBy);
  stage.strategy?.order?.forEach((order, index) =>
    checkExpression(report, source, [...path, 'strategy', 'order', index], { name: 'select' }, order),
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
  if (stage.groupBy === undefined && stage.budget?.per === 'group')
    report.add(source, [...path, 'budget', 'per'], 'a budget per group needs groupBy');
  strategy.waves?.forEach((wave, index) => {
    if ((wave === 'rest' || wave === 'all') && index < (strategy.waves?.length ?? 0) - 1)
      report.add(source, [...path, 'strategy', 'waves', index], `nothing is left after ${wave}`, { expected: `${wave} as the last wave` });
  });
  if (stage.gate && (stage.gate.approval === undefined) === (stage.gate.check === undefined))
    report.add(source, [...path, 'gate'], 'a gate is one thing', { expected: 'either approval or check' });
  if (stage.gate?.check) check(stage.gate.check, [...path, 'gate', 'check']);
  if (stage.barrier) check(stage.barrier, [...path, 'barrier']);
}

/** A check may be asked again and again, so it must be idempotent. */
function checkOne(
  { source }: Placed<Upgrade>,
  { report, actions, targets }: Known,
  one: Check,
  path: Path,
  secrets: ReadonlySet<string>,
): void {
  const action = checkAction(report, source, path, actions, { action: one.action, with: one.with }, { name: 'check' }, secrets);
  if (one.target !== undefined && !targets.some((target) => target.id === one.target))
    report.unknown(
      source,
      [...path, 'target'],
      'target',
      one.target,
      targets.map((target) => target.id),
    );
  if (!action) return;
  if (action.connects !== undefined && one.target === undefined && action.connects === 'ssh')
    report.add(source, path, `${action.name} needs a target`, { expected: 'target: ID' });
  if (one.passes !== undefined) checkCondition(report, source, [...path, 'passes'], { name: 'result', result: action.result }, one.passes);
}
