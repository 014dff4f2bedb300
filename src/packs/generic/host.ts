/**
 * One host of the lab, a process of its own: an SSH server with a directory, a service that answers its version over HTTP, an installer
 * that takes a while, and a reboot that really drops connections and comes back.
 *
 * Its directory: `version`, `next` (what the next boot activates), `previous`, `boot_id`, `frozen`, `faults/ACTION` (how often that action
 * fails first), `ledger.jsonl` (one line per thing really done to it), `home/` (where sessions start), `bin/`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import ssh2, { type Connection, type ServerChannel } from 'ssh2';

export type HostOptions = {
  id: string;
  folder: string;
  hostKey: string;
  /** The public key that may log in, as in authorized_keys. */
  authorizedKey: string;
  installMs: number;
  rebootMs: number;
  /** Cut the connection once, midway through a command that holds this text. */
  drop?: string;
};

type Ports = { ssh: number; http: number };

export class LabHost {
  protected readonly options: HostOptions;
  readonly #connections = new Set<Connection>();
  readonly #children = new Set<ChildProcess>();
  #ssh: InstanceType<typeof ssh2.Server> | undefined;
  #http: Server | undefined;
  #dropped = false;
  #rebooting = false;

  constructor(options: HostOptions) {
    this.options = options;
  }

  /** Starts serving; the ports are chosen by the system the first time and kept from then on. */
  async boot(ports: Ports = { ssh: 0, http: 0 }): Promise<Ports> {
    writeFileSync(this.path('boot_id'), `${randomUUID()}\n`);
    const next = this.read('next');
    if (next !== '') {
      writeFileSync(this.path('previous'), this.read('version'));
      writeFileSync(this.path('version'), next);
      rmSync(this.path('next'));
    }
    this.#http = createServer((request, response) => this.serve(request, response));
    await listen(this.#http, ports.http);
    this.#ssh = new ssh2.Server({ hostKeys: [this.options.hostKey], ident: 'upshift-lab' }, (connection) => this.#accept(connection));
    await listen(this.#ssh as unknown as Server, ports.ssh);
    return { ssh: portOf(this.#ssh as unknown as Server), http: portOf(this.#http) };
  }

  /** Loses everything that was going on, is away for a while, and comes back with another boot id. */
  async reboot(): Promise<void> {
    if (this.#rebooting || !this.#ssh || !this.#http) return;
    this.#rebooting = true;
    const fence = this.#lastFence();
    const ports = { ssh: portOf(this.#ssh as unknown as Server), http: portOf(this.#http) };
    this.note(fence, 'reboot', 'begin', null);
    this.#killEverything();
    for (const connection of this.#connections) (connection as unknown as { _sock?: { destroy(): void } })._sock?.destroy();
    this.#http.closeAllConnections();
    await Promise.all([close(this.#http), close(this.#ssh as unknown as Server)]);
    await new Promise((done) => setTimeout(done, this.options.rebootMs));
    this.note(fence, 'reboot', 'end', 'success');
    await this.boot(ports);
    this.#rebooting = false;
  }

  /** Ends whatever was started here. The host itself ends with its process. */
  stop(): void {
    this.#killEverything();
  }

  /** Writes a line of the ledger: what was really done here. */
  note(fence: string, action: string, phase: 'begin' | 'end' | 'killed', outcome: string | null): void {
    appendFileSync(this.path('ledger.jsonl'), `${JSON.stringify({ at: new Date().toISOString(), fence, action, phase, outcome })}\n`);
  }

  protected path(name: string): string {
    return join(this.options.folder, name);
  }

  protected read(name: string): string {
    return readIfThere(this.path(name));
  }

  #lastFence(): string {
    return this.read('reboot_fence');
  }

  /** What a power cycle does to processes; what had begun and not ended is on record as killed. */
  #killEverything(): void {
    for (const child of this.#children) killGroup(child.pid);
    for (const file of globSync(this.path('home/.upshift/jobs/*/*/*/pid'))) {
      // A number of an earlier boot may belong to any process of this machine by now.
      const current = readIfThere(join(file, '../boot')) === this.read('boot_id');
      if (current && !existsSync(join(file, '../exit'))) killGroup(Number(readIfThere(file)));
    }
    const open = new Map<string, { fence: string; action: string }>();
    for (const line of this.read('ledger.jsonl').split('\n').filter(Boolean)) {
      const { fence, action, phase } = JSON.parse(line) as { fence: string; action: string; phase: string };
      if (phase === 'begin') open.set(`${fence} ${action}`, { fence, action });
      else open.delete(`${fence} ${action}`);
    }
    for (const { fence, action } of open.values()) if (action !== 'reboot') this.note(fence, action, 'killed', null);
  }

  #accept(connection: Connection): void {
    this.#connections.add(connection);
    (connection as unknown as { setNoDelay(on: boolean): void }).setNoDelay(true);
    connection.on('close', () => this.#connections.delete(connection));
    connection.on('error', () => {});
    const allowed = ssh2.utils.parseKey(this.options.authorizedKey);
    connection.on('authentication', (context) => {
      if (context.method !== 'publickey' || allowed instanceof Error) return context.reject(['publickey']);
      const key = Array.isArray(allowed) ? allowed[0] : allowed;
      const same = key && context.key.algo === key.type && context.key.data.equals(key.getPublicSSH());
      const proven = !context.signature || (context.blob && key?.verify(context.blob, context.signature, context.hashAlgo) === true);
      if (same && proven) context.accept();
      else context.reject(['publickey']);
    });
    connection.on('session', (acceptSession) => {
      const session = acceptSession();
      session.on('exec', (acceptExec, _reject, info) => this.#exec(connection, acceptExec(), info.command));
    });
  }

  #exec(connection: Connection, channel: ServerChannel, command: string): void {
    const { folder, installMs } = this.options;
    const child = spawn('sh', ['-c', command], {
      cwd: this.path('home'),
      detached: true,
      env: {
        PATH: `${this.path('bin')}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin`,
        HOME: this.path('home'),
        UPSHIFT_BOOT_ID: this.path('boot_id'),
        LAB: folder,
        LAB_ID: this.options.id,
        LAB_ROOT: join(folder, '../..'),
        LAB_PID: String(process.pid),
        LAB_SECONDS: String(installMs / 1000),
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#children.add(child);
    channel.on('error', () => {});
    child.stdin.on('error', () => {});
    channel.pipe(child.stdin);
    child.stdout.pipe(channel, { end: false });
    child.stderr.pipe(channel.stderr, { end: false });
    child.on('close', (code, signal) => {
      this.#children.delete(child);
      if (channel.destroyed) return;
      if (signal) channel.exit(signal.replace('SIG', ''));
      else channel.exit(code ?? 0);
      channel.end();
    });
    const { drop } = this.options;
    if (drop !== undefined && !this.#dropped && command.includes(drop)) {
      this.#dropped = true;
      setTimeout(() => (connection as unknown as { _sock?: { destroy(): void } })._sock?.destroy(), installMs / 2);
    }
  }

  /** Answers over HTTP. A product's own hosts answer more. */
  protected serve(request: IncomingMessage, response: ServerResponse): void {
    request.resume();
    const answer = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const frozen = this.read('frozen');
    const fence = String(request.headers['upshift-fence'] ?? '');
    const route = `${request.method} ${request.url}`;
    if (route === 'GET /version') answer(200, { id: this.options.id, version: this.read('version'), boot: this.read('boot_id') });
    else if (route === 'GET /freeze') answer(200, { frozen: frozen !== '' });
    else if (route === 'PUT /freeze') {
      if (frozen === '') this.note(fence, 'freeze', 'end', 'success');
      writeFileSync(this.path('frozen'), 'yes');
      answer(200, { frozen: true });
    } else if (route === 'DELETE /freeze') {
      if (frozen !== '') this.note(fence, 'thaw', 'end', 'success');
      rmSync(this.path('frozen'), { force: true });
      answer(200, { frozen: false });
    } else if (route === 'PUT /config') answer(frozen === '' ? 200 : 423, { ok: frozen === '' });
    else answer(404, { error: `no ${route}` });
  }
}

/** A file's text, or nothing: whoever else works here may have removed it a moment ago. */
function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined || !Number.isInteger(pid) || pid <= 1) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve());
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

const INSTALLER = `#!/bin/sh
# The lab's installer: "installer install VERSION" makes VERSION the one of the next boot, "installer rollback" the one before.
now() { date -u +%Y-%m-%dT%H:%M:%S.%3NZ; }
note() { printf '{"at":"%s","fence":"%s","action":"%s","phase":"%s","outcome":%s}\\n' "$(now)" "$UPSHIFT_FENCE" "$action" "$1" "$2" >> "$LAB/ledger.jsonl"; }
action=$1
note begin null
echo "$action: unpacking"
sleep "$LAB_SECONDS"
left=$(cat "$LAB/faults/$action" 2>/dev/null || echo 0)
if [ "$left" -gt 0 ]; then
  echo $((left - 1)) > "$LAB/faults/$action"
  echo "$action: the package is damaged" >&2
  note end '"failure"'
  exit 1
fi
case $action in
  install) echo "$2" > "$LAB/next" ;;
  rollback) if [ -f "$LAB/next" ]; then rm "$LAB/next"; else cp "$LAB/previous" "$LAB/next"; fi ;;
  *) echo "usage: installer install VERSION | installer rollback" >&2; note end '"failure"'; exit 2 ;;
esac
echo "$action: done"
note end '"success"'
`;

const REBOOT = `#!/bin/sh
# The lab's reboot: tells the host's process, which cuts every connection and comes back after a while.
printf '%s' "$UPSHIFT_FENCE" > "$LAB/reboot_fence"
kill -USR2 "$LAB_PID"
sleep 30
`;

/** The commands of the generic lab. */
export const GENERIC_COMMANDS: Record<string, string> = { installer: INSTALLER, reboot: REBOOT };

/** Makes a host's directory as it is when it is delivered. `commands`: scripts that sessions find, by name. */
export function prepareHost(folder: string, version: string, faults: Record<string, number>, commands = GENERIC_COMMANDS): void {
  for (const name of ['home', 'bin', 'faults']) mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, 'version'), `${version}\n`);
  writeFileSync(join(folder, 'ledger.jsonl'), '');
  for (const [name, script] of Object.entries(commands)) writeFileSync(join(folder, 'bin', name), script, { mode: 0o755 });
  for (const [action, times] of Object.entries(faults)) writeFileSync(join(folder, 'faults', action), `${times}\n`);
}
