/** What tests of drivers have in common: calls, folders, and waiting for what is to come. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Fault } from '../model/fault.ts';
import type { Action, ActionEnd, Call, Driver } from './contract.ts';

type Scope = { after(clean: () => void | Promise<void>): void };

/** A folder that is removed after the test; `first` is done before that. */
export function temporaryFolder(scope: Scope, first: (folder: string) => void | Promise<void> = () => {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'upshift-test-'));
  scope.after(async () => {
    await first(folder);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  return folder;
}

let fences = 0;

/** A fence nobody had before. */
export function newFence(): string {
  return `run-${process.pid}/member/${++fences}/1`;
}

export type TestCall = Call & {
  /** What it has printed so far. */
  printed(): string;
  abort(): void;
};

export function callOf(input: Record<string, unknown>, more: Partial<Call> & { timeoutMs?: number } = {}): TestCall {
  const { timeoutMs = 20_000, ...given } = more;
  const controller = new AbortController();
  let text = '';
  return {
    fence: newFence(),
    subject: 'target-1',
    connect: {},
    input,
    deadline: Date.now() + timeoutMs,
    disruptive: false,
    observing: false,
    signal: controller.signal,
    output: (more) => {
      text += more;
    },
    ...given,
    printed: () => text,
    abort: () => controller.abort(),
  };
}

/** The observation of earlier work. */
export function observationOf(call: TestCall, timeoutMs = 20_000): TestCall {
  const { fence, subject, connect, input, disruptive } = call;
  return callOf(input, { fence, subject, connect, disruptive, observing: true, timeoutMs });
}

export function actionOf(driver: Driver, name: string): Action {
  const action = driver.actions.find((one) => one.declaration.name === name);
  assert(action, `${driver.name} has no ${name}`);
  return action;
}

/** Waits until something holds. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  for (const end = performance.now() + timeoutMs; ; ) {
    if (await holds()) return;
    assert(performance.now() < end, `it never came to this: ${what}`);
    await new Promise((next) => setTimeout(next, 10));
  }
}

/** What a promise comes to, and that it comes within so many ms. */
export async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new assert.AssertionError({ message: `not within ${ms} ms` })), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

type Ended = Extract<ActionEnd, { outcome: string }>;
type Failed = Ended & { fault: Fault };

export function asSuccess(end: ActionEnd): Ended {
  assert('outcome' in end && end.outcome === 'success', `success was expected, not ${JSON.stringify(end)}`);
  return end;
}

export function asFailure(end: ActionEnd): Failed {
  assert('outcome' in end && end.outcome !== 'success' && end.fault, `a failure was expected, not ${JSON.stringify(end)}`);
  return end as Failed;
}

export function asUnknown(end: ActionEnd): Fault {
  assert('unknown' in end, `an unknown outcome was expected, not ${JSON.stringify(end)}`);
  return end.unknown;
}
