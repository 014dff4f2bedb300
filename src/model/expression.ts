/**
 * The one expression language: CEL, bare where a condition is expected and as `${...}` inside texts. `$${` stands for a plain `${`.
 *
 * Expressions are compiled and type-checked against a scope (which variables there are, and their types) before a plan exists, so that a
 * misspelt field is a problem of the document and not of the night. Evaluation is pure.
 */
import { Environment } from '@marcbachmann/cel-js';
import { type Fault, fault } from './fault.ts';
import { nearest } from './suggestion.ts';

type FieldTypes = { [field: string]: string | FieldTypes };

const TARGET: FieldTypes = {
  id: 'string',
  product: 'string',
  version: 'string',
  labels: 'map<string, string>',
  vars: 'map<string, dyn>',
};

/** Every variable an expression may see; a scope is a choice of them. */
const VARIABLES: Record<string, string | FieldTypes> = {
  target: TARGET,
  release: {
    product: 'string',
    version: 'string',
    components: 'map<string, string>',
    artifacts: 'map<string, dyn>',
    values: 'map<string, dyn>',
  },
  from: 'string',
  to: 'string',
  params: 'map<string, dyn>',
  upgrade: { name: 'string', product: 'string', from: 'string', to: 'string' },
  run: 'string',
  case: 'string',
  values: 'map<string, dyn>',
  secrets: 'map<string, string>',
  outcome: 'string',
};

/** The scopes, by where the expression stands. */
export const SCOPES = {
  select: ['target', 'params'],
  risk: ['target', 'params', 'from', 'to'],
  with: ['target', 'release', 'from', 'to', 'params', 'upgrade', 'run', 'case', 'values', 'secrets'],
  check: ['target', 'release', 'from', 'to', 'params', 'upgrade', 'run', 'secrets'],
  step: ['target', 'from', 'to', 'params', 'case', 'values', 'outcome'],
  result: ['target', 'from', 'to', 'params', 'case', 'values', 'result'],
} as const satisfies Record<string, readonly string[]>;
export type ScopeName = keyof typeof SCOPES;

export type ResultTypes = Record<string, 'string' | 'int' | 'bool' | 'dyn'>;

export type Scope = { name: ScopeName; result?: ResultTypes };

const environments = new Map<string, Environment>();

function environmentOf(scope: Scope): Environment {
  const key = scope.result ? `${scope.name} ${JSON.stringify(scope.result)}` : scope.name;
  let environment = environments.get(key);
  if (environment) return environment;
  environment = new Environment({
    enableOptionalTypes: true,
    homogeneousAggregateLiterals: false,
    limits: { maxDepth: 60, maxAstNodes: 5000 },
  });
  for (const variable of SCOPES[scope.name]) {
    const type = variable === 'result' ? ((scope.result ?? {}) as FieldTypes) : (VARIABLES[variable] as string | FieldTypes);
    if (typeof type === 'string') environment.registerVariable(variable, type);
    else environment.registerVariable({ name: variable, schema: type as Record<string, string> });
  }
  environment.registerFunction('raw(dyn): dyn', (value: unknown) => value);
  environment.registerFunction('json(string): dyn', parsedJson);
  environments.set(key, environment);
  return environment;
}

/** What a program printed, as a value; an empty map where it is no JSON, so that a condition over it simply does not hold. */
function parsedJson(text: string): unknown {
  try {
    const value = JSON.parse(text) as unknown;
    return value !== null && typeof value === 'object' ? value : { value };
  } catch {
    return {};
  }
}

export type ExpressionProblem = { message: string; offset: number; suggestion?: string };

export type Evaluated = { ok: true; value: unknown } | { ok: false; fault: Fault };

export type Expression = {
  readonly text: string;
  /** The CEL type it has: `bool`, `string`, `int`, `dyn`, … */
  readonly type: string;
  evaluate(variables: Record<string, unknown>): Evaluated;
};

export type Compiled<T> = { ok: true; compiled: T } | { ok: false; problem: ExpressionProblem };

const expressions = new Map<string, Compiled<Expression>>();

/** Compiles and type-checks. The same text in the same scope is compiled once. */
export function compileExpression(scope: Scope, text: string): Compiled<Expression> {
  const key = `${scope.name}|${scope.result ? JSON.stringify(scope.result) : ''}|${text}`;
  let compiled = expressions.get(key);
  if (!compiled) {
    compiled = compile(scope, text);
    if (expressions.size > 10_000) expressions.clear();
    expressions.set(key, compiled);
  }
  return compiled;
}

function compile(scope: Scope, text: string): Compiled<Expression> {
  const environment = environmentOf(scope);
  type Parsed = ReturnType<Environment['parse']>;
  let parsed: Parsed;
  let type: string;
  try {
    parsed = environment.parse(text);
    const checked = parsed.check();
    if (!checked.valid) return { ok: false, problem: problemOf(scope, text, checked.error) };
    type = checked.type ?? 'dyn';
  } catch (error) {
    return { ok: false, problem: problemOf(scope, text, error) };
  }
  const evaluate = (variables: Record<string, unknown>): Evaluated => {
    try {
      return { ok: true, value: plain(parsed(withBigInts(variables, scope.result))) };
    } catch (error) {
      const { code, summary, message } = error as { code?: string; summary?: string; message: string };
      return {
        ok: false,
        fault: fault(
          `expression-${(code ?? 'failed').replaceAll('_', '-')}`,
          text,
          `the expression ${text} cannot be evaluated: ${summary ?? message.split('\n')[0]}`,
          {
            remedy: 'Guard what may be missing, for example with has(a.b) or a.?b.orValue("").',
          },
        ),
      };
    }
  };
  return { ok: true, compiled: { text, type, evaluate } };
}

/** How the parser names what it reads, and how people do. */
const TOKENS: Record<string, string> = {
  EOF: 'the end',
  LPAREN: '"("',
  RPAREN: '")"',
  LBRACKET: '"["',
  RBRACKET: '"]"',
  LBRACE: '"{"',
  RBRACE: '"}"',
  COMMA: '","',
  COLON: '":"',
  IDENTIFIER: 'a name',
};
const TOKEN = new RegExp(`\\b(${Object.keys(TOKENS).join('|')})\\b`, 'g');

/** What CEL can call, for "did you mean". */
const FUNCTIONS = [
  'startsWith',
  'endsWith',
  'contains',
  'matches',
  'size',
  'exists',
  'exists_one',
  'all',
  'filter',
  'map',
  'has',
  'int',
  'string',
  'double',
  'bool',
];

function problemOf(scope: Scope, text: string, error: unknown): ExpressionProblem {
  const { summary, message, range, code } = error as {
    summary?: string;
    message: string;
    range?: { start: number; end: number };
    code?: string;
  };
  const said = (summary ?? message).split('\n')[0] as string;
  const offset = range?.start ?? 0;
  const word = range ? text.slice(range.start, range.end) : '';
  let suggestion: string | undefined;
  let fields: readonly string[] = [];
  if (code === 'unknown_variable') suggestion = nearest(word, SCOPES[scope.name]);
  else if (code === 'no_such_key') {
    const owner = /([A-Za-z_]\w*)\s*\.\??\s*$/.exec(text.slice(0, offset))?.[1] ?? '';
    const types = owner === 'result' ? scope.result : VARIABLES[owner];
    if (types && typeof types === 'object') fields = Object.keys(types);
    suggestion = nearest(word, fields);
  } else {
    const called = /^\s*[\w.]*?(\w+)\s*\(/.exec(word)?.[1];
    if (called !== undefined && !FUNCTIONS.includes(called)) suggestion = nearest(called, FUNCTIONS);
  }
  let there: readonly string[] = code === 'unknown_variable' ? SCOPES[scope.name] : [];
  if (code === 'no_such_key') there = fields;
  const hint = text[offset] === '=' && text[offset - 1] !== '=' ? ' (equal is ==)' : '';
  const plainly = said.replaceAll(TOKEN, (token) => TOKENS[token] as string);
  return {
    message: plainly + hint + (there.length > 0 ? ` (there are ${there.join(', ')})` : ''),
    offset,
    ...(suggestion === undefined ? {} : { suggestion }),
  };
}

/** CEL's ints are BigInts in this library; ours are numbers outside of it. */
function withBigInts(variables: Record<string, unknown>, result: ResultTypes | undefined): Record<string, unknown> {
  if (!result || !variables['result']) return variables;
  const fields = { ...(variables['result'] as Record<string, unknown>) };
  for (const [field, type] of Object.entries(result)) {
    if (type === 'int') fields[field] = BigInt(Math.trunc(Number(fields[field] ?? 0)) || 0);
    else if (type === 'string') fields[field] = String(fields[field] ?? '');
    else if (type === 'bool') fields[field] = fields[field] === true;
    else if (fields[field] === undefined) fields[field] = null;
  }
  return { ...variables, result: fields };
}

/** A CEL value as plain JSON data. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [String(key), plain(item)]));
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  const prototype = Object.getPrototypeOf(value) as unknown;
  if (prototype === Object.prototype || prototype === null)
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  return String(value);
}

/** As {@link Expression}, for a text with `${...}` in it. */
export type Template = {
  readonly text: string;
  /** Whether anything in it is an expression. */
  readonly dynamic: boolean;
  /** The texts of its expressions. */
  readonly expressions: readonly string[];
  /** With `quote`, each inserted value goes through it, unless it says `raw(...)`. A text that is one `${...}` keeps the value's own type. */
  evaluate(variables: Record<string, unknown>, quote?: (value: string) => string): Evaluated;
};

type Part = string | { expression: Expression; raw: boolean };

/** Compiles a text with `${...}` in it; a problem's offset counts from the start of the text. */
export function compileTemplate(scope: Scope, text: string): Compiled<Template> {
  const parts: Part[] = [];
  let rest = 0;
  let literal = '';
  for (;;) {
    const open = text.indexOf('${', rest);
    if (open < 0) break;
    if (text[open - 1] === '$' && open > rest) {
      literal += `${text.slice(rest, open - 1)}\${`;
      rest = open + 2;
      continue;
    }
    literal += text.slice(rest, open);
    const close = closingBrace(text, open + 2);
    if (close < 0) return { ok: false, problem: { message: 'a ${ is not closed (write $${ for a plain ${)', offset: open } };
    const inner = text.slice(open + 2, close);
    const compiled = compileExpression(scope, inner.trim());
    if (!compiled.ok) {
      const lead = inner.length - inner.trimStart().length;
      const hint = /^[A-Z_][A-Z0-9_]*$/.test(inner.trim()) ? `; for a variable of the shell write $\${${inner.trim()}}` : '';
      const problem = compiled.problem;
      return { ok: false, problem: { ...problem, message: problem.message + hint, offset: open + 2 + lead + problem.offset } };
    }
    if (literal !== '') parts.push(literal);
    literal = '';
    parts.push({ expression: compiled.compiled, raw: /^raw\s*\(/.test(inner.trim()) });
    rest = close + 1;
  }
  literal += text.slice(rest);
  if (literal !== '' || parts.length === 0) parts.push(literal);
  return { ok: true, compiled: template(text, parts) };
}

function template(text: string, parts: Part[]): Template {
  const only = parts.length === 1 ? parts[0] : undefined;
  return {
    text,
    dynamic: parts.some((part) => typeof part !== 'string'),
    expressions: parts.flatMap((part) => (typeof part === 'string' ? [] : [part.expression.text])),
    evaluate(variables, quote) {
      if (only !== undefined && typeof only !== 'string' && !quote) return only.expression.evaluate(variables);
      let out = '';
      for (const part of parts) {
        if (typeof part === 'string') {
          out += part;
          continue;
        }
        const value = part.expression.evaluate(variables);
        if (!value.ok) return value;
        const inserted = insertedText(value.value);
        out += quote && !part.raw ? quote(inserted) : inserted;
      }
      return { ok: true, value: out };
    },
  };
}

function insertedText(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** The offset of the brace that closes an expression, past braces and quotes inside it; -1 where there is none. */
function closingBrace(text: string, from: number): number {
  let depth = 0;
  let quote = '';
  for (let i = from; i < text.length; i++) {
    const c = text[i] as string;
    if (quote !== '') {
      if (c === '\\') i++;
      else if (c === quote) quote = '';
    } else if (c === '"' || c === "'") quote = c;
    else if (c === '{') depth++;
    else if (c === '}') {
      if (depth === 0) return i;
      depth--;
    }
  }
  return -1;
}

/** Evaluates every text within a value. `quoteAt` names the top-level keys that are shell commands. */
export function renderValues(
  scope: Scope,
  input: Record<string, unknown>,
  variables: Record<string, unknown>,
  shell: readonly string[] = [],
): { ok: true; value: Record<string, unknown> } | { ok: false; fault: Fault } {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(input)) {
    const rendered = render(scope, value, variables, shell.includes(key) ? shellQuote : undefined);
    if (!rendered.ok) return rendered;
    out[key] = rendered.value;
  }
  return { ok: true, value: out };
}

function render(scope: Scope, value: unknown, variables: Record<string, unknown>, quote?: (value: string) => string): Evaluated {
  if (typeof value === 'string') {
    const compiled = compileTemplate(scope, value);
    if (!compiled.ok) return { ok: false, fault: fault('expression-invalid', value, compiled.problem.message) };
    return compiled.compiled.evaluate(variables, quote);
  }
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (const item of value) {
      const rendered = render(scope, item, variables, quote);
      if (!rendered.ok) return rendered;
      items.push(rendered.value);
    }
    return { ok: true, value: items };
  }
  if (value !== null && typeof value === 'object') {
    const fields: Record<string, unknown> = {};
    for (const [key, item] of Object.entries(value)) {
      const rendered = render(scope, item, variables, quote);
      if (!rendered.ok) return rendered;
      fields[key] = rendered.value;
    }
    return { ok: true, value: fields };
  }
  return { ok: true, value };
}

/** Quotes a value as one word of a POSIX shell. */
export function shellQuote(value: string): string {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(value) ? value : `'${value.replaceAll("'", "'\\''")}'`;
}
