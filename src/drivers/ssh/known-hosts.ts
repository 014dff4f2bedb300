/** OpenSSH's known_hosts: which keys a host may have. Format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". */
import { createHmac } from 'node:crypto';

export type KnownKey = { type: string; key: string; file: string; line: number; revoked: boolean };

/** `host`, or `[host]:port` where the port is not 22. */
export function hostLabel(host: string, port: number): string {
  return port === 22 ? host : `[${host}]:${port}`;
}

/** The keys a file's text knows for a host. Lines that cannot be read, and certificate authorities, are passed over. */
export function knownKeys(text: string, file: string, host: string, port: number): KnownKey[] {
  const label = hostLabel(host, port).toLowerCase();
  const keys: KnownKey[] = [];
  text.split('\n').forEach((raw, index) => {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) return;
    const words = line.split(/\s+/);
    const marker = words[0]?.startsWith('@') ? (words.shift() as string) : '';
    if (marker === '@cert-authority') return;
    const [patterns = '', type = '', key = ''] = words;
    if (key !== '' && matchesHost(patterns, label)) keys.push({ type, key, file, line: index + 1, revoked: marker === '@revoked' });
  });
  return keys;
}

function matchesHost(patterns: string, label: string): boolean {
  if (patterns.startsWith('|1|')) {
    const [, , salt = '', hash = ''] = patterns.split('|');
    return createHmac('sha1', Buffer.from(salt, 'base64')).update(label).digest('base64') === hash;
  }
  let matched = false;
  for (const pattern of patterns.toLowerCase().split(',')) {
    const negated = pattern.startsWith('!');
    if (!globMatches(negated ? pattern.slice(1) : pattern, label)) continue;
    if (negated) return false;
    matched = true;
  }
  return matched;
}

function globMatches(pattern: string, text: string): boolean {
  const expression = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${expression}$`).test(text);
}

export type Verdict = { ok: true } | { ok: false; kind: 'host-key-unknown' | 'host-key-changed' | 'host-key-revoked'; known?: KnownKey };

/** Whether a host may have a key (base64 of its wire form). */
export function judgeKey(keys: readonly KnownKey[], type: string, key: string): Verdict {
  const revoked = keys.find((one) => one.revoked && one.key === key);
  if (revoked) return { ok: false, kind: 'host-key-revoked', known: revoked };
  const usable = keys.filter((one) => !one.revoked);
  if (usable.some((one) => one.key === key)) return { ok: true };
  const known = usable.find((one) => one.type === type) ?? usable[0];
  return known ? { ok: false, kind: 'host-key-changed', known } : { ok: false, kind: 'host-key-unknown' };
}
