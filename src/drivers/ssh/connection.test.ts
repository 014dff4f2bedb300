import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { SshConnect } from '../../model/documents/index.ts';
import type { Fault } from '../../model/fault.ts';
import type { KeyPair } from '../../packs/generic/keys.ts';
import { temporaryFolder, until } from '../call.fixture.ts';
import { connect } from './connection.ts';
import { hashed, newKey, proves, startAgent, TestHost, type TestHostOptions } from './server.fixture.ts';
import { settingsFor } from './settings.ts';

async function hostFor(t: TestContext, options: Partial<TestHostOptions> = {}): Promise<TestHost> {
  const host: TestHost = new TestHost({ folder: temporaryFolder(t, () => host.close()), ...options });
  return host.start();
}

/** Connects once; the fault, or undefined where it is let in. */
async function tryConnect(host: TestHost, more: SshConnect = {}, env: NodeJS.ProcessEnv = {}): Promise<Fault | undefined> {
  const settings = settingsFor('target-1', { ...host.connect(more).ssh, config: more.config ?? join(host.folder, 'none') }, env);
  const connected = await connect('target-1', settings, { signal: new AbortController().signal, keepaliveMs: 15_000 });
  if (!connected.ok) return connected.fault;
  connected.client.destroy();
  return undefined;
}

function fingerprint(key: KeyPair): string {
  const wire = Buffer.from(key.public.split(' ')[1] as string, 'base64');
  return `SHA256:${createHash('sha256').update(wire).digest('base64').replace(/=+$/, '')}`;
}

function writeKnownHosts(host: TestHost, text: string): void {
  writeFileSync(host.knownHostsFile, text);
}

describe("the host's key", { concurrency: 6 }, () => {
  test('that is known lets the connection be made', async (t) => {
    const host = await hostFor(t);
    assert.equal(await tryConnect(host), undefined);
  });

  test('that is not known is refused, with its fingerprint and what to do', async (t) => {
    const host = await hostFor(t);
    writeKnownHosts(host, host.knownHost(newKey(), 'another-host'));
    const fault = await tryConnect(host);
    assert.equal(fault?.kind, 'host-key-unknown');
    assert.equal(fault.found, `ssh-ed25519 ${fingerprint(host.hostKeys[0] as KeyPair)}`);
    assert.match(fault.remedy ?? '', new RegExp(`ssh-keyscan -p ${host.port} 127.0.0.1 >> ${host.knownHostsFile}`));
    assert.deepEqual([fault.effect, fault.outcome], ['fail', 'none']);
    assert.equal(host.seen.users.length, 0, 'somebody tried to log in there');
    assert.equal(readFileSync(host.knownHostsFile, 'utf8').split('\n').length, 2, 'nothing was added to the file');
  });

  test('is not known where there is no file at all', async (t) => {
    const host = await hostFor(t);
    assert.equal((await tryConnect(host, { knownHosts: join(host.folder, 'no-such-file') }))?.kind, 'host-key-unknown');
  });

  test('that has changed is refused, with both fingerprints, the line of the old one, and what to do', async (t) => {
    const host = await hostFor(t);
    const old = newKey();
    writeKnownHosts(host, `# a comment\n${host.knownHost(old)}`);
    const fault = await tryConnect(host);
    assert.equal(fault?.kind, 'host-key-changed');
    assert.match(fault.message, /HAS CHANGED/);
    assert.equal(fault.expected, `ssh-ed25519 ${fingerprint(old)} (${host.knownHostsFile}:2)`);
    assert.equal(fault.found, `ssh-ed25519 ${fingerprint(host.hostKeys[0] as KeyPair)}`);
    assert(fault.remedy?.includes(`ssh-keygen -R '[127.0.0.1]:${host.port}' -f ${host.knownHostsFile}`));
    assert.equal(fault.effect, 'operator');
    assert.equal(host.seen.users.length, 0);
  });

  test('that is revoked is refused, even where it is known as well', async (t) => {
    const host = await hostFor(t);
    const [key] = host.hostKeys as [KeyPair];
    writeKnownHosts(host, `${host.knownHost(key)}@revoked * ${key.public.trim()}\n`);
    const fault = await tryConnect(host);
    assert.equal(fault?.kind, 'host-key-revoked');
    assert(fault.message.includes(`${host.knownHostsFile}:2`) && fault.found?.includes(fingerprint(key)) && fault.remedy);
  });

  test('is found under a hashed name, a wildcard, and an alias', async (t) => {
    const host = await hostFor(t);
    const [key] = host.hostKeys as [KeyPair];
    for (const name of [hashed(`[127.0.0.1]:${host.port}`), `[127.0.0.*]:${host.port}`, 'other,[127.*]:*']) {
      writeKnownHosts(host, host.knownHost(key, name));
      assert.equal(await tryConnect(host), undefined, name);
    }
    writeKnownHosts(host, host.knownHost(key, 'my-alias'));
    const config = join(host.folder, 'config');
    writeFileSync(config, 'HostKeyAlias my-alias\n');
    assert.equal(await tryConnect(host, { config }), undefined);
  });

  test('is not found under a negated name', async (t) => {
    const host = await hostFor(t);
    writeKnownHosts(host, host.knownHost(host.hostKeys[0] as KeyPair, `*,![127.0.0.1]:${host.port}`));
    assert.equal((await tryConnect(host))?.kind, 'host-key-unknown');
  });

  for (const known of ['ed25519', 'ecdsa'] as const)
    test(`of a server with several is the one that is known: ${known}`, async (t) => {
      const keys = { ed25519: newKey('ed25519'), ecdsa: newKey('ecdsa') };
      const host = await hostFor(t, { hostKeys: [keys.ecdsa, keys.ed25519] });
      writeKnownHosts(host, host.knownHost(keys[known]));
      assert.equal(await tryConnect(host), undefined);
    });

  test('of a server with several is not the one that is revoked, where another is known', async (t) => {
    const keys = { ed25519: newKey('ed25519'), ecdsa: newKey('ecdsa') };
    const host = await hostFor(t, { hostKeys: [keys.ed25519, keys.ecdsa] });
    writeKnownHosts(host, `@revoked * ${keys.ed25519.public.trim()}\n${host.knownHost(keys.ecdsa)}`);
    assert.equal(await tryConnect(host), undefined);
  });

  test('of another type than the known one is a changed key', async (t) => {
    const host = await hostFor(t, { hostKeys: [newKey('ecdsa')] });
    writeKnownHosts(host, host.knownHost(newKey('ed25519')));
    assert.equal((await tryConnect(host))?.kind, 'host-key-changed');
  });
});

describe('logging in', { concurrency: 6 }, () => {
  test('works with an encrypted key and its passphrase', async (t) => {
    const key = newKey('ed25519', 'open sesame');
    const host = await hostFor(t, {
      authenticate: (context) => (proves(context, key.public) ? context.accept() : context.reject(['publickey'])),
    });
    writeFileSync(host.identityFile, key.private);
    assert.equal(await tryConnect(host, { passphrase: 'open sesame' }), undefined);
  });

  for (const [what, passphrase, words] of [
    ['the wrong passphrase', 'wrong', /passphrase does not fit/],
    ['no passphrase', undefined, /no passphrase is given/],
  ] as const)
    test(`fails with ${what} for an encrypted key, and says so`, async (t) => {
      const host = await hostFor(t);
      writeFileSync(host.identityFile, newKey('ed25519', 'open sesame').private);
      const fault = await tryConnect(host, passphrase === undefined ? {} : { passphrase });
      assert.equal(fault?.kind, 'ssh-auth');
      assert.match(fault.found ?? '', words);
      assert(fault.found?.includes(host.identityFile) && fault.remedy);
      assert.equal(fault.effect, 'fail');
      assert(!JSON.stringify(fault).includes('wrong"'));
    });

  test('fails with a key file that does not exist or is no key, and says which', async (t) => {
    const host = await hostFor(t);
    const missing = await tryConnect(host, { identity: join(host.folder, 'missing') });
    assert(missing?.kind === 'ssh-auth' && missing.found?.includes(`${host.folder}/missing does not exist`));
    writeFileSync(host.identityFile, 'not a key\n');
    const broken = await tryConnect(host);
    assert(broken?.kind === 'ssh-auth' && broken.found?.includes(host.identityFile));
  });

  test('fails with a key that the host does not take, and says what was tried', async (t) => {
    const host = await hostFor(t);
    writeFileSync(host.identityFile, newKey().private);
    const fault = await tryConnect(host);
    assert.equal(fault?.kind, 'ssh-auth');
    assert.match(fault.message, new RegExp(`tester@\\[127.0.0.1\\]:${host.port} does not let us in`));
    assert.match(fault.found ?? '', /publickey/);
  });

  const takesPassword = (password: string): Partial<TestHostOptions> => ({
    authenticate: (context) =>
      context.method === 'password' && context.password === password ? context.accept() : context.reject(['publickey', 'password']),
  });

  test('works with a password, and fails with a wrong one without showing it', async (t) => {
    const host = await hostFor(t, takesPassword('right one'));
    assert.equal(await tryConnect(host, { password: 'right one' }), undefined);
    const fault = await tryConnect(host, { password: 'secret-and-wrong' });
    assert.equal(fault?.kind, 'ssh-auth');
    assert.match(fault.found ?? '', /password/);
    assert(!JSON.stringify(fault).includes('secret-and-wrong'));
  });

  test('works with a password where the host asks for it in its own words', async (t) => {
    const host = await hostFor(t, {
      authenticate: (context) => {
        if (context.method !== 'keyboard-interactive') return context.reject(['keyboard-interactive']);
        context.prompt([{ prompt: 'Password: ', echo: false }], 'Login', 'Say it', (answers) => {
          if (answers[0] === 'right one') context.accept();
          else context.reject(['keyboard-interactive']);
        });
      },
    });
    assert.equal(await tryConnect(host, { password: 'right one' }), undefined);
    assert.equal((await tryConnect(host, { password: 'wrong' }))?.kind, 'ssh-auth');
  });

  test('tries no password where none is given, and none of the agent where only one key is named', async (t) => {
    const methods = new Set<string>();
    const host = await hostFor(t, {
      authenticate: (context) => {
        methods.add(context.method);
        context.reject(['publickey', 'password', 'keyboard-interactive']);
      },
    });
    const fault = await tryConnect(host, {}, { SSH_AUTH_SOCK: host.folder });
    assert.equal(fault?.kind, 'ssh-auth');
    assert.deepEqual(
      [...methods].filter((method) => method !== 'none'),
      ['publickey'],
    );
  });

  test('a dead agent is no harm where a key does', async (t) => {
    const host = await hostFor(t);
    const agent = join(host.folder, 'agent');
    const dead = createServer((socket) => socket.destroy());
    await new Promise<void>((done) => dead.listen(agent, done));
    t.after(() => void dead.close());
    const config = join(host.folder, 'config');
    writeFileSync(
      config,
      `Host target-1\n  HostName 127.0.0.1\n  IdentityFile ${host.identityFile}\n  IdentityAgent ${agent}\n  UserKnownHostsFile ${host.knownHostsFile}\n`,
    );
    const settings = settingsFor('target-1', { config, port: host.port, user: 'tester' }, {});
    const connected = await connect('target-1', settings, { signal: new AbortController().signal, keepaliveMs: 15_000 });
    assert(connected.ok, connected.ok ? '' : JSON.stringify(connected.fault));
    connected.client.destroy();
  });
});

describe("the agent's keys", { concurrency: 6 }, () => {
  /** A host that takes one key, which the agent has among others, and the public keys that were offered to it. */
  async function hostWithAgent(t: TestContext, config: string) {
    const [wanted, other] = [newKey(), newKey()];
    const offered = new Set<string>();
    const host = await hostFor(t, {
      authenticate: (context) => {
        if (context.method === 'publickey') offered.add(context.key.data.toString('base64'));
        if (proves(context, wanted.public)) context.accept();
        else context.reject(['publickey']);
      },
    });
    const agent = await startAgent(join(host.folder, 'agent'), [other, wanted]);
    t.after(() => agent.close());
    writeFileSync(join(host.folder, 'named.pub'), wanted.public);
    writeFileSync(join(host.folder, 'locked'), newKey('ed25519', 'open sesame').private);
    writeFileSync(join(host.folder, 'locked.pub'), wanted.public);
    const file = join(host.folder, 'config');
    writeFileSync(file, `UserKnownHostsFile ${host.knownHostsFile}\n${config.replaceAll('%F', host.folder)}`);
    const settings = settingsFor(
      'target-1',
      { host: '127.0.0.1', port: host.port, user: 'tester', config: file },
      { SSH_AUTH_SOCK: join(host.folder, 'agent') },
    );
    const connected = await connect('target-1', settings, { signal: new AbortController().signal, keepaliveMs: 15_000 });
    if (connected.ok) connected.client.destroy();
    return { in: connected.ok, offered: offered.size, onlyWanted: [...offered].every((key) => wanted.public.includes(key)) };
  }

  for (const [what, config, expected] of [
    ['of SSH_AUTH_SOCK are offered', '', { in: true, offered: 2, onlyWanted: false }],
    ['of IdentityAgent are offered', 'IdentityAgent %F/agent\n', { in: true, offered: 2, onlyWanted: false }],
    ['are not offered with IdentityAgent none', 'IdentityAgent none\nIdentityFile %F/none\n', { in: false, offered: 0, onlyWanted: true }],
    [
      'are offered with IdentitiesOnly where their public half is named, and no others',
      'IdentitiesOnly yes\nIdentityFile %F/named.pub\n',
      { in: true, offered: 1, onlyWanted: true },
    ],
    [
      'are offered with IdentitiesOnly where the private half lies beside it, locked, and no others',
      'IdentitiesOnly yes\nIdentityFile %F/locked\n',
      { in: true, offered: 1, onlyWanted: true },
    ],
  ] as const)
    test(what, async (t) => {
      assert.deepEqual(await hostWithAgent(t, config), expected);
    });
});

describe('connecting', { concurrency: 6 }, () => {
  for (const [what, bytes] of [
    ['HTTP', 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'],
    ['noise', Buffer.from([0, 255, 1, 254, 10, 13, 10, 0])],
    ['nothing', ''],
    ['half a banner', 'SSH-2.0-x'],
    ['a banner and noise', `SSH-2.0-x\r\n${'\0\x7f'.repeat(600)}`],
  ] as const)
    test(`to a server that answers ${what} is a failure that may pass`, async (t) => {
      const odd = createServer((socket) => {
        socket.on('error', () => {});
        socket.end(bytes);
      });
      await new Promise<void>((done) => odd.listen(0, '127.0.0.1', done));
      t.after(() => void odd.close());
      const settings = settingsFor(
        'target-1',
        { host: '127.0.0.1', port: (odd.address() as AddressInfo).port, config: '/none' },
        { USER: 'me' },
      );
      const connected = await connect('target-1', settings, { signal: new AbortController().signal, keepaliveMs: 15_000 });
      assert(!connected.ok);
      assert.deepEqual([connected.fault.kind, connected.fault.effect, connected.fault.outcome], ['ssh-unreachable', 'retry', 'none']);
    });

  test('to a port where nothing listens is a failure that may pass, and says where', async (t) => {
    const host = await hostFor(t);
    await host.away();
    const fault = await tryConnect(host);
    assert.deepEqual([fault?.kind, fault?.effect], ['ssh-unreachable', 'retry']);
    assert.match(fault?.message ?? '', new RegExp(`tester@\\[127.0.0.1\\]:${host.port} cannot be reached: ECONNREFUSED`));
  });

  test('is over at once when it is no longer wanted', async (t) => {
    const silent = createServer();
    const sockets: { destroy(): void }[] = [];
    silent.on('connection', (socket) => sockets.push(socket));
    await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done));
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const controller = new AbortController();
    const settings = settingsFor(
      'target-1',
      { host: '127.0.0.1', port: (silent.address() as AddressInfo).port, config: '/none' },
      { USER: 'me' },
    );
    const connecting = connect('target-1', settings, { signal: controller.signal, keepaliveMs: 15_000 });
    await until('it is connected', () => sockets.length === 1);
    controller.abort();
    assert.equal((await connecting).ok, false);
  });
});
