/** Reads the version every target really has, as their procedures say; changes nothing. */

import type { DocumentSet } from '../catalog/document-set.ts';
import type { Action, Call } from '../drivers/contract.ts';
import type { Connect, Procedure, Target, Upgrade } from '../model/documents/index.ts';
import { durationMs } from '../model/duration.ts';
import { compileExpression, renderValues } from '../model/expression.ts';
import { type Fault, fault } from '../model/fault.ts';
import { releasesOf, versionIn } from '../planning/hops.ts';

const AT_ONCE = 64;
const TIMEOUT_MS = 30_000;

export type Observed = { versions: Map<string, string>; faults: Fault[] };

/** `drivers`: the actions by name. Targets whose procedure has no `observe` are passed over. */
export async function observeVersions(given: {
  set: DocumentSet;
  upgrade: Upgrade;
  drivers: ReadonlyMap<string, Action>;
  progress: (done: number, total: number) => void;
}): Promise<Observed> {
  const { set, upgrade, drivers, progress } = given;
  const versions = new Map<string, string>();
  const faults: Fault[] = [];
  const wanted = releasesOf(upgrade.product, set.releases).get(upgrade.to);
  const jobs = set.targets.flatMap((target) => {
    const procedure = procedureFor(upgrade, target, set);
    const concerned = wanted !== undefined && versionIn(wanted, target.product ?? upgrade.product) !== undefined;
    return procedure?.observe && concerned ? [{ target, observe: procedure.observe }] : [];
  });
  let next = 0;
  let done = 0;
  const worker = async () => {
    for (let job = jobs[next++]; job; job = jobs[next++]) {
      const answer = await observe(job.target, job.observe, upgrade, drivers);
      if (typeof answer === 'string') versions.set(job.target.id, answer);
      else faults.push(answer);
      progress(++done, jobs.length);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, jobs.length) }, worker));
  return { versions, faults };
}

/** The procedure of the first stage that selects the target. */
function procedureFor(upgrade: Upgrade, target: Target, set: DocumentSet): Procedure | undefined {
  for (const stage of upgrade.stages) {
    const name = stage.procedure ?? upgrade.procedure;
    if (stage.name === undefined || name === undefined) continue;
    if (stage.select === undefined) return set.procedures.get(name);
    const compiled = compileExpression({ name: 'select' }, stage.select);
    const value = compiled.ok
      ? compiled.compiled.evaluate({ ...variablesOf(target, upgrade), params: { ...upgrade.params, ...stage.params } })
      : undefined;
    if (value?.ok && value.value === true) return set.procedures.get(name);
  }
  return undefined;
}

function variablesOf(target: Target, upgrade: Upgrade): Record<string, unknown> {
  return {
    target: {
      id: target.id,
      product: target.product ?? upgrade.product,
      version: target.version ?? '',
      labels: target.labels ?? {},
      vars: target.vars ?? {},
    },
    params: upgrade.params ?? {},
    from: target.version ?? '',
    to: upgrade.to,
    run: '',
    case: '',
    values: {},
    secrets: {},
    upgrade: { name: upgrade.name, product: upgrade.product, from: upgrade.from ?? '', to: upgrade.to },
    release: { product: upgrade.product, version: upgrade.to, components: {}, artifacts: {}, values: {} },
  };
}

async function observe(
  target: Target,
  by: NonNullable<Procedure['observe']>,
  upgrade: Upgrade,
  drivers: ReadonlyMap<string, Action>,
): Promise<string | Fault> {
  const action = drivers.get(by.action) as Action;
  const variables = variablesOf(target, upgrade);
  const input = renderValues({ name: 'with' }, by.with ?? {}, variables, action.declaration.shell ?? []);
  const connect = renderValues({ name: 'with' }, (target.connect ?? {}) as Record<string, unknown>, variables);
  if (!input.ok) return input.fault;
  if (!connect.ok) return connect.fault;
  const call: Call = {
    fence: `observe/${target.id}/0/0`,
    subject: target.id,
    connect: connect.value as Connect,
    input: input.value,
    deadline: Date.now() + (by.timeout === undefined ? TIMEOUT_MS : durationMs(by.timeout)),
    disruptive: false,
    observing: false,
    signal: new AbortController().signal,
    output: () => {},
  };
  const end = await action.run(call);
  const unreadable = (cause?: Fault) =>
    fault('version-unreadable', target.id, `the version of ${target.id} cannot be read`, cause ? { cause } : {});
  if (!('outcome' in end)) return unreadable('unknown' in end ? end.unknown : undefined);
  if (end.outcome !== 'success') return unreadable(end.fault);
  const compiled = compileExpression({ name: 'result', result: action.declaration.result }, by.version);
  const value = compiled.ok ? compiled.compiled.evaluate({ ...variables, result: end.result }) : undefined;
  if (!value?.ok) return unreadable(value?.fault);
  return String(value.value).trim();
}
