/**
 * Connections by host: one each, shared by everything that goes to it, closed when it has been idle for a while.
 *
 * Invariants
 * - C1 There is at most one connection, or one attempt to connect, for the same settings.
 * - C2 At most SESSIONS commands run on a connection at once (OpenSSH's MaxSessions is 10); more wait.
 * - C3 A connection in use is not idle: a command that runs on it, waits for it, or goes through it to another host is a use.
 * - C4 No wait outlasts its call: it is over when the call is aborted or its deadline passes.
 */
import type { Client } from 'ssh2';
import type { SshConnect } from '../../model/documents/index.ts';
import { type Fault, fault } from '../../model/fault.ts';
import { before, pause } from '../deadline.ts';
import type { Ran, RunOptions, Transport } from '../shell/transport.ts';
import { type Connected, connect } from './connection.ts';
import { runOn } from './session.ts';
import { jumpConnect, type SshSettings, settingsFor } from './settings.ts';
import { Turns } from './turns.ts';

const SESSIONS = 8;
/** How long to try where a call says nothing else. */
const PATIENCE_MS = 20_000;
const BACKOFF_MS = [100, 250, 500, 1_000, 2_000] as const;

export type SshTimes = {
  /** A connection without use is closed after so long. */
  idleMs: number;
  /** A peer that is silent for three of these is gone. */
  keepaliveMs: number;
};
const TIMES: SshTimes = { idleMs: 30_000, keepaliveMs: 15_000 };

type Host = {
  key: string;
  connecting: Promise<Connected>;
  closing: AbortController;
  turns: Turns;
  uses: number;
  /** Whether new commands may still go to it. */
  alive: boolean;
  idle?: NodeJS.Timeout;
};

export class SshPool {
  readonly #hosts = new Map<string, Host>();
  /** Those too that are left to what still runs on them. */
  readonly #open = new Set<Host>();
  readonly #times: SshTimes;
  #closed = false;

  constructor(times: Partial<SshTimes> = {}) {
    this.#times = { ...TIMES, ...times };
  }

  /** A way to run commands on a target. */
  transport(subject: string, connectBy: SshConnect): Transport {
    const settings = settingsFor(subject, connectBy);
    return { run: (command, options) => this.#run(subject, settings, command, options) };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(
      [...this.#open].map(async (host) => {
        host.closing.abort();
        clearTimeout(host.idle);
        const connected = await host.connecting;
        if (connected.ok) connected.client.destroy();
      }),
    );
  }

  async #run(subject: string, settings: SshSettings, command: string, options: RunOptions): Promise<Ran> {
    const until = Math.min(options.deadline, Date.now() + (options.patienceMs ?? PATIENCE_MS));
    for (let attempt = 0; ; attempt++) {
      if (options.signal.aborted) return { kind: 'stopped', ended: true };
      if (this.#closed) return { kind: 'unreachable', fault: fault('ssh-closed', subject, 'Upshift is ending') };
      const ran = await this.#attempt(subject, settings, command, options);
      if (ran.kind !== 'unreachable' || ran.fault.effect !== 'retry') return ran;
      const wait = BACKOFF_MS[Math.min(attempt, BACKOFF_MS.length - 1)] as number;
      if (Date.now() + wait >= until) return ran;
      await pause(wait, options.signal);
    }
  }

  /** Runs a command once, on the connection there is or on a new one. */
  async #attempt(subject: string, settings: SshSettings, command: string, options: RunOptions): Promise<Ran> {
    const givenUp = (why: Fault): Ran => (options.signal.aborted ? { kind: 'stopped', ended: true } : { kind: 'unreachable', fault: why });
    const host = this.#take(subject, settings);
    try {
      const connected = await before(host.connecting, options);
      if (!connected) return givenUp(fault('ssh-unreachable', subject, `${settings.host} did not answer in time`, { effect: 'retry' }));
      if (!connected.ok) {
        this.#forget(host);
        return { kind: 'unreachable', fault: connected.fault };
      }
      if (!(await host.turns.take(options)))
        return givenUp(fault('ssh-busy', subject, `too many commands on ${settings.host}: this one's turn did not come in time`));
      const ran = await this.#session(host, connected.client, subject, command, options);
      host.turns.give();
      if (ran.kind === 'unreachable') this.#forget(host);
      return ran;
    } finally {
      this.#giveBack(host);
    }
  }

  #session(host: Host, client: Client, subject: string, command: string, options: RunOptions): Promise<Ran> | Ran {
    return host.alive
      ? runOn(client, subject, command, options)
      : { kind: 'unreachable', fault: fault('ssh-closed', subject, 'the connection was closed', { effect: 'retry' }) };
  }

  /** The connection for these settings, or the attempt at it, made now where there is none. To be given back. */
  #take(subject: string, settings: SshSettings): Host {
    const key = keyOf(settings);
    const host = this.#hosts.get(key) ?? this.#start(key, subject, settings);
    host.uses++;
    clearTimeout(host.idle);
    return host;
  }

  #start(key: string, subject: string, settings: SshSettings): Host {
    const closing = new AbortController();
    const connecting = this.#connect(subject, settings, closing.signal);
    const host: Host = { key, connecting, closing, turns: new Turns(SESSIONS), uses: 0, alive: true };
    this.#hosts.set(key, host);
    this.#open.add(host);
    void connecting.then((connected) => {
      const gone = () => {
        this.#forget(host);
        this.#open.delete(host);
      };
      if (connected.ok) connected.client.once('close', gone);
      else gone();
    });
    return host;
  }

  #giveBack(host: Host): void {
    host.uses--;
    if (host.uses > 0) return;
    host.idle = setTimeout(
      () => {
        this.#forget(host);
        void host.connecting.then((connected) => connected.ok && connected.client.end());
      },
      host.alive ? this.#times.idleMs : 0,
    );
    host.idle.unref();
  }

  /** Nothing new goes to it; what runs on it may end. */
  #forget(host: Host): void {
    if (this.#hosts.get(host.key) === host) this.#hosts.delete(host.key);
    host.alive = false;
    host.turns.end();
  }

  async #connect(subject: string, settings: SshSettings, signal: AbortSignal): Promise<Connected> {
    const { keepaliveMs } = this.#times;
    const jump = jumpOf(settings);
    if (jump === undefined) return connect(subject, settings, { signal, keepaliveMs });
    const name = settings.jumps.at(-1) as string;
    if (leadsInCircle(settings))
      return { ok: false, fault: fault('ssh-jump', subject, `the jump host ${name} is reached through itself`, CIRCLE) };
    const host = this.#take(name, jump);
    const connected = await host.connecting;
    if (!connected.ok) {
      this.#giveBack(host);
      const { effect } = connected.fault;
      return { ok: false, fault: fault('ssh-jump', subject, `the jump host ${name} cannot be used`, { effect, cause: connected.fault }) };
    }
    const through = await this.#tunnel(connected.client, name, subject, settings, signal);
    if (through.ok) through.client.once('close', () => this.#giveBack(host));
    else this.#giveBack(host);
    return through;
  }

  /** Connects to a host through another. */
  #tunnel(client: Client, name: string, subject: string, settings: SshSettings, signal: AbortSignal): Promise<Connected> {
    return new Promise((resolve) => {
      const fail = (why: string) =>
        resolve({
          ok: false,
          fault: fault('ssh-unreachable', subject, `${settings.host}:${settings.port} cannot be reached from ${name}: ${why}`, {
            effect: 'retry',
          }),
        });
      try {
        client.forwardOut('127.0.0.1', 0, settings.host, settings.port, (error, stream) => {
          if (error) fail(error.message);
          else resolve(connect(subject, settings, { signal, keepaliveMs: this.#times.keepaliveMs, sock: stream }));
        });
      } catch (error) {
        fail((error as Error).message);
      }
    });
  }
}

const CIRCLE: Partial<Fault> = { remedy: 'Take the jump host out of the pattern that names it: `Host * !bastion`.' };

function keyOf(settings: SshSettings): string {
  return JSON.stringify(settings);
}

/** The last host on the way to another; undefined where the way is direct. As in ssh_config(5), hops named for the target replace its own. */
function jumpOf(settings: SshSettings): SshSettings | undefined {
  const last = settings.jumps.at(-1);
  if (last === undefined) return undefined;
  const jump = settingsFor(last, jumpConnect(last, settings.config));
  const rest = settings.jumps.slice(0, -1);
  return {
    ...jump,
    jumps: rest.length > 0 ? rest : jump.jumps,
    ...(settings.passphrase === undefined ? {} : { passphrase: settings.passphrase }),
  };
}

function leadsInCircle(settings: SshSettings, way: readonly string[] = []): boolean {
  const key = keyOf(settings);
  if (way.includes(key)) return true;
  const jump = jumpOf(settings);
  return jump !== undefined && leadsInCircle(jump, [...way, key]);
}
