/** One lab host in a process of its own, for tests. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Connect } from '../../model/documents/index.ts';
import { type HostOptions, prepareHost } from './host.ts';
import { newKeyPair } from './keys.ts';

export type LabHostProcess = {
  folder: string;
  child: ChildProcess;
  connect: Connect;
  /** A file of its folder. */
  read(name: string): string;
  /** Stops it as the lab does, by leaving it alone. */
  stop(): Promise<void>;
};

export async function startLabHost(folder: string, more: Partial<HostOptions> = {}): Promise<LabHostProcess> {
  prepareHost(folder, '1.0.0', {});
  const [hostKey, identity] = [newKeyPair(), newKeyPair()];
  const options: HostOptions = {
    id: 'host-1',
    folder,
    hostKey: hostKey.private,
    authorizedKey: identity.public,
    installMs: 100,
    rebootMs: 200,
    ...more,
  };
  const child = fork(fileURLToPath(new URL('host-process.ts', import.meta.url)), [], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    // Not those of a test runner: they would make SIGUSR2, which is its reboot, write a report.
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  child.send(options);
  const [ports] = (await once(child, 'message')) as [{ ssh: number; http: number }];
  writeFileSync(join(folder, 'id'), identity.private, { mode: 0o600 });
  writeFileSync(join(folder, 'known_hosts'), `[127.0.0.1]:${ports.ssh} ${hostKey.public.trim()}\n`);
  return {
    folder,
    child,
    connect: {
      ssh: {
        host: '127.0.0.1',
        port: ports.ssh,
        user: 'lab',
        identity: join(folder, 'id'),
        knownHosts: join(folder, 'known_hosts'),
      },
      http: { url: `http://127.0.0.1:${ports.http}` },
    },
    read: (name) => readFileSync(join(folder, name), 'utf8').trim(),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.disconnect();
      await gone;
    },
  };
}
