/** The release graph of a product: which version may go where, the shortest way, and why there is none. */
import type { Edge, Release } from '../model/documents/index.ts';
import { nearest } from '../model/suggestion.ts';
import { parseRange, type Range } from './range.ts';
import { type Scheme, schemeOf } from './version.ts';

export type EdgeKind = 'major' | 'minor' | 'hotfix';
export type Risk = { name: string; message: string; when?: string; block: boolean };

/** One step of a path. */
export type Hop = { from: string; to: string; kind: EdgeKind; destructive: boolean; risks: Risk[] };

export type PathAnswer =
  | { ok: true; hops: Hop[] }
  | {
      ok: false;
      message: string;
      /** Why each nearby edge does not serve. */
      reasons: string[];
      /** The newest version that can be reached, on the way to the wanted one, and how. */
      reachable?: { version: string; hops: Hop[] };
      /** The versions from which the wanted one can be reached directly. */
      expected?: string;
      suggestion?: string;
    };

/** The releases of one product with their scheme, oldest first. */
export type ReleaseGraph = { product: string; scheme: Scheme; releases: Release[] };

/** Builds the graph of a product. All its releases share the first stated scheme (the document check reports where they differ). */
export function releaseGraph(product: string, releases: readonly Release[]): ReleaseGraph {
  const own = releases.filter((release) => release.product === product);
  const scheme = schemeOf(own.find((release) => release.scheme !== undefined)?.scheme);
  const sorted = own.filter((release) => scheme.isVersion(release.version)).sort((a, b) => scheme.compare(a.version, b.version));
  return { product, scheme, releases: sorted };
}

/**
 * The floor an edge sets for a version: the latest known fix of its line, where the edge wants that and it is another. Only what is within
 * the range and older than the release counts: a fix that came out later, or the release itself, is nothing to wait for.
 */
function floorOf(graph: ReleaseGraph, release: Release, edge: Edge, range: Range, version: string): string | undefined {
  if (!edge.latestFix) return undefined;
  const { compare, line } = graph.scheme;
  const latest = graph.releases.findLast(
    (other) => line(other.version) === line(version) && range.includes(other.version) && compare(other.version, release.version) < 0,
  )?.version;
  return latest !== undefined && compare(latest, version) > 0 ? latest : undefined;
}

function kindOf(graph: ReleaseGraph, edge: Edge, from: string, to: string): EdgeKind {
  if (edge.kind) return edge.kind;
  if (graph.scheme.line(from) === graph.scheme.line(to)) return 'hotfix';
  const major = (version: string) => version.replace(/^v/, '').split('.')[0];
  return major(from) === major(to) ? 'minor' : 'major';
}

/** The hop an edge gives from a version, or why it gives none. */
function hopBy(graph: ReleaseGraph, release: Release, edge: Edge, from: string): Hop | string | undefined {
  const parsed = parseRange(graph.scheme, edge.versions);
  if (!parsed.ok || !parsed.range.includes(from)) return undefined;
  const floor = floorOf(graph, release, edge, parsed.range, from);
  if (floor !== undefined)
    return `${release.version} takes only the latest fix of a line; of ${graph.scheme.line(from)} that is ${floor}, not ${from}`;
  const risks = (edge.risks ?? []).map((risk) => ({ ...risk, block: risk.block ?? false }));
  return { from, to: release.version, kind: kindOf(graph, edge, from, release.version), destructive: edge.destructive ?? false, risks };
}

/** Every hop out of a version that leads towards the wanted one and not past it. O(releases). */
function hopsFrom(graph: ReleaseGraph, from: string, to: string): { hops: Hop[]; refusals: string[] } {
  const { compare } = graph.scheme;
  const hops: Hop[] = [];
  const refusals: string[] = [];
  const direction = Math.sign(compare(to, from));
  for (const release of graph.releases) {
    if (Math.sign(compare(release.version, from)) !== direction || Math.sign(compare(release.version, to)) === direction) continue;
    for (const edge of release.from ?? []) {
      const hop = hopBy(graph, release, edge, from);
      if (typeof hop === 'string') refusals.push(hop);
      else if (hop) {
        hops.push(hop);
        break;
      }
    }
  }
  return { hops, refusals };
}

/**
 * The path with the fewest hops; of equals, the one whose first hop goes furthest. A path never turns round: an open range such as `*` on a
 * later release does not make it a way to an earlier one.
 *
 * Breadth first: O(releases²) at worst, since a version's edges are ranges.
 */
export function findPath(graph: ReleaseGraph, from: string, to: string): PathAnswer {
  const known = graph.releases.map((release) => release.version);
  if (!known.includes(to)) {
    const meant = nearest(to, known) ?? known.at(-1);
    return {
      ok: false,
      message: `${graph.product} has no release ${to}`,
      reasons: [`known are ${known.join(', ') || 'none'}`],
      ...(meant === undefined ? {} : { suggestion: meant }),
    };
  }
  if (!graph.scheme.isVersion(from))
    return { ok: false, message: `${from} is no version under the scheme ${graph.scheme.name}`, reasons: [] };
  if (graph.scheme.compare(from, to) === 0) return { ok: true, hops: [] };
  const forward = graph.scheme.compare(to, from) > 0;
  const reached = new Map<string, Hop[]>([[from, []]]);
  const queue = [from];
  const refusals: string[] = [];
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    const out = hopsFrom(graph, at, to);
    if (at === from) refusals.push(...out.refusals);
    for (const hop of out.hops.sort((a, b) => (forward ? graph.scheme.compare(b.to, a.to) : graph.scheme.compare(a.to, b.to)))) {
      if (reached.has(hop.to)) continue;
      const way = [...(reached.get(at) as Hop[]), hop];
      if (hop.to === to) return { ok: true, hops: way };
      reached.set(hop.to, way);
      queue.push(hop.to);
    }
  }
  return refusal(graph, from, to, reached, refusals);
}

function refusal(graph: ReleaseGraph, from: string, to: string, reached: Map<string, Hop[]>, refusals: string[]): PathAnswer {
  const forward = graph.scheme.compare(to, from) > 0;
  const between = [...reached.keys()].filter((version) => version !== from).sort(graph.scheme.compare);
  const best = forward ? between.at(-1) : between[0];
  const edges = graph.releases.find((release) => release.version === to)?.from ?? [];
  const expected = edges.map((edge) => edge.versions + (edge.latestFix ? ' (latest fix only)' : '')).join(', or ');
  const reasons = [...new Set(refusals)];
  if (expected === '') reasons.push(`no edge leads to ${to}`);
  return {
    ok: false,
    message: `there is no way from ${graph.product} ${from} to ${to}`,
    reasons,
    ...(expected === '' ? {} : { expected }),
    ...(best === undefined ? {} : { reachable: { version: best, hops: reached.get(best) as Hop[] } }),
  };
}
