/** Bugs planted on purpose: each must make a test fail. A new promise deserves a mutant here. */

export type Mutant = {
  /** What the bug is. */
  name: string;
  file: string;
  /** Occurs exactly once in the file. */
  find: string;
  replace: string;
  /** The test files that must catch it, the fastest that do. */
  tests: readonly string[];
};

const RUN = 'src/machines/run/run.test.ts';
const TARGET = 'src/machines/target.test.ts';
const LOOP = 'src/runtime/loop.test.ts';
const SIMULATOR = 'src/checking/simulator.test.ts';
const ADMISSION = 'src/runtime/admission.test.ts';
const EXECUTOR = 'src/runtime/executor.test.ts';
const SQLITE = 'src/runtime/embedded/sqlite-store.test.ts';

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'a fence is never checked (P3)',
    file: 'src/machines/machine.ts',
    find: 'return a.visit === b.visit && a.attempt === b.attempt && a.machine === b.machine && a.run === b.run;',
    replace: 'return a.run !== undefined && b.run !== undefined;',
    tests: [TARGET],
  },
  {
    name: 'work starts before the commit (P1)',
    file: 'src/runtime/loop.ts',
    find: 'try {\n      store.commit({',
    replace:
      "if (turn.run !== this.#state) this.#reconcile('run', this.#runMachine.outstanding(turn.run));\n    for (const [member, state] of turn.members) this.#reconcile(member, this.#machine(member).outstanding(state));\n    try {\n      store.commit({",
    tests: [SIMULATOR],
  },
  {
    name: 'the budget of a group is off by one (P6)',
    file: 'src/machines/run/schedule.ts',
    find: "per === 'group' && failed + inFlight > stage.budget.failures",
    replace: "per === 'group' && failed + inFlight > stage.budget.failures + 1",
    tests: [RUN],
  },
  {
    name: 'the budget of a stage is off by one (P6)',
    file: 'src/machines/run/schedule.ts',
    find: "!== 'stage' || failed + inFlight <= stage.budget.failures",
    replace: "!== 'stage' || failed + inFlight <= stage.budget.failures + 1",
    tests: [RUN],
  },
  {
    name: 'one failure more than the budget suspends nothing',
    file: 'src/machines/run/schedule.ts',
    find: 'vector.get(draft.state.groups, group).failed) > stage.budget.failures;',
    replace: 'vector.get(draft.state.groups, group).failed) > stage.budget.failures + 1;',
    tests: [RUN],
  },
  {
    name: 'the width within a group is off by one (P6)',
    file: 'src/machines/run/schedule.ts',
    find: 'inFlight >= stage.width.within) return false;',
    replace: 'inFlight > stage.width.within) return false;',
    tests: [RUN],
  },
  {
    name: 'the number of groups at once is planned one too high (P6)',
    file: 'src/planning/stages.ts',
    find: 'groups: amountOf(strategy.groups ?? 1, sorted.groups.length),',
    replace: 'groups: amountOf(strategy.groups ?? 1, sorted.groups.length) + 1,',
    tests: [RUN],
  },
  {
    name: 'a wave ends one member late',
    file: 'src/machines/run/schedule.ts',
    find: 'Math.min(plan.count, stage.waves[progress(draft).wave]?.until ?? 0)',
    replace: 'Math.min(plan.count, (stage.waves[progress(draft).wave]?.until ?? 0) + 1)',
    tests: [RUN],
  },
  {
    name: 'a wave of groups ends one group late',
    file: 'src/machines/run/schedule.ts',
    find: 'stage.grouped ? (stage.waves[wave]?.until ?? 0)',
    replace: 'stage.grouped ? (stage.waves[wave]?.until ?? 0) + 1',
    tests: [RUN],
  },
  {
    name: 'a run that fails leaves its freeze behind (P7)',
    file: 'src/machines/run/progress.ts',
    find: 'if (state.freezeHeld && plan.freeze) ask(',
    replace: 'if (state.freezeHeld && plan.freeze && !state.ending) ask(',
    tests: [RUN],
  },
  {
    name: 'a freeze whose answer was lost is not thawed (P7)',
    file: 'src/machines/run/progress.ts',
    find: 'state.freezeHeld = true;\n',
    replace: '',
    tests: [RUN],
  },
  {
    name: 'a disruptive action with an unknown outcome runs again (P4)',
    file: 'src/machines/target.ts',
    find: 'if (!traits.idempotent || phase.attempt >= MAX_UNKNOWN) return deciding',
    replace: 'if (phase.attempt >= MAX_UNKNOWN) return deciding',
    tests: [TARGET],
  },
  {
    name: 'an observable action is not observed (P4)',
    file: 'src/machines/target.ts',
    find: 'if (!observed && traits.observable) {',
    replace: 'if (!observed && traits.observable && traits.idempotent) {',
    tests: [TARGET],
  },
  {
    name: 'a rollback goes oldest first (P8)',
    file: 'src/machines/run/progress.ts',
    find: 'const member = vector.get(state.starts, cursor);',
    replace: 'const member = vector.get(state.starts, state.mark + state.starts.length - 1 - cursor);',
    tests: [RUN],
  },
  {
    name: 'a commit point marks nothing',
    file: 'src/machines/run/progress.ts',
    find: 'state.mark = state.starts.length;',
    replace: '',
    tests: [RUN],
  },
  {
    name: 'members begin while the run is paused (P8)',
    file: 'src/machines/run/schedule.ts',
    find: 'if (state.pause || state.suspended || state.ending) return true;',
    replace: 'if (state.suspended || state.ending) return true;',
    tests: [RUN],
  },
  {
    name: 'the run does not compare the retry counter (P10)',
    file: 'src/machines/run/controls.ts',
    find: 'if (counter <= known)',
    replace: 'if (counter < known)',
    tests: [RUN],
  },
  {
    name: 'the target does not compare the retry counter (P10)',
    file: 'src/machines/target.ts',
    find: 'if (message.counter <= state.retry)',
    replace: 'if (message.counter < state.retry)',
    tests: [TARGET],
  },
  {
    name: 'the idempotency key of an order is ignored (P10)',
    file: 'src/machines/run/controls.ts',
    find: 'if (state.keys.includes(control.key)) return draft.done();',
    replace: '',
    tests: [RUN],
  },
  {
    name: 'a run that has ended takes orders (P5)',
    file: 'src/machines/run/controls.ts',
    find: "if (state.phase.at === 'finished')",
    replace: "if (state.phase.at === 'new')",
    tests: [RUN],
  },
  {
    name: 'a target in another state than planned is changed all the same (P9)',
    file: 'src/machines/target.ts',
    find: 'if (found === from || draft.touched) return',
    replace: 'if (found !== to || draft.touched) return',
    tests: [TARGET],
  },
  {
    name: 'a message that is refused leaves behind what it did before (L2)',
    file: 'src/runtime/loop.ts',
    find: 'turn.run = before.run;',
    replace: '',
    tests: [LOOP],
  },
  {
    name: 'work that surely never began is asked about after a restart (L3)',
    file: 'src/runtime/loop.ts',
    find: "work.kind === 'action' && !unstarted.has(`${state.member} ${workKey(work)}`)",
    replace: "work.kind === 'action' && unstarted.size >= 0",
    tests: [LOOP],
  },
  {
    name: 'a clean stop forgets what it never began (L3)',
    file: 'src/runtime/loop.ts',
    find: 'this.#options.store.markUnstarted(this.run, this.#unstarted);',
    replace: '',
    tests: [LOOP],
  },
  {
    name: 'what ran at a crash is taken for never begun (L3, P4)',
    file: 'src/runtime/loop.ts',
    find: "const began = work.kind === 'action' && ",
    replace: "const began = work.kind === 'timer' && ",
    tests: [SIMULATOR],
  },
  {
    name: 'a failed commit is forgotten',
    file: 'src/runtime/loop.ts',
    find: 'this.#pending = turn;',
    replace: '',
    tests: [LOOP],
  },
  {
    name: 'what hangs keeps its turn from others',
    file: 'src/runtime/admission.ts',
    find: 'this.#clock.now() + this.#limits.settledMs, settle)',
    replace: 'this.#clock.now() + this.#limits.settledMs, () => {})',
    tests: [ADMISSION],
  },
  {
    name: 'one piece of work too many begins at once',
    file: 'src/runtime/admission.ts',
    find: 'this.#unsettled >= this.#limits.atOnce',
    replace: 'this.#unsettled > this.#limits.atOnce',
    tests: [ADMISSION],
  },
  {
    name: 'waiting for a turn counts against the deadline',
    file: 'src/runtime/executor.ts',
    find: 'deadline: work.deadline + waitedMs',
    replace: 'deadline: work.deadline',
    tests: [EXECUTOR],
  },
  {
    name: 'a driver that throws is taken for one that failed',
    file: 'src/runtime/executor.ts',
    find: "return unknownEnd('driver-threw'",
    replace: "return { kind: 'ended', outcome: 'failure' } as Ending; unknownEnd('driver-threw'",
    tests: [EXECUTOR],
  },
  {
    name: 'a changed chunk of a vector is not written',
    file: 'src/runtime/embedded/sqlite-store.ts',
    find: 'if (vector.chunks[place] === last[place]) continue;',
    replace: 'if (vector.chunks[place] === last[place] || (place > 0 && last[place] !== undefined)) continue;',
    tests: [SQLITE],
  },
  {
    name: 'chunks that were never committed count as written (S2)',
    file: 'src/runtime/embedded/sqlite-store.ts',
    find: 'known.written = before.written;',
    replace: '',
    tests: [SQLITE],
  },
  {
    name: 'the wrapper starts the same fence a second time (D1)',
    file: 'src/drivers/shell/detached.ts',
    find: 'if ! mkdir "$d" 2>/dev/null; then echo "refused"',
    replace: 'if ! mkdir -p "$d" 2>/dev/null; then echo "refused"',
    tests: ['src/drivers/shell/detached.test.ts'],
  },
  {
    name: 'a job that an observer gave up on may still begin (D2)',
    file: 'src/drivers/shell/detached.ts',
    find: 'mkdir "$1/go" 2>/dev/null || exit 0',
    replace: 'mkdir -p "$1/go" 2>/dev/null || exit 0',
    tests: ['src/drivers/shell/claim.test.ts'],
  },
  {
    name: 'a changed host key is accepted',
    file: 'src/drivers/ssh/known-hosts.ts',
    find: "known ? { ok: false, kind: 'host-key-changed', known }",
    replace: 'known ? { ok: true }',
    tests: ['src/drivers/ssh/connection.test.ts'],
  },
  {
    name: 'a plan that was changed after it was shown is applied (P9)',
    file: 'src/runtime/start-run.ts',
    find: 'if (digest !== plan.digest)',
    replace: 'if (digest === undefined)',
    tests: ['src/runtime/start-run.test.ts'],
  },
];
