/** Every pack has the same shape. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { PACKS } from './registry.ts';

describe('packs', () => {
  for (const pack of PACKS)
    test(`${pack.name} has the shape of a pack`, () => {
      for (const name of ['pack.yaml', 'procedures', 'upgrades', 'lab.ts', 'README.md'])
        assert.ok(existsSync(join(pack.folder, name)), name);
      const sheet = parse(readFileSync(join(pack.folder, 'pack.yaml'), 'utf8')) as Record<string, unknown>;
      assert.deepEqual(Object.keys(sheet), ['name', 'title', 'description', 'version', 'products', 'can', 'source']);
      assert.equal(sheet['name'], pack.name);
    });
});
