/** Keeps everything in memory. A crash is simulated by opening another loop on the same store. */

import type { MachineId } from '../../machines/machine.ts';
import type { RunState } from '../../machines/run/state.ts';
import type { TargetState } from '../../machines/target-state.ts';
import { type Fault, FaultError } from '../../model/fault.ts';
import type { Plan } from '../../planning/plan.ts';
import type { Commit, HistoryRecord, KnownVersion, OutputRecord, RunSummary, Store, StoredRun, WorkMark } from '../ports.ts';

type Kept = {
  plan: Plan;
  state: string;
  members: Map<number, string>;
  history: (HistoryRecord & { seq: number })[];
  outputs: OutputRecord[];
  unstarted: WorkMark[];
  createdAt: number;
  summary: RunSummary;
};

export class MemoryStore implements Store {
  readonly #runs = new Map<string, Kept>();
  readonly #versions = new Map<string, KnownVersion>();
  /** Set to make commits fail, as a full disk would. */
  trouble: Fault | undefined;

  createRun(run: string, plan: Plan, state: RunState, at: number): void {
    this.#check();
    const summary: RunSummary = {
      run,
      upgrade: plan.upgrade,
      product: plan.product,
      to: plan.to,
      createdAt: at,
      phase: state.phase.at,
      digest: plan.digest,
    };
    this.#runs.set(run, {
      plan,
      state: JSON.stringify(state),
      members: new Map(),
      history: [],
      outputs: [],
      unstarted: [],
      createdAt: at,
      summary,
    });
  }

  loadRun(run: string): StoredRun | undefined {
    const kept = this.#runs.get(run);
    if (!kept) return undefined;
    const members = [...kept.members.values()].map((text) => JSON.parse(text) as TargetState);
    return { plan: kept.plan, state: JSON.parse(kept.state) as RunState, members, createdAt: kept.createdAt };
  }

  commit(commit: Commit): void {
    this.#check();
    const kept = this.#kept(commit.run);
    if (commit.state) {
      kept.state = JSON.stringify(commit.state);
      const { phase } = commit.state;
      kept.summary = {
        ...kept.summary,
        phase: phase.at,
        ...(phase.at === 'finished' ? { result: phase.result, endedAt: phase.endedAt } : {}),
      };
    }
    for (const member of commit.members) kept.members.set(member.member, JSON.stringify(member));
    for (const { message, ...one } of commit.history)
      kept.history.push({ ...one, body: JSON.stringify(message), seq: kept.history.length + 1 });
    kept.outputs.push(...commit.outputs);
    for (const version of commit.versions) this.#versions.set(version.target, version);
  }

  markUnstarted(run: string, marks: readonly WorkMark[]): void {
    this.#check();
    this.#kept(run).unstarted = [...marks];
  }

  takeUnstarted(run: string): WorkMark[] {
    const kept = this.#kept(run);
    const marks = kept.unstarted;
    kept.unstarted = [];
    return marks;
  }

  runs(): RunSummary[] {
    return [...this.#runs.values()].map((kept) => kept.summary).sort((a, b) => b.createdAt - a.createdAt);
  }

  history(run: string, options: { after?: number; limit?: number; machine?: MachineId } = {}) {
    const { after = 0, limit = Number.POSITIVE_INFINITY, machine } = options;
    return this.#kept(run)
      .history.filter((one) => one.seq > after && (machine === undefined || one.machine === machine))
      .slice(0, limit);
  }

  outputs(run: string, machine: MachineId): OutputRecord[] {
    return this.#kept(run).outputs.filter((one) => one.machine === machine);
  }

  versions(): KnownVersion[] {
    return [...this.#versions.values()].sort((a, b) => a.target.localeCompare(b.target));
  }

  close(): void {}

  #kept(run: string): Kept {
    const kept = this.#runs.get(run);
    if (!kept) throw new Error(`there is no run ${run}`);
    return kept;
  }

  #check(): void {
    if (this.trouble) throw new FaultError(this.trouble);
  }
}
