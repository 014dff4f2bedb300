import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nearest } from './suggestion.ts';

const STATES = ['install', 'reboot', 'verify', 'done', 'on'];
const ROWS: [word: string, meant: string | undefined][] = [
  ['instal', 'install'],
  ['isntall', 'install'],
  ['INSTALL', 'install'],
  ['rebooot', 'reboot'],
  ['verfiy', 'verify'],
  ['doen', 'done'],
  ['o', 'on'],
  ['in', 'on'],
  ['upgrade', undefined],
  ['', undefined],
  ['xy', undefined],
  ['install'.repeat(20), undefined],
];
for (const [word, meant] of ROWS)
  test(`"${word.slice(0, 20)}" was meant to be ${meant ?? 'nothing known'}`, () => assert.equal(nearest(word, STATES), meant));

test('of several that are near the nearest is meant, and of equals the first', () => {
  assert.equal(nearest('se-12', ['se-1', 'se-2', 'se-112']), 'se-1');
  assert.equal(nearest('success', ['succeeded', 'sucess']), 'sucess');
});
