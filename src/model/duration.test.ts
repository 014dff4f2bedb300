import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DURATION_PATTERN, durationMs, durationText } from './duration.ts';

const ROWS: [string, number][] = [
  ['250ms', 250],
  ['30s', 30_000],
  ['45m', 2_700_000],
  ['1h30m', 5_400_000],
  ['1.5h', 5_400_000],
  ['2d', 172_800_000],
  ['1m500ms', 60_500],
  ['0s', 0],
];
for (const [text, ms] of ROWS)
  test(`${text} is ${ms} ms`, () => {
    assert.match(text, new RegExp(DURATION_PATTERN));
    assert.equal(durationMs(text), ms);
  });

test('what is no duration is refused by the pattern, and thrown at behind it', () => {
  for (const text of ['5', '5 m', '-5m', 'm', '5M', '1h 30m', '5min', '.5h', '1e3s']) {
    assert.doesNotMatch(text, new RegExp(DURATION_PATTERN));
    assert.throws(() => durationMs(text), /not a duration/);
  }
});

test('a duration is the sum of its parts', () => {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
    ['ms', 1],
  ] as const;
  const part = fc.tuple(fc.nat(999), fc.constantFrom(...units));
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      const text = parts.map(([count, [unit]]) => `${count}${unit}`).join('');
      assert.equal(
        durationMs(text),
        parts.reduce((sum, [count, [, ms]]) => sum + count * ms, 0),
      );
    }),
  );
});

const TEXTS: [number, string][] = [
  [0, '0ms'],
  [850, '850ms'],
  [999.6, '1.0s'],
  [4200, '4.2s'],
  [9999, '10s'],
  [59_400, '59s'],
  [59_999, '1m 00s'],
  [185_000, '3m 05s'],
  [7_800_000, '2h 10m'],
  [273_600_000, '3d 4h'],
];
for (const [ms, text] of TEXTS) test(`${ms} ms reads ${text}`, () => assert.equal(durationText(ms), text));
