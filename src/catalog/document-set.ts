/**
 * A set of documents, read together: each checked by its schema, then all of them against each other. Every problem is reported at once.
 */
import type { ActionCatalog } from '../model/action.ts';
import {
  type DocumentBody,
  type Inventory,
  KINDS,
  type Procedure,
  type Release,
  SCHEMAS,
  type Service,
  type Target,
  type Upgrade,
} from '../model/documents/index.ts';
import { compareProblems, foundText, type Problem } from '../model/problem.ts';
import { mismatches } from '../model/schema-check.ts';
import { parseSource, type SourceDocument } from '../model/source.ts';
import { nearest } from '../model/suggestion.ts';
import { checkInventories } from './inventory-check.ts';
import { type Placed, ProblemReport } from './problem-report.ts';
import { checkProcedure } from './procedure-check.ts';
import { checkReleases } from './release-check.ts';
import { checkUpgrade } from './upgrade-check.ts';

export type DocumentSet = {
  inventories: Placed<Inventory>[];
  targets: Target[];
  services: Service[];
  releases: Release[];
  procedures: Map<string, Procedure>;
  upgrades: Map<string, Upgrade>;
};

export type FileBytes = { file: string; bytes: Uint8Array };
export type Loaded = { set: DocumentSet; problems: Problem[] };

/** What else can stand for a document: a reader that turns foreign text (an Ansible inventory) into a document, or undefined. */
export type ForeignReader = (file: FileBytes) => { body: DocumentBody; problems: Problem[] } | undefined;

/**
 * Reads and checks files as one set.
 *
 * @returns the documents that passed, and every problem, in the order a reader meets them; use the set only when no problem is an error.
 */
export function loadDocuments(files: readonly FileBytes[], actions: ActionCatalog, foreign: ForeignReader = () => undefined): Loaded {
  const report = new ProblemReport();
  const placed: Placed[] = [];
  for (const file of files) {
    const other = foreign(file);
    if (other) {
      report.problems.push(...other.problems);
      placed.push({ body: other.body, source: { file: file.file, value: other.body, locate: () => ({ line: 1, column: 1 }) } });
      continue;
    }
    const source = parseSource(file.file, file.bytes);
    report.problems.push(...source.problems);
    if (source.problems.some((problem) => problem.severity === 'error')) report.doubtAll();
    for (const document of source.documents) {
      const body = checkSchema(document, report);
      if (body) placed.push({ body, source: document });
      else for (const name of declaredNames(document.value)) report.doubt(name);
    }
  }
  const set = gather(placed, report, actions);
  return { set, problems: report.problems.sort(compareProblems) };
}

/** Every name that a document with errors seems to declare. */
function declaredNames(value: unknown): string[] {
  if (value === null || typeof value !== 'object') return [];
  const { name, product, version, targets } = value as Record<string, unknown>;
  const ids = Array.isArray(targets) ? targets.map((target: unknown) => (target as { id?: unknown } | null)?.id) : [];
  return [name, product, version, ...ids].filter((one) => typeof one === 'string' || typeof one === 'number').map(String);
}

function checkSchema(document: SourceDocument, report: ProblemReport): DocumentBody | undefined {
  const value = document.value;
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    report.add(document, [], 'this is no document', { expected: `a map with kind: ${KINDS.join(', ')}`, found: foundText(value) });
    return undefined;
  }
  const kind = (value as { kind?: unknown }).kind;
  if (kind === undefined) {
    report.add(document, [], 'kind is missing', { expected: `one of ${KINDS.join(', ')}` });
    return undefined;
  }
  const known = KINDS.find((candidate) => candidate === kind);
  if (!known) {
    report.add(document, ['kind'], 'kind is not known', {
      expected: `one of ${KINDS.join(', ')}`,
      found: foundText(kind),
      suggestion: typeof kind === 'string' ? nearest(kind, KINDS) : undefined,
    });
    return undefined;
  }
  const found = mismatches(SCHEMAS[known], value);
  for (const { path, message, ...more } of found) report.add(document, path, message, more);
  return found.length === 0 ? (value as DocumentBody) : undefined;
}

function ofKind<K extends DocumentBody['kind']>(placed: Placed[], kind: K): Placed<Extract<DocumentBody, { kind: K }>>[] {
  return placed.filter((one): one is Placed<Extract<DocumentBody, { kind: K }>> => one.body.kind === kind);
}

function gather(placed: Placed[], report: ProblemReport, actions: ActionCatalog): DocumentSet {
  const inventories = ofKind(placed, 'Inventory');
  const { targets, services } = checkInventories(inventories, report);
  const releases = ofKind(placed, 'Release');
  checkReleases(releases, report);
  const procedures = byName(ofKind(placed, 'Procedure'), 'procedure', report);
  const upgrades = byName(ofKind(placed, 'Upgrade'), 'upgrade', report);
  for (const procedure of procedures.values())
    checkProcedure(procedure, new Map([...procedures].map(([name, one]) => [name, one.body])), actions, report);
  for (const upgrade of upgrades.values())
    checkUpgrade(upgrade, {
      releases: releases.map((release) => release.body),
      procedures: new Map([...procedures].map(([name, one]) => [name, one.body])),
      targets,
      actions,
      report,
    });
  return {
    inventories,
    targets,
    services,
    releases: releases.map((release) => release.body),
    procedures: new Map([...procedures].map(([name, one]) => [name, one.body])),
    upgrades: new Map([...upgrades].map(([name, one]) => [name, one.body])),
  };
}

function byName<T extends DocumentBody & { name: string }>(
  documents: Placed<T>[],
  what: string,
  report: ProblemReport,
): Map<string, Placed<T>> {
  const named = new Map<string, Placed<T>>();
  for (const document of documents) {
    const earlier = named.get(document.body.name);
    if (earlier) {
      const at = earlier.source.locate(['name']);
      report.add(document.source, ['name'], `the ${what} ${document.body.name} is defined twice`, {
        found: `the first at ${earlier.source.file}:${at.line}`,
      });
    } else named.set(document.body.name, document);
  }
  return named;
}
