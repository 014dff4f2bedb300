import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EMPTY, entries, filled, get, push, set, type Vector } from './vector.ts';

test('a vector holds what an array would, and old ones keep what they held', () => {
  const change = fc.oneof(fc.record({ push: fc.nat() }), fc.record({ at: fc.nat(), value: fc.nat() }));
  fc.assert(
    fc.property(fc.nat(600), fc.array(change, { maxLength: 40 }), (length, changes) => {
      let vector: Vector<number> = filled(length, -1);
      let array = new Array<number>(length).fill(-1);
      for (const one of changes) {
        const [before, copy] = [vector, [...array]];
        if ('push' in one) {
          vector = push(vector, one.push);
          array = [...array, one.push];
        } else if (array.length > 0) {
          vector = set(vector, one.at % array.length, one.value);
          array = array.with(one.at % array.length, one.value);
        }
        assert.deepEqual([...entries(before)], copy);
      }
      assert.equal(vector.length, array.length);
      assert.deepEqual([...entries(vector)], array);
      array.forEach((value, index) => assert.equal(get(vector, index), value));
    }),
    { numRuns: 50 },
  );
});

test('a change shares every chunk but one, and no change shares the vector', () => {
  const before = filled(1000, 'waiting');
  const after = set(before, 700, 'done');
  assert.deepEqual(
    after.chunks.map((chunk, index) => chunk === before.chunks[index]),
    [true, true, false, true],
  );
  assert.equal(set(after, 700, 'done'), after);
});

test("an index that is not there is a programmer's error", () => {
  assert.throws(() => get(EMPTY, 0), RangeError);
  assert.throws(() => set(filled(3, 0), 3, 1), RangeError);
  assert.throws(() => get(filled(3, 0), -1), RangeError);
});
