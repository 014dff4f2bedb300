/**
 * Checks a value against a schema and reports every mismatch at once.
 *
 * Ours rather than a library's because the point is the message: one problem per mistake (a union reports the form that was meant, not
 * every form that was not), unknown keys with the key that was probably meant, and nothing compiled at start. It reads exactly the
 * keywords that `schema.ts` writes.
 */
import type { Path } from './problem.ts';
import { foundText, pathText } from './problem.ts';
import type { JsonSchema, Schema } from './schema.ts';
import { nearest } from './suggestion.ts';

export type Mismatch = {
  path: Path;
  /** Whether the problem is the key itself rather than its value. */
  ofKey: boolean;
  message: string;
  expected?: string;
  found?: string;
  suggestion?: string;
};

const patterns = new Map<string, RegExp>();

function matches(pattern: string, text: string): boolean {
  let compiled = patterns.get(pattern);
  if (!compiled) {
    compiled = new RegExp(pattern);
    patterns.set(pattern, compiled);
  }
  return compiled.test(text);
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return value === null ? 'null' : typeof value;
}

function isOfType(value: unknown, schema: JsonSchema): boolean {
  const type = schema.type ?? (schema.const === undefined ? undefined : typeof schema.const);
  if (type === undefined) return true;
  return type === 'integer' ? Number.isInteger(value) : typeOf(value) === type;
}

/** What a schema expects, in words. */
export function expectedText(schema: JsonSchema): string {
  if (schema.expected) return schema.expected;
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.length === 1 ? `"${schema.enum[0]}"` : `one of ${schema.enum.join(', ')}`;
  if (schema.anyOf) return schema.anyOf.map(expectedText).join(', or ');
  switch (schema.type) {
    case 'object':
      return schema.properties ? `a map with ${Object.keys(schema.properties).slice(0, 6).join(', ')}` : 'a map';
    case 'array':
      return schema.items ? `a list, each ${expectedText(schema.items)}` : 'a list';
    case 'string':
      return schema.pattern ? `a text matching ${schema.pattern}` : 'a text';
    case 'boolean':
      return 'true or false';
    case 'integer':
      return 'a whole number';
    case 'number':
      return 'a number';
    default:
      return 'a value';
  }
}

/** What a message calls the value at a path: its key, with the index of an entry of a list. */
function nameOf(path: Path): string {
  const key = path.findLastIndex((part) => typeof part === 'string');
  return path.length === 0 ? 'the document' : pathText(path.slice(Math.max(0, key)));
}

/** Every mismatch of `value` with `schema`, in document order. O(size of the value). */
export function mismatches(schema: Schema<unknown>, value: unknown): Mismatch[] {
  const found: Mismatch[] = [];
  check(schema, value, [], found);
  return found;
}

function check(schema: JsonSchema, value: unknown, path: Path, out: Mismatch[]): void {
  if (schema.anyOf) return checkUnion(schema, schema.anyOf, value, path, out);
  const name = nameOf(path);
  const wrong = (message: string, extra: Partial<Mismatch> = {}) =>
    out.push({ path, ofKey: false, message, expected: expectedText(schema), found: foundText(value), ...extra });
  if (!isOfType(value, schema)) {
    wrong(`${name} is not of the right type`);
    return;
  }
  if (schema.const !== undefined && value !== schema.const) wrong(`${name} has the wrong value`);
  if (typeof value === 'string') checkText(schema, value, wrong, name);
  else if (typeof value === 'number') {
    if (schema.minimum !== undefined && value < schema.minimum) wrong(`${name} is too small`, { expected: `at least ${schema.minimum}` });
    if (schema.maximum !== undefined && value > schema.maximum) wrong(`${name} is too large`, { expected: `at most ${schema.maximum}` });
  } else if (Array.isArray(value)) {
    if (schema.minItems !== undefined && value.length < schema.minItems)
      wrong(`${name} has too few entries`, { expected: `at least ${schema.minItems}` });
    const items = schema.items;
    if (items) value.forEach((item, index) => check(items, item, [...path, index], out));
  } else if (typeof value === 'object' && value !== null) checkMap(schema, value as Record<string, unknown>, path, out);
}

function checkText(schema: JsonSchema, value: string, wrong: (message: string, extra?: Partial<Mismatch>) => void, name: string): void {
  if (schema.enum && !schema.enum.includes(value)) {
    const meant = nearest(value, schema.enum);
    wrong(`${name} is not a known word`, meant === undefined ? {} : { suggestion: meant });
    return;
  }
  if (schema.minLength !== undefined && value.length < schema.minLength) wrong(`${name} is empty`);
  else if (schema.maxLength !== undefined && value.length > schema.maxLength)
    wrong(`${name} is too long`, { expected: `at most ${schema.maxLength} characters`, found: `${value.length} characters` });
  else if (schema.pattern && !matches(schema.pattern, value)) wrong(`${name} is not of the right form`);
}

function checkMap(schema: JsonSchema, value: Record<string, unknown>, path: Path, out: Mismatch[]): void {
  const properties = schema.properties ?? {};
  if (schema.minProperties !== undefined && Object.keys(value).length < schema.minProperties)
    out.push({
      path,
      ofKey: false,
      message: `${nameOf(path)} is empty`,
      expected: `at least ${schema.minProperties} entry`,
    });
  for (const key of schema.required ?? []) {
    if (value[key] !== undefined) continue;
    const property = properties[key];
    // A misspelt key is reported where it stands, with this one as what was meant; that is the same mistake.
    const misspelt = Object.keys(value).some((other) => !Object.hasOwn(properties, other) && meantKey(other, properties, value) === key);
    const mismatch: Mismatch = { path, ofKey: true, message: `${key} is missing`, expected: property ? expectedText(property) : 'a value' };
    if (!misspelt) out.push(mismatch);
  }
  for (const [key, item] of Object.entries(value)) {
    if (Object.hasOwn(properties, key)) check(properties[key] as JsonSchema, item, [...path, key], out);
    else if (typeof schema.additionalProperties === 'object') check(schema.additionalProperties, item, [...path, key], out);
    else if (schema.additionalProperties === false) {
      const meant = meantKey(key, properties, value);
      out.push({
        path: [...path, key],
        ofKey: true,
        message: `unknown key ${key}`,
        expected: `one of ${Object.keys(properties).join(', ')}`,
        ...(meant === undefined ? {} : { suggestion: meant }),
      });
    }
  }
}

/** The known key that an unknown one was probably meant to be: one that is not there already. */
function meantKey(key: string, properties: Record<string, JsonSchema>, value: Record<string, unknown>): string | undefined {
  return nearest(
    key,
    Object.keys(properties).filter((known) => !Object.hasOwn(value, known)),
  );
}

/** Of several forms, the one whose type fits is the one that was meant; with several of them, the one with the fewest mismatches. */
function checkUnion(schema: JsonSchema, forms: JsonSchema[], value: unknown, path: Path, out: Mismatch[]): void {
  const fitting = forms.filter((form) => isOfType(value, form));
  let best: Mismatch[] | undefined;
  for (const form of fitting) {
    const found: Mismatch[] = [];
    check(form, value, path, found);
    if (found.length === 0) return;
    if (!best || found.length < best.length) best = found;
  }
  if (best && (fitting.length === 1 || typeof value === 'object')) out.push(...best);
  else {
    const name = nameOf(path);
    const words = forms.flatMap((form) => [...(form.enum ?? [])]);
    const meant = typeof value === 'string' ? nearest(value, words) : undefined;
    out.push({
      path,
      ofKey: false,
      message: `${name} is not of the right form`,
      expected: expectedText(schema),
      found: foundText(value),
      ...(meant === undefined ? {} : { suggestion: meant }),
    });
  }
}
