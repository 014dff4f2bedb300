/** A transport over a shell of one's choice, with an environment of one's own, and what the detached wrapper must do under it. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { Fault } from '../../model/fault.ts';
import { newFence, temporaryFolder, until, within } from '../call.fixture.ts';
import { msLeft } from '../deadline.ts';
import { bootOf, type JobEnd, jobFolder, killJob, observeJob, startJob } from './detached.ts';
import { TAIL_BYTES } from './tail.ts';
import type { Ran, RunOptions, Transport } from './transport.ts';

export type Shell = {
  name: string;
  /** Program and first arguments of a POSIX shell. */
  command: readonly [string, ...string[]];
  /** Folders searched for programs; default those of this process. */
  path?: string;
};

/** A host that is nothing but a folder: its home, its boot id, and a shell. */
export class ShellHost implements Transport {
  readonly home: string;
  readonly #shell: Shell;
  readonly #bootId: string;
  readonly #followers = new Set<ChildProcess>();

  constructor(shell: Shell, folder: string) {
    this.#shell = shell;
    this.home = join(folder, 'home');
    this.#bootId = join(folder, 'boot_id');
    mkdirSync(this.home);
    this.setBoot('boot-1');
  }

  setBoot(id: string): void {
    writeFileSync(this.#bootId, `${id}\n`);
  }

  get jobs(): string {
    return join(this.home, '.upshift/jobs');
  }

  folderOf(fence: string): string {
    return join(this.jobs, jobFolder(fence));
  }

  pidOf(fence: string): number | undefined {
    const file = join(this.folderOf(fence), 'pid');
    return existsSync(file) ? Number(readFileSync(file, 'utf8')) || undefined : undefined;
  }

  run(command: string, options: RunOptions): Promise<Ran> {
    const [program, ...words] = this.#shell.command;
    const child = spawn(program, [...words, '-c', command], {
      cwd: this.home,
      detached: true,
      env: { PATH: this.#shell.path ?? process.env['PATH'], HOME: this.home, UPSHIFT_BOOT_ID: this.#bootId },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#followers.add(child);
    return new Promise((resolve) => {
      let stopped = false;
      const stop = () => {
        stopped = true;
        kill(child);
      };
      const timer = setTimeout(stop, msLeft(options.deadline));
      options.signal.addEventListener('abort', stop);
      child.stdout.on('data', options.onStdout);
      child.stderr.on('data', options.onStderr);
      child.on('close', (code) => {
        clearTimeout(timer);
        options.signal.removeEventListener('abort', stop);
        this.#followers.delete(child);
        if (stopped) resolve({ kind: 'stopped', ended: true });
        else resolve(code === null ? { kind: 'cut', fault: CUT } : { kind: 'ended', exit: code });
      });
    });
  }

  /** Cuts every connection: whoever follows a job is gone, the job is not. */
  killFollowers(): void {
    for (const child of this.#followers) kill(child);
  }

  killJob(fence: string): void {
    process.kill(-(this.pidOf(fence) as number), 'SIGKILL');
  }

  /** Ends whatever still runs here. */
  end(): void {
    this.killFollowers();
    for (const file of globSync(join(this.jobs, '*/*/*/pid'))) {
      try {
        process.kill(-Number(readFileSync(file, 'utf8')), 'SIGKILL');
      } catch {
        // It has ended.
      }
    }
  }
}

const CUT: Fault = { kind: 'cut', subject: 'test', message: 'cut', effect: 'operator', outcome: 'unknown' };

function kill(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** Options of a job, with what it printed. */
function options(timeoutMs = 30_000) {
  const controller = new AbortController();
  const printed = { text: '', chars: 0 };
  return {
    printed,
    abort: () => controller.abort(),
    signal: controller.signal,
    deadline: Date.now() + timeoutMs,
    output: (text: string) => {
      printed.chars += text.length;
      printed.text = (printed.text + text).slice(-100_000);
    },
  };
}

function exited(end: JobEnd): Extract<JobEnd, { kind: 'exit' }> {
  assert.equal(end.kind, 'exit', JSON.stringify(end).slice(0, 500));
  return end as Extract<JobEnd, { kind: 'exit' }>;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  // A process that nobody has waited for is dead all the same.
  return existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/** What the wrapper promises, under any POSIX shell. */
export function keepsJobs(shell: Shell, skip: string | false = false): void {
  describe(`the detached wrapper under ${shell.name}`, { skip, concurrency: 4 }, () => {
    const hostFor = (scope: Parameters<typeof temporaryFolder>[0]) => {
      const host: ShellHost = new ShellHost(
        shell,
        temporaryFolder(scope, () => host.end()),
      );
      return host;
    };

    test('a job is followed to its end: output as it comes, exit code, and everything it printed', async (t) => {
      const host = hostFor(t);
      const given = options();
      const end = exited(await startJob(host, newFence(), 'echo out; echo err >&2; exit 7', given));
      assert.equal(end.exit, 7);
      assert.equal(end.output, 'out\nerr\n');
      assert.equal(given.printed.text, 'out\nerr\n');
    });

    test('output comes while the job still runs', async (t) => {
      const host = hostFor(t);
      const given = options();
      const ending = startJob(host, newFence(), 'echo first; while [ ! -f go-on ]; do sleep 0.05; done; echo last', given);
      await until('the first line is there', () => given.printed.text === 'first\n');
      writeFileSync(join(host.home, 'go-on'), '');
      assert.equal(exited(await ending).output, 'first\nlast\n');
    });

    test('the command sees its fence, the home of the login, the umask of the login, and no input', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      const end = exited(await startJob(host, fence, 'echo "$UPSHIFT_FENCE $HOME"; umask; cat; pwd', options()));
      const umask = process.umask().toString(8).padStart(4, '0');
      assert.equal(end.output, `${fence} ${host.home}\n${umask}\n${host.home}\n`);
    });

    test('a command arrives as it was written, quotes and newlines and all', async (t) => {
      const host = hostFor(t);
      const end = exited(await startJob(host, newFence(), `printf '%s|' 'a b' "c'd" '$(e)' '\\\\f'\nprintf '%s' 'ü\n"g"'`, options()));
      assert.equal(end.output, `a b|c'd|$(e)|\\\\f|ü\n"g"`);
    });

    test('the same fence is refused a second time, whether it still runs or has ended', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      const first = startJob(host, fence, 'echo x >> times; while [ ! -f go-on ]; do sleep 0.05; done', options());
      await until('the job has begun', () => existsSync(join(host.home, 'times')));
      assert.deepEqual(await startJob(host, fence, 'echo x >> times', options()), { kind: 'refused' });
      writeFileSync(join(host.home, 'go-on'), '');
      exited(await first);
      assert.deepEqual(await startJob(host, fence, 'echo x >> times', options()), { kind: 'refused' });
      assert.equal(readFileSync(join(host.home, 'times'), 'utf8'), 'x\n');
    });

    test('of two starts of the same fence at once exactly one runs', async (t) => {
      const host = hostFor(t);
      for (let round = 0; round < 5; round++) {
        const fence = newFence();
        const file = `times-${round}`;
        const ends = await Promise.all([1, 2, 3].map(() => startJob(host, fence, `echo x >> ${file}`, options())));
        assert.deepEqual(ends.map((end) => end.kind).sort(), ['exit', 'refused', 'refused']);
        assert.equal(readFileSync(join(host.home, file), 'utf8'), 'x\n');
      }
    });

    test('a job goes on when its follower is killed, and an observation follows it to its end', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      const ending = startJob(host, fence, 'echo before; while [ ! -f go-on ]; do sleep 0.05; done; echo after; exit 3', options());
      await until('the job has begun', () => host.pidOf(fence) !== undefined);
      host.killFollowers();
      assert.equal((await ending).kind, 'cut');
      const given = options();
      const observed = observeJob(host, fence, given);
      await until('the observer is told what was printed before', () => given.printed.text === 'before\n');
      writeFileSync(join(host.home, 'go-on'), '');
      const end = exited(await observed);
      assert.deepEqual([end.exit, end.output], [3, 'before\nafter\n']);
      assert.deepEqual(await observeJob(host, fence, options()), end, 'observing twice tells the same');
    });

    test('what never started is absent, stays absent, and can never start', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      assert.deepEqual(await observeJob(host, fence, options()), { kind: 'absent' });
      assert.deepEqual(await observeJob(host, fence, options()), { kind: 'absent' });
      assert.deepEqual(await startJob(host, fence, 'touch ran', options()), { kind: 'refused' });
      assert.deepEqual(readdirSync(host.home), ['.upshift']);
    });

    test('a start whose job has not begun yet is made never to begin by an observation', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      // What a start leaves that is stopped between making the folder and starting the job.
      mkdirSync(host.folderOf(fence), { recursive: true });
      writeFileSync(join(host.folderOf(fence), 'boot'), 'boot-1\n');
      assert.deepEqual(await observeJob(host, fence, options()), { kind: 'absent' });
      assert(existsSync(join(host.folderOf(fence), 'go')), 'the job could still begin');
    });

    test('of a start and observations at once, either the job runs or it is absent: never both', async (t) => {
      const host = hostFor(t);
      for (let round = 0; round < 6; round++) {
        const fence = newFence();
        const started = startJob(host, fence, `touch ran-${round}`, options());
        const observed = await Promise.all([observeJob(host, fence, options()), observeJob(host, fence, options())]);
        const start = await started;
        const ran = existsSync(join(host.home, `ran-${round}`));
        for (const end of observed) assert.equal(end.kind, ran ? 'exit' : 'absent');
        assert.equal(start.kind, ran ? 'exit' : 'refused');
      }
    });

    test('a job that is killed is lost: gone', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      const ending = startJob(host, fence, 'sleep 60', options());
      await until('the job has begun', () => host.pidOf(fence) !== undefined);
      host.killJob(fence);
      assert.deepEqual(await ending, { kind: 'lost', why: 'gone' });
      assert.deepEqual(await observeJob(host, fence, options()), { kind: 'lost', why: 'gone' });
    });

    test('a job that ran when the machine rebooted is lost: reboot', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      const ending = startJob(host, fence, 'sleep 60', options());
      await until('the job has begun', () => host.pidOf(fence) !== undefined);
      host.killFollowers();
      await ending;
      host.killJob(fence);
      host.setBoot('boot-2');
      assert.deepEqual(await observeJob(host, fence, options()), { kind: 'lost', why: 'reboot' });
      const boot = await bootOf(host, fence, options());
      assert.deepEqual(boot, { before: 'boot-1', now: 'boot-2', exit: 'running' });
    });

    test('a job that had ended before the reboot keeps its exit code', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      exited(await startJob(host, fence, 'echo done; exit 5', options()));
      host.setBoot('boot-2');
      assert.deepEqual(await observeJob(host, fence, options()), { kind: 'exit', exit: 5, output: 'done\n' });
    });

    test('the boot of what was never started is none, and an empty record of it is none too', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      assert.equal((await bootOf(host, fence, options()))?.before, 'none');
      // What a power cut may leave of a file that was just written.
      mkdirSync(host.folderOf(fence), { recursive: true });
      writeFileSync(join(host.folderOf(fence), 'boot'), '');
      assert.deepEqual(await bootOf(host, fence, options()), { before: 'none', now: 'boot-1', exit: 'running' });
    });

    test('a home that cannot be written is unusable, for a start and for an observation', async (t) => {
      const host = hostFor(t);
      // A file where the folder should be stops root too.
      writeFileSync(join(host.home, '.upshift'), '');
      for (const end of [await startJob(host, newFence(), 'touch ran', options()), await observeJob(host, newFence(), options())]) {
        assert(end.kind === 'unusable', JSON.stringify(end));
        assert(end.fault.remedy);
      }
      assert(!existsSync(join(host.home, 'ran')));
    });

    test('50 MB of output end well: the tail is bounded, and so is what is passed on', async (t) => {
      const host = hostFor(t);
      const given = options(60_000);
      const end = exited(await startJob(host, newFence(), "head -c 50000000 /dev/zero | tr '\\0' x; echo; echo the end", given));
      assert.equal(end.exit, 0);
      assert(end.output.length <= TAIL_BYTES + 100, `${end.output.length} characters were kept`);
      assert(end.output.endsWith('x\nthe end\n'));
      assert(given.printed.text.endsWith('x\nthe end\n'));
    });

    test('binary output is no harm', async (t) => {
      const host = hostFor(t);
      const end = exited(await startJob(host, newFence(), `head -c 20000 /dev/urandom; printf '\\000\\377\\n'; exit 4`, options()));
      assert.equal(end.exit, 4);
      assert(end.output.length > 1000);
    });

    test('output that looks like a status is not taken for one', async (t) => {
      const host = hostFor(t);
      const end = exited(await startJob(host, newFence(), 'echo "exit 0"; echo "lost reboot" >&2; exit 9', options()));
      assert.equal(end.exit, 9);
    });

    test('at its deadline a job is given up on with what it printed, and killing it ends its whole process group', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      const command = 'echo before; sleep 300 & echo $! > child; sleep 300';
      const end = await startJob(host, fence, command, options(700));
      assert.deepEqual(end, { kind: 'stopped', output: 'before\n' });
      const leader = host.pidOf(fence) as number;
      const child = Number(readFileSync(join(host.home, 'child'), 'utf8'));
      assert(alive(leader) && alive(child), 'the job outlives its follower');
      assert.equal(await within(8_000, killJob(host, fence, options())), true);
      await until('the whole group is gone', () => !alive(leader) && !alive(child));
    });

    test('a job that is killed has time to clean up after TERM', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      const ending = startJob(
        host,
        fence,
        `trap 'sleep 0.5; echo clean > cleaned; exit 0' TERM; touch ready; while :; do sleep 0.05; done`,
        options(),
      );
      await until('the trap is set', () => existsSync(join(host.home, 'ready')));
      assert.equal(await killJob(host, fence, options()), true);
      assert(existsSync(join(host.home, 'cleaned')), 'it was killed before it could clean up');
      await ending;
    });

    test('a job that does not listen to TERM is killed after three seconds', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      const ending = startJob(host, fence, `trap '' TERM; touch ready; while :; do sleep 0.05; done`, options());
      await until('the trap is set', () => existsSync(join(host.home, 'ready')));
      const started = performance.now();
      assert.equal(await killJob(host, fence, options()), true);
      assert(performance.now() - started > 2_500, 'TERM was given no time');
      await within(5_000, ending);
    });

    test('killing what has not begun makes sure that it never will', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      assert.equal(await killJob(host, fence, options()), true);
      assert.deepEqual(await startJob(host, fence, 'touch ran', options()), { kind: 'refused' });
      assert(!existsSync(join(host.home, 'ran')));
    });

    test('killing a job of before a reboot harms nobody who has its process number now', async (t) => {
      const host = hostFor(t);
      const fence = newFence();
      const bystander = newFence();
      const ending = startJob(host, bystander, 'while [ ! -f go-on ]; do sleep 0.05; done', options());
      await until('the bystander runs', () => host.pidOf(bystander) !== undefined);
      mkdirSync(host.folderOf(fence), { recursive: true });
      mkdirSync(join(host.folderOf(fence), 'go'));
      writeFileSync(join(host.folderOf(fence), 'boot'), 'boot-0\n');
      writeFileSync(join(host.folderOf(fence), 'pid'), `${host.pidOf(bystander)}\n`);
      await killJob(host, fence, options());
      writeFileSync(join(host.home, 'go-on'), '');
      assert.equal(exited(await ending).exit, 0);
    });

    test('a later start removes what earlier visits of the same member left, and nothing else', async (t) => {
      const host = hostFor(t);
      const folders = () => globSync('*/*/*', { cwd: host.jobs }).sort();
      exited(await startJob(host, 'run-1/a/1/1', 'true', options()));
      exited(await startJob(host, 'run-1/a/2/1', 'true', options()));
      exited(await startJob(host, 'run-1/b/1/1', 'true', options()));
      exited(await startJob(host, 'run-2/a/1/1', 'true', options()));
      assert.deepEqual(folders(), ['run-1/a/2.1', 'run-1/b/1.1', 'run-2/a/1.1']);
    });

    test('what still runs is not removed by a later start', async (t) => {
      const host = hostFor(t);
      const first = startJob(host, 'run-1/a/1/1', 'while [ ! -f go-on ]; do sleep 0.05; done; echo first', options());
      await until('it has begun', () => host.pidOf('run-1/a/1/1') !== undefined);
      exited(await startJob(host, 'run-1/a/2/1', 'true', options()));
      writeFileSync(join(host.home, 'go-on'), '');
      assert.equal(exited(await first).output, 'first\n');
    });

    test('runs that have started nothing for a week are removed, and a run that goes on for longer is not', async (t) => {
      const host = hostFor(t);
      exited(await startJob(host, 'old/a/1/1', 'true', options()));
      exited(await startJob(host, 'long/a/1/1', 'true', options()));
      const before = Date.now() / 1000 - 10 * 86_400;
      for (const run of ['old', 'long']) utimesSync(join(host.jobs, run), before, before);
      assert.equal(exited(await startJob(host, 'long/a/2/1', 'echo here', options())).output, 'here\n');
      assert.deepEqual(readdirSync(host.jobs), ['long']);
    });

    test('strange fences stay inside the folder of jobs', async (t) => {
      const host = hostFor(t);
      const end = exited(await startJob(host, `../../x/$(touch ran)/'1/.. `, 'echo "$UPSHIFT_FENCE"', options()));
      assert.equal(end.output, `../../x/$(touch ran)/'1/.. \n`);
      assert.deepEqual(readdirSync(host.home), ['.upshift']);
      assert.deepEqual(readdirSync(join(host.home, '.upshift')), ['jobs']);
    });
  });
}
