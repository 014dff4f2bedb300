/** Expressions, templates and action inputs of documents, checked where they stand. */
import type { ActionCatalog, ActionDeclaration } from '../model/action.ts';
import { compileExpression, compileTemplate, type Expression, type ExpressionProblem, type Scope } from '../model/expression.ts';
import { foundText, type Path } from '../model/problem.ts';
import { mismatches } from '../model/schema-check.ts';
import type { SourceDocument } from '../model/source.ts';
import type { ProblemReport } from './problem-report.ts';

/** Names that an expression may use as `params.NAME` and `secrets.NAME`; where one is left out, any will do. */
export type KnownNames = { params?: ReadonlySet<string>; secrets?: ReadonlySet<string> };

/** The names an expression needs of a variable: `params.a` needs a, while `has(params.a)` and `params.?a` do without. */
export function namesNeeded(expression: string, variable: keyof KnownNames): Set<string> {
  const code = expression.replaceAll(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, '""');
  const named = (pattern: string) => new Set([...code.matchAll(new RegExp(pattern, 'g'))].map((match) => match[1] as string));
  return named(`(?<![\\w.])${variable}\\.([A-Za-z_]\\w*)`).difference(named(`has\\(\\s*${variable}\\.([A-Za-z_]\\w*)\\s*\\)`));
}

function checkNames(report: ProblemReport, source: SourceDocument, path: Path, expression: string, known: KnownNames): void {
  for (const variable of ['params', 'secrets'] as const) {
    const names = known[variable];
    if (!names) continue;
    for (const name of namesNeeded(expression, variable))
      if (!names.has(name)) report.unknown(source, path, variable === 'params' ? 'param' : 'secret of this upgrade', name, [...names]);
  }
}

function addExpressionProblem(report: ProblemReport, source: SourceDocument, path: Path, text: string, problem: ExpressionProblem): void {
  const start = text.lastIndexOf('\n', problem.offset - 1) + 1;
  const line = text.slice(start).split('\n')[0] as string;
  const offset = problem.offset - start;
  report.add(source, path, `the expression is wrong: ${problem.message}`, {
    found: `${line.slice(0, offset)}▸${line.slice(offset)}`,
    suggestion: problem.suggestion,
  });
}

/** An expression that must be true or false. */
export function checkCondition(
  report: ProblemReport,
  source: SourceDocument,
  path: Path,
  scope: Scope,
  text: string,
  known: KnownNames = {},
): void {
  const compiled = checkExpression(report, source, path, scope, text, known);
  if (!compiled) return;
  if (compiled.type !== 'bool' && compiled.type !== 'dyn')
    report.add(source, path, 'a condition is expected', {
      expected: 'an expression that is true or false',
      found: `one of type ${compiled.type}`,
    });
}

/** An expression of any type; undefined (and reported) where it is none. */
export function checkExpression(
  report: ProblemReport,
  source: SourceDocument,
  path: Path,
  scope: Scope,
  text: string,
  known: KnownNames = {},
): Expression | undefined {
  if (/^\s*\$\{[\s\S]*\}\s*$/.test(text)) {
    report.add(source, path, 'the expression is wrong: it stands here without ${ and }', {
      expected: text.trim().slice(2, -1).trim(),
      found: foundText(text),
    });
    return undefined;
  }
  const compiled = compileExpression(scope, text);
  if (!compiled.ok) {
    addExpressionProblem(report, source, path, text, compiled.problem);
    return undefined;
  }
  checkNames(report, source, path, text, known);
  return compiled.compiled;
}

/** Every `${...}` within a value. */
export function checkTemplates(
  report: ProblemReport,
  source: SourceDocument,
  path: Path,
  scope: Scope,
  value: unknown,
  known: KnownNames = {},
): void {
  if (typeof value === 'string') {
    const compiled = compileTemplate(scope, value);
    if (!compiled.ok) addExpressionProblem(report, source, path, value, compiled.problem);
    else for (const expression of compiled.compiled.expressions) checkNames(report, source, path, expression, known);
  } else if (Array.isArray(value)) value.forEach((item, index) => checkTemplates(report, source, [...path, index], scope, item, known));
  else if (value !== null && typeof value === 'object')
    for (const [key, item] of Object.entries(value)) checkTemplates(report, source, [...path, key], scope, item, known);
}

/** The action a document names, its inputs checked; undefined (and reported) where there is none of that name. */
export function checkAction(
  report: ProblemReport,
  source: SourceDocument,
  path: Path,
  actions: ActionCatalog,
  use: { action: string; with?: Record<string, unknown> | undefined },
  scope: Scope,
  known: KnownNames = {},
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
  checkTemplates(report, source, [...path, 'with'], scope, values, known);
  return action;
}
