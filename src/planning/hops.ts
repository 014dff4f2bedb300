/** Where each target is and the hops it takes, from the versions of the inventory and the release graph. */
import { findPath, type Hop, type PathAnswer, releaseGraph } from '../catalog/graph.ts';
import type { Scheme } from '../catalog/version.ts';
import type { Release, Target, Upgrade } from '../model/documents/index.ts';
import { type Fault, fault } from '../model/fault.ts';

export type Standing = {
  target: Target;
  product: string;
  version: string;
  /** The version of the upgrade's product it belongs to. */
  productFrom: string;
  /** The first hop it takes: hops.length when it is already there. */
  firstHop: number;
};

export type Route = { hops: Hop[]; standings: Standing[]; froms: string[]; scheme: Scheme };

/** Releases of a product by version. */
export function releasesOf(product: string, releases: readonly Release[]): Map<string, Release> {
  return new Map(releases.filter((release) => release.product === product).map((release) => [release.version, release]));
}

/** The version a release gives a product: its own, or that of the component. */
export function versionIn(release: Release, product: string): string | undefined {
  return release.product === product ? release.version : release.components?.[product];
}

/** Places every target on one route, or says for each why it cannot be. O(targets). */
export function findRoute(
  upgrade: Upgrade,
  targets: readonly Target[],
  releases: readonly Release[],
): { route: Route } | { faults: Fault[] } {
  const own = releasesOf(upgrade.product, releases);
  const wanted = own.get(upgrade.to) as Release;
  const graph = releaseGraph(upgrade.product, releases);
  const faults: Fault[] = [];
  const places: Omit<Standing, 'firstHop'>[] = [];
  const holders = new Map<string, string | Fault>();
  for (const target of targets) {
    const product = target.product ?? upgrade.product;
    if (product !== upgrade.product && versionIn(wanted, product) === undefined) continue;
    if (target.version === undefined) {
      faults.push(
        fault('version-unknown', target.id, `the version of ${target.id} is not known`, {
          expected: 'a version',
          remedy: `Give ${target.id} a version in the inventory, or plan with --observe to read it.`,
        }),
      );
      continue;
    }
    const key = `${product} ${target.version}`;
    let holder = holders.get(key);
    if (holder === undefined) {
      holder = product === upgrade.product ? target.version : holderOf(upgrade, product, target.version, own, graph.releases, wanted);
      holders.set(key, holder);
    }
    if (typeof holder === 'string') places.push({ target, product, version: target.version, productFrom: holder });
    else if (!faults.some((one) => one.kind === holder.kind && one.message === (holder as Fault).message)) faults.push(holder);
  }
  if (places.length === 0 && faults.length === 0) faults.push(noTargetsFault(upgrade, targets, wanted));
  const froms = [...new Set(places.map((place) => place.productFrom))];
  const answers = new Map(froms.map((from) => [from, findPath(graph, from, upgrade.to)]));
  for (const [from, answer] of answers) if (!answer.ok) faults.push(pathFault(upgrade.product, from, answer));
  if (faults.length > 0) return { faults };
  const paths = [...answers.values()].map((answer) => (answer.ok ? answer.hops : []));
  const hops = paths.reduce((longest, path) => (path.length > longest.length ? path : longest), [] as Hop[]);
  const first = new Map<string, number>();
  for (const [from, answer] of answers) {
    const way = answer.ok ? answer.hops : [];
    const start = hops.length - way.length;
    if (way.some((hop, index) => hop.to !== hops[start + index]?.to))
      faults.push(
        fault('paths-differ', from, `from ${from} the way goes over other releases than from ${hops[0]?.from}`, {
          expected: hops.map((hop) => hop.to).join(' → '),
          found: way.map((hop) => hop.to).join(' → '),
          remedy: 'Upgrade them one after the other: an upgrade for each version, with `select`.',
        }),
      );
    first.set(from, start);
  }
  if (faults.length > 0) return { faults };
  const standings = places.map((place) => ({ ...place, firstHop: first.get(place.productFrom) as number }));
  return { route: { hops, froms, standings, scheme: graph.scheme } };
}

/** Nothing of the product is there: "nothing to do" would hide a misspelt product. */
function noTargetsFault(upgrade: Upgrade, targets: readonly Target[], wanted: Release): Fault {
  const products = [...new Set(targets.map((target) => target.product ?? upgrade.product))];
  return fault('no-targets', upgrade.name, `no target is of the product ${upgrade.product}`, {
    expected: `a target of ${[upgrade.product, ...Object.keys(wanted.components ?? {})].join(' or ')}`,
    found: products.length === 0 ? 'an empty inventory' : `only targets of ${products.join(', ')}`,
    remedy: 'Correct `product` of the targets, or name the components in the release.',
  });
}

/** The release a component's version belongs to. */
function holderOf(
  upgrade: Upgrade,
  product: string,
  version: string,
  own: Map<string, Release>,
  sorted: Release[],
  wanted: Release,
): string | Fault {
  if (versionIn(wanted, product) === version) return upgrade.to;
  if (upgrade.from !== undefined) {
    const stated = own.get(upgrade.from);
    const expected = stated ? versionIn(stated, product) : undefined;
    if (expected === version || expected === undefined) return upgrade.from;
    return fault('version-not-of-release', product, `${product} ${version} does not belong to ${upgrade.product} ${upgrade.from}`, {
      expected,
      found: version,
      remedy: 'Correct `from` in the upgrade or the version in the inventory.',
    });
  }
  const holders = sorted.filter((release) => versionIn(release, product) === version);
  const newest = holders.at(-1);
  if (newest) return newest.version;
  return fault('release-unknown', product, `no known release of ${upgrade.product} has ${product} ${version}`, {
    expected: `one of ${
      sorted
        .map((release) => versionIn(release, product))
        .filter(Boolean)
        .join(', ') || 'none: no release names this component'
    }`,
    found: version,
    remedy: 'Say `from` in the upgrade, or add the release with its components.',
  });
}

/** A path that does not exist, as a fault with what would do. */
export function pathFault(product: string, from: string, answer: Extract<PathAnswer, { ok: false }>): Fault {
  const remedies: string[] = [];
  if (answer.reachable) remedies.push(`Reachable on the way: ${[from, ...answer.reachable.hops.map((hop) => hop.to)].join(' → ')}.`);
  if (answer.suggestion) remedies.push(`Did you mean ${answer.suggestion}?`);
  return fault('no-path', product, [answer.message, ...answer.reasons].join('; '), {
    found: from,
    ...(answer.expected === undefined ? {} : { expected: `one of ${answer.expected}` }),
    ...(remedies.length === 0 ? {} : { remedy: remedies.join(' ') }),
  });
}
