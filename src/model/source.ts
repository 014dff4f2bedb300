/**
 * Texts into documents, with a place for every value.
 *
 * JSON is parsed as JSON (fast) and only parsed again as YAML when a problem needs a line. Limits: a file of at most 32 MiB, at most
 * 100 uses of an alias, at most 100 levels. A key that occurs twice is a problem in JSON too, where parsers keep the last one silently.
 */
import {
  type Alias,
  type Document,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  LineCounter,
  parseAllDocuments,
  visit,
  type YAMLParseError,
} from 'yaml';
import type { Path, Problem } from './problem.ts';
import { nearest } from './suggestion.ts';

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
  const decoded = decodeText(file, bytes);
  return 'text' in decoded ? parseText(file, decoded.text) : { documents: [], problems: [decoded.problem] };
}

/** The text of a file, or why it is none. */
export function decodeText(file: string, bytes: Uint8Array): { text: string } | { problem: Problem } {
  const refuse = (message: string, more: Partial<Problem>): { problem: Problem } => ({
    problem: { severity: 'error', file, line: 0, column: 0, at: '', message, ...more },
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
    const before = textBeforeBadByte(bytes);
    const byte = `0x${(bytes[new TextEncoder().encode(before).length] as number).toString(16).padStart(2, '0')}`;
    return refuse('the file is not UTF-8', {
      ...placeOf(before),
      expected: 'UTF-8',
      found: `the byte ${byte}, which is not part of a character (is it Latin-1?)`,
    });
  }
  const nul = text.indexOf('\0');
  if (nul >= 0)
    return refuse('the file holds a NUL character', {
      ...placeOf(text.slice(0, nul)),
      expected: 'YAML or JSON text',
      found: 'binary data',
    });
  return { text };
}

/** The text before the first byte that is part of no character. O(n log n). */
function textBeforeBadByte(bytes: Uint8Array): string {
  const decode = (end: number) =>
    new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes.subarray(0, end), { stream: true });
  let good = 0;
  let bad = bytes.length;
  while (good < bad) {
    const middle = Math.floor((good + bad) / 2);
    try {
      decode(middle + 1);
      good = middle + 1;
    } catch {
      bad = middle;
    }
  }
  return decode(good);
}

/** The place just after a text. */
function placeOf(before: string): Place {
  return { line: before.split('\n').length, column: before.length - before.lastIndexOf('\n') };
}

/** As {@link parseSource}, for a text that is already decoded. */
export function parseText(file: string, text: string): Source {
  if (/^\s*[[{]/.test(text) && firstTooDeep(text) < 0 && !hasDuplicateKey(text)) {
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

/** Whether a map of a JSON text has a key twice; of no meaning where the text is not JSON. O(n). */
function hasDuplicateKey(text: string): boolean {
  const open: Set<string>[] = [];
  for (const [token, key, colon] of text.matchAll(/"((?:[^"\\]|\\.)*)"(\s*:)?|[{}]/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (colon !== undefined) {
      const keys = open.at(-1);
      if (keys?.has(key as string)) return true;
      keys?.add(key as string);
    }
  }
  return false;
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
    const message = 'nested too deeply';
    problems.push({
      severity: 'error',
      file,
      ...placeOf(text.slice(0, tooDeep)),
      at: '',
      message,
      expected: `at most ${MAX_DEPTH} levels`,
    });
    return { documents, problems };
  }
  let parsed: Document.Parsed[];
  try {
    const all = parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: true,
      strict: true,
      // Sets, dates and bytes are no data that a plan could hold.
      resolveKnownTags: false,
    });
    parsed = Array.isArray(all) ? all : [];
  } catch (error) {
    report(0, `not YAML: ${(error as Error).message}`);
    return { documents, problems };
  }
  for (const document of parsed) {
    for (const error of tellingErrors(document.errors)) report(error.pos[0], yamlMessage(text, error));
    for (const { code, pos } of document.warnings)
      if (code === 'TAG_RESOLVE_FAILED')
        report(pos[0], `the tag ${text.slice(...pos)} means nothing here: the value is taken as it stands`, { severity: 'warning' });
    if (document.errors.length > 0 || document.contents === null) continue;
    const badKey = keyOfParts(document);
    if (badKey !== undefined) {
      report(badKey, 'a key is a map or a list; a text that begins with { or [ is put in quotes');
      continue;
    }
    let value: unknown;
    try {
      value = document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      const offset = document.contents.range?.[0] ?? 0;
      const unresolved = unresolvedAlias(document);
      if (unresolved) report(unresolved.offset, `no anchor is called ${unresolved.name}`, unresolved.more);
      else if (error instanceof RangeError) report(offset, 'nested too deeply', { expected: `at most ${MAX_DEPTH} levels` });
      else report(offset, 'aliases expand too far', { expected: 'at most 100 uses of an alias', found: 'more' });
      continue;
    }
    // Nothing between two `---`, or after the last.
    if (value === null) continue;
    const locate: SourceDocument['locate'] = (path, ofKey) => locateIn(document, lines, path, ofKey ?? false);
    const deep = pathTooDeep(value, []);
    if (deep)
      problems.push({
        severity: 'error',
        file,
        ...locate(deep),
        at: '',
        message: 'nested too deeply',
        expected: `at most ${MAX_DEPTH} levels`,
      });
    else documents.push({ file, value, locate });
  }
  if (documents.length === 0 && problems.length === 0)
    problems.push({ severity: 'error', file, line: 0, column: 0, at: '', message: 'the file holds no document' });
  return { documents, problems };
}

/** The path of the first value below more levels than are allowed. */
function pathTooDeep(value: unknown, path: Path): Path | undefined {
  if (value === null || typeof value !== 'object') return undefined;
  if (path.length >= MAX_DEPTH) return path;
  for (const [key, item] of Object.entries(value)) {
    const deep = pathTooDeep(item, [...path, Array.isArray(value) ? Number(key) : key]);
    if (deep) return deep;
  }
  return undefined;
}

/** One error per mistake: after the first slip of syntax the parser has lost its way; keys that occur twice are each a mistake. */
function tellingErrors(errors: readonly YAMLParseError[]): YAMLParseError[] {
  const slip = errors.find((error) => error.code !== 'DUPLICATE_KEY');
  return errors.filter((error) => error === slip || (error.code === 'DUPLICATE_KEY' && (!slip || error.pos[0] < slip.pos[0])));
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

/** The offset of the first key that is a map or a list: YAML allows it, and JavaScript would make some text of it. */
function keyOfParts(document: Document.Parsed): number | undefined {
  let found: number | undefined;
  visit(document, {
    Pair(_, { key }) {
      if (!isCollection(key) && !(isAlias(key) && isCollection(key.resolve(document)))) return undefined;
      found = key.range?.[0] ?? 0;
      return visit.BREAK;
    },
  });
  return found;
}

/** The first alias without an anchor before it. */
function unresolvedAlias(document: Document.Parsed): { offset: number; name: string; more: Partial<Problem> } | undefined {
  const anchors = new Set<string>();
  let found: Alias | undefined;
  visit(document, {
    Node(_, node) {
      if (isAlias(node)) {
        if (anchors.has(node.source)) return undefined;
        found = node;
        return visit.BREAK;
      }
      if (node.anchor !== undefined) anchors.add(node.anchor);
      return undefined;
    },
  });
  if (!found) return undefined;
  const meant = nearest(found.source, anchors);
  return {
    offset: found.range?.[0] ?? 0,
    name: found.source,
    more: { expected: `&${found.source} before it`, ...(meant === undefined ? {} : { suggestion: `*${meant}` }) },
  };
}

const YAML_MESSAGES: Record<string, string> = {
  TAB_AS_INDENT: 'a tab is used for indentation; YAML wants spaces',
  BAD_INDENT: 'the indentation does not fit what is above',
  MULTILINE_IMPLICIT_KEY: 'a key spans several lines; is a colon or a quote missing?',
  MISSING_CHAR: 'something is missing here: a colon, a comma, or a closing quote or bracket',
  BLOCK_AS_IMPLICIT_KEY: 'a second colon in one line; a text that holds ": " is put in quotes',
  BAD_SCALAR_START: 'a text that begins with such a character is put in quotes',
};

function yamlMessage(text: string, { code, message, pos }: YAMLParseError): string {
  if (code === 'DUPLICATE_KEY') return `the key ${/^"?([^\s:,}"]{1,60})/.exec(text.slice(pos[0]))?.[1] ?? ''} occurs twice`;
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
