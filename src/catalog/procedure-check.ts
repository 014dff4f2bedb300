/** Checks a procedure: every outcome leads somewhere, every state can be reached, every way ends. */
import type { ActionCatalog, ActionDeclaration } from '../model/action.ts';
import { LOST, type Procedure, type State, stepsOf } from '../model/documents/index.ts';
import type { Path } from '../model/problem.ts';
import { nearest } from '../model/suggestion.ts';
import { checkAction, checkCondition, checkExpression, checkTemplates } from './expression-check.ts';
import type { Placed, ProblemReport } from './problem-report.ts';

export function checkProcedure(
  placed: Placed<Procedure>,
  procedures: ReadonlyMap<string, Procedure>,
  actions: ActionCatalog,
  report: ProblemReport,
): void {
  const { body, source } = placed;
  const names = Object.keys(body.states);
  if (!Object.hasOwn(body.states, body.start)) report.unknown(source, ['start'], 'state', body.start, names);
  const complete = Object.entries(body.states).map(([name, state]) => checkState(placed, name, state, actions, report));
  // What only a missing next state would lead to is no second mistake.
  if (!complete.includes(false)) checkReach(placed, report);
  if (body.observe) {
    const action = checkAction(report, source, ['observe'], actions, body.observe, { name: 'with' });
    if (action) {
      checkExpression(report, source, ['observe', 'version'], { name: 'result', result: action.result }, body.observe.version);
      if (action.traits.disruptive)
        report.add(source, ['observe', 'action'], `${action.name} is disruptive; reading a version must not be`);
    }
  }
  if (body.rollback !== undefined) {
    const back = procedures.get(body.rollback);
    if (!back) report.undeclared(source, ['rollback'], 'procedure', body.rollback, [...procedures.keys()]);
    else if (back.rollback !== undefined && !isSecondOfCycle(body, back))
      report.add(source, ['rollback'], `the rollback ${body.rollback} has a rollback of its own`, {
        expected: 'a procedure without rollback: a failed rollback is for a person',
        found:
          back.rollback === body.name ? `a cycle: ${[...new Set([body.name, body.rollback])].join(' → ')} → ${body.name}` : back.rollback,
      });
  }
}

/** Two procedures that roll each other back are one mistake, reported at the first by name. */
function isSecondOfCycle(body: Procedure, back: Procedure): boolean {
  return back.rollback === body.name && back.name < body.name;
}

/** Returns whether every outcome has its next state, as far as is known. */
function checkState(placed: Placed<Procedure>, name: string, state: State, actions: ActionCatalog, report: ProblemReport): boolean {
  const { body, source } = placed;
  const path: Path = ['states', name];
  for (const [index, one] of (state.cases ?? []).entries())
    if (!Object.hasOwn(body.cases ?? {}, one))
      report.unknown(source, [...path, 'cases', index], 'case', one, Object.keys(body.cases ?? {}));
  if (state.final) {
    for (const key of ['action', 'on', 'outcomes', 'save', 'with'] as const)
      if (state[key] !== undefined)
        report.add(source, [...path, key], `the final state ${name} has ${key}; nothing follows it`, { ofKey: true });
    return true;
  }
  if (state.result !== undefined)
    report.add(source, [...path, 'result'], `only a final state or a transition has a result`, { ofKey: true });
  if (state.next !== undefined) {
    if (state.action !== undefined || state.on !== undefined)
      report.add(source, [...path, 'next'], `${name} has an action, so its outcomes say what follows`, {
        expected: 'either next, or action and on',
        ofKey: true,
      });
    else if (!Object.hasOwn(body.states, state.next))
      report.unknown(source, [...path, 'next'], 'state', state.next, Object.keys(body.states));
    return true;
  }
  if (state.target !== undefined) checkTemplates(report, source, [...path, 'target'], { name: 'with' }, state.target);
  if (state.action === undefined) {
    report.add(source, path, `the state ${name} has no action`, { expected: 'an action with on, or next, or final: true', ofKey: true });
    return false;
  }
  const action = checkAction(report, source, path, actions, { action: state.action, with: state.with }, { name: 'with' });
  if (!action) return true;
  const idempotent = state.traits?.idempotent ?? action.traits.idempotent ?? false;
  if ((state.attempts ?? 1) > 1 && !idempotent)
    report.add(source, [...path, 'attempts'], `${name} is tried again only if that does no harm`, {
      expected: 'traits: {idempotent: true}, or no attempts',
      ofKey: true,
    });
  const scope = { name: 'result', result: action.result } as const;
  for (const [label, condition] of Object.entries(state.outcomes ?? {}))
    checkCondition(report, source, [...path, 'outcomes', label], scope, condition);
  for (const [value, expression] of Object.entries(state.save ?? {}))
    checkExpression(report, source, [...path, 'save', value], scope, expression);
  return checkTransitions(placed, name, state, action, report);
}

function checkTransitions(
  placed: Placed<Procedure>,
  name: string,
  state: State,
  action: ActionDeclaration,
  report: ProblemReport,
): boolean {
  const { body, source } = placed;
  const path: Path = ['states', name];
  const outcomes = [...Object.keys(action.outcomes), ...Object.keys(state.outcomes ?? {})];
  const on = state.on ?? {};
  const missing = outcomes.filter((outcome) => !Object.hasOwn(on, outcome));
  // An outcome that is there but misspelt is reported where it stands.
  const meant = new Set(Object.keys(on).flatMap((label) => (outcomes.includes(label) ? [] : (nearest(label, missing) ?? []))));
  for (const outcome of missing)
    if (!meant.has(outcome)) {
      const meaning = action.outcomes[outcome];
      report.add(source, state.on ? [...path, 'on'] : path, `the outcome ${outcome} of ${name} has no next state`, {
        expected: `on: {${outcome}: STATE}${meaning ? ` (${outcome}: ${meaning})` : ''}`,
        ofKey: true,
      });
    }
  for (const [outcome, transition] of Object.entries(on)) {
    const allowed = action.traits.observable ? [...outcomes, LOST] : outcomes;
    if (!allowed.includes(outcome)) report.unknown(source, [...path, 'on', outcome], `outcome of ${action.name}`, outcome, allowed);
    const steps = stepsOf(transition);
    const list = Array.isArray(transition);
    steps.forEach((step, index) => {
      const at: Path = [...path, 'on', outcome, ...(list ? [index] : [])];
      const to: Path = typeof transition === 'string' ? at : [...at, 'to'];
      if (!Object.hasOwn(body.states, step.to)) report.unknown(source, to, 'state', step.to, Object.keys(body.states));
      if (step.when !== undefined) checkCondition(report, source, [...at, 'when'], { name: 'step' }, step.when);
      if (step.case !== undefined && !Object.hasOwn(body.cases ?? {}, step.case))
        report.unknown(source, [...at, 'case'], 'case', step.case, Object.keys(body.cases ?? {}));
      const cases = body.states[step.to]?.cases;
      if (step.case !== undefined && cases && !cases.includes(step.case))
        report.add(source, [...at, 'case'], `the state ${step.to} is not part of the case ${step.case}`, {
          expected: `one of ${cases.join(', ')}`,
          found: step.case,
        });
      if (step.result !== undefined && !body.states[step.to]?.final)
        report.add(source, [...at, 'result'], `a result belongs to the step into a final state`, { ofKey: true });
    });
    if (steps.every((step) => step.when !== undefined))
      report.add(source, [...path, 'on', outcome], `the outcome ${outcome} may have no next state`, {
        expected: 'a last step without when',
        ofKey: true,
      });
  }
  return missing.length === 0;
}

/** Which states are entered from which; a misspelt state is taken as the one that was meant, so that it is one problem and not three. */
function edgesOf(procedure: Procedure): Map<string, string[]> {
  const names = Object.keys(procedure.states);
  const meant = (to: string) => (Object.hasOwn(procedure.states, to) ? to : (nearest(to, names) ?? to));
  return new Map(
    Object.entries(procedure.states).map(([name, state]) => [
      name,
      [
        ...(state.next === undefined ? [] : [meant(state.next)]),
        ...Object.values(state.on ?? {}).flatMap((transition) => stepsOf(transition).map((step) => meant(step.to))),
      ],
    ]),
  );
}

function reachable(edges: ReadonlyMap<string, readonly string[]>, from: readonly string[]): Set<string> {
  const seen = new Set(from);
  const queue = [...from];
  for (let at = queue.pop(); at !== undefined; at = queue.pop())
    for (const next of edges.get(at) ?? [])
      if (!seen.has(next)) {
        seen.add(next);
        queue.push(next);
      }
  return seen;
}

function checkReach({ body, source }: Placed<Procedure>, report: ProblemReport): void {
  const edges = edgesOf(body);
  const names = Object.keys(body.states);
  const start = Object.hasOwn(body.states, body.start) ? body.start : nearest(body.start, names);
  // Where a way leads to a state that nobody knows, what can be reached is not known either.
  if (start === undefined || [...edges.values()].flat().some((to) => !Object.hasOwn(body.states, to))) return;
  const reached = reachable(edges, [start]);
  const finals = Object.entries(body.states)
    .filter(([, state]) => state.final)
    .map(([name]) => name);
  if (finals.length === 0) {
    report.add(source, ['states'], `the procedure ${body.name} never ends`, { expected: 'a state with final: true', ofKey: true });
    return;
  }
  const backwards = new Map<string, string[]>();
  for (const [from, tos] of edges) for (const to of tos) backwards.set(to, [...(backwards.get(to) ?? []), from]);
  const ending = reachable(backwards, finals);
  const apart = names.filter((name) => !reached.has(name));
  for (const name of rootsOf(apart, edges))
    report.add(source, ['states', name], `nothing leads to the state ${name}`, { severity: 'warning', ofKey: true });
  const stuck = names.filter((name) => reached.has(name) && !ending.has(name));
  for (const name of rootsOf(stuck, edges))
    report.add(source, ['states', name], `no way leads from the state ${name} to an end`, {
      expected: 'a way to a state with final: true',
      found: `only ways to ${[...reachable(edges, edges.get(name) ?? [])].join(', ')}`,
      ofKey: true,
    });
}

/** Of some states the fewest, first ones first, from which the others follow. */
function rootsOf(states: readonly string[], edges: ReadonlyMap<string, readonly string[]>): string[] {
  const roots: string[] = [];
  for (const name of states) {
    if (roots.some((root) => reachable(edges, [root]).has(name))) continue;
    const below = reachable(edges, [name]);
    roots.splice(0, roots.length, ...roots.filter((root) => !below.has(root)), name);
  }
  return roots;
}
