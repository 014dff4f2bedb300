/** One connection to a host: authenticated, its key checked, kept alive. */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import ssh2, { type AnyAuthMethod, type ConnectConfig, type ServerHostKeyAlgorithm, type Client as SshClient } from 'ssh2';
import { type Fault, fault } from '../../model/fault.ts';
import { identitiesOf } from './identities.ts';
import { hostLabel, judgeKey, type KnownKey, knownKeys } from './known-hosts.ts';
import type { SshSettings } from './settings.ts';

const { Client } = ssh2;

/** Host key algorithms by the key type that known_hosts names. */
const ALGORITHMS: Record<string, ServerHostKeyAlgorithm[]> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
};

export type Connected = { ok: true; client: SshClient } | { ok: false; fault: Fault };

function keysFor(settings: SshSettings): KnownKey[] {
  return settings.knownHosts.flatMap((file) => {
    if (!existsSync(file)) return [];
    return knownKeys(
      readFileSync(file, 'utf8'),
      file,
      settings.keyAlias ?? settings.host,
      settings.keyAlias === undefined ? settings.port : 22,
    );
  });
}

/** The offered algorithms, those first whose keys are known: else a server's other key would look like a changed one. */
function algorithmsFor(keys: readonly KnownKey[]): ServerHostKeyAlgorithm[] {
  const known = keys.filter((key) => !key.revoked).flatMap((key) => ALGORITHMS[key.type] ?? []);
  return [...new Set([...known, ...Object.values(ALGORITHMS).flat()])];
}

export type ConnectOptions = {
  /** Aborted when the connection is no longer wanted. */
  signal: AbortSignal;
  /** A peer that is silent for three of these is gone. */
  keepaliveMs: number;
  /** A stream to the host, where a jump host leads to it. */
  sock?: Duplex;
};

/** Connects once. */
export function connect(subject: string, settings: SshSettings, options: ConnectOptions): Promise<Connected> {
  const { host, port, user } = settings;
  const { signal, keepaliveMs, sock } = options;
  const where = `${user}@${hostLabel(host, port)}`;
  const known = keysFor(settings);
  const auth = identitiesOf(settings);
  return new Promise((resolve) => {
    const client = new Client();
    let keyFault: Fault | undefined;
    const settle = () => {
      client.removeAllListeners();
      signal.removeEventListener('abort', stop);
    };
    const fail = (why: Fault) => {
      settle();
      client.on('error', () => {});
      client.end();
      client.destroy();
      resolve({ ok: false, fault: why });
    };
    const stop = () => fail(fault('ssh-closed', subject, 'cancelled'));
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    const remaining = [...auth.methods];
    const tried: string[] = [];
    const config: ConnectConfig = {
      host,
      port,
      username: user,
      ...(sock === undefined ? {} : { sock }),
      readyTimeout: settings.connectTimeoutMs,
      keepaliveInterval: keepaliveMs,
      keepaliveCountMax: 3,
      algorithms: { serverHostKey: algorithmsFor(known) },
      hostVerifier: (key: Buffer) => {
        keyFault = judgeHostKey(subject, settings, known, key);
        return keyFault === undefined;
      },
      authHandler: (left, _partial, next) => {
        let method = remaining.shift();
        // `left` is what the server still takes; null before it has said so.
        while (method && left && !(left as string[]).includes(method.type === 'agent' ? 'publickey' : method.type))
          method = remaining.shift();
        if (!method) return next(false as unknown as AnyAuthMethod);
        tried.push(method.type);
        next(method);
      },
    };
    client.on('ready', () => {
      settle();
      client.on('error', () => {});
      resolve({ ok: true, client });
    });
    client.on('error', (error: SshError) => {
      // What fails with the agent is tried with the next identity.
      if (error.level === 'agent') auth.problems.push(`the agent: ${error.message}`);
      else fail(keyFault ?? connectFault(subject, where, error, tried, auth.problems));
    });
    client.on('close', () => fail(keyFault ?? fault('ssh-unreachable', subject, `${where} closed the connection`, { effect: 'retry' })));
    try {
      client.connect(config);
      // A session is a conversation of short messages; waiting to fill packets makes each take 40 ms longer.
      client.setNoDelay(true);
    } catch (error) {
      fail(fault('ssh-config', subject, `${where}: ${(error as Error).message}`));
    }
  });
}

/** An error of ssh2. `code` is a text of the system's, or the number that a host gave as its reason to say goodbye. */
type SshError = Error & { level?: string; code?: string | number };

function connectFault(subject: string, where: string, error: SshError, tried: string[], problems: string[]): Fault {
  // A host that says goodbye while we log in has lost patience: each key of an agent is one attempt.
  const impatient = typeof error.code === 'number' && tried.length > 0;
  if (error.level === 'client-authentication' || impatient) {
    const found = [
      `tried ${[...new Set(tried)].join(', ') || 'nothing'}`,
      ...(impatient ? [`it said: ${error.message}`] : []),
      ...problems,
    ];
    return fault('ssh-auth', subject, `${where} does not let us in`, {
      found: found.join('; '),
      remedy: 'Give the right `user` and `identity`, load the key into the agent, or name the passphrase as a secret.',
    });
  }
  if (error.level === 'client-timeout') return fault('ssh-unreachable', subject, `${where} did not answer in time`, { effect: 'retry' });
  const why = typeof error.code === 'string' ? error.code : error.message;
  return fault('ssh-unreachable', subject, `${where} cannot be reached: ${why}`, { effect: 'retry' });
}

function judgeHostKey(subject: string, settings: SshSettings, known: readonly KnownKey[], key: Buffer): Fault | undefined {
  const type = key.subarray(4, 4 + key.readUInt32BE(0)).toString('ascii');
  const verdict = judgeKey(known, type, key.toString('base64'));
  if (verdict.ok) return undefined;
  const print = (base64: string) =>
    `SHA256:${createHash('sha256').update(Buffer.from(base64, 'base64')).digest('base64').replace(/=+$/, '')}`;
  const host = hostLabel(settings.host, settings.port);
  const found = `${type} ${print(key.toString('base64'))}`;
  const files = settings.knownHosts[0] as string;
  if (verdict.kind === 'host-key-unknown')
    return fault('host-key-unknown', subject, `the host key of ${host} is not known`, {
      expected: `an entry in ${settings.knownHosts.join(' or ')}`,
      found,
      remedy: `Compare the fingerprint with what the host's owner says, then: ssh-keyscan -p ${settings.port} ${settings.host} >> ${files}`,
    });
  const at = `${verdict.known?.file}:${verdict.known?.line}`;
  return fault(
    verdict.kind,
    subject,
    verdict.kind === 'host-key-revoked'
      ? `the host key of ${host} is revoked (${at})`
      : `the host key of ${host} HAS CHANGED: somebody may be in between, or the host was installed anew`,
    {
      expected: verdict.known ? `${verdict.known.type} ${print(verdict.known.key)} (${at})` : 'another key',
      found,
      effect: 'operator',
      remedy: `Find out why. Only if the host was installed anew: ssh-keygen -R '${host}' -f ${verdict.known?.file ?? files}, then add its new key.`,
    },
  );
}
