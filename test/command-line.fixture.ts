/** Runs the command line as a user does: the launcher, as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Lab, type LabOptions, startLab } from '../src/packs/generic/lab.ts';

const UPSHIFT = fileURLToPath(new URL('../bin/upshift', import.meta.url));

export type Ran = { code: number; out: string; err: string };

export function temporaryFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'upshift-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export type Started = { child: ChildProcess; out: () => string; ended: Promise<Ran> };

/** Starts a command; `ended` resolves when it has. */
export function start(words: readonly string[], env: NodeJS.ProcessEnv = {}, cwd?: string): Started {
  const child = spawn(UPSHIFT, words, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1', ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const ended = new Promise<Ran>((done) =>
    child.once('close', (code, signal) => done({ code: code ?? (signal === 'SIGKILL' ? 137 : 128), out, err })),
  );
  return { child, out: () => out, ended };
}

export function upshift(words: readonly string[], env: NodeJS.ProcessEnv = {}, cwd?: string): Promise<Ran> {
  return start(words, env, cwd).ended;
}

/** Waits until something holds; fails after `seconds`. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, seconds = 30): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await new Promise((next) => setTimeout(next, 25));
  }
}

export type Entry = { at: string; fence: string; action: string; phase: 'begin' | 'end' | 'killed'; outcome: string | null };

/** What was really done to each target, as it wrote it down itself. */
export function ledgers(folder: string): Map<string, Entry[]> {
  const targets = join(folder, 'targets');
  return new Map(
    readdirSync(targets).map((id) => [
      id,
      readFileSync(join(targets, id, 'ledger.jsonl'), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Entry),
    ]),
  );
}

/** How often each action was begun on a target. */
export function counts(entries: readonly Entry[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { action, phase } of entries) if (phase === 'begin') found[action] = (found[action] ?? 0) + 1;
  return found;
}

export const QUICK: Omit<LabOptions, 'folder'> = {
  hosts: 4,
  controllers: 2,
  groups: 2,
  installMs: 300,
  rebootMs: 200,
  slow: [],
  drop: [],
  dead: [],
  fail: [],
};

export type TestLab = { lab: Lab; folder: string; env: NodeJS.ProcessEnv };

/** A lab with a data folder beside it; both go when the test is over, however it ends. */
export async function testLab(t: TestContext, options: Partial<LabOptions> = {}): Promise<TestLab> {
  const { path, remove } = temporaryFolder();
  const folder = join(path, 'lab');
  const lab = await startLab({ ...QUICK, ...options, folder });
  t.after(async () => {
    await lab.stop();
    remove();
  });
  return { lab, folder, env: { UPSHIFT_DATA: join(path, 'data') } };
}
