/** Checks releases: one scheme a product, versions and ranges that are of it, edges that can be read. */
import type { Release } from '../model/documents/index.ts';
import { foundText } from '../model/problem.ts';
import { nearest } from '../model/suggestion.ts';
import { checkCondition } from './expression-check.ts';
import type { Placed, ProblemReport } from './problem-report.ts';
import { parseRange } from './range.ts';
import { schemeOf } from './version.ts';

export function checkReleases(releases: Placed<Release>[], report: ProblemReport): void {
  for (const [product, own] of Map.groupBy(releases, (release) => release.body.product)) {
    const stated = own.find((release) => release.body.scheme !== undefined);
    const scheme = schemeOf(stated?.body.scheme);
    const seen = new Map<string, string>();
    for (const { body, source } of own) {
      if (body.scheme !== undefined && JSON.stringify(body.scheme) !== JSON.stringify(stated?.body.scheme))
        report.add(source, ['scheme'], `the releases of ${product} have different schemes`, {
          expected: `${scheme.name}, as ${stated?.body.version} has it`,
          found: schemeOf(body.scheme).name,
        });
      if (!scheme.isVersion(body.version)) {
        report.add(source, ['version'], `${body.version} is no version under the scheme ${scheme.name}`, {
          expected: scheme.form,
          found: foundText(body.version),
          suggestion: nearest(body.version, scheme.names),
        });
        continue;
      }
      const first = [...seen.keys()].find((version) => scheme.compare(version, body.version) === 0);
      if (first !== undefined)
        report.add(source, ['version'], `the release ${product} ${body.version} is defined twice`, {
          found: `the first at ${seen.get(first)}`,
        });
      else seen.set(body.version, `${source.file}:${source.locate(['version']).line}`);
      (body.from ?? []).forEach((edge, index) => {
        const parsed = parseRange(scheme, edge.versions);
        if (!parsed.ok)
          report.add(source, ['from', index, 'versions'], `not a range: ${parsed.message}`, {
            expected: scheme.names.length > 0 ? 'trains, such as "ocata" or ">=ocata <queens"' : 'a range such as ">=7.2 <8.0" or "7.3.*"',
            found: foundText(edge.versions),
            suggestion: nearest(edge.versions, scheme.names),
          });
        else if (parsed.range.includes(body.version))
          report.add(source, ['from', index, 'versions'], `the range includes ${body.version} itself`, { severity: 'warning' });
        (edge.risks ?? []).forEach((risk, place) => {
          if (risk.when !== undefined) checkCondition(report, source, ['from', index, 'risks', place, 'when'], { name: 'risk' }, risk.when);
        });
      });
    }
  }
}
