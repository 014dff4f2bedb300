/** A problem of a document: where it is, what was expected, what was found, and what was probably meant. */

/** A place in a document: keys and indices from its root. */
export type Path = readonly (string | number)[];

export type Problem = {
  severity: 'error' | 'warning';
  file: string;
  /** From 1; 0 where a problem is about the file as a whole. */
  line: number;
  column: number;
  /** The place within the document, for programs and for documents without lines: `stages[1].strategy`. */
  at: string;
  message: string;
  expected?: string;
  found?: string;
  /** What was probably meant. */
  suggestion?: string;
};

/** `stages[1].strategy.parallel` */
export function pathText(path: Path): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else if (/^[A-Za-z_][\w-]*$/.test(key)) text += text === '' ? key : `.${key}`;
    else text += `["${key}"]`;
  }
  return text;
}

/** A value as an error shows it: its JSON, at most 60 characters, with the type where that says more. */
export function foundText(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'object') return 'a map';
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value));
  const short = text.length > 60 ? `${text.slice(0, 57)}…` : text;
  return typeof value === 'string' ? short : `the ${typeof value} ${short}`;
}

/** `file:line:column: error: message` with a second, indented line of what was expected and meant. */
export function problemText(problem: Problem): string {
  const where = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : problem.file;
  const lines = [`${where}: ${problem.severity}: ${problem.message}`];
  const more: string[] = [];
  if (problem.expected !== undefined) more.push(`expected ${problem.expected}`);
  if (problem.found !== undefined) more.push(`found ${problem.found}`);
  if (more.length > 0) lines.push(`    ${more.join('; ')}`);
  if (problem.suggestion !== undefined) lines.push(`    did you mean ${problem.suggestion}?`);
  return lines.join('\n');
}

/** Orders problems as a reader walks the files. */
export function compareProblems(a: Problem, b: Problem): number {
  return a.file.localeCompare(b.file) || a.line - b.line || a.column - b.column || a.message.localeCompare(b.message);
}
