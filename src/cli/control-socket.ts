/**
 * How another terminal reaches the process that drives a run: a Unix socket in the data folder, one JSON line each way.
 *
 * The folder is readable by its owner alone, so whoever can connect may also open the database.
 */
import { createHash } from 'node:crypto';
import { chmodSync, rmSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Control } from '../machines/messages.ts';
import { type Fault, fault } from '../model/fault.ts';

/** Longer paths do not fit into a socket's address (108 bytes on Linux, 104 on macOS). */
const MAX_PATH = 100;
const MAX_LINE = 64 * 1024;
const ANSWER_MS = 10_000;

export type ControlRequest = { run: string; control: Control };
type ControlAnswer = { ok: true } | { ok: false; fault: Fault };

function socketPath(folder: string): string {
  const path = join(resolve(folder), 'control.sock');
  if (Buffer.byteLength(path) <= MAX_PATH) return path;
  return join(tmpdir(), `upshift-${createHash('sha256').update(path).digest('hex').slice(0, 16)}.sock`);
}

/** Listens for orders. The holder of the data folder's lock calls it, so a socket that is there is a dead one's. */
export function listenForControls(
  folder: string,
  handle: (request: ControlRequest) => Promise<Fault | undefined>,
): Promise<{ close(): void }> {
  const path = socketPath(folder);
  rmSync(path, { force: true });
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    let text = '';
    socket.on('error', () => socket.destroy());
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > MAX_LINE) socket.destroy();
      const end = text.indexOf('\n');
      if (end < 0) return;
      const line = text.slice(0, end);
      text = '';
      void answerTo(line, handle).then((answer) => socket.end(`${JSON.stringify(answer)}\n`));
    });
  });
  return new Promise((done, fail) => {
    server.once('error', fail);
    server.listen(path, () => {
      chmodSync(path, 0o600);
      done({
        close: () => {
          server.close();
          rmSync(path, { force: true });
        },
      });
    });
  });
}

async function answerTo(line: string, handle: (request: ControlRequest) => Promise<Fault | undefined>): Promise<ControlAnswer> {
  let request: ControlRequest;
  try {
    request = JSON.parse(line) as ControlRequest;
  } catch {
    return { ok: false, fault: fault('request-unreadable', 'control', 'the request is not JSON') };
  }
  const refused = await handle(request);
  return refused ? { ok: false, fault: refused } : { ok: true };
}

/** Sends an order to the process that has the data folder. `unreachable` where none listens. */
export function sendControl(folder: string, request: ControlRequest): Promise<ControlAnswer | 'unreachable'> {
  return new Promise((done) => {
    const socket = connect(socketPath(folder));
    let text = '';
    socket.setEncoding('utf8');
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('timeout')));
    socket.on('connect', () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', () => done('unreachable'));
    socket.on('close', () => {
      try {
        done(JSON.parse(text) as ControlAnswer);
      } catch {
        done('unreachable');
      }
    });
  });
}
