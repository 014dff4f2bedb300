/** Processes that a benchmark starts and waits for. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..');

export type Ended = { code: number; out: string; err: string; tookMs: number };
export type Running = { child: ChildProcess; out(): string; ended: Promise<Ended> };

/** Starts a program; its output is kept. */
export function launch(program: string, words: readonly string[], options: SpawnOptions = {}): Running {
  const begun = performance.now();
  const child = spawn(program, words, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err = (err + text).slice(-20_000);
  });
  const ended = new Promise<Ended>((done, fail) => {
    child.once('error', fail);
    child.once('close', (code) => done({ code: code ?? 137, out, err, tookMs: performance.now() - begun }));
  });
  return { child, out: () => out, ended };
}

/** Starts a program and waits for its end; throws where it fails. */
export async function complete(program: string, words: readonly string[], options: SpawnOptions = {}): Promise<Ended> {
  const ended = await launch(program, words, options).ended;
  if (ended.code !== 0) throw new Error(`${program} ${words.join(' ')} ended with ${ended.code}\n${ended.out.slice(-4000)}\n${ended.err}`);
  return ended;
}

/** A file of this folder on this Node.js, with the flags bin/upshift gives it. */
export function nodeWords(file: string, ...words: string[]): string[] {
  return [
    '--max-semi-space-size=4',
    '--heap-growing-percent=200',
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, file),
    ...words,
  ];
}

/** Kills a process that was started here, and waits until it is gone. */
export async function kill(running: Running, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (running.child.exitCode === null && running.child.signalCode === null) running.child.kill(signal);
  await running.ended;
}

/** Resident memory of a process now (VmRSS) or at its most (VmHWM), in MiB. */
export function residentMemory(pid: number, field: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1]) / 1024;
}

/** Waits until something holds; throws after `seconds`. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, seconds = 60): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain until ${what}`);
    await new Promise((next) => setTimeout(next, 10));
  }
}
