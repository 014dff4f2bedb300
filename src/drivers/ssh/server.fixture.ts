/** SSH servers in this process, with everything a test may want to go wrong. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import ssh2, { type AuthContext, type Connection, type ParsedKey, type ServerChannel } from 'ssh2';
import type { SshConnect } from '../../model/documents/index.ts';
import { type KeyPair, newKeyPair } from '../../packs/generic/keys.ts';

export function newKey(type: 'ed25519' | 'ecdsa' = 'ed25519', passphrase?: string): KeyPair {
  if (type === 'ecdsa') return ssh2.utils.generateKeyPairSync('ecdsa', { bits: 256 });
  return newKeyPair(passphrase === undefined ? {} : { passphrase });
}

export type TestHostOptions = {
  folder: string;
  hostKeys?: KeyPair[];
  /** Whether somebody may log in; by default who has `identity`. */
  authenticate?: (context: AuthContext) => void;
  /** More sessions at once on a connection are refused. */
  maxSessions?: number;
  /** Takes a command instead of running it. */
  exec?: (channel: ServerChannel, command: string, connection: Connection) => void;
};

export class TestHost {
  readonly folder: string;
  readonly hostKeys: KeyPair[];
  readonly identity: KeyPair = newKey();
  /** Connections ever made, sessions now, and the most there were at once. */
  readonly seen = { connections: 0, sessions: 0, most: 0, users: [] as string[], forwards: [] as string[] };
  port = 0;
  readonly #options: TestHostOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #children = new Set<ChildProcess>();

  constructor(options: TestHostOptions) {
    this.#options = options;
    this.folder = options.folder;
    this.hostKeys = options.hostKeys ?? [newKey()];
    mkdirSync(join(this.folder, 'home'), { recursive: true });
    writeFileSync(join(this.folder, 'boot_id'), 'boot-1\n');
    writeFileSync(this.identityFile, this.identity.private, { mode: 0o600 });
    const ssh = new ssh2.Server({ hostKeys: this.hostKeys.map((key) => key.private) }, (connection) => this.#accept(connection));
    this.#server = createServer((socket) => {
      this.seen.connections++;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
      socket.setNoDelay(true);
      (ssh as unknown as { injectSocket(socket: Socket): void }).injectSocket(socket);
    });
  }

  get identityFile(): string {
    return join(this.folder, 'id');
  }

  get knownHostsFile(): string {
    return join(this.folder, 'known_hosts');
  }

  /** How it is connected to; its keys are known. */
  connect(more: SshConnect = {}): { ssh: SshConnect } {
    return {
      ssh: { host: '127.0.0.1', port: this.port, user: 'tester', identity: this.identityFile, knownHosts: this.knownHostsFile, ...more },
    };
  }

  /** A line of known_hosts for a key. */
  knownHost(key: KeyPair, name = `[127.0.0.1]:${this.port}`): string {
    return `${name} ${key.public.trim()}\n`;
  }

  async start(port = 0): Promise<this> {
    await new Promise<void>((done, fail) => this.#server.once('error', fail).listen(port, '127.0.0.1', done));
    this.port = (this.#server.address() as AddressInfo).port;
    writeFileSync(this.knownHostsFile, this.hostKeys.map((key) => this.knownHost(key)).join(''));
    return this;
  }

  /** Connections open now. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Cuts every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Reads and answers nothing more, without closing anything. */
  freeze(): void {
    for (const socket of this.#sockets) {
      socket.removeAllListeners('data');
      socket.pause();
    }
  }

  /** Goes away; what was started on it goes on. */
  async away(): Promise<void> {
    this.cut();
    await new Promise((done) => this.#server.close(done));
  }

  /** Goes away and takes everything with it that was started on it. */
  async close(): Promise<void> {
    await this.away();
    for (const child of this.#children) killGroup(child.pid);
    for (const file of globSync(join(this.folder, 'home/.upshift/jobs/*/*/*/pid'))) killGroup(Number(readFileSync(file, 'utf8')));
  }

  #accept(connection: Connection): void {
    connection.on('error', () => {});
    connection.on('authentication', (context) => {
      if (this.#options.authenticate) this.#options.authenticate(context);
      else if (proves(context, this.identity.public)) context.accept();
      else context.reject(['publickey']);
      this.seen.users.push(context.username);
    });
    connection.on('session', (accept, reject) => {
      if (this.seen.sessions >= (this.#options.maxSessions ?? 10)) return reject();
      const session = accept();
      this.seen.most = Math.max(this.seen.most, ++this.seen.sessions);
      session.on('close', () => this.seen.sessions--);
      session.on('exec', (acceptExec, _reject, { command }) => {
        const channel = acceptExec();
        channel.on('error', () => {});
        if (this.#options.exec) this.#options.exec(channel, command, connection);
        else {
          const child = this.#run(channel, command);
          session.on('signal', (_accept, _refuse, { name }) => killGroup(child.pid, `SIG${name}` as NodeJS.Signals));
        }
      });
    });
    connection.on('tcpip', (accept, reject, info) => {
      this.seen.forwards.push(`${info.destIP}:${info.destPort}`);
      const socket = connect(info.destPort, info.destIP);
      socket.once('error', () => reject());
      socket.once('connect', () => {
        const channel = accept();
        channel.on('error', () => socket.destroy());
        socket.removeAllListeners('error').on('error', () => channel.end());
        channel.pipe(socket).pipe(channel);
        connection.on('close', () => socket.destroy());
      });
    });
  }

  #run(channel: ServerChannel, command: string): ChildProcess {
    const home = join(this.folder, 'home');
    const child = spawn('sh', ['-c', command], {
      cwd: home,
      detached: true,
      env: { PATH: process.env['PATH'], HOME: home, UPSHIFT_BOOT_ID: join(this.folder, 'boot_id') },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    child.stdout.pipe(channel, { end: false });
    child.stderr.pipe(channel.stderr, { end: false });
    child.on('close', (code, signal) => {
      this.#children.delete(child);
      if (channel.destroyed) return;
      if (signal) channel.exit(signal.replace('SIG', ''));
      else channel.exit(code ?? 0);
      channel.end();
    });
    return child;
  }
}

/** Whether a login proves to have a key. */
export function proves(context: AuthContext, publicKey: string): boolean {
  if (context.method !== 'publickey') return false;
  const key = ssh2.utils.parseKey(publicKey);
  if (key instanceof Error || !context.key.data.equals(key.getPublicSSH())) return false;
  return !context.signature || (context.blob !== undefined && key.verify(context.blob, context.signature, context.hashAlgo) === true);
}

/** A name as `ssh-keygen -H` writes it. */
export function hashed(name: string): string {
  const salt = randomBytes(20);
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`;
}

function killGroup(pid: number | undefined, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (pid === undefined || !Number.isInteger(pid) || pid <= 1) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended.
  }
}

/** An agent that holds keys; its socket is `path`. What it was asked to sign with is in `signed`. */
export async function startAgent(path: string, keys: readonly KeyPair[]): Promise<{ signed: string[]; close(): void }> {
  const parsed = keys.map((key) => ssh2.utils.parseKey(key.private) as ParsedKey);
  const signed: string[] = [];
  const server = createServer((socket) => {
    const agent = new ssh2.AgentProtocol(false);
    socket.on('error', () => {});
    agent.on('error', () => {});
    agent.on('identities', (request) => agent.getIdentitiesReply(request, parsed));
    agent.on('sign', (request, publicKey, data) => {
      const key = parsed.find((one) => one.getPublicSSH().equals((publicKey as ParsedKey).getPublicSSH()));
      signed.push(publicKey.getPublicPEM());
      if (key) agent.signReply(request, key.sign(data));
      else agent.failureReply(request);
    });
    socket.pipe(agent).pipe(socket);
  });
  await new Promise<void>((done) => server.listen(path, done));
  return { signed, close: () => void server.close() };
}
