/** Checks inventories against each other and fills in their defaults. */
import type { Inventory, Service, Target } from '../model/documents/index.ts';
import type { Placed, ProblemReport } from './document-set.ts';

/** The targets of all inventories with their defaults filled in, and the services. O(targets). */
export function checkInventories(inventories: Placed<Inventory>[], report: ProblemReport): { targets: Target[]; services: Service[] } {
  const targets: Target[] = [];
  const services: Service[] = [];
  const ids = new Set<string>();
  const names = new Set<string>();
  for (const { body, source } of inventories) {
    body.targets.forEach((target, index) => {
      if (ids.has(target.id)) report.add(source, ['targets', index, 'id'], `the target ${target.id} occurs twice`);
      else targets.push(withDefaults(target, body.defaults));
      ids.add(target.id);
    });
  }
  const known = [...ids];
  for (const { body, source } of inventories) {
    (body.services ?? []).forEach((service, index) => {
      if (names.has(service.name)) report.add(source, ['services', index, 'name'], `the service ${service.name} occurs twice`);
      names.add(service.name);
      service.on.forEach((id, place) => {
        if (!ids.has(id)) report.unknown(source, ['services', index, 'on', place], 'target', id, known);
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
