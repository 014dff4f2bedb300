/** Whole upgrades through the command line, against the lab, judged by the targets' own ledgers. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { counts, type Entry, ledgers, type Started, start, type TestLab, testLab, until, upshift } from './command-line.fixture.ts';

function version(lab: TestLab, target: string): string {
  return readFileSync(join(lab.folder, 'targets', target, 'version'), 'utf8').trim();
}

function assertOnce(lab: TestLab, except: Record<string, Record<string, number>> = {}): void {
  for (const [id, entries] of ledgers(lab.folder)) assert.deepEqual(counts(entries), except[id] ?? { install: 1, reboot: 1 }, id);
}

function assertThawed(lab: TestLab): void {
  const entries = ledgers(lab.folder).get('c-1') ?? [];
  const freezes = entries.filter((entry) => entry.action === 'freeze' || entry.action === 'thaw').map((entry) => entry.action);
  assert.equal(freezes.at(-1), 'thaw', freezes.join());
}

/** Waits until some target of a kind is in the middle of an action. */
function inTheMiddle(lab: TestLab, prefix: string, action: string): Promise<void> {
  return until(`${prefix}* is in the middle of ${action}`, () =>
    [...ledgers(lab.folder)].some(([id, entries]) => {
      const last = entries.findLast((entry) => entry.action === action);
      return id.startsWith(prefix) && last?.phase === 'begin';
    }),
  );
}

function kill(started: Started): void {
  started.child.kill('SIGKILL');
}

describe('an upgrade of the lab', { concurrency: 2 }, () => {
  test('runs to the end: everybody upgraded once, engines serially in their groups, and then there is nothing to do', async (t) => {
    const lab = await testLab(t);
    const ran = await upshift(['apply', lab.folder, '--yes', '--json'], lab.env);
    assert.equal(ran.code, 0, ran.out + ran.err);
    for (const { id } of lab.lab.targets) assert.equal(version(lab, id), '2.0.0');
    assertOnce(lab);
    assertThawed(lab);
    const lines = ran.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; exitCode?: number; services?: { neverDown: boolean; name: string }[] });
    assert.equal(lines[0]?.type, 'started');
    const summary = lines.at(-1);
    assert.equal(summary?.type, 'summary');
    assert.equal(summary?.exitCode, 0);
    assert.deepEqual(
      summary?.services?.map((service) => service.neverDown),
      [false, true, true],
    );
    // Serial within a group: one target's work is over before that of the next begins.
    const all = ledgers(lab.folder);
    for (const group of ['east', 'west']) {
      const spans = lab.lab.targets
        .filter((target) => target.group === group)
        .map((target) => {
          const entries = all.get(target.id) as Entry[];
          return [entries[0]?.at, entries.at(-1)?.at] as [string, string];
        });
      spans.sort();
      for (let next = 1; next < spans.length; next++)
        assert.ok((spans[next - 1]?.[1] as string) <= (spans[next]?.[0] as string), `${group}: ${JSON.stringify(spans)}`);
    }
    const again = await upshift(['apply', lab.folder, '--yes'], lab.env);
    assert.equal(again.code, 0);
    assert.match(again.out, /Nothing to do/);
    const observed = await upshift(['plan', lab.folder, '--observe', '--data', join(lab.folder, 'none'), '--json'], {});
    assert.equal(observed.code, 0, observed.err);
    assert.deepEqual((JSON.parse(observed.out) as { steps: unknown[] }).steps, []);
  });

  test('survives kill -9 in the middle of installing, rebooting and of the controllers, and does nothing twice', async (t) => {
    for (const [prefix, action] of [
      ['c-', 'install'],
      ['se-', 'install'],
      ['se-', 'reboot'],
    ] as const) {
      const lab = await testLab(t);
      const first = start(['apply', lab.folder, '--yes'], lab.env);
      await inTheMiddle(lab, prefix, action);
      kill(first);
      assert.equal((await first.ended).code, 137);
      const ran = await upshift(['resume'], lab.env);
      assert.equal(ran.code, 0, ran.out + ran.err);
      assertOnce(lab);
      assertThawed(lab);
    }
  });

  test('a connection cut midway through installing is found out about, not repeated', async (t) => {
    const lab = await testLab(t, { drop: ['se-1', 'c-2'] });
    const ran = await upshift(['apply', lab.folder, '--yes'], lab.env);
    assert.equal(ran.code, 0, ran.out + ran.err);
    assertOnce(lab);
  });

  test('a failed engine suspends the run with exit code 4; retry and resume bring it to the end', async (t) => {
    const lab = await testLab(t, { fail: ['se-2:install:1'] });
    const ran = await upshift(['apply', lab.folder, '--yes'], lab.env);
    assert.equal(ran.code, 4, ran.out + ran.err);
    assert.match(ran.out, /the package is damaged/);
    const shown = await upshift(['show'], lab.env);
    assert.match(shown.out, /upshift retry \S+ se-2/);
    const again = await upshift(['retry', 'last', 'se-2', '--counter', '1'], lab.env);
    assert.equal(again.code, 0, again.err);
    const twice = await upshift(['retry', 'last', 'se-2', '--counter', '1'], lab.env);
    assert.equal(twice.code, 1, 'a counter that was reached before changes nothing');
    const resumed = await upshift(['resume'], lab.env);
    assert.equal(resumed.code, 0, resumed.out + resumed.err);
    assertOnce(lab, { 'se-2': { install: 2, reboot: 1 } });
    assertThawed(lab);
  });

  test('a failed controller rolls everything back: exit code 3, old versions, thawed', async (t) => {
    const lab = await testLab(t, { fail: ['c-2:install:1'] });
    const ran = await upshift(['apply', lab.folder, '--yes'], lab.env);
    assert.equal(ran.code, 3, ran.out + ran.err);
    for (const { id } of lab.lab.targets) assert.equal(version(lab, id), '1.0.0', id);
    assert.equal(counts(ledgers(lab.folder).get('se-1') as Entry[])['install'], undefined);
    assertThawed(lab);
  });

  test('orders from another terminal reach the run: pause, go, abort', async (t) => {
    const lab = await testLab(t, { installMs: 1500 });
    const first = start(['apply', lab.folder, '--yes', '--wait'], lab.env);
    await inTheMiddle(lab, 'se-', 'install');
    const paused = await upshift(['pause', '--reason', 'lunch'], lab.env);
    assert.equal(paused.code, 0, paused.err);
    await until('nothing is going on any more', async () => {
      const view = JSON.parse((await upshift(['show', '--json', '--all'], lab.env)).out) as {
        waiting: { kind: string; text: string }[];
        members: { status: string; title?: string }[];
      };
      assert.equal(view.waiting[0]?.kind, 'paused');
      assert.match(view.waiting[0]?.text ?? '', /lunch/);
      return view.members.filter((member) => member.status === 'in flight').every((member) => member.title?.includes('(held)'));
    });
    const begun = [...ledgers(lab.folder).values()].flat().length;
    assert.equal((await upshift(['go'], lab.env)).code, 0);
    await until('it goes on', () => [...ledgers(lab.folder).values()].flat().length > begun);
    assert.equal((await upshift(['abort', '--reason', 'enough'], lab.env)).code, 0);
    const ran = await first.ended;
    assert.equal(ran.code, 2, ran.out + ran.err);
    assert.match(ran.out, /aborted by .*: enough/);
    for (const id of ['c-1', 'c-2']) assert.equal(version(lab, id), '2.0.0', 'before the commit point nothing goes back');
    assertThawed(lab);
  });

  test('Ctrl-C starts nothing new, waits for what is in flight, and resume goes on without a question', async (t) => {
    const lab = await testLab(t);
    const first = start(['apply', lab.folder, '--yes'], lab.env);
    await inTheMiddle(lab, 'se-', 'install');
    first.child.kill('SIGINT');
    const ran = await first.ended;
    assert.equal(ran.code, 130, ran.out + ran.err);
    assert.match(ran.err, /nothing new is started/);
    for (const entries of ledgers(lab.folder).values()) assert.notEqual(entries.at(-1)?.phase, 'begin', 'what was in flight has ended');
    const resumed = await upshift(['resume'], lab.env);
    assert.equal(resumed.code, 0, resumed.out + resumed.err);
    assertOnce(lab);
  });

  test('a target in another state than planned is left alone: exit code 5, nothing changed', async (t) => {
    const lab = await testLab(t);
    writeFileSync(join(lab.folder, 'targets', 'c-1', 'version'), '1.5.0\n');
    writeFileSync(join(lab.folder, 'targets', 'c-2', 'version'), '1.5.0\n');
    const ran = await upshift(['apply', lab.folder, '--yes'], lab.env);
    assert.equal(ran.code, 5, ran.out + ran.err);
    assert.match(ran.out, /expected 1\.0\.0, found 1\.5\.0/);
    for (const entries of ledgers(lab.folder).values()) assert.deepEqual(counts(entries), {});
    assertThawed(lab);
  });

  test('a saved plan is applied as it was shown, and refused where it was changed', async (t) => {
    const lab = await testLab(t, { hosts: 1, groups: 1 });
    const file = join(lab.folder, 'saved-plan.json');
    const planned = await upshift(['plan', lab.folder, '--out', file], lab.env);
    assert.equal(planned.code, 0, planned.err);
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace('installer install', 'installer install --hard'));
    const refused = await upshift(['apply', file, '--yes'], lab.env);
    assert.equal(refused.code, 5, refused.out);
    assert.match(refused.err, /was changed after it was made/);
    writeFileSync(file, text);
    const ran = await upshift(['apply', file, '--yes'], lab.env);
    assert.equal(ran.code, 0, ran.out + ran.err);
    assertOnce(lab);
  });

  test('a host that is off fails with the reason; a changed host key is never accepted', async (t) => {
    const lab = await testLab(t, { hosts: 2, controllers: 0, groups: 1 });
    const known = join(lab.folder, 'known_hosts');
    const lines = readFileSync(known, 'utf8').trim().split('\n');
    const keyOf = (line: string | undefined) => line?.split(' ').slice(1).join(' ');
    writeFileSync(known, `${lines[0]?.split(' ')[0]} ${keyOf(lines[1])}\n${lines[1]}\n`);
    const ran = await upshift(['apply', lab.folder, '--yes'], lab.env);
    assert.equal(ran.code, 4, ran.out + ran.err);
    assert.match(ran.out, /HAS CHANGED/);
    assert.deepEqual(counts(ledgers(lab.folder).get('se-1') as Entry[]), {});
  });

  test('a second apply over the same targets, and a second process in the same data folder, are refused with the reason', async (t) => {
    const lab = await testLab(t, { installMs: 2500 });
    const first = start(['apply', lab.folder, '--yes'], lab.env);
    await inTheMiddle(lab, 'c-', 'install');
    const second = await upshift(['apply', lab.folder, '--yes'], lab.env);
    assert.equal(second.code, 1);
    assert.match(second.err, /another Upshift is working/);
    kill(first);
    await first.ended;
    const third = await upshift(['apply', lab.folder, '--yes'], lab.env);
    assert.equal(third.code, 1);
    assert.match(third.err, /has not ended and changes 6 of the same targets/);
    assert.equal((await upshift(['abort'], lab.env)).code, 0, 'an order is taken with no process driving');
    const resumed = await upshift(['resume'], lab.env);
    assert.equal(resumed.code, 3, resumed.out + resumed.err);
    for (const id of ['c-1', 'c-2']) assert.equal(version(lab, id), '1.0.0');
  });

  test('an outcome nobody knows waits for a person: decide answers it', async (t) => {
    const lab = await testLab(t, { hosts: 1, controllers: 0, groups: 1, installMs: 3000 });
    const first = start(['apply', lab.folder, '--yes', '--wait'], lab.env);
    await inTheMiddle(lab, 'se-', 'install');
    // The job's process is killed on the target, so that its outcome is lost.
    const host = join(lab.folder, 'targets', 'se-1', 'home', '.upshift', 'jobs');
    const { globSync } = await import('node:fs');
    const [pid] = globSync(join(host, '*/*/*/pid'));
    process.kill(-Number(readFileSync(pid as string, 'utf8')), 'SIGKILL');
    await until('the question is asked', async () => /what became of install on se-1/.test((await upshift(['show'], lab.env)).out));
    const nonsense = await upshift(['decide', 'last', 'se-1', '--as', 'whatever'], lab.env);
    assert.equal(nonsense.code, 1);
    assert.match(nonsense.err, /success, failure, again/);
    assert.equal((await upshift(['decide', 'last', 'se-1', '--as', 'again'], lab.env)).code, 0);
    const ran = await first.ended;
    assert.equal(ran.code, 0, ran.out + ran.err);
    assert.equal(counts(ledgers(lab.folder).get('se-1') as Entry[])['install'], 2);
    rmSync(join(lab.folder, 'saved'), { force: true });
  });
});
