/**
 * Durable transitions beside Restate's: one node of its server, a virtual object a target, a call a message, driven at high concurrency through
 * its HTTP ingress. Both make each transition durable before the next of the same target. Ours does more for each: the run machine's
 * scheduling, and a line of history.
 */

import { existsSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { type Figure, median } from './figure.ts';
import { benchFolder, type Folder, fleetPlan, runFleet } from './fleet.ts';
import { kill, launch, nodeWords, ROOT, type Running, until } from './process.ts';

const STATES = 8;
const ROUNDS = 3;
const TARGETS = 10_000;
/** So many targets of the rival's at once, and for so long; what it has done by then counts. */
const AT_ONCE = 200;
const ROUND_MS = 6_000;

const SERVER = join(ROOT, `node_modules/@restatedev/restate-server-${process.platform}-${process.arch}/bin/restate-server`);

type Sockets = { ingress: string; admin: string };

/** Posts JSON over a unix socket; resolves with the answer's body. */
function post(agent: Agent, socketPath: string, path: string, body: unknown): Promise<string> {
  return new Promise((done, fail) => {
    const text = JSON.stringify(body);
    const sent = request(
      {
        agent,
        socketPath,
        path,
        method: 'POST',
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      },
      (answer) => {
        let out = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          out += chunk;
        });
        answer.on('end', () =>
          (answer.statusCode ?? 500) < 300 ? done(out) : fail(new Error(`${path} was answered ${answer.statusCode}: ${out.slice(0, 500)}`)),
        );
      },
    );
    sent.on('error', fail);
    sent.end(text);
  });
}

/** A server that listens on nothing but sockets in its folder. */
async function startServer(folder: Folder): Promise<{ server: Running; sockets: Sockets }> {
  const server = launch(SERVER, ['--listen-mode', 'unix', '--base-dir', folder.path, '--node-name', 'bench', '--no-logo'], {
    cwd: folder.path,
    env: { ...process.env, RESTATE_DISABLE_TELEMETRY: 'true', RESTATE_LOG_FILTER: 'warn', DO_NOT_TRACK: '1', TMPDIR: folder.path },
  });
  const sockets = { ingress: join(folder.path, 'bench/ingress.sock'), admin: join(folder.path, 'bench/admin.sock') };
  try {
    await until('Restate listens', () => {
      if (server.child.exitCode !== null) throw new Error(`restate-server ended: ${server.out()}`);
      return existsSync(sockets.ingress) && existsSync(sockets.admin);
    });
  } catch (error) {
    await kill(server);
    throw error;
  }
  return { server, sockets };
}

/** How many messages a second it handles. Each round has targets of its own. */
async function restateRound(agent: Agent, sockets: Sockets, round: string, forMs: number): Promise<number> {
  const begun = performance.now();
  let next = 0;
  let handled = 0;
  const drive = async () => {
    while (performance.now() - begun < forMs) {
      const path = `/target/${round}-${next++}/receive`;
      const send = async (message: unknown) => {
        const at = await post(agent, sockets.ingress, path, message);
        if (performance.now() - begun < forMs) handled++;
        return at;
      };
      await send({ type: 'begin' });
      for (let visit = 1; visit <= STATES && performance.now() - begun < forMs; visit++) {
        const at = await send({ type: 'result', visit, outcome: 'success' });
        if (at !== (visit === STATES ? '"done"' : '"acting"')) throw new Error(`${path} is ${at} after ${visit}`);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, drive));
  return (handled / forMs) * 1000;
}

export async function run(report: (figure: Figure) => void): Promise<void> {
  if (!existsSync(SERVER)) throw new Error(`${SERVER} is missing: npm ci brings it along on Linux and macOS, on x64 and arm64`);
  const folder = benchFolder();
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const service = launch(process.execPath, nodeWords('restate-process.ts', String(STATES)));
  let server: Running | undefined;
  const own: number[] = [];
  const rival: number[] = [];
  try {
    const started = await startServer(folder);
    server = started.server;
    const { sockets } = started;
    await until('the service listens', () => /^\d+\n/.test(service.out()));
    await until('the service is known', async () => {
      try {
        await post(agent, sockets.admin, '/deployments', { uri: `http://127.0.0.1:${service.out().trim()}` });
        return true;
      } catch (error) {
        if (/answered/.test((error as Error).message) && !/answered 5/.test((error as Error).message)) throw error;
        return false;
      }
    });
    const plan = fleetPlan(TARGETS, STATES, { strategy: { parallel: AT_ONCE } });
    await restateRound(agent, sockets, 'warm', 2_000);
    for (let round = 0; round < ROUNDS; round++) {
      rival.push(await restateRound(agent, sockets, `r${round}`, ROUND_MS));
      const place = benchFolder();
      own.push((TARGETS * (STATES + 2) * 1000) / (await runFleet(plan, place)));
      place.remove();
    }
  } finally {
    agent.destroy();
    if (server) await kill(server);
    await kill(service);
    folder.remove();
  }
  const value = median(own);
  const rivalValue = median(rival);
  report({
    name: `durable transitions, ${AT_ONCE} targets at once`,
    value,
    unit: '/s',
    rival: 'Restate, one node',
    rivalValue,
    ratio: value / rivalValue,
    goal: '>= 50 times Restate',
    met: value / rivalValue >= 50,
  });
}
