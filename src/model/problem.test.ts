import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foundText, type Path, pathText } from './problem.ts';

const PATHS: [Path, string][] = [
  [[], ''],
  [['stages', 1, 'strategy', 'parallel'], 'stages[1].strategy.parallel'],
  [['states', 'tpvm-upgrade', 'on'], 'states.tpvm-upgrade.on'],
  [['components', '7.2 c'], 'components["7.2 c"]'],
  [[0, 'id'], '[0].id'],
];
for (const [path, text] of PATHS)
  test(`the path ${JSON.stringify(path)} reads ${text || 'as nothing'}`, () => assert.equal(pathText(path), text));

const VALUES: [unknown, string][] = [
  [undefined, 'nothing'],
  [null, 'null'],
  ['17.2', '"17.2"'],
  [17.2, 'the number 17.2'],
  [true, 'the boolean true'],
  [[], 'an empty list'],
  [[1, 2], 'a list of 2'],
  [{ a: 1 }, 'a map'],
  ['a\nb', '"a\\nb"'],
];
for (const [value, text] of VALUES)
  test(`${JSON.stringify(value) ?? 'undefined'} is shown as ${text}`, () => assert.equal(foundText(value), text));

test('a long value is cut short', () => assert.ok(foundText('x'.repeat(1000)).length <= 60));
