/** The detached wrapper under other shells than this machine's `sh`, and with as much output as an upgrade may really print. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { newFence, temporaryFolder } from '../../src/drivers/call.fixture.ts';
import { startJob } from '../../src/drivers/shell/detached.ts';
import { keepsJobs, type Shell, ShellHost } from '../../src/drivers/shell/shell.fixture.ts';
import { TAIL_BYTES } from '../../src/drivers/shell/tail.ts';

function find(program: string): string | undefined {
  try {
    return execFileSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

const busybox = find('busybox');
const applets = mkdtempSync(join(tmpdir(), 'upshift-busybox-'));
after(() => rmSync(applets, { recursive: true, force: true }));

/** A host on which every program is busybox, as on a small device. */
function busyboxShell(program: string): Shell {
  mkdirSync(applets, { recursive: true });
  for (const applet of execFileSync(program, ['--list'], { encoding: 'utf8' }).split('\n').filter(Boolean))
    symlinkSync(program, join(applets, applet));
  return { name: 'busybox sh, with nothing but busybox', command: [join(applets, 'sh')], path: applets };
}

keepsJobs(
  busybox === undefined ? { name: 'busybox sh', command: ['busybox', 'sh'] } : busyboxShell(busybox),
  busybox === undefined && 'busybox is not installed here: apt-get install busybox',
);

const bash = find('bash');
keepsJobs({ name: 'bash', command: [bash ?? 'bash', '--posix'] }, bash === undefined && 'bash is not installed here');

const shells: Shell[] = [
  { name: 'sh', command: ['sh'] },
  ...(busybox === undefined ? [] : [{ name: 'busybox sh', command: [join(applets, 'sh')], path: applets } as Shell]),
];
for (const shell of shells) {
  test(`a gigabyte of output ends well under ${shell.name}: memory, the tail and what is passed on are bounded`, async (t) => {
    const host: ShellHost = new ShellHost(
      shell,
      temporaryFolder(t, () => host.end()),
    );
    let most = 0;
    let passed = 0;
    const before = process.memoryUsage().rss;
    const end = await startJob(host, newFence(), 'head -c 1000000000 /dev/zero; echo; echo the end', {
      signal: new AbortController().signal,
      deadline: Date.now() + 300_000,
      output: (text) => {
        passed += text.length;
        most = Math.max(most, process.memoryUsage().rss);
      },
    });
    assert(end.kind === 'exit' && end.exit === 0, JSON.stringify(end).slice(0, 300));
    assert(end.output.endsWith('the end\n'));
    assert(end.output.length < TAIL_BYTES + 100);
    assert(passed < 100_000_000, `${passed} characters were passed on`);
    assert(most - before < 200_000_000, `${Math.round((most - before) / 1e6)} MB more memory`);
  });
}
