/** Expressions, templates and action inputs of documents, checked where they stand. */
import type { ActionCatalog, ActionDeclaration } from '../model/action.ts';
import { compileExpression, compileTemplate, type ExpressionProblem, type Scope } from '../model/expression.ts';
import type { Path } from '../model/problem.ts';
import { mismatches } from '../model/schema-check.ts';
import type { SourceDocument } from '../model/source.ts';
import type { ProblemReport } from './document-set.ts';

function addExpressionProblem(report: ProblemReport, source: SourceDocument, path: Path, text: string, problem: ExpressionProblem): void {
  const oneLine = !text.includes('\n');
  report.add(source, path, `the expression is wrong: ${problem.message}`, {
    found: oneLine ? `${text.slice(0, problem.offset)}▸${text.slice(problem.offset)}` : text.slice(problem.offset, problem.offset + 40),
    suggestion: problem.suggestion,
  });
}

/** An expression that must be true or false. */
export function checkCondition(report: ProblemReport, source: SourceDocument, path: Path, scope: Scope, text: string): void {
  const compiled = compileExpression(scope, text);
  if (!compiled.ok) addExpressionProblem(report, source, path, text, compiled.problem);
  else if (compiled.compiled.type !== 'bool' && compiled.compiled.type !== 'dyn')
    report.add(source, path, 'a condition is expected', {
      expected: 'an expression that is true or false',
      found: `one of type ${compiled.compiled.type}`,
    });
}

/** An expression of any type. */
export function checkExpression(report: ProblemReport, source: SourceDocument, path: Path, scope: Scope, text: string): void {
  const compiled = compileExpression(scope, text);
  if (!compiled.ok) addExpressionProblem(report, source, path, text, compiled.problem);
}

/** Every `${...}` within a value. */
export function checkTemplates(
  report: ProblemReport,
  source: SourceDocument,
  path: Path,
  scope: Scope,
  value: unknown,
  secrets?: ReadonlySet<string>,
): void {
  if (typeof value === 'string') {
    const compiled = compileTemplate(scope, value);
    if (!compiled.ok) addExpressionProblem(report, source, path, value, compiled.problem);
    else if (secrets)
      for (const [, name] of value.matchAll(/\bsecrets\.([A-Za-z_]\w*)/g))
        if (!secrets.has(name as string)) report.unknown(source, path, 'secret of this upgrade', name as string, [...secrets]);
  } else if (Array.isArray(value)) value.forEach((item, index) => checkTemplates(report, source, [...path, index], scope, item, secrets));
  else if (value !== null && typeof value === 'object')
    for (const [key, item] of Object.entries(value)) checkTemplates(report, source, [...path, key], scope, item, secrets);
}

/** The action a document names, its inputs checked; undefined (and reported) where there is none of that name. */
export function checkAction(
  report: ProblemReport,
  source: SourceDocument,
  path: Path,
  actions: ActionCatalog,
  use: { action: string; with?: Record<string, unknown> | undefined },
  scope: Scope,
  secrets?: ReadonlySet<string>,
): ActionDeclaration | undefined {
  const action = actions.get(use.action);
  if (!action) {
    report.unknown(source, [...path, 'action'], 'action', use.action, [...actions.keys()]);
    return undefined;
  }
  const values = use.with ?? {};
  for (const mismatch of mismatches(action.inputs, values)) {
    const value = mismatch.path.reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], values);
    if (typeof value === 'string' && value.includes('${') && !mismatch.ofKey) continue;
    const { path: inner, message, ...more } = mismatch;
    const ofWith = mismatch.ofKey && use.with === undefined;
    report.add(
      source,
      ofWith ? [...path, 'action'] : [...path, 'with', ...inner],
      `${use.action}: ${message}`,
      ofWith ? { ...more, ofKey: false } : more,
    );
  }
  checkTemplates(report, source, [...path, 'with'], scope, values, secrets);
  return action;
}
