/**
 * Texts into documents, with a place for every value.
 *
 * JSON is parsed as JSON (fast) and only parsed again as YAML when a problem needs a line. Limits: a file of at most 32 MiB, at most
 * 100 uses of an alias, at most 100 levels.
 */
import { type Document, isCollection, isMap, isPair, isScalar, LineCounter, parseAllDocuments } from 'yaml';
import type { Path, Problem } from './problem.ts';

export const MAX_BYTES = 32 * 1024 * 1024;
const MAX_DEPTH = 100;

export type Place = { line: number; column: number };

export type SourceDocument = {
  file: string;
  value: unknown;
  /** The line and column (from 1) of a value, or of its key; of the nearest parent where the path does not exist. */
  locate(path: Path, ofKey?: boolean): Place;
};

export type Source = { documents: SourceDocument[]; problems: Problem[] };

/** Decodes and parses one file. Never throws on bad input: whatever is wrong with it is a problem. */
export function parseSource(file: string, bytes: Uint8Array): Source {
  const refuse = (message: string, more: Partial<Problem> = {}): Source => ({
    documents: [],
    problems: [{ severity: 'error', file, line: 0, column: 0, at: '', message, ...more }],
  });
  if (bytes.length > MAX_BYTES)
    return refuse('the file is too large', {
      expected: `at most ${MAX_BYTES / 1048576} MiB`,
      found: `${Math.round(bytes.length / 1048576)} MiB`,
    });
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff))
    return refuse('the file is not UTF-8', { expected: 'UTF-8', found: 'UTF-16 (by its byte order mark)' });
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    const { line, column } = firstBadByte(bytes);
    return refuse('the file is not UTF-8', { line, column, expected: 'UTF-8', found: 'a byte that is none' });
  }
  const nul = text.indexOf('\0');
  if (nul >= 0) return refuse('the file holds a NUL character', { expected: 'YAML or JSON text', found: 'binary data' });
  return parseText(file, text);
}

function firstBadByte(bytes: Uint8Array): Place {
  let start = 0;
  let line = 1;
  for (let end = 0; end <= bytes.length; end++) {
    if (end < bytes.length && bytes[end] !== 10) continue;
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(start, end));
    } catch {
      return { line, column: 1 };
    }
    start = end + 1;
    line++;
  }
  return { line: 1, column: 1 };
}

/** As {@link parseSource}, for a text that is already decoded. */
export function parseText(file: string, text: string): Source {
  if (/^\s*[[{]/.test(text)) {
    try {
      const value = JSON.parse(text) as unknown;
      let parsed: SourceDocument | undefined;
      return {
        documents: [
          {
            file,
            value,
            locate(path, ofKey) {
              parsed ??= parseYaml(file, text).documents[0];
              return parsed?.locate(path, ofKey) ?? { line: 1, column: 1 };
            },
          },
        ],
        problems: [],
      };
    } catch {
      // Not JSON; a YAML flow collection looks the same, and YAML's error has the place.
    }
  }
  return parseYaml(file, text);
}

function parseYaml(file: string, text: string): Source {
  const lines = new LineCounter();
  const documents: SourceDocument[] = [];
  const problems: Problem[] = [];
  const report = (offset: number, message: string, more: Partial<Problem> = {}) => {
    const at = lines.linePos(Math.max(0, offset));
    problems.push({ severity: 'error', file, line: at.line || 1, column: at.col || 1, at: '', message, ...more });
  };
  const tooDeep = firstTooDeep(text);
  if (tooDeep >= 0) {
    const before = text.slice(0, tooDeep);
    const line = before.split('\n').length;
    problems.push({
      severity: 'error',
      file,
      line,
      column: tooDeep - before.lastIndexOf('\n'),
      at: '',
      message: 'nested too deeply',
      expected: `at most ${MAX_DEPTH} levels`,
    });
    return { documents, problems };
  }
  let parsed: Document.Parsed[];
  try {
    const all = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true, strict: true });
    parsed = Array.isArray(all) ? all : [];
  } catch (error) {
    report(0, `not YAML: ${(error as Error).message}`);
    return { documents, problems };
  }
  for (const document of parsed) {
    for (const error of document.errors) report(error.pos[0], yamlMessage(error.code, error.message));
    if (document.errors.length > 0 || document.contents === null) continue;
    let value: unknown;
    try {
      value = document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      const offset = document.contents.range?.[0] ?? 0;
      if (error instanceof RangeError) report(offset, 'nested too deeply', { expected: `at most ${MAX_DEPTH} levels` });
      else report(offset, 'aliases expand too far', { expected: 'at most 100 uses of an alias', found: (error as Error).message });
      continue;
    }
    documents.push({ file, value, locate: (path, ofKey) => locateIn(document, lines, path, ofKey ?? false) });
  }
  return { documents, problems };
}

/** Where brackets or indentation open more levels than are allowed: cheap, so that the parser is never given a tower. */
function firstTooDeep(text: string): number {
  let flow = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 91 || c === 123) {
      if (++flow > MAX_DEPTH) return i;
    } else if (c === 93 || c === 125) flow = Math.max(0, flow - 1);
  }
  const tower = /^(?:[ \t]*-[ \t]){100}|^[ ]{2000}/m.exec(text);
  return tower ? tower.index : -1;
}

const YAML_MESSAGES: Record<string, string> = {
  DUPLICATE_KEY: 'the key occurs twice',
  TAB_AS_INDENT: 'a tab is used for indentation; YAML wants spaces',
  BAD_INDENT: 'the indentation does not fit what is above',
  MULTILINE_IMPLICIT_KEY: 'a key spans several lines; is a colon or a quote missing?',
  MISSING_CHAR: 'a character is missing; is a quote or bracket not closed?',
};

function yamlMessage(code: string, message: string): string {
  const ours = YAML_MESSAGES[code];
  const theirs = message.split('\n')[0] as string;
  return ours ? `${ours} (${theirs})` : `not YAML: ${theirs}`;
}

function locateIn(document: Document.Parsed, lines: LineCounter, path: Path, ofKey: boolean): Place {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0] ?? 0;
  for (let depth = 0; depth < path.length; depth++) {
    const key = path[depth] as string | number;
    const last = depth === path.length - 1;
    if (isMap(node)) {
      const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(key));
      if (!pair) break;
      const keyNode = pair.key as { range?: [number, number, number] };
      offset = keyNode.range?.[0] ?? offset;
      node = pair.value;
    } else if (isCollection(node)) {
      node = node.items[Number(key)];
      if (node === undefined) break;
    } else break;
    const range = (node as { range?: [number, number, number] } | null)?.range;
    if (range && !(last && ofKey)) offset = range[0];
  }
  const at = lines.linePos(offset);
  return { line: at.line, column: at.col };
}
