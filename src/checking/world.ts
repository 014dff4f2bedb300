/**
 * The world of a simulation: what really happens to targets, whoever drives them. It outlives every crash of the loop.
 *
 * It keeps a ledger of its own, so that promises are judged by what happened and not by what the machines believe.
 */
import { type Ending, fenceText, type Work } from '../machines/machine.ts';
import { LOST } from '../model/documents/index.ts';
import { fault } from '../model/fault.ts';
import { memberAt, moveAt, type Plan } from '../planning/plan.ts';
import type { Executor } from '../runtime/ports.ts';
import type { Random } from './random.ts';

type Job = { work: Extract<Work, { kind: 'action' }>; state: 'running' | 'ended' | 'lost'; ending?: Ending };
type Pending = { work: Work; end: (ending: Ending) => void; epoch: number; cancelled: boolean };

export type Started = { fence: string; member: number; procedure: string; state: string; visit: number; attempt: number };

export class World implements Executor {
  readonly started: Started[] = [];
  readonly #plan: Plan;
  readonly #random: Random;
  readonly #jobs = new Map<string, Job>();
  /** Names of checks that have passed, in order: `freeze` and `thaw` among them. */
  frozen = false;
  /** Targets that are not in the state that was planned. */
  readonly strange = new Set<number>();
  pending: Pending[] = [];
  #epoch = 0;
  /** Called when work starts; throws where it may not. */
  onStart: (work: Work) => void = () => {};
  /** From here on everything works, so that runs end. */
  kind = false;

  constructor(plan: Plan, random: Random) {
    this.#plan = plan;
    this.#random = random;
  }

  start(work: Work, end: (ending: Ending) => void): () => void {
    this.onStart(work);
    const pending: Pending = { work, end, epoch: this.#epoch, cancelled: false };
    this.pending.push(pending);
    if (work.kind === 'action') {
      const fence = fenceText(work.fence);
      const { member, procedure, state } = work;
      this.started.push({ fence, member, procedure, state, visit: work.fence.visit, attempt: work.fence.attempt });
      this.#jobs.set(fence, { work, state: 'running' });
    }
    // A freeze that is ordered may hold from now on, whatever becomes of the answer.
    if (work.kind === 'check' && work.check.name === this.#plan.freeze?.acquire.name) this.frozen = true;
    return () => {
      pending.cancelled = true;
      this.pending = this.pending.filter((one) => one !== pending);
    };
  }

  /** The process that drives is gone: nobody waits for answers any more, but what runs goes on, or is lost. */
  crash(): void {
    this.#epoch++;
    this.pending = [];
    for (const job of this.#jobs.values()) if (job.state === 'running' && this.#random.chance(0.3)) job.state = 'lost';
  }

  /** Lets one piece of work end, in a way it can end. */
  endOne(): void {
    const index = this.#random.below(this.pending.length);
    const [one] = this.pending.splice(index, 1) as [Pending];
    one.end(this.#endingOf(one.work));
  }

  #endingOf(work: Work): Ending {
    const good = this.kind || this.#random.chance(0.8);
    switch (work.kind) {
      case 'version': {
        const { stage, position } = memberAt(this.#plan, work.member);
        const { from, to } = moveAt(stage, position);
        const version = this.strange.has(work.member) ? '9.9.9' : this.#random.chance(0.05) ? to : from;
        return good ? { kind: 'ended', outcome: 'success', values: { version } } : { kind: 'ended', outcome: 'failure' };
      }
      case 'rank':
        return good ? { kind: 'ended', outcome: 'success', values: { key: this.#random.below(3) } } : { kind: 'ended', outcome: 'failure' };
      case 'check':
        if (good && work.check.name === this.#plan.freeze?.release.name) this.frozen = false;
        return good ? { kind: 'ended', outcome: 'success' } : this.#random.chance(0.5) ? { kind: 'ended', outcome: 'failure' } : unknown();
      case 'action': {
        const job = this.#jobs.get(fenceText(work.fence)) as Job;
        if (!this.kind && this.#random.chance(0.15)) {
          // The connection is cut; the job itself may live on.
          if (this.#random.chance(0.4)) job.state = 'lost';
          return unknown();
        }
        return this.#endJob(job, good);
      }
      case 'observe': {
        const job = this.#jobs.get(fenceText(work.fence));
        if (!job) return { kind: 'absent' };
        if (!this.kind && this.#random.chance(0.1)) return unknown();
        if (job.state === 'lost') return { kind: 'lost', fault: fault('lost', 'sim', 'lost') };
        return job.ending ?? this.#endJob(job, good);
      }
      case 'timer':
        throw new Error('a timer is no work of the world');
    }
  }

  #endJob(job: Job, good: boolean): Ending {
    job.state = 'ended';
    job.ending = { kind: 'ended', outcome: good ? this.#goodOutcome(job) : 'failure' };
    return job.ending;
  }

  /** Success, or another outcome that the state declares beside failure. */
  #goodOutcome({ work }: Job): string {
    const others = Object.keys(this.#plan.procedures[work.procedure]?.states[work.state]?.on ?? {}).filter(
      (outcome) => outcome !== 'failure' && outcome !== LOST,
    );
    return this.#random.pick(others);
  }
}

function unknown(): Ending {
  return { kind: 'unknown', fault: fault('cut', 'sim', 'the connection was cut', { outcome: 'unknown' }) };
}
