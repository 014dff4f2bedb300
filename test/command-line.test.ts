/** The command line: help that teaches, errors that say where and what to do, exit codes that mean something. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryFolder, upshift } from './command-line.fixture.ts';

describe('the command line', { concurrency: 2 }, () => {
  test('--help lists every command and the exit codes; each command has help of its own', async () => {
    const { code, out } = await upshift(['--help']);
    assert.equal(code, 0);
    for (const command of 'init lint schema path plan apply resume runs show watch pause go approve abort retry rollback decide skip packs avi tpvm lab completion version'.split(
      ' ',
    )) {
      assert.match(out, new RegExp(`^ {2}${command}\\b`, 'm'), command);
      const help = await upshift([command, '--help']);
      assert.equal(help.code, 0, command);
      assert.match(help.out, /^Usage: upshift/);
    }
    assert.match(out, /130 {2}interrupted/);
  });

  const USAGE: [words: string[], says: RegExp][] = [
    [['aply'], /Did you mean apply\?/],
    [['plan', '--observ'], /Did you mean --observe\?/],
    [['plan', '/no/such/folder'], /no such file or folder/],
    [['schema', 'Inventroy'], /Did you mean Inventory\?/],
    [['path', 'x'], /--from/],
    [['show', 'nothing'], /no runs in|there is no run/],
    [['resume'], /there is no run yet/],
    [['pause'], /there is no run yet/],
    [['decide', 'x', 'y'], /--as/],
    [['lab', 'ssh', '--dir', 'x', '--hosts', 'many'], /whole number from 1/],
    [['lab', 'ssh', '--dir', 'x', '--fail', 'se-9:install'], /Did you mean se-/],
    [['completion', 'tcsh'], /bash, zsh, fish/],
  ];
  for (const [words, says] of USAGE)
    test(`upshift ${words.join(' ')} ends with 1 and says ${says}`, async () => {
      const { path, remove } = temporaryFolder();
      const { code, err } = await upshift(words, { UPSHIFT_DATA: join(path, 'data') }, path);
      assert.equal(code, 1);
      assert.match(err, says);
      remove();
    });

  test('init writes a set that lints and plans, and leaves alone what is there', async () => {
    const { path, remove } = temporaryFolder();
    assert.equal((await upshift(['init', path])).code, 0);
    const linted = await upshift(['lint', path]);
    assert.equal(linted.code, 0, linted.out);
    assert.match(linted.out, /No errors: 2 targets, 2 releases, 1 procedure, 1 upgrade/);
    const planned = await upshift(['plan', path, '--data', join(path, 'data')]);
    assert.equal(planned.code, 0, planned.err);
    assert.match(planned.out, /node-1 → node-2/);
    assert.match(planned.out, /non-disruptive/);
    writeFileSync(join(path, 'upgrade.yaml'), 'mine');
    assert.match((await upshift(['init', path])).out, /kept .*upgrade\.yaml/);
    assert.equal(readFileSync(join(path, 'upgrade.yaml'), 'utf8'), 'mine');
    remove();
  });

  test('lint reports every problem at once, for people and for programs', async () => {
    const { path, remove } = temporaryFolder();
    mkdirSync(join(path, 'docs'));
    writeFileSync(join(path, 'docs', 'a.yaml'), 'kind: Inventory\ntargtes: []\n---\nkind: Release\nproduct: p\nversion: 17.2\n');
    const people = await upshift(['lint', join(path, 'docs')]);
    assert.equal(people.code, 1);
    assert.match(people.out, /a\.yaml:2:1: error: unknown key targtes\n.*\n.*did you mean targets\?/);
    assert.match(people.out, /a\.yaml:6:10: error:/);
    const programs = await upshift(['lint', join(path, 'docs'), '--json']);
    assert.equal(programs.code, 1);
    assert.equal((JSON.parse(programs.out) as { errors: number }).errors, 2);
    remove();
  });

  test('path prints the hops, or why there is none and the nearest that would do', async () => {
    const { path, remove } = temporaryFolder();
    const release = (version: string, from?: string) =>
      `kind: Release\nproduct: p\nversion: "${version}"\n${from === undefined ? '' : `from:\n  - {versions: "${from}", latestFix: true}\n`}`;
    writeFileSync(
      join(path, 'r.yaml'),
      [release('7.2.1'), release('7.2.2c'), release('7.3.6', '7.2.*'), release('8.0', '7.3.*')].join('---\n'),
    );
    const hops = await upshift(['path', 'p', path, '--from', '7.2.2c', '--to', '8.0']);
    assert.equal(hops.code, 0, hops.err);
    assert.match(hops.out, /7\.2\.2c → 7\.3\.6[\s\S]*7\.3\.6 → 8\.0/);
    const none = await upshift(['path', 'p', path, '--from', '7.2.1', '--to', '8.0']);
    assert.equal(none.code, 1);
    assert.match(none.err, /latest fix/);
    assert.match(none.err, /7\.2\.2c/);
    remove();
  });

  test('apply without a terminal and without --yes changes nothing', async () => {
    const { path, remove } = temporaryFolder();
    await upshift(['init', path]);
    const ran = await upshift(['apply', path, '--data', join(path, 'data')]);
    assert.equal(ran.code, 1);
    assert.match(ran.err, /--yes/);
    remove();
  });

  test('completion offers commands, options, and asks for nothing it does not know', async () => {
    assert.match((await upshift(['complete-words', '--', ''])).out, /\bapply\b.*\bresume\b/);
    assert.match((await upshift(['complete-words', '--', 'apply', '--'])).out, /--yes/);
    for (const shell of ['bash', 'zsh', 'fish']) assert.match((await upshift(['completion', shell])).out, /complete-words/);
  });

  test('an Ansible inventory serves as the inventory', async () => {
    const { path, remove } = temporaryFolder();
    await upshift(['init', path]);
    writeFileSync(
      join(path, 'hosts.ini'),
      '[nodes]\nweb[1:3] ansible_user=root\n[nodes:vars]\nupshift_product=my-service\nupshift_version=1.0.0\n',
    );
    const planned = await upshift([
      'plan',
      join(path, 'release.yaml'),
      join(path, 'procedure.yaml'),
      join(path, 'upgrade.yaml'),
      '--ansible',
      join(path, 'hosts.ini'),
      '--data',
      join(path, 'data'),
    ]);
    assert.equal(planned.code, 0, planned.err);
    assert.match(planned.out, /web1 → web2 → web3/);
    remove();
  });
});
