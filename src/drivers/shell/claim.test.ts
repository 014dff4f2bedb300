/** Who comes first to a job that is slow to begin: the job itself, or an observer who makes sure that it never will (D2). */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { newFence, temporaryFolder, until } from '../call.fixture.ts';
import { observeJob, startJob } from './detached.ts';
import { ShellHost } from './shell.fixture.ts';

const untilSoon = () => ({ signal: new AbortController().signal, deadline: Date.now() + 20_000, output: () => {} });

test('a job that had not begun when it was said to be absent never begins, and its start says so', async (t) => {
  const folder = temporaryFolder(t);
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  // Leads a session of its own, as setsid does, but only once the test says so.
  const gate = join(folder, 'gate');
  const passed = join(folder, 'passed');
  writeFileSync(join(bin, 'setsid'), `#!/bin/sh\nwhile [ ! -f ${gate} ]; do sleep 0.05; done\n"$@"\ntouch ${passed}\n`, { mode: 0o755 });
  const host = new ShellHost({ name: 'slow', command: ['sh'], path: `${bin}:${process.env['PATH']}` }, folder);
  const fence = newFence();
  const started = startJob(host, fence, `touch ${join(folder, 'ran')}`, untilSoon());
  await until('the job is there', () => existsSync(join(host.folderOf(fence), 'command')));
  assert.deepEqual(await observeJob(host, fence, untilSoon()), { kind: 'absent' });
  writeFileSync(gate, '');
  await until('the job has had its turn', () => existsSync(passed));
  assert.equal(existsSync(join(folder, 'ran')), false);
  assert.equal((await started).kind, 'refused');
});
