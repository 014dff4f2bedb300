/** What the end of an action means: to a state, to whoever reads a value, to a check. */
import type { Action, ActionEnd } from '../drivers/contract.ts';
import type { Ending } from '../machines/machine.ts';
import { checkName } from '../machines/run/checks.ts';
import type { Check, State } from '../model/documents/index.ts';
import { compileExpression, type Scope } from '../model/expression.ts';
import { fault } from '../model/fault.ts';

/** The outcome of a state: the first of its own whose condition holds, else the action's; and the values it saves. */
export function judgeState(
  state: State,
  action: Action,
  end: Extract<ActionEnd, { outcome: string }>,
  variables: Record<string, unknown>,
): Ending {
  const scope: Scope = { name: 'result', result: action.declaration.result };
  const seen = { ...variables, result: end.result };
  let outcome = end.outcome;
  for (const [label, condition] of Object.entries(state.outcomes ?? {})) {
    const value = evaluate(scope, condition, seen);
    if (!value.ok && end.outcome === 'success') return { kind: 'ended', outcome: 'failure', fault: value.fault };
    if (value.ok && value.value === true) {
      outcome = label;
      break;
    }
  }
  const values: Record<string, unknown> = {};
  for (const [name, expression] of Object.entries(state.save ?? {})) {
    const value = evaluate(scope, expression, seen);
    if (value.ok) values[name] = value.value;
    else if (outcome === 'success') return { kind: 'ended', outcome: 'failure', fault: { ...value.fault, outcome: 'applied' } };
  }
  return {
    kind: 'ended',
    outcome,
    ...(Object.keys(values).length > 0 ? { values } : {}),
    ...(end.fault === undefined ? {} : { fault: end.fault }),
  };
}

/** What an observation reads: one value, under a name. */
export function judgeValue(
  name: string,
  expression: string,
  action: Action,
  end: Extract<ActionEnd, { outcome: string }>,
  variables: Record<string, unknown>,
): Ending {
  if (end.outcome !== 'success') return { kind: 'ended', outcome: end.outcome, ...(end.fault === undefined ? {} : { fault: end.fault }) };
  const value = evaluate({ name: 'result', result: action.declaration.result }, expression, {
    ...variables,
    result: end.result,
    case: '',
    values: {},
  });
  if (!value.ok) return { kind: 'ended', outcome: 'failure', fault: value.fault };
  return { kind: 'ended', outcome: 'success', values: { [name]: typeof value.value === 'string' ? value.value.trim() : value.value } };
}

export function judgeCheck(
  check: Check,
  action: Action,
  end: Extract<ActionEnd, { outcome: string }>,
  variables: Record<string, unknown>,
): Ending {
  if (check.passes === undefined) return { kind: 'ended', outcome: end.outcome, ...(end.fault === undefined ? {} : { fault: end.fault }) };
  const value = evaluate({ name: 'result', result: action.declaration.result }, check.passes, {
    ...variables,
    result: end.result,
    case: '',
    values: {},
  });
  if (!value.ok) return { kind: 'ended', outcome: 'failure', fault: value.fault };
  if (value.value === true) return { kind: 'ended', outcome: 'success' };
  return {
    kind: 'ended',
    outcome: 'failure',
    fault:
      end.fault ??
      fault('check-not-passed', checkName(check), `${checkName(check)} does not hold yet`, { expected: check.passes, effect: 'wait' }),
  };
}

function evaluate(scope: Scope, text: string, variables: Record<string, unknown>) {
  const compiled = compileExpression(scope, text);
  if (!compiled.ok) return { ok: false as const, fault: fault('expression-invalid', text, compiled.problem.message) };
  return compiled.compiled.evaluate(variables);
}
