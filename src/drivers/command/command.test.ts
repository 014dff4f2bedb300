import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { shellQuote } from '../../model/expression.ts';
import { actionOf, asFailure, asSuccess, asUnknown, callOf, observationOf, temporaryFolder, until, within } from '../call.fixture.ts';
import { conforms } from '../conformance.fixture.ts';
import { commandDriver } from './index.ts';

// Not into the home of whoever runs the tests.
process.env['UPSHIFT_STATE'] = temporaryFolder({ after });

conforms(commandDriver(), {
  'command.run': {
    success: () => ({ input: { command: 'echo hello; echo there >&2; echo' } }),
    failure: () => ({ input: { command: 'echo no >&2; exit 3' } }),
    endless: () => ({ input: { command: 'sleep 300' } }),
    refused: [{}, { command: '' }, { command: 'true', env: { A: 1 } }, { command: 'true', detached: 'yes' }],
  },
});

describe('command.run', { concurrency: 4 }, () => {
  const driver = commandDriver();
  const action = actionOf(driver, 'command.run');
  const run = (input: Record<string, unknown>, more: Parameters<typeof callOf>[1] = {}) => action.run(callOf(input, more));

  test('keeps output and errors apart, and shows both as they come', async () => {
    const call = callOf({ command: 'echo out; echo err >&2; exit 3' });
    const end = asFailure(await action.run(call));
    assert.deepEqual(end.result, { exit: 3, stdout: 'out\n', stderr: 'err\n' });
    assert.deepEqual(call.printed().split('\n').sort(), ['', 'err', 'out']);
    assert.match(end.fault.message, /err$/);
    assert.equal(end.fault.found, 'exit code 3');
  });

  test('gives the command its environment, literally, and its fence', async () => {
    const value = `$(touch x); 'a' "b" \\ \`id\` ü\nz`;
    const call = callOf({ command: 'printf "%s" "$GREETING $UPSHIFT_FENCE"', env: { GREETING: value } });
    assert.equal(asSuccess(await action.run(call)).result['stdout'], `${value} ${call.fence}`);
  });

  for (const [signal, exit] of [
    ['KILL', 137],
    ['TERM', 143],
    ['SEGV', 139],
    ['USR1', 138],
  ] as const)
    test(`a command that ends by SIG${signal} has the exit code ${exit}, as in a shell`, async () => {
      assert.equal(asFailure(await run({ command: `kill -${signal} $$` })).result['exit'], exit);
    });

  test('more output than anybody reads is bounded to its end', async () => {
    const end = asSuccess(await run({ command: "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the end" }));
    const stdout = end.result['stdout'] as string;
    assert(stdout.length < 70_000 && stdout.endsWith('the end\n'));
  });

  test('a character that is cut in two by a chunk arrives whole', async () => {
    const call = callOf({ command: "printf 'gr\\303'; sleep 0.2; printf '\\274n'" });
    asSuccess(await action.run(call));
    assert.equal(call.printed(), 'grün');
  });

  test('at the deadline the whole process group is ended, and what was printed is kept', async (t) => {
    const folder = temporaryFolder(t);
    const end = asFailure(
      await run(
        { command: `echo said; echo wrong >&2; sleep 300 & echo $! > ${shellQuote(join(folder, 'pid'))}; wait` },
        { timeoutMs: 500 },
      ),
    );
    assert.equal(end.fault.kind, 'timeout');
    assert.deepEqual([end.result['stdout'], end.result['stderr']], ['said\n', 'wrong\n']);
    const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'));
    await until('the child is gone', () => !runs(pid));
  });

  test('a command that does not listen to TERM is killed', async () => {
    const end = asFailure(await within(6_000, run({ command: `trap '' TERM; while :; do sleep 0.1; done` }, { timeoutMs: 300 })));
    assert.equal(end.fault.kind, 'timeout');
  });

  test('a daemon that holds its output open does not hold the action open beyond its deadline', async (t) => {
    const kill = (folder: string) => void process.kill(Number(readFileSync(join(folder, 'pid'), 'utf8')));
    const pidFile = join(temporaryFolder(t, kill), 'pid');
    const command = `setsid sh -c 'echo $$ > ${pidFile}; exec sleep 60' & while [ ! -s ${pidFile} ]; do sleep 0.02; done; trap '' TERM; sleep 60`;
    asFailure(await within(6_000, run({ command }, { timeoutMs: 400 })));
  });

  test('what is disruptive is detached, and an observation finds out what became of it', async (t) => {
    const file = join(temporaryFolder(t), 'ran');
    const call = callOf({ command: `echo x >> ${file}; echo said` }, { disruptive: true });
    const end = asSuccess(await action.run(call));
    assert.deepEqual(end.result, { exit: 0, stdout: 'said\n', stderr: '' });
    assert.equal(asUnknown(await action.run(call)).kind, 'started-before');
    assert.deepEqual(await action.observe?.(observationOf(call)), end);
    assert.equal(readFileSync(file, 'utf8'), 'x\n');
  });

  test('`detached` decides where it is given', async () => {
    const call = callOf({ command: 'echo out; echo err >&2', detached: false }, { disruptive: true });
    assert.deepEqual(asSuccess(await action.run(call)).result, { exit: 0, stdout: 'out\n', stderr: 'err\n' });
    const end = await action.observe?.(observationOf(call));
    assert(end && 'lost' in end && end.lost.effect === 'operator');
  });

  test('an observation that comes after the deadline still tells how the job ended', async () => {
    const call = callOf({ command: 'echo done' }, { disruptive: true });
    asSuccess(await action.run(call));
    const end = await action.observe?.(observationOf(call, -3_600_000));
    assert(end);
    assert.equal(asSuccess(end).result['stdout'], 'done\n');
  });

  test('at the deadline a detached job is ended, with its children, and what it printed is kept', async (t) => {
    const folder = temporaryFolder(t);
    const command = `echo said; sleep 300 & echo $! > ${folder}/pid; wait`;
    const end = asFailure(await within(8_000, run({ command }, { disruptive: true, timeoutMs: 700 })));
    assert.equal(end.fault.kind, 'timeout');
    assert.equal(end.result['stdout'], 'said\n');
    const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'));
    await until('the child is gone', () => !runs(pid));
  });

  test('an aborted detached job goes on: it may be observed', async (t) => {
    const folder = temporaryFolder(t);
    const command = `touch ${folder}/begun; while [ ! -f ${folder}/go-on ] && [ -d ${folder} ]; do sleep 0.05; done; echo done`;
    const call = callOf({ command }, { disruptive: true });
    const ending = action.run(call);
    await until('it has begun', () => existsSync(join(folder, 'begun')));
    call.abort();
    assert.equal(asUnknown(await ending).kind, 'cancelled');
    const observed = action.observe?.(observationOf(call));
    writeFileSync(join(folder, 'go-on'), '');
    assert.equal(asSuccess((await observed) as never).result['stdout'], 'done\n');
  });
});

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
