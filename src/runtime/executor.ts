import { inspect } from 'node:util';
import type { Action, ActionEnd, Call } from '../drivers/contract.ts';
import { catalogOf } from '../drivers/contract.ts';
import { type Ending, type Fence, fenceText, type Work } from '../machines/machine.ts';
import { checkName } from '../machines/run/checks.ts';
import { traitsOf } from '../machines/target-state.ts';
import type { Connect, Procedure, Release, State } from '../model/documents/index.ts';
import { durationMs } from '../model/duration.ts';
import { renderValues, type Scope } from '../model/expression.ts';
import { type Fault, FaultError, fault } from '../model/fault.ts';
import { memberAt, moveAt, type Plan, type PlanTarget, targetAt } from '../planning/plan.ts';
import { Admission, type AdmissionLimits } from './admission.ts';
import { judgeCheck, judgeState, judgeValue } from './judge.ts';
import type { Clock, Executor } from './ports.ts';
import { Redaction } from './redaction.ts';

const CHECK_TIMEOUT_MS = 60_000;
/** What an action's output may take in the history. */
const MAX_OUTPUT = 256 * 1024;
/** How long after its deadline an action may take to say how it ended, before that counts as unknown. */
const DEADLINE_GRACE_MS = 15_000;

/** One piece of work, ready to be called. */
type Order = {
  action: Action;
  call: Omit<Call, 'signal' | 'output' | 'observing'>;
  observe: boolean;
  judge(end: Extract<ActionEnd, { outcome: string }>): Ending;
};

export type DriverExecutorOptions = {
  plan: Plan;
  actions: ReadonlyMap<string, Action>;
  secrets: Record<string, string>;
  clock: Clock;
  limits?: Partial<AdmissionLimits>;
};

export class DriverExecutor implements Executor {
  readonly #options: DriverExecutorOptions;
  readonly #redaction: Redaction;
  readonly #admission: Admission;

  constructor(options: DriverExecutorOptions) {
    this.#options = options;
    this.#redaction = new Redaction(Object.values(options.secrets));
    this.#admission = new Admission(options.clock, options.limits);
  }

  start(work: Work, end: (ending: Ending) => void, output: (text: string) => void): () => void {
    const controller = new AbortController();
    const asked = this.#options.clock.now();
    const withdraw = this.#admission.enter((leave) => {
      const waitedMs = Math.max(0, this.#options.clock.now() - asked);
      void this.#perform(work, controller.signal, output, waitedMs).then((ending) => {
        leave();
        if (!controller.signal.aborted) end(this.#redaction.value(ending));
      });
    });
    return () => {
      withdraw();
      controller.abort();
    };
  }

  async #perform(work: Work, signal: AbortSignal, output: (text: string) => void, waitedMs: number): Promise<Ending> {
    if (signal.aborted) return { kind: 'unknown', fault: fault('cancelled', work.kind, 'cancelled') };
    const order = this.#orderOf(work, waitedMs);
    if ('kind' in order) return { kind: 'ended', outcome: 'failure', fault: order };
    const bounded = boundedOutput(output);
    const stream = this.#redaction.stream(order.observe ? toldAnew(bounded) : bounded);
    const call: Call = { ...order.call, observing: order.observe, signal, output: stream.push };
    const run = order.observe ? order.action.observe?.bind(order.action) : order.action.run.bind(order.action);
    if (!run)
      return {
        kind: 'unknown',
        fault: fault('not-observable', call.subject, `${order.action.declaration.name} cannot be observed`, { outcome: 'unknown' }),
      };
    const late = deadlineGuard(this.#options.clock, call);
    try {
      return endingOf(await Promise.race([run(call), late.passed]), order, call.subject);
    } catch (error) {
      return unknownEnd('driver-threw', call.subject, `${order.action.declaration.name} has an error of its own: ${messageOf(error)}`);
    } finally {
      late.cancel();
      stream.end();
    }
  }

  #orderOf(work: Work, waitedMs: number): Order | Fault {
    switch (work.kind) {
      case 'version':
        return this.#versionOrder(work);
      case 'action':
      case 'observe':
        return this.#stateOrder(work, waitedMs);
      case 'rank':
        return this.#rankOrder(work);
      case 'check':
        return this.#checkOrder(work);
      case 'timer':
        throw new Error('a timer is no work for drivers');
    }
  }

  #action(name: string): Action {
    const action = this.#options.actions.get(name);
    if (!action) throw new FaultError(fault('action-unknown', name, `the plan uses the action ${name}, which this Upshift does not have`));
    return action;
  }

  #memberVariables(member: number, run: string, more: { case: string | null; values: Record<string, unknown> }) {
    const { plan } = this.#options;
    const { stage, position } = memberAt(plan, member);
    const target = targetAt(plan, stage, position);
    const move = moveAt(stage, position);
    const variables = {
      ...this.#variables(run, target, move.from, move.to, plan.releases[move.release]),
      params: stage.params,
      case: more.case ?? '',
      values: more.values,
    };
    return { stage, target, variables };
  }

  #variables(run: string, target: PlanTarget | undefined, from: string, to: string, release: Release | undefined): Record<string, unknown> {
    const { plan, secrets } = this.#options;
    return {
      target: {
        id: target?.id ?? '',
        product: target?.product ?? '',
        version: from,
        labels: target?.labels ?? {},
        vars: target?.vars ?? {},
      },
      release: {
        product: plan.product,
        version: release?.version ?? plan.to,
        components: release?.components ?? {},
        artifacts: release?.artifacts ?? {},
        values: release?.values ?? {},
      },
      from,
      to,
      params: plan.params,
      upgrade: { name: plan.upgrade, product: plan.product, from: plan.from[0] ?? '', to: plan.to },
      run,
      secrets,
    };
  }

  /** Evaluates inputs and connection; a fault says which expression could not be. */
  #call(
    scope: Scope,
    action: Action,
    fence: Fence,
    target: PlanTarget | undefined,
    input: Record<string, unknown>,
    variables: Record<string, unknown>,
  ): Pick<Call, 'fence' | 'subject' | 'connect' | 'input'> | Fault {
    const rendered = renderValues(scope, input, variables, action.declaration.shell ?? []);
    if (!rendered.ok) return rendered.fault;
    const connect = renderValues(scope, (target?.connect ?? {}) as Record<string, unknown>, variables);
    if (!connect.ok) return connect.fault;
    return {
      fence: fenceText(fence),
      subject: target?.id ?? action.declaration.name,
      connect: connect.value as Connect,
      input: rendered.value,
    };
  }

  /** `waitedMs`: how long it waited for its turn, which is not the target's fault and does not count against its deadline. */
  #stateOrder(work: Extract<Work, { kind: 'action' | 'observe' }>, waitedMs: number): Order | Fault {
    const { target, variables } = this.#memberVariables(work.member, work.fence.run, work);
    const state = (this.#options.plan.procedures[work.procedure] as Procedure).states[work.state] as State;
    const action = this.#action(state.action as string);
    const place = this.#placeOf(state, target, variables);
    if ('kind' in place) return place;
    const call = this.#call({ name: 'with' }, action, work.fence, place, state.with ?? {}, variables);
    if ('kind' in call) return call;
    const { disruptive, idempotent } = traitsOf(state, catalogOf(this.#options.actions));
    return {
      action,
      call: { ...call, deadline: work.deadline + waitedMs, disruptive: disruptive || !idempotent },
      observe: work.kind === 'observe',
      judge: (end) => judgeState(state, action, end, variables),
    };
  }

  /** Where a state's action is done: on the target itself, or on the one the state names. */
  #placeOf(state: State, target: PlanTarget, variables: Record<string, unknown>): PlanTarget | Fault {
    if (state.target === undefined) return target;
    const rendered = renderValues({ name: 'with' }, { id: state.target }, variables);
    if (!rendered.ok) return rendered.fault;
    const id = String(rendered.value['id']);
    return (
      this.#targetNamed(id) ??
      fault('target-unknown', id, `${id}, where this is to be done, is not in the inventory`, { remedy: 'Name a target of the inventory.' })
    );
  }

  #targetNamed(id: string): PlanTarget | undefined {
    const { plan } = this.#options;
    return plan.helpers.find((one) => one.id === id) ?? plan.targets.find((one) => one.id === id);
  }

  #rankOrder(work: Extract<Work, { kind: 'rank' }>): Order | Fault {
    const { stage, target, variables } = this.#memberVariables(work.member, work.fence.run, { case: null, values: {} });
    const { live } = stage;
    if (!live) throw new Error(`${stage.name} has no live order`);
    const action = this.#action(live.action);
    const call = this.#call({ name: 'with' }, action, work.fence, target, live.with ?? {}, variables);
    if ('kind' in call) return call;
    const deadline = this.#options.clock.now() + (live.timeout === undefined ? CHECK_TIMEOUT_MS : durationMs(live.timeout));
    return {
      action,
      call: { ...call, deadline, disruptive: false },
      observe: false,
      judge: (end) => judgeValue('key', live.by, action, end, variables),
    };
  }

  #versionOrder(work: Extract<Work, { kind: 'version' }>): Order | Fault {
    const { stage, target, variables } = this.#memberVariables(work.member, work.fence.run, { case: null, values: {} });
    const observe = (this.#options.plan.procedures[stage.procedure] as Procedure).observe;
    if (!observe) throw new Error(`${stage.procedure} has no observe`);
    const action = this.#action(observe.action);
    const call = this.#call({ name: 'with' }, action, work.fence, target, observe.with ?? {}, variables);
    if ('kind' in call) return call;
    const deadline = this.#options.clock.now() + (observe.timeout === undefined ? CHECK_TIMEOUT_MS : durationMs(observe.timeout));
    return {
      action,
      call: { ...call, deadline, disruptive: false },
      observe: false,
      judge: (end) => judgeValue('version', observe.version, action, end, variables),
    };
  }

  #checkOrder(work: Extract<Work, { kind: 'check' }>): Order | Fault {
    const { plan, clock } = this.#options;
    const { check } = work;
    const action = this.#action(check.action);
    const target = check.target === undefined ? undefined : this.#targetNamed(check.target);
    if (check.target !== undefined && !target)
      return fault(
        'target-unknown',
        check.target,
        `the check ${checkName(check)} is asked of ${check.target}, which is not part of this upgrade`,
      );
    const variables = this.#variables(work.fence.run, target, plan.from[0] ?? '', plan.to, plan.releases[plan.to]);
    const call = this.#call({ name: 'check' }, action, work.fence, target, check.with ?? {}, variables);
    if ('kind' in call) return call;
    const deadline = clock.now() + (check.timeout === undefined ? CHECK_TIMEOUT_MS : Math.min(CHECK_TIMEOUT_MS, durationMs(check.timeout)));
    return {
      action,
      call: { ...call, deadline, disruptive: false },
      observe: false,
      judge: (end) => judgeCheck(check, action, end, variables),
    };
  }
}

/** What a driver answered, as the machines take it. An answer that is none leaves open what was done. */
function endingOf(ended: ActionEnd, order: Order, subject: string): Ending {
  const { name } = order.action.declaration;
  if (ended === null || typeof ended !== 'object') return unknownEnd('driver-garbled', subject, `${name} did not say how it ended`);
  if ('outcome' in ended && typeof ended.outcome === 'string') return order.judge(wellFormed(ended));
  if ('absent' in ended) return { kind: 'absent' };
  if ('lost' in ended && isFault(ended.lost)) return { kind: 'lost', fault: ended.lost };
  if ('unknown' in ended && isFault(ended.unknown)) return { kind: 'unknown', fault: ended.unknown };
  return unknownEnd('driver-garbled', subject, `${name} ended in a way that does not exist`);
}

/** Without a fault that is none, and with a result in any case: expressions look into it. */
function wellFormed({ outcome, result, fault: why }: Extract<ActionEnd, { outcome: string }>): Extract<ActionEnd, { outcome: string }> {
  const usable = result !== null && typeof result === 'object' ? result : {};
  return { outcome, result: usable, ...(isFault(why) ? { fault: why } : {}) };
}

function isFault(value: unknown): value is Fault {
  return value !== null && typeof value === 'object' && typeof (value as Fault).kind === 'string';
}

function unknownEnd(kind: string, subject: string, message: string): Ending {
  const remedy = 'This is a defect of the driver: look at the target, and report it.';
  return { kind: 'unknown', fault: fault(kind, subject, message, { effect: 'operator', outcome: 'unknown', remedy }) };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : inspect(error, { depth: 0 });
}

/** Stands before an output that is told again from its beginning, by an observation. */
export const TOLD_ANEW = '\f';

function toldAnew(put: (text: string) => void): (text: string) => void {
  let first = true;
  return (text) => {
    put(first ? TOLD_ANEW + text : text);
    first = false;
  };
}

/** Passes at most MAX_OUTPUT characters on, and says so where it stops. */
function boundedOutput(put: (text: string) => void): (text: string) => void {
  let room = MAX_OUTPUT;
  return (text) => {
    if (room <= 0) return;
    put(text.length <= room ? text : `${text.slice(0, room)}\n… the rest is not kept: more than ${MAX_OUTPUT / 1024} KiB of output\n`);
    room -= text.length;
  };
}

/** A driver that never comes back must not hold a run for ever. */
function deadlineGuard(clock: Clock, call: Call): { passed: Promise<ActionEnd>; cancel: () => void } {
  let cancel = () => {};
  const passed = new Promise<ActionEnd>((done) => {
    cancel = clock.at(Math.max(call.deadline, clock.now()) + DEADLINE_GRACE_MS, () =>
      done({
        unknown: fault('no-answer', call.subject, 'the driver did not say how the action ended', {
          effect: 'operator',
          outcome: 'unknown',
        }),
      }),
    );
  });
  return { passed, cancel };
}
