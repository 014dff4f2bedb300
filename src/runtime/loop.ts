/**
 * The loop: messages in, durable states out, work started and cancelled.
 *
 * One loop drives one run. In each turn it handles every message that has arrived (and what those send to each other), commits all
 * changes at once, and only then starts the work that is newly outstanding.
 *
 * Modes: `open` → `draining` (no new work; what is in flight is waited for) → `stopped`. A failed commit keeps its turn and tries it again;
 * nothing is started meanwhile, and `trouble` says why.
 *
 * Invariants
 * - L1 Work is started only after the commit of the state that demands it (P1), and only if it is in `outstanding` of that state (P2).
 * - L2 A message and all that it sends are handled in one commit, or, where one of them is refused, not at all.
 * - L4 Work that has ended is not begun again before its end was handled, however late that is.
 * - L3 At a start, an action that may have begun before is told to its machine as unknown (P4); one that surely did not is started.
 */

import { type Machine, type MachineId, type Work, workKey } from '../machines/machine.ts';
import type { AnyMessage, Control, RunMessage, TargetMessage } from '../machines/messages.ts';
import { runMachine } from '../machines/run/run.ts';
import type { RunState } from '../machines/run/state.ts';
import { newTarget, type TargetState } from '../machines/target-state.ts';
import type { ActionCatalog } from '../model/action.ts';
import { type Fault, FaultError, fault } from '../model/fault.ts';
import type { Plan } from '../planning/plan.ts';
import { definitionOf } from './definition.ts';
import type { Clock, Commit, Executor, HandledMessage, Store, StoredRun, WorkMark } from './ports.ts';

/** How many messages one commit may hold: enough to make the sync cheap, few enough that hand-overs stay quick. */
const MAX_TURN = 2_000;
const COMMIT_RETRY_MS = 1_000;

const NOTHING = () => {};

type Envelope = {
  to: MachineId;
  message: AnyMessage;
  answer?: (refused: Fault | undefined) => void;
  /** The work whose end this tells. */
  work?: string;
};

/** A piece of work that is on the books. */
type Going = { key: string; cancel: () => void };

/** What a turn has changed so far. A refused message is undone in it: the arrays are cut back, the members put back. */
type Turn = {
  run: RunState;
  members: Map<number, TargetState>;
  history: HandledMessage[];
  versions: Commit['versions'];
  answers: (() => void)[];
  ended: { machine: MachineId; work: string }[];
};

export type LoopOptions = {
  run: string;
  plan: Plan;
  actions: ActionCatalog;
  store: Store;
  clock: Clock;
  executor: Executor;
  /** How a turn is scheduled; the default is `setImmediate`. Tests turn by hand. */
  schedule?: (turn: () => void) => void;
  maxTurn?: number;
  /** Only take orders: start no work, now or later. */
  passive?: boolean;
};

export class RunLoop {
  readonly run: string;
  readonly plan: Plan;
  /** Called after each commit, with the members that changed. */
  onChange: (members: Iterable<TargetState>) => void = () => {};
  /** Why nothing can be written just now. */
  trouble: Fault | undefined;

  readonly #options: LoopOptions;
  readonly #runMachine: Machine<RunState, RunMessage, TargetMessage>;
  readonly #work = new Map<MachineId, Going[]>();
  readonly #members = new Map<number, TargetState>();
  #state: RunState;
  #queue: Envelope[] = [];
  /** How many of the queue have been taken: cutting them off the front each turn would move all that wait. */
  #taken = 0;
  #outputs: Commit['outputs'] = [];
  #pending: Turn | undefined;
  #scheduled = false;
  #mode: 'open' | 'draining' | 'stopped' = 'open';
  #unstarted: WorkMark[] = [];
  #idle: (() => void)[] = [];

  /** Opens a run that is in the store, and takes up its work again. `stored`: what the store has just said of it, where it was asked. */
  constructor(options: LoopOptions, stored: StoredRun | undefined = options.store.loadRun(options.run)) {
    if (!stored) throw new FaultError(fault('run-unknown', options.run, `there is no run ${options.run}`));
    this.#options = options;
    this.run = options.run;
    this.plan = options.plan;
    this.#runMachine = runMachine(options.plan);
    this.#state = stored.state;
    for (const member of stored.members) this.#members.set(member.member, member);
    if (options.passive) {
      this.#mode = 'draining';
      this.#unstarted = options.store.takeUnstarted(options.run);
    } else this.#recover();
  }

  get state(): RunState {
    return this.#state;
  }

  /** A member's state; that of one that has not begun where there is none. */
  member(member: number): TargetState {
    return this.#members.get(member) ?? newTarget(this.run, member);
  }

  members(): Iterable<TargetState> {
    return this.#members.values();
  }

  get finished(): boolean {
    return this.#state.phase.at === 'finished';
  }

  /** Pieces of work that are going on, without timers. */
  inFlight(): number {
    let count = 0;
    for (const going of this.#work.values()) for (const { key } of going) if (!key.startsWith('timer:')) count++;
    return count;
  }

  start(): void {
    this.#post({ to: 'run', message: { type: 'start' } });
  }

  /** Hands in an order; resolves once it is durable, with the fault where it was refused. */
  control(control: Control): Promise<Fault | undefined> {
    return new Promise((answer) => this.#post({ to: 'run', message: control, answer }));
  }

  /** No new work from now on; resolves when nothing is in flight and what was not begun is on record. */
  async drain(): Promise<void> {
    if (this.#mode === 'open') this.#mode = 'draining';
    if (this.inFlight() > 0 || this.#waiting() > 0 || this.#pending) await new Promise<void>((done) => this.#idle.push(done));
    this.stop();
    try {
      this.#options.store.markUnstarted(this.run, this.#unstarted);
    } catch (error) {
      // Without that record the next start asks about what never began: more than is needed, and safe.
      if (!(error instanceof FaultError)) throw error;
      this.trouble = error.fault;
    }
  }

  /** Stops at once, as a crash would, but without leaving anything running in this process. */
  stop(): void {
    this.#mode = 'stopped';
    for (const going of this.#work.values()) for (const { cancel } of going) cancel();
    this.#work.clear();
  }

  #recover(): void {
    const unstarted = new Set(this.#options.store.takeUnstarted(this.run).map((mark) => `${mark.machine} ${mark.key}`));
    this.#reconcile('run', this.#state.phase.at === 'new' ? [] : this.#runMachine.outstanding(this.#state));
    for (const state of this.#members.values()) {
      for (const work of this.#machine(state.member).outstanding(state)) {
        const began = work.kind === 'action' && !unstarted.has(`${state.member} ${workKey(work)}`);
        if (!began) {
          this.#reconcile(state.member, [work]);
          continue;
        }
        const why = fault('orchestrator-stopped', `member ${state.member}`, 'Upshift stopped while the action ran', {
          effect: 'operator',
          outcome: 'unknown',
        });
        this.#book(state.member, { key: workKey(work), cancel: NOTHING });
        this.#ended(state.member, workKey(work), { type: 'result', fence: work.fence, ending: { kind: 'unknown', fault: why } });
      }
    }
  }

  /** Made anew each time: a hundred thousand kept ones would weigh more than making one costs. */
  #machine(member: number): ReturnType<typeof definitionOf> {
    return definitionOf(this.run, this.plan, member, this.#options.actions);
  }

  #book(machine: MachineId, going: Going): void {
    const others = this.#work.get(machine);
    // A list that is begun anew is small; one that is pushed to has room for 17.
    if (others && others.length > 0) others.push(going);
    else this.#work.set(machine, [going]);
  }

  /** A machine that has nothing left keeps its place: most begin something else at once. */
  #unbook(machine: MachineId, key: string): void {
    const going = this.#work.get(machine);
    const at = going?.findIndex((one) => one.key === key) ?? -1;
    if (at >= 0) going?.splice(at, 1);
  }

  #post(envelope: Envelope): void {
    if (this.#mode === 'stopped') return;
    this.#queue.push(envelope);
    this.#wake();
  }

  #wake(): void {
    if (this.#scheduled || this.#mode === 'stopped') return;
    this.#scheduled = true;
    (this.#options.schedule ?? setImmediate)(() => {
      this.#scheduled = false;
      this.turn();
    });
  }

  /** Handles what has arrived, in one commit. Called by the schedule; tests call it themselves. */
  turn(): void {
    if (this.#mode === 'stopped') return;
    const turn = this.#pending ?? this.#handle();
    if (turn && !this.#commit(turn)) return;
    if (this.#waiting() > 0) this.#wake();
    else if (this.#mode === 'draining' && this.inFlight() === 0) for (const done of this.#idle.splice(0)) done();
  }

  /** Messages that have arrived and were not handled. */
  #waiting(): number {
    return this.#queue.length - this.#taken;
  }

  /** The next of the queue, at most as many as a turn may handle. */
  #take(): Envelope[] {
    const batch = this.#queue.slice(this.#taken, this.#taken + (this.#options.maxTurn ?? MAX_TURN));
    this.#taken += batch.length;
    if (this.#taken * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#taken);
      this.#taken = 0;
    }
    return batch;
  }

  #handle(): Turn | undefined {
    if (this.#waiting() === 0 && this.#outputs.length === 0) return undefined;
    const turn: Turn = { run: this.#state, members: new Map(), history: [], versions: [], answers: [], ended: [] };
    for (const envelope of this.#take()) this.#deliver(turn, envelope);
    return turn;
  }

  /** L2: a message and everything it sends, or nothing of it. */
  #deliver(turn: Turn, envelope: Envelope): void {
    const now = this.#options.clock.now();
    const pending: { to: MachineId; message: AnyMessage }[] = [envelope];
    const before = { run: turn.run, history: turn.history.length, versions: turn.versions.length };
    const replaced: { member: number; state: TargetState | undefined }[] = [];
    let refused: Fault | undefined;
    for (let next = 0; next < pending.length && !refused; next++) {
      const { to, message } = pending[next] as { to: MachineId; message: AnyMessage };
      if (to === 'run') {
        const reaction = this.#runMachine.receive(turn.run, message as RunMessage, now);
        if (!reaction.ok) refused = reaction.fault;
        else {
          turn.run = reaction.state;
          for (const send of reaction.sends) pending.push(send);
          turn.history.push(record(now, to, message, runChange(turn.run)));
          this.#noteVersion(turn.versions, message as RunMessage, now);
        }
      } else {
        const state = turn.members.get(to);
        const reaction = this.#machine(to).receive(state ?? this.member(to), message as TargetMessage, now);
        if (!reaction.ok) refused = reaction.fault;
        else {
          replaced.push({ member: to, state });
          turn.members.set(to, reaction.state);
          for (const send of reaction.sends) pending.push(send);
          turn.history.push(record(now, to, message, targetChange(reaction.state)));
        }
      }
    }
    if (refused) {
      turn.run = before.run;
      turn.history.length = before.history;
      turn.versions.length = before.versions;
      for (const { member, state } of replaced.reverse())
        if (state) turn.members.set(member, state);
        else turn.members.delete(member);
      turn.history.push({ ...record(now, envelope.to, envelope.message, `${refused.kind}: ${refused.message}`), refused: true });
    }
    if (envelope.work !== undefined) turn.ended.push({ machine: envelope.to, work: envelope.work });
    if (envelope.answer) {
      const answer = envelope.answer;
      turn.answers.push(() => answer(refused));
    }
  }

  #noteVersion(versions: Commit['versions'], message: RunMessage, at: number): void {
    if (message.type !== 'member-done' || (message.result !== 'succeeded' && message.result !== 'reverted')) return;
    const { target, from, to } = this.#machine(message.member).definition;
    versions.push({ target: target.id, product: target.product, version: message.result === 'succeeded' ? to : from, at });
  }

  #commit(turn: Turn): boolean {
    const { store } = this.#options;
    const outputs = this.#outputs;
    const members = [...turn.members.values()];
    try {
      store.commit({
        run: this.run,
        ...(turn.run === this.#state ? {} : { state: turn.run }),
        members,
        history: turn.history,
        outputs,
        versions: turn.versions,
      });
    } catch (error) {
      if (!(error instanceof FaultError)) throw error;
      this.#pending = turn;
      this.trouble = error.fault;
      this.onChange([]);
      setTimeout(() => this.turn(), COMMIT_RETRY_MS).unref();
      return false;
    }
    this.#pending = undefined;
    this.trouble = undefined;
    this.#outputs = [];
    const runChanged = turn.run !== this.#state;
    this.#state = turn.run;
    for (const state of members) this.#members.set(state.member, state);
    for (const { machine, work } of turn.ended) this.#unbook(machine, work);
    for (const answer of turn.answers) answer();
    if (runChanged) this.#reconcile('run', this.#runMachine.outstanding(turn.run));
    for (const state of members) this.#reconcile(state.member, this.#machine(state.member).outstanding(state));
    this.onChange(members);
    return true;
  }

  /** L1: starts what is newly outstanding, cancels what no longer is. */
  #reconcile(machine: MachineId, wanted: readonly Work[]): void {
    const going = this.#work.get(machine);
    if (going && wanted.length === 0) this.#work.delete(machine);
    if (!going || going.length === 0) {
      for (const work of wanted) this.#begin(machine, work, workKey(work));
      return;
    }
    const keys = wanted.map(workKey);
    for (const { key, cancel } of going.slice()) {
      if (keys.includes(key)) continue;
      this.#unbook(machine, key);
      cancel();
    }
    wanted.forEach((work, index) => {
      const key = keys[index] as string;
      if (!going.some((one) => one.key === key)) this.#begin(machine, work, key);
    });
  }

  #begin(machine: MachineId, work: Work, key: string): void {
    if (this.#mode !== 'open') {
      if (work.kind === 'action') this.#unstarted.push({ machine, key });
      return;
    }
    const going: Going = { key, cancel: NOTHING };
    this.#book(machine, going);
    // What is called back holds on to the fence alone, not to the work: there may be a hundred thousand of them.
    const { fence } = work;
    if (work.kind === 'timer') {
      going.cancel = this.#options.clock.at(work.at, () => this.#ended(machine, key, { type: 'wake', fence }));
      return;
    }
    const output = (text: string) => {
      this.#outputs.push({ machine, visit: fence.visit, attempt: fence.attempt, at: this.#options.clock.now(), text });
      this.#wake();
    };
    going.cancel = this.#options.executor.start(work, (ending) => this.#ended(machine, key, { type: 'result', fence, ending }), output);
  }

  /** L4: the work stays on the books, so that it is not begun again, until what it ended with is handled. */
  #ended(machine: MachineId, key: string, message: TargetMessage & RunMessage): void {
    const going = this.#work.get(machine)?.find((one) => one.key === key);
    if (!going) return;
    going.cancel = NOTHING;
    this.#post({ to: machine, message, work: key });
  }
}

/** The run and the machine of a fence stand beside the record already. */
function record(at: number, machine: MachineId, message: AnyMessage, change: string): HandledMessage {
  const kept = 'fence' in message ? { ...message, fence: { visit: message.fence.visit, attempt: message.fence.attempt } } : message;
  return { at, machine, type: message.type, message: kept, change, refused: false };
}

/** A member's phase in a word or three. */
export function targetChange(state: TargetState): string {
  const { phase } = state;
  if (phase.at === 'done') return `done: ${phase.result}`;
  return 'state' in phase ? `${phase.at}: ${phase.state}` : phase.at;
}

/** The run's phase in a word or three. */
export function runChange(state: RunState): string {
  if (state.phase.at === 'finished') return `finished: ${state.phase.result}`;
  if (state.suspended) return `suspended in ${state.phase.at}`;
  return state.pause ? `paused in ${state.phase.at}` : state.phase.at;
}
