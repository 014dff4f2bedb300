import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { SshConnect } from '../../model/documents/index.ts';
import { temporaryFolder } from '../call.fixture.ts';
import { jumpConnect, settingsFor } from './settings.ts';

const ENV = { USER: 'me', SSH_AUTH_SOCK: '/run/agent' };

/** The settings of a host under a configuration. */
function settingsUnder(scope: Parameters<typeof temporaryFolder>[0], text: string, id: string, connect: SshConnect = {}) {
  const config = join(temporaryFolder(scope), 'config');
  writeFileSync(config, text);
  return settingsFor(id, { config, ...connect }, ENV);
}

describe('ssh settings', () => {
  test("without any word they are OpenSSH's defaults", (t) => {
    const settings = settingsUnder(t, '', 'host-1');
    const { host, port, user, agent, identitiesOnly, jumps, password, passphrase } = settings;
    assert.deepEqual(
      { host, port, user, agent, identitiesOnly, jumps, password, passphrase },
      {
        host: 'host-1',
        port: 22,
        user: 'me',
        agent: '/run/agent',
        identitiesOnly: false,
        jumps: [],
        password: undefined,
        passphrase: undefined,
      },
    );
    assert(settings.identities.includes(join(homedir(), '.ssh/id_ed25519')));
    assert(settings.knownHosts.includes(join(homedir(), '.ssh/known_hosts')));
    assert(settings.knownHosts.includes('/etc/ssh/ssh_known_hosts'));
  });

  test('without USER it is the user who runs it', (t) => {
    const config = join(temporaryFolder(t), 'config');
    assert.equal(settingsFor('host-1', { config }, {}).user, userInfo().username);
  });

  test('the configuration decides for the hosts its patterns mean, the first value of each word counting', (t) => {
    const text = `
Host *.lab !c.lab
  User lab
  Port 2201
host a.lab
  hostname 10.0.0.%h
  Port 2202
Host *
  User anybody
  ConnectTimeout 3
`;
    const a = settingsUnder(t, text, 'a.lab');
    assert.deepEqual([a.host, a.port, a.user, a.connectTimeoutMs], ['10.0.0.a.lab', 2201, 'lab', 3000]);
    const c = settingsUnder(t, text, 'c.lab');
    assert.deepEqual([c.host, c.port, c.user], ['c.lab', 22, 'anybody']);
  });

  test("the inventory's word counts more than the configuration's", (t) => {
    const text = 'Host box\n  HostName 10.0.0.1\n  User a\n  Port 1\n  IdentityFile /a\n  ProxyJump a\n  UserKnownHostsFile /a\n';
    const given = { host: 'box', user: 'b', port: 2, identity: '/b', jump: 'b', knownHosts: '/b' };
    const settings = settingsUnder(t, text, 'target-1', given);
    const { host, user, port, identities, identitiesOnly, jumps, knownHosts } = settings;
    assert.deepEqual(
      { host, user, port, identities, identitiesOnly, jumps, knownHosts },
      { host: '10.0.0.1', user: 'b', port: 2, identities: ['/b'], identitiesOnly: true, jumps: ['b'], knownHosts: ['/b'] },
    );
  });

  test('several identity files are all used, with home, user and host put in, quoted names with spaces too', (t) => {
    const text =
      'Host box\n  User u\n  IdentityFile ~/one\n  IdentityFile "/keys of/%r@%h"\n  IdentityFile %d/three\n  IdentitiesOnly yes\n';
    const settings = settingsUnder(t, text, 'box');
    assert.deepEqual(settings.identities, [join(homedir(), 'one'), '/keys of/u@box', join(homedir(), 'three')]);
    assert.equal(settings.identitiesOnly, true);
  });

  test('several known_hosts files are all read', (t) => {
    assert.deepEqual(settingsUnder(t, 'UserKnownHostsFile /one ~/two\n', 'box').knownHosts, ['/one', join(homedir(), 'two')]);
  });

  for (const [word, agent] of [
    ['none', undefined],
    ['SSH_AUTH_SOCK', '/run/agent'],
    ['~/agent', join(homedir(), 'agent')],
    ['"/run/my agent"', '/run/my agent'],
  ] as const)
    test(`IdentityAgent ${word} is the agent ${agent}`, (t) => {
      assert.equal(settingsUnder(t, `IdentityAgent ${word}\n`, 'box').agent, agent);
    });

  test('ProxyJump none is no jump, several are several', (t) => {
    const text = 'Host near\n  ProxyJump none\nHost *\n  ProxyJump a,me@b:2222\n';
    assert.deepEqual(settingsUnder(t, text, 'near').jumps, []);
    assert.deepEqual(settingsUnder(t, text, 'far').jumps, ['a', 'me@b:2222']);
  });

  for (const [jump, connect] of [
    ['b', { host: 'b' }],
    ['me@b', { host: 'b', user: 'me' }],
    ['b:2222', { host: 'b', port: 2222 }],
    ['me@b:2222', { host: 'b', user: 'me', port: 2222 }],
    ['me@[fe80::1]:2222', { host: 'fe80::1', user: 'me', port: 2222 }],
    ['ssh://me@b:2222', { host: 'b', user: 'me', port: 2222 }],
  ] as const)
    test(`the jump ${jump} is understood`, () => {
      assert.deepEqual(jumpConnect(jump, undefined), connect);
    });

  test('what a configuration includes counts, in its place', (t) => {
    const folder = temporaryFolder(t);
    mkdirSync(join(folder, 'more'));
    writeFileSync(join(folder, 'more/1.conf'), 'Host a\n  User of-a\n');
    writeFileSync(join(folder, 'more/2.conf'), 'Host b\n  User of-b\n');
    const text = `Include "${folder}/more/*.conf" ${folder}/nothing\nUser of-all\nHost c\n  Include ${folder}/for-c\n  Port 3\nHost *\n  Port 9\n`;
    writeFileSync(join(folder, 'for-c'), 'ConnectTimeout 7\n');
    const config = join(folder, 'config');
    writeFileSync(config, text);
    const of = (id: string) => settingsFor(id, { config }, ENV);
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((id) => [of(id).user, of(id).port, of(id).connectTimeoutMs]),
      [
        ['of-a', 9, 10_000],
        ['of-b', 9, 10_000],
        ['of-all', 3, 7_000],
        ['of-all', 9, 10_000],
      ],
    );
  });

  test('a configuration that includes itself is read to its end', (t) => {
    const config = join(temporaryFolder(t), 'config');
    writeFileSync(config, `Include ${config}\nUser me-too\n`);
    assert.equal(settingsFor('box', { config }, ENV).user, 'me-too');
  });

  test('reading a configuration starts no programs', (t) => {
    const folder = temporaryFolder(t);
    const settings = settingsUnder(t, `Match exec "touch ${folder}/ran"\n  User wrong\n`, 'box');
    assert.equal(settings.user, 'me');
  });
});
