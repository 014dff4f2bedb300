/** The launcher, on machines where Node.js is old or missing. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from './command-line.fixture.ts';

const LAUNCHER = fileURLToPath(new URL('../bin/upshift', import.meta.url));

/** A checkout with nothing installed, on a machine whose `node` is of a version, or has none. */
function machine(t: TestContext, node: string | undefined): { launcher: string; path: string } {
  const { path, remove } = temporaryFolder();
  t.after(remove);
  for (const name of ['main/bin', 'tools']) mkdirSync(join(path, name), { recursive: true });
  copyFileSync(LAUNCHER, join(path, 'main/bin/upshift'));
  for (const tool of ['sh', 'dirname', 'readlink'])
    symlinkSync(spawnSync('which', [tool], { encoding: 'utf8' }).stdout.trim(), join(path, 'tools', tool));
  if (node !== undefined) {
    writeFileSync(join(path, 'tools/node'), `#!/bin/sh\ncase $1 in --version) echo v${node}.0.0 ;; -p) echo ${node} ;; esac\n`);
    chmodSync(join(path, 'tools/node'), 0o755);
  }
  return { launcher: join(path, 'main/bin/upshift'), path: join(path, 'tools') };
}

function run({ launcher, path }: { launcher: string; path: string }): { code: number | null; err: string } {
  const { status, stderr } = spawnSync(launcher, ['version'], { encoding: 'utf8', env: { PATH: path } });
  return { code: status, err: stderr };
}

describe('the launcher', () => {
  test('says what is needed where Node.js is too old', (t) => {
    const { code, err } = run(machine(t, '18'));
    assert.equal(code, 1);
    assert.match(err, /needs Node\.js 24 or later; found v18\.0\.0 at \S+\/tools\/node\.\n.*npm ci/);
  });

  test('says what is needed where there is none', (t) => {
    const { code, err } = run(machine(t, undefined));
    assert.equal(code, 1);
    assert.match(err, /needs Node\.js 24 or later; found none\.\n.*npm ci/);
  });

  test('says what is needed where the libraries are not installed', (t) => {
    const { code, err } = run(machine(t, '26'));
    assert.equal(code, 1);
    assert.match(err, /libraries are not installed.*npm ci/);
  });

  test('runs through a link to it', (t) => {
    const { path, remove } = temporaryFolder();
    t.after(remove);
    symlinkSync(LAUNCHER, join(path, 'upshift'));
    const { status, stdout } = spawnSync(join(path, 'upshift'), ['version'], { encoding: 'utf8' });
    assert.equal(status, 0);
    assert.match(stdout, /^upshift \d/);
  });
});
