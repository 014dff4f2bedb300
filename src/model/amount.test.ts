import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AMOUNT_PATTERN, type Amount, allowanceOf, amountOf } from './amount.ts';

const ROWS: [Amount, total: number, amount: number, allowance: number][] = [
  [1, 10, 1, 1],
  [20, 10, 10, 10],
  ['3', 10, 3, 3],
  ['all', 10, 10, 10],
  ['rest', 10, 10, 10],
  ['10%', 3, 1, 0],
  ['50%', 3, 2, 1],
  ['100%', 7, 7, 7],
  ['0.1%', 1000, 1, 1],
  ['12.5%', 8, 1, 1],
  // In floating point 7 / 100 * 100 is more than 7, 29 / 100 * 100 less than 29, and 1.1 * 1000 more than 1100.
  ['7%', 100, 7, 7],
  ['29%', 100, 29, 29],
  ['1.1%', 1000, 11, 11],
  ['25%', 0, 0, 0],
];
for (const [amount, total, count, allowed] of ROWS)
  test(`${amount} of ${total} is ${count} to start and ${allowed} to lose`, () => {
    assert.equal(amountOf(amount, total), count);
    assert.equal(allowanceOf(amount, total), allowed);
  });

test('an amount is never nothing', () => {
  const pattern = new RegExp(AMOUNT_PATTERN);
  for (const text of ['0', '0%', '0.0%', '0.00%', '-1', '101%', '1.%', '%', 'half', '', '5 %'])
    assert.equal(pattern.test(text), false, text);
  for (const text of ['1', '1%', '0.5%', '0.05%', '10.0%', '100%', 'all', 'rest']) assert.equal(pattern.test(text), true, text);
});

const share = fc
  .tuple(fc.nat(100), fc.nat(99))
  .map(([whole, part]) => (whole === 100 ? '100%' : `${whole}.${String(part).padStart(2, '0')}%`));

test('a share starts at least one, loses no more than it starts, and never more than there are', () => {
  fc.assert(
    fc.property(share, fc.integer({ min: 1, max: 1_000_000 }), (amount, total) => {
      fc.pre(new RegExp(AMOUNT_PATTERN).test(amount));
      const [up, down] = [amountOf(amount, total), allowanceOf(amount, total)];
      assert.ok(up >= 1 && up <= total);
      assert.ok(down >= 0 && down <= up && up - down <= 1);
    }),
  );
});
