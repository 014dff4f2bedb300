/** Checks inventories against each other and fills in their defaults. */
import type { Inventory, Service, Target } from '../model/documents/index.ts';
import type { Path } from '../model/problem.ts';
import type { SourceDocument } from '../model/source.ts';
import { checkTemplates } from './expression-check.ts';
import type { Placed, ProblemReport } from './problem-report.ts';

/** The targets of all inventories with their defaults filled in, and the services. O(targets). */
export function checkInventories(inventories: Placed<Inventory>[], report: ProblemReport): { targets: Target[]; services: Service[] } {
  const targets: Target[] = [];
  const services: Service[] = [];
  const ids = new Map<string, string>();
  const names = new Map<string, string>();
  for (const { body, source } of inventories) {
    body.targets.forEach((target, index) => {
      const first = ids.get(target.id);
      if (first === undefined) targets.push(withDefaults(target, body.defaults));
      else report.add(source, ['targets', index, 'id'], `the target ${target.id} occurs twice`, { found: `the first at ${first}` });
      if (first === undefined) ids.set(target.id, placeText(source, ['targets', index, 'id']));
      checkTemplates(report, source, ['targets', index, 'connect'], { name: 'with' }, target.connect);
    });
    checkTemplates(report, source, ['defaults', 'connect'], { name: 'with' }, body.defaults?.connect);
  }
  const known = [...ids.keys()];
  for (const { body, source } of inventories) {
    (body.services ?? []).forEach((service, index) => {
      const first = names.get(service.name);
      if (first === undefined) names.set(service.name, placeText(source, ['services', index, 'name']));
      else report.add(source, ['services', index, 'name'], `the service ${service.name} occurs twice`, { found: `the first at ${first}` });
      service.on.forEach((id, place) => {
        if (service.on.indexOf(id) < place)
          report.add(source, ['services', index, 'on', place], `the service ${service.name} is on ${id} twice`);
        else if (!ids.has(id)) report.undeclared(source, ['services', index, 'on', place], 'target', id, known);
      });
      if ((service.needs ?? 1) > service.on.length)
        report.add(source, ['services', index, 'needs'], `the service ${service.name} needs more targets than it runs on`, {
          expected: `at most ${service.on.length}`,
          found: String(service.needs),
        });
      services.push(service);
    });
  }
  return { targets, services };
}

function placeText(source: SourceDocument, path: Path): string {
  return `${source.file}:${source.locate(path).line}`;
}

function withDefaults(target: Target, defaults: Inventory['defaults']): Target {
  if (!defaults) return target;
  const { connect, labels, vars, ...rest } = defaults;
  const merged: Target = { ...rest, ...target };
  if (labels) merged.labels = { ...labels, ...target.labels };
  if (vars) merged.vars = { ...vars, ...target.vars };
  const ssh = connect?.ssh;
  const ways = {
    ...(ssh || target.connect?.ssh ? { ssh: { ...ssh, ...target.connect?.ssh } } : {}),
    ...(connect?.http || target.connect?.http
      ? { http: { ...connect?.http, ...target.connect?.http } as NonNullable<NonNullable<Target['connect']>['http']> }
      : {}),
  };
  if (Object.keys(ways).length > 0) merged.connect = ways;
  return merged;
}
