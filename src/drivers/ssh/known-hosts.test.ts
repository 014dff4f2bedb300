import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judgeKey, knownKeys } from './known-hosts.ts';
import { hashed } from './server.fixture.ts';

const KEY = 'AAAAC3NzaC1lZDI1NTE5AAAAIDw1';
const OTHER = 'AAAAC3NzaC1lZDI1NTE5AAAAIDw2';

/** Whether a line knows a host. */
function knows(names: string, host: string, port = 22): boolean {
  return knownKeys(`${names} ssh-ed25519 ${KEY} a comment\n`, 'file', host, port).length === 1;
}

describe('known_hosts', () => {
  for (const [names, host, port, known] of [
    ['host-1', 'host-1', 22, true],
    ['host-1', 'host-11', 22, false],
    ['host-1', 'HOST-1', 22, true],
    ['Host-1', 'host-1', 22, true],
    ['host-1', 'host-1', 2222, false],
    ['[host-1]:2222', 'host-1', 2222, true],
    ['[host-1]:2222', 'host-1', 2223, false],
    ['[host-1]:2222', 'host-1', 22, false],
    ['a,host-1,b', 'host-1', 22, true],
    ['10.0.0.*', '10.0.0.77', 22, true],
    ['10.0.0.*', '10x0.0.77', 22, false],
    ['10.0.0.?', '10.0.0.7', 22, true],
    ['10.0.0.?', '10.0.0.77', 22, false],
    ['*', 'anything', 22, true],
    ['[*.example.com]:2222', 'a.example.com', 2222, true],
    ['*.example.com,!bad.example.com', 'good.example.com', 22, true],
    ['*.example.com,!bad.example.com', 'bad.example.com', 22, false],
    ['!bad.example.com,*.example.com', 'bad.example.com', 22, false],
    ['!bad.example.com', 'good.example.com', 22, false],
    ['fe80::1', 'fe80::1', 22, true],
    ['[fe80::1]:2222', 'fe80::1', 2222, true],
    [hashed('host-1'), 'host-1', 22, true],
    [hashed('host-1'), 'HOST-1', 22, true],
    [hashed('host-1'), 'host-2', 22, false],
    [hashed('[host-1]:2222'), 'host-1', 2222, true],
    [hashed('[host-1]:2222'), 'host-1', 22, false],
    ['|1|broken', 'host-1', 22, false],
  ] as const)
    test(`an entry for ${names.startsWith('|1|') ? 'a hashed name' : names} ${known ? 'is' : 'is not'} one for ${host}, port ${port}`, () => {
      assert.equal(knows(names, host, port), known);
    });

  test('empty lines, comments, nonsense and certificate authorities are passed over, and lines are counted all the same', () => {
    const text = `# comment\n\n   \nhost-1\nhost-1 ssh-ed25519\n@cert-authority host-1 ssh-ed25519 ${KEY}\r\n\thost-1\tssh-ed25519\t${KEY}\r\n`;
    assert.deepEqual(knownKeys(text, 'file', 'host-1', 22), [{ type: 'ssh-ed25519', key: KEY, file: 'file', line: 7, revoked: false }]);
  });

  test('any of the keys of a host is good', () => {
    const keys = knownKeys(`host-1 ssh-ed25519 ${KEY}\nhost-1 ssh-ed25519 ${OTHER}\n`, 'file', 'host-1', 22);
    assert.deepEqual(judgeKey(keys, 'ssh-ed25519', OTHER), { ok: true });
  });

  test('a key that is revoked is not good, even where another line knows it', () => {
    const keys = knownKeys(`host-1 ssh-ed25519 ${KEY}\n@revoked * ssh-ed25519 ${KEY}\n`, 'file', 'host-1', 22);
    const verdict = judgeKey(keys, 'ssh-ed25519', KEY);
    assert(!verdict.ok && verdict.kind === 'host-key-revoked' && verdict.known?.line === 2);
  });

  test('a host with nothing but a revoked key is unknown with any other', () => {
    const keys = knownKeys(`@revoked * ssh-ed25519 ${KEY}\n`, 'file', 'host-1', 22);
    assert.deepEqual(judgeKey(keys, 'ssh-ed25519', OTHER), { ok: false, kind: 'host-key-unknown' });
  });
});
