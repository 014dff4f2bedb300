/**
 * JSON Schemas and the TypeScript types that follow from them, written once.
 *
 * Each function returns plain JSON Schema (draft 2020-12), so that editors and servers use it as it is; `Static<S>` is the type of a
 * value that passed it. `expected` is our one extension: what an error says was expected there.
 */

declare const staticType: unique symbol;
declare const optionalMark: unique symbol;

export type JsonSchema = {
  type?: 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean';
  title?: string;
  description?: string;
  expected?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: boolean | JsonSchema;
  items?: JsonSchema;
  minItems?: number;
  minProperties?: number;
  enum?: readonly string[];
  const?: string | number | boolean;
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  anyOf?: JsonSchema[];
  examples?: unknown[];
  default?: unknown;
};

export type Schema<T> = JsonSchema & { readonly [staticType]?: T };
export type OptionalSchema<T> = Schema<T> & { readonly [optionalMark]: true };
export type Static<S> = S extends { readonly [staticType]?: infer T } ? Exclude<T, undefined> : never;

/** The keywords a caller may add to any schema. */
export type Note = { title?: string; description?: string; expected?: string; examples?: unknown[]; default?: unknown };

const optionals = new WeakSet<JsonSchema>();

type Properties = Record<string, Schema<unknown>>;
type ObjectOf<P extends Properties> = {
  [K in keyof P as P[K] extends { readonly [optionalMark]: true } ? never : K]: Static<P[K]>;
} & { [K in keyof P as P[K] extends { readonly [optionalMark]: true } ? K : never]?: Static<P[K]> };
type Flat<T> = { [K in keyof T]: T[K] };

/** An object with exactly these keys: any other key is a problem. */
export function object<P extends Properties>(properties: P, note: Note = {}): Schema<Flat<ObjectOf<P>>> {
  const required = Object.keys(properties).filter((key) => !optionals.has(properties[key] as JsonSchema));
  return { ...note, type: 'object', properties, ...(required.length ? { required } : {}), additionalProperties: false };
}

/** Marks a key of an object as one that may be left out. */
export function optional<T>(schema: Schema<T>, note: Note = {}): OptionalSchema<T> {
  const copy = { ...schema, ...note };
  optionals.add(copy);
  return copy as unknown as OptionalSchema<T>;
}

/** Any keys, each with a value of this schema. */
export function record<T>(values: Schema<T>, note: Note & { minProperties?: number } = {}): Schema<Record<string, T>> {
  return { ...note, type: 'object', additionalProperties: values };
}

export function array<T>(items: Schema<T>, note: Note & { minItems?: number } = {}): Schema<T[]> {
  return { ...note, type: 'array', items };
}

export function string(note: Note & { pattern?: string; minLength?: number; maxLength?: number } = {}): Schema<string> {
  return { ...note, type: 'string' };
}

export function integer(note: Note & { minimum?: number; maximum?: number } = {}): Schema<number> {
  return { ...note, type: 'integer' };
}

export function boolean(note: Note = {}): Schema<boolean> {
  return { ...note, type: 'boolean' };
}

/** One of these words. */
export function oneOf<const W extends readonly string[]>(words: W, note: Note = {}): Schema<W[number]> {
  return { ...note, type: 'string', enum: words };
}

export function literal<const V extends string | number | boolean>(value: V, note: Note = {}): Schema<V> {
  return { ...note, const: value };
}

/** Any JSON value. */
export function anything(note: Note = {}): Schema<unknown> {
  return { ...note };
}

/** Several forms of one value; the forms must differ in type, so that an error can tell which was meant. */
export function union<const S extends readonly Schema<unknown>[]>(forms: S, note: Note = {}): Schema<Static<S[number]>> {
  return { ...note, anyOf: [...forms] };
}
