/** What every action of every driver must do: one suite, run for each. */
import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { after, describe, test } from 'node:test';
import { mismatches } from '../model/schema-check.ts';
import { asFailure, asSuccess, callOf, type TestCall, within } from './call.fixture.ts';
import { type Action, type ActionEnd, actionsOf, type Call, catalogOf, type Driver } from './contract.ts';

type Given = Partial<Call> & { input: Record<string, unknown> };

/** Ways to call an action; asked for when the test runs, so that servers are up by then. */
export type ActionCases = {
  success(): Given;
  /** What success prints, where it prints anything. */
  prints?: string;
  failure?(): Given;
  /** It would go on for minutes. */
  endless(): Given;
  /** Resolves when the endless one has really begun, for what an abort in the middle means. */
  begun?(): Promise<void>;
  /** There is nothing to do it on; nothing is done. */
  unreachable?(): Given;
  /** Inputs that its schema must refuse. */
  refused: Record<string, unknown>[];
};

/** Ends soon: well below a person's patience, well above a busy machine's hiccup. */
const SOON_MS = 4_000;
const FAULT_EFFECTS = ['retry', 'wait', 'fail', 'operator'];
const FAULT_OUTCOMES = ['none', 'applied', 'unknown'];

/** `concurrency`: how many of the tests may go on at once; one, where they share something that they change. */
export function conforms(driver: Driver, cases: Record<string, ActionCases>, concurrency = 1): void {
  describe(`the driver ${driver.name}`, { concurrency }, () => {
    after(() => driver.close());

    test('has a case here for each of its actions, named after it, each once', () => {
      const names = driver.actions.map((action) => action.declaration.name);
      assert.deepEqual(names.toSorted(), Object.keys(cases).toSorted());
      for (const name of names) assert.match(name, new RegExp(`^${driver.name}\\.[a-z][a-z-]*$`));
      assert.equal(catalogOf(actionsOf([driver])).size, names.length);
    });

    for (const action of driver.actions) {
      const given = cases[action.declaration.name];
      if (given) describe(action.declaration.name, () => actionConforms(action, given));
    }
  });
}

function actionConforms(action: Action, cases: ActionCases): void {
  const { declaration } = action;

  /** Runs it, and checks what holds for every end. */
  const run = async (call: TestCall): Promise<ActionEnd> => {
    const end = await action.run(call);
    assertEnd(action, end, call);
    return end;
  };

  test('declares what success and failure mean, and observes if it says so', () => {
    for (const outcome of ['success', 'failure']) assert(declaration.outcomes[outcome], `${outcome} is not declared`);
    assert.equal(action.observe !== undefined, declaration.traits.observable === true);
    for (const input of declaration.shell ?? []) assert(declaration.inputs.properties?.[input], `${input} is no input`);
  });

  test('accepts good inputs and refuses bad ones', () => {
    for (const one of [cases.success, cases.failure, cases.endless, cases.unreachable])
      if (one) assert.deepEqual(mismatches(declaration.inputs, one().input), []);
    for (const input of [...cases.refused, { ...cases.success().input, 'no-such-input': 1 }])
      assert.notDeepEqual(mismatches(declaration.inputs, input), [], JSON.stringify(input));
  });

  test('ends with success and every declared field of its result', async () => {
    const call = callOf({}, cases.success());
    asSuccess(await run(call));
    if (cases.prints !== undefined) assert.equal(call.printed(), cases.prints);
  });

  const { failure, unreachable, begun } = cases;
  if (failure)
    test('ends with a failure that says what was expected and what was found', async () => {
      const end = asFailure(await run(callOf({}, failure())));
      assert(end.fault.expected && end.fault.found, JSON.stringify(end.fault));
      assert.equal(end.fault.subject, 'target-1');
    });

  if (unreachable)
    test('fails where there is nothing to do it on, and says that nothing was done', async () => {
      const end = asFailure(await within(SOON_MS, run(callOf({}, { ...unreachable(), deadline: Date.now() + 1_500 }))));
      assert.equal(end.fault.outcome, 'none');
    });

  test('ends soon when it is aborted in the middle', async () => {
    const call = callOf({}, cases.endless());
    const ending = run(call);
    if (begun) await begun();
    call.abort();
    assertNoSuccess(await within(SOON_MS, ending));
  });

  test('ends soon when it was aborted before', async () => {
    const call = callOf({}, cases.endless());
    call.abort();
    assertNoSuccess(await within(SOON_MS, run(call)));
  });

  for (const timeoutMs of [600, -1_000])
    test(`ends soon after a deadline that ${timeoutMs > 0 ? 'passes' : 'has passed'}, and says so`, async () => {
      const call = callOf({}, { ...cases.endless(), deadline: Date.now() + timeoutMs });
      const started = performance.now();
      const end = await within(Math.max(0, timeoutMs) + SOON_MS, run(call));
      assertNoSuccess(end);
      assert(performance.now() - started > timeoutMs - 100, 'it ended before its deadline');
    });

  test('takes a deadline that is farther away than a timer can be', async () => {
    asSuccess(await run(callOf({}, { ...cases.success(), deadline: Date.now() + 60 * 86_400_000 })));
    asSuccess(await run(callOf({}, { ...cases.success(), deadline: Date.now() + 30 * 86_400_000 })));
  });

  if (!declaration.traits.disruptive)
    test('runs many times at once', async () => {
      const ends = await Promise.all(Array.from({ length: 12 }, () => run(callOf({}, cases.success()))));
      for (const end of ends) asSuccess(end);
    });

  if (declaration.traits.observable)
    test('observed, what was never started is absent', async () => {
      const call = callOf({}, { ...cases.success(), disruptive: true, observing: true });
      assert.deepEqual(await action.observe?.(call), { absent: true });
    });
}

function assertNoSuccess(end: ActionEnd): void {
  assert(!('outcome' in end) || end.outcome !== 'success', 'it cannot have succeeded');
}

function assertEnd(action: Action, end: ActionEnd, call: Call): void {
  const { declaration } = action;
  const fault = 'unknown' in end ? end.unknown : 'lost' in end ? end.lost : 'outcome' in end ? end.fault : undefined;
  if (fault) {
    assert.match(fault.kind, /^[a-z][a-z-]*$/);
    assert(fault.message.length > 0 && FAULT_EFFECTS.includes(fault.effect) && FAULT_OUTCOMES.includes(fault.outcome));
    if (!('outcome' in end)) assert.equal(fault.outcome, 'unknown', `${fault.kind} claims to know`);
  }
  assert(!('absent' in end) || call.observing, 'only an observation can say that nothing ever started');
  if (!('outcome' in end)) return;
  assert(Object.hasOwn(declaration.outcomes, end.outcome), `${end.outcome} is not declared`);
  if (end.outcome !== 'success') assert(end.fault, 'a failure without a fault');
  assert.deepEqual(Object.keys(end.result).toSorted(), Object.keys(declaration.result).toSorted());
  const result: Record<string, unknown> = end.result;
  for (const [field, type] of Object.entries(declaration.result)) {
    const value = result[field];
    if (type === 'int') assert(Number.isInteger(value), `${field} is ${typeof value}`);
    else if (type === 'string') assert.equal(typeof value, 'string', field);
    else if (type === 'bool') assert.equal(typeof value, 'boolean', field);
  }
  assert.deepEqual(JSON.parse(JSON.stringify(end)), end, 'it is plain data');
}
