/**
 * Runs a random upgrade in memory, with random outcomes, random orders and crashes at any moment, and checks the promises throughout.
 *
 * The same seed is the same simulation. A crash drops the loop and opens another on the same store, as a new process would.
 */

import type { Work } from '../machines/machine.ts';
import type { Control, ControlBody, MemberReport, TargetMessage } from '../machines/messages.ts';
import { runMachine } from '../machines/run/run.ts';
import { newRun, type RunState } from '../machines/run/state.ts';
import type { TargetState } from '../machines/target-state.ts';
import type { ActionCatalog } from '../model/action.ts';
import * as vector from '../model/vector.ts';
import { memberAt, memberCount, type Plan } from '../planning/plan.ts';
import { definitionOf } from '../runtime/definition.ts';
import { RunLoop } from '../runtime/loop.ts';
import { MemoryStore } from '../runtime/memory/memory-store.ts';
import { VirtualClock } from '../runtime/memory/virtual-clock.ts';
import type { Commit } from '../runtime/ports.ts';
import {
  checkAbsorbing,
  checkBegins,
  checkLimits,
  checkOnce,
  checkReleased,
  checkRollbackOrder,
  checkStart,
  checkUntouched,
  PromiseBroken,
} from './promises.ts';
import { Random } from './random.ts';
import { randomPlan, SIMULATED_ACTIONS } from './scenario.ts';
import { World } from './world.ts';

const RUN = 'simulated-run';
/** Turns of chaos before everything works again, and turns in which a run must then end. */
const CHAOS_STEPS = 250;
const CALM_STEPS = 4_000;

class Crash extends Error {}

/** A store that dies at a commit, before it is written or just after. */
class MortalStore extends MemoryStore {
  dies: 'before' | 'after' | undefined;
  onCommit: (commit: Commit) => void = () => {};

  override commit(commit: Commit): void {
    const dies = this.dies;
    this.dies = undefined;
    if (dies === 'before') throw new Crash();
    super.commit(commit);
    this.onCommit(commit);
    if (dies === 'after') throw new Crash();
  }
}

export type Simulation = { seed: number; plan: Plan; trace: string[]; state: RunState; crashes: number; started: number };

export class SimulationFailed extends Error {
  readonly seed: number;
  readonly trace: readonly string[];
  constructor(seed: number, trace: readonly string[], cause: Error) {
    super(`seed ${seed}: ${cause.message}\n${trace.slice(-40).join('\n')}`, { cause });
    this.seed = seed;
    this.trace = trace;
  }
}

export type SimulateOptions = {
  /** A random one where it is left out. */
  plan?: Plan;
  /** What the plan's actions declare. */
  actions?: ActionCatalog;
  crashAt?: { commit: number; when: 'before' | 'after' };
  /** Random failures, orders and crashes before everything works; default yes. */
  chaos?: boolean;
};

/** Simulates one seed to the end of its run; throws {@link SimulationFailed} where a promise is broken. */
export function simulate(seed: number, options: SimulateOptions = {}): Simulation {
  return new Simulator(seed, options).run();
}

class Simulator {
  readonly #seed: number;
  readonly #random: Random;
  readonly #plan: Plan;
  readonly #actions: ActionCatalog;
  readonly #store = new MortalStore();
  readonly #clock = new VirtualClock();
  readonly #world: World;
  readonly #trace: string[] = [];
  readonly #forgiven = new Set<number>();
  readonly #saidAgain = new Set<string>();
  readonly #reverted: number[] = [];
  readonly #sent: Control[] = [];
  readonly #chaos: boolean;
  readonly #crashAt: { commit: number; when: 'before' | 'after' } | undefined;
  #loop: RunLoop;
  #state: RunState;
  #members = new Map<number, TargetState>();
  #key = 0;
  #crashes = 0;
  #commits = 0;

  constructor(seed: number, options: SimulateOptions) {
    this.#seed = seed;
    this.#random = new Random(seed);
    this.#plan = options.plan ?? randomPlan(this.#random);
    this.#actions = options.actions ?? SIMULATED_ACTIONS;
    this.#chaos = options.chaos ?? true;
    this.#crashAt = options.crashAt;
    this.#world = new World(this.#plan, this.#random);
    if (this.#chaos && this.#random.chance(0.1)) this.#world.strange.add(this.#random.below(memberCount(this.#plan)));
    this.#world.kind = !this.#chaos;
    this.#world.onStart = (work) => checkStart(work, this.#durableWork(work));
    this.#store.createRun(RUN, this.#plan, newRun(RUN, this.#plan), this.#clock.now());
    this.#state = newRun(RUN, this.#plan);
    this.#store.onCommit = (commit) => this.#onCommit(commit);
    if (this.#crashAt?.commit === 0) this.#store.dies = this.#crashAt.when;
    this.#loop = this.#open();
  }

  run(): Simulation {
    try {
      if (this.#chaos) for (let step = 0; step < CHAOS_STEPS && !this.#ended(); step++) this.#step();
      this.#world.kind = true;
      for (let step = 0; step < CALM_STEPS && !this.#ended(); step++) this.#calmStep();
      if (!this.#ended())
        throw new PromiseBroken(
          `the run does not end: ${JSON.stringify({ ...this.#state, members: undefined, starts: undefined, groups: undefined, keys: undefined })}`,
        );
      this.#afterwards();
    } catch (error) {
      throw new SimulationFailed(this.#seed, this.#trace, error as Error);
    }
    return {
      seed: this.#seed,
      plan: this.#plan,
      trace: this.#trace,
      state: this.#state,
      crashes: this.#crashes,
      started: this.#world.started.length,
    };
  }

  #ended(): boolean {
    return this.#state.phase.at === 'finished';
  }

  #open(): RunLoop {
    const loop = new RunLoop({
      run: RUN,
      plan: this.#plan,
      actions: this.#actions,
      store: this.#store,
      clock: this.#clock,
      executor: this.#world,
      schedule: () => {},
      maxTurn: 1 + this.#random.below(4),
    });
    if (loop.state.phase.at === 'new') loop.start();
    return loop;
  }

  #durableWork(work: Work): Work[] {
    const { machine } = work.fence;
    if (machine === 'run') return runMachine(this.#plan).outstanding(this.#state);
    const state = this.#members.get(machine);
    return state ? definitionOf(RUN, this.#plan, machine, this.#actions).outstanding(state) : [];
  }

  #onCommit(commit: Commit): void {
    this.#commits++;
    if (this.#crashAt?.commit === this.#commits) this.#store.dies = this.#crashAt.when;
    for (const one of commit.history) this.#trace.push(`${one.machine} ${one.type} → ${one.refused ? 'refused: ' : ''}${one.change}`);
    const reverted = new Set<number>();
    for (const one of commit.history)
      if (!one.refused) this.#note(one.machine, one.message as TargetMessage | MemberReport | Control, reverted);
    for (const member of commit.members) this.#members.set(member.member, member);
    if (!commit.state) return;
    checkAbsorbing(this.#state, commit.state);
    // Within one commit a member may begin before the pause, so only commits without such an order are judged.
    if (!commit.history.some((one) => ['pause', 'continue', 'abort', 'rollback'].includes(one.type)))
      checkBegins(this.#plan, this.#state, commit.state, this.#clock.now());
    checkLimits(this.#plan, commit.state, this.#forgiven);
    this.#state = commit.state;
  }

  /** What a person, or the run itself, ordered, as the promises count it. `reverted`: who has gone back earlier in the same commit. */
  #note(machine: 'run' | number, message: TargetMessage | MemberReport | Control, reverted: Set<number>): void {
    if (message.type === 'member-done' && message.result === 'reverted') reverted.add(message.member);
    if (machine === 'run' && message.type === 'continue')
      for (let member = 0; member < this.#state.members.length; member++)
        if (vector.get(this.#state.members, member) === 'r' || reverted.has(member)) this.#forgiven.add(member);
    if (machine !== 'run' && message.type === 'decide' && message.as === 'again')
      this.#saidAgain.add(`${machine}/${this.#members.get(machine)?.visit}`);
    if (machine !== 'run' && message.type === 'revert') this.#reverted.push(machine);
  }

  #step(): void {
    const random = this.#random;
    const roll = random.next();
    if (roll < 0.45) this.#turn();
    else if (roll < 0.75) this.#endOne();
    else if (roll < 0.85) this.#clock.advance();
    else if (roll < 0.9) this.#order();
    else if (roll < 0.93) this.#crash();
    else if (roll < 0.96) this.#store.dies = random.pick(['before', 'after']);
    else this.#again();
  }

  /** Everything works, and a person does what the run asks for. */
  #calmStep(): void {
    this.#store.dies = undefined;
    this.#turn();
    if (this.#world.pending.length > 0 && (this.#clock.next() === undefined || this.#random.chance(0.8))) this.#endOne();
    else if (this.#clock.next() !== undefined) this.#clock.advance();
    else this.#help();
    this.#turn();
  }

  #turn(): void {
    try {
      this.#loop.turn();
    } catch (error) {
      if (!(error instanceof Crash)) throw error;
      this.#crash();
    }
  }

  #endOne(): void {
    if (this.#world.pending.length > 0) this.#world.endOne();
  }

  #crash(): void {
    this.#crashes++;
    this.#trace.push('--- crash ---');
    this.#loop.onChange = () => {};
    // The process is gone: none of its callbacks may reach anything any more.
    const gone = this.#loop;
    this.#world.crash();
    this.#clock.crash();
    gone.stop();
    this.#loop = this.#open();
  }

  /** A random order, sensible or not. */
  #order(): void {
    const { random, member } = { random: this.#random, member: this.#random.below(this.#state.members.length) };
    const body = random.pick<ControlBody>([
      { type: 'pause' },
      { type: 'continue' },
      { type: 'continue' },
      { type: 'approve' },
      { type: 'approve' },
      { type: 'retry', member },
      { type: 'skip', member },
      { type: 'decide', member, as: random.pick(['success', 'failure', 'again']) },
      ...(random.chance(0.15) ? [{ type: random.pick(['abort', 'rollback'] as const) }] : []),
    ]);
    this.#send(body);
  }

  #send(body: ControlBody): void {
    const control: Control = { ...body, key: `k${++this.#key}`, by: 'somebody' };
    this.#sent.push(control);
    void this.#loop.control(control);
  }

  /** P10: an order that was sent before, sent again. P3: a result that came before, come again. */
  #again(): void {
    if (this.#sent.length > 0) void this.#loop.control(this.#random.pick(this.#sent));
  }

  #help(): void {
    const { state } = this.#loop;
    const codes = [...vector.entries(state.members)];
    const deciding = codes.indexOf('d');
    if (deciding >= 0) return this.#send({ type: 'decide', member: deciding, as: this.#random.pick(['success', 'failure']) });
    if (state.pause || state.suspended) return this.#send({ type: 'continue' });
    if (state.phase.at === 'approval') return this.#send({ type: 'approve' });
  }

  #afterwards(): void {
    checkReleased(this.#state, this.#world.frozen);
    checkOnce(this.#plan, this.#actions, this.#world.started, this.#saidAgain);
    checkRollbackOrder([...vector.entries(this.#state.starts)], this.#reverted);
    checkUntouched(
      this.#world.strange,
      this.#world.started,
      (member) => this.#plan.procedures[memberAt(this.#plan, member).stage.procedure]?.observe !== undefined,
    );
    // P5: nothing moves a run that has ended.
    const before = JSON.stringify(this.#state);
    for (const control of this.#sent.slice(0, 5)) void this.#loop.control({ ...control, key: `late-${control.key}` });
    this.#turn();
    if (JSON.stringify(this.#state) !== before) throw new PromiseBroken('P5: a finished run was moved');
  }
}
