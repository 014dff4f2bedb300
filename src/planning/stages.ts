/** Stages of an upgrade into stages of a plan: who, in what order, how many at once. */

import { allowanceOf, amountOf } from '../model/amount.ts';
import type { Procedure, Release, Stage, Upgrade } from '../model/documents/index.ts';
import { durationMs } from '../model/duration.ts';
import { compileExpression, type Expression } from '../model/expression.ts';
import { type Fault, fault } from '../model/fault.ts';
import type { Standing } from './hops.ts';
import { versionIn } from './hops.ts';
import type { Move, PlanGroup, PlanStage, PlanWave } from './plan.ts';

/** A pass over some targets: a hop, or the whole way. */
export type Pass = { hop?: number; release: Release; candidates: { standing: Standing; index: number; from: string }[] };

export type StageContext = {
  upgrade: Upgrade;
  procedures: ReadonlyMap<string, Procedure>;
  faults: Fault[];
  /** How far each has been taken, by procedure with its params: nobody walks the same way twice, nor back. */
  done: Map<string, Map<number, { version: string; hop: number }>>;
};

function selectExpression(text: string): Expression {
  const compiled = compileExpression({ name: 'select' }, text);
  if (!compiled.ok) throw new Error(`not checked: ${text}`);
  return compiled.compiled;
}

/** The variables an expression of a stage sees for a target. */
function variablesOf(standing: Standing, params: Record<string, unknown>): Record<string, unknown> {
  const { id, labels, vars } = standing.target;
  return { target: { id, product: standing.product, version: standing.version, labels: labels ?? {}, vars: vars ?? {} }, params };
}

/** Who belongs to a stage: a label the target does not have selects nothing. */
function selected(stage: Stage, pass: Pass, params: Record<string, unknown>, faults: Fault[]): Pass['candidates'] {
  if (stage.select === undefined) return pass.candidates;
  const select = selectExpression(stage.select);
  const chosen: Pass['candidates'] = [];
  for (const candidate of pass.candidates) {
    const value = select.evaluate(variablesOf(candidate.standing, params));
    if (value.ok && value.value === true) chosen.push(candidate);
    else if (!value.ok && value.fault.kind !== 'expression-no-such-key') {
      faults.push(value.fault);
      break;
    }
  }
  return chosen;
}

type Key = string | number;

/** The value of an expression per candidate; a missing label is the empty text. */
function keysOf(text: string, candidates: Pass['candidates'], params: Record<string, unknown>, faults: Fault[]): Key[] {
  const expression = selectExpression(text);
  return candidates.map(({ standing }) => {
    const value = expression.evaluate(variablesOf(standing, params));
    if (value.ok)
      return typeof value.value === 'number' ? value.value : typeof value.value === 'string' ? value.value : JSON.stringify(value.value);
    if (value.fault.kind !== 'expression-no-such-key' && faults.length < 20) faults.push(value.fault);
    return '';
  });
}

/** Orders the values of an order: numbers as numbers, anything else as texts. */
export function compareKeys(a: Key, b: Key): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  const [x, y] = [String(a), String(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

function ordered(stage: Stage, candidates: Pass['candidates'], params: Record<string, unknown>, faults: Fault[]): Pass['candidates'] {
  const keys = (stage.strategy?.order ?? []).map((text) => keysOf(text, candidates, params, faults));
  if (keys.length === 0) return candidates;
  const places = candidates.map((_, place) => place);
  places.sort((a, b) => {
    for (const column of keys) {
      const difference = compareKeys(column[a] as Key, column[b] as Key);
      if (difference !== 0) return difference;
    }
    return a - b;
  });
  return places.map((place) => candidates[place] as Pass['candidates'][number]);
}

/** Compiles one stage for one pass; undefined where nobody in it needs to change. `base` is the first member number. O(targets log targets). */
export function compileStage(stage: Stage, pass: Pass, base: number, context: StageContext): PlanStage | undefined {
  const { upgrade, procedures, faults } = context;
  const params = { ...upgrade.params, ...stage.params };
  const name = stage.name as string;
  const procedure = (stage.procedure ?? upgrade.procedure) as string;
  const chosen = notYet(selected(stage, pass, params, faults), pass, JSON.stringify([procedure, params]), context.done);
  if (chosen.length === 0) return undefined;
  const candidates = ordered(stage, chosen, params, faults);
  const grouped = stage.groupBy !== undefined;
  const sorted = grouped
    ? byGroup(candidates, keysOf(stage.groupBy as string, candidates, params, faults))
    : { candidates, groups: [{ key: '', first: 0, count: candidates.length }] };
  const strategy = stage.strategy ?? {};
  const largest = sorted.groups.reduce((most, group) => Math.max(most, group.count), 0);
  const width = grouped
    ? { groups: amountOf(strategy.groups ?? 1, sorted.groups.length), within: amountOf(strategy.within ?? 1, largest) }
    : { groups: 1, within: amountOf(strategy.parallel ?? 1, candidates.length) };
  const { moves, moveOf } = movesOf(sorted.candidates, pass.release);
  const budget = stage.budget && stage.onFailure !== 'continue' ? budgetOf(stage, grouped, sorted.groups, candidates.length) : undefined;
  const rollback = procedures.get(procedure)?.rollback;
  return {
    kind: 'stage',
    name,
    ...(stage.title === undefined ? {} : { title: stage.title }),
    ...(pass.hop === undefined ? {} : { hop: pass.hop }),
    procedure,
    ...(rollback === undefined ? {} : { rollback }),
    params,
    base,
    order: sorted.candidates.map((candidate) => candidate.index),
    moves,
    ...(moveOf === undefined ? {} : { moveOf }),
    grouped,
    groups: sorted.groups,
    width,
    ...(strategy.live === undefined ? {} : { live: strategy.live }),
    waves: wavesOf(stage, grouped ? sorted.groups.length : candidates.length),
    ...(budget === undefined ? {} : { budget }),
    soakMs: stage.soak === undefined ? 0 : durationMs(stage.soak),
    ...(stage.gate?.approval !== undefined
      ? { gate: { approval: stage.gate.approval } }
      : stage.gate?.check
        ? { gate: { check: stage.gate.check } }
        : {}),
    ...(stage.barrier ? { barrier: stage.barrier } : {}),
    onFailure: stage.onFailure ?? 'suspend',
  };
}

/** Leaves out whom an earlier stage has taken the same way: after a canary the stage for all means the rest. */
function notYet(candidates: Pass['candidates'], pass: Pass, way: string, done: StageContext['done']): Pass['candidates'] {
  const walked = done.get(way) ?? new Map<number, { version: string; hop: number }>();
  done.set(way, walked);
  const hop = pass.hop ?? Number.POSITIVE_INFINITY;
  return candidates.filter(({ index, standing }) => {
    const version = versionIn(pass.release, standing.product) as string;
    const before = walked.get(index);
    if (before && (before.version === version || before.hop >= hop)) return false;
    walked.set(index, { version, hop });
    return true;
  });
}

function byGroup(candidates: Pass['candidates'], keys: Key[]): { candidates: Pass['candidates']; groups: PlanGroup[] } {
  const members = new Map<string, Pass['candidates']>();
  candidates.forEach((candidate, place) => {
    const key = String(keys[place]);
    const group = members.get(key);
    if (group) group.push(candidate);
    else members.set(key, [candidate]);
  });
  const groups: PlanGroup[] = [];
  const all: Pass['candidates'] = [];
  for (const [key, group] of members) {
    groups.push({ key, first: all.length, count: group.length });
    for (const candidate of group) all.push(candidate);
  }
  return { candidates: all, groups };
}

function movesOf(candidates: Pass['candidates'], release: Release): { moves: Move[]; moveOf?: number[] } {
  const moves: Move[] = [];
  const places = new Map<string, number>();
  const moveOf = candidates.map(({ standing, from }) => {
    const key = `${standing.product} ${from}`;
    let place = places.get(key);
    if (place === undefined) {
      place =
        moves.push({ product: standing.product, from, to: versionIn(release, standing.product) as string, release: release.version }) - 1;
      places.set(key, place);
    }
    return place;
  });
  return moves.length === 1 ? { moves } : { moves, moveOf };
}

/** Waves as running totals; what the last wave leaves over is a wave of its own. */
function wavesOf(stage: Stage, total: number): PlanWave[] {
  const waves: PlanWave[] = [];
  let until = 0;
  for (const amount of stage.strategy?.waves ?? ['rest']) {
    until = Math.min(total, amount === 'rest' || amount === 'all' ? total : until + Math.max(1, amountOf(amount, total)));
    if (until > (waves.at(-1)?.until ?? 0)) waves.push({ until });
  }
  if (until < total) waves.push({ until: total });
  return waves;
}

function budgetOf(stage: Stage, grouped: boolean, groups: PlanGroup[], total: number): { failures: number; per: 'stage' | 'group' } {
  const per = stage.budget?.per ?? (grouped ? 'group' : 'stage');
  const of = per === 'stage' ? total : groups.reduce((least, group) => Math.min(least, group.count), total);
  return { failures: allowanceOf(stage.budget?.failures ?? 0, of), per };
}

/** A stage that selects nobody at all is a mistake, not an empty stage. */
export function emptyStageFault(stage: Stage, standings: readonly Standing[], params: Record<string, unknown>): Fault | undefined {
  const pass: Pass = {
    release: {} as Release,
    candidates: standings.map((standing, index) => ({ standing, index, from: standing.version })),
  };
  const faults: Fault[] = [];
  if (stage.select === undefined || selected(stage, pass, params, faults).length > 0) return undefined;
  // An expression that cannot be evaluated selects nobody: that mistake is reported where the stage is compiled.
  if (faults.length > 0) return undefined;
  const labels = [
    ...new Set(standings.flatMap(({ target }) => Object.entries(target.labels ?? {}).map(([key, value]) => `${key}=${value}`))),
  ];
  return fault('stage-empty', stage.name ?? '', `the stage ${stage.name} selects no target`, {
    found: stage.select,
    expected: `a condition that holds for some target; their labels are ${labels.slice(0, 12).join(', ') || 'none'}`,
    remedy: 'Correct `select`, or the labels of the inventory.',
  });
}
