import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type LedgerEntry, ledgerViolations } from './ledger.ts';

/** `MS TARGET ACTION PHASE FENCE`, a line each. */
function ledgersOf(...lines: string[]): Map<string, LedgerEntry[]> {
  const ledgers = new Map<string, LedgerEntry[]>();
  for (const line of lines) {
    const [ms, target = '', action = '', phase, fence = 'r/0/1/1'] = line.split(' ');
    const at = new Date(Number(ms)).toISOString();
    ledgers.set(target, [...(ledgers.get(target) ?? []), { at, fence, action, phase: phase as LedgerEntry['phase'], outcome: null }]);
  }
  return ledgers;
}

const GOOD = [
  '1 c freeze end',
  '2 a install begin',
  '3 a install end',
  '4 a reboot begin r/0/2/1',
  '5 a reboot end r/0/2/1',
  '6 b install begin r/1/1/1',
  '7 b install killed r/1/1/1',
  '9 c thaw end',
];

function violations(lines: readonly string[], allowed = 1): string[] {
  return ledgerViolations(ledgersOf(...lines), { allowed: () => allowed, serial: new Map([['g', ['a', 'b']]]), freezer: 'c' });
}

describe('what ledgers show', () => {
  test('of a good run is nothing', () => assert.deepEqual(violations(GOOD), []));

  const BAD: [what: string, lines: string[], says: RegExp, allowed?: number][] = [
    [
      'an action that began twice',
      [...GOOD.slice(0, -1), '8 b install begin r/1/1/2', '8 b install end r/1/1/2', '9 c thaw end'],
      /^P4: b .* 2 times, 1 allowed$/,
    ],
    [
      'a fence that began twice, however often is allowed',
      ['1 c freeze end', '2 a install begin', '3 a install begin', '4 a install end', '5 c thaw end'],
      /^P4: a began install twice under/,
      2,
    ],
    ['work that has not ended', ['1 c freeze end', '2 a install begin', '3 c thaw end'], /on a this has not: install r\/0\/1\/1/],
    [
      'two targets of a group at once',
      ['1 c freeze end', '2 a install begin', '3 b install begin', '4 a install end', '5 b install end', '6 c thaw end'],
      /^P6: in group g, b began/,
    ],
    [
      'a target between two actions of another',
      [
        '1 c freeze end',
        '2 a install begin',
        '3 a install end',
        '4 b install begin',
        '5 b install end',
        '6 a reboot begin',
        '7 a reboot end',
        '8 c thaw end',
      ],
      /^P6/,
    ],
    ['a freeze that is left behind', GOOD.slice(0, -1), /^P7: the run has ended, and c is still frozen/],
    [
      'work before the freeze',
      ['1 a install begin', '2 a install end', '3 c freeze end', '4 c thaw end'],
      /^P7: a began install .* nothing was frozen/,
    ],
    [
      'work after the thaw',
      ['1 c freeze end', '2 c thaw end', '3 a install begin', '4 a install end'],
      /^P7: a began install .* nothing was frozen/,
    ],
  ];
  for (const [what, lines, says, allowed] of BAD)
    test(`includes ${what}`, () => {
      const found = violations(lines, allowed);
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0] as string, says);
    });
});
