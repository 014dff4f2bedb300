/** Drives a run in this process to where it ends, or to where only a person can go on; shows what is going on meanwhile. */

import type { TargetState } from '../machines/target-state.ts';
import { faultText } from '../model/fault.ts';
import { memberAt, targetAt } from '../planning/plan.ts';
import type { RunLoop } from '../runtime/loop.ts';
import { targetChange } from '../runtime/loop.ts';
import { type MemberView, needsPerson, runView, type ViewSource, waitingOn } from '../runtime/view.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { Painter } from './live.ts';
import { runLines } from './print-run.ts';
import { styleFor } from './style.ts';

const FRAME_MS = 100;
const TICK_MS = 1_000;
/** Beyond this many members, each second's frame shows counts instead of walking all of them. */
const DETAIL_LIMIT = 400;

export type DriveOptions = {
  json: boolean;
  /** Go on waiting where a person must decide, instead of ending with exit code 4. */
  wait: boolean;
};

export function sourceOf(loop: RunLoop): ViewSource {
  return { plan: loop.plan, state: loop.state, member: (member) => loop.member(member), trouble: loop.trouble };
}

interface Display {
  changed(members: Iterable<TargetState>): void;
  end(): void;
}

/** Resolves with the exit code. Ctrl-C once: no new work, what is in flight is waited for; twice: out at once. */
export function drive(loop: RunLoop, options: DriveOptions): Promise<number> {
  const display = options.json ? jsonDisplay(loop) : process.stdout.isTTY ? liveDisplay(loop) : plainDisplay(loop);
  return new Promise((resolve) => {
    let ended = false;
    let interrupts = 0;
    const finish = (code: number) => {
      if (ended) return;
      ended = true;
      process.off('SIGINT', interrupt);
      process.off('SIGTERM', interrupt);
      loop.onChange = () => {};
      display.end();
      resolve(code);
    };
    const drain = async (code: () => number) => {
      await loop.drain();
      finish(code());
    };
    const interrupt = () => {
      interrupts++;
      if (interrupts > 1) {
        loop.stop();
        return finish(EXIT.interrupted);
      }
      const busy = loop.inFlight();
      process.stderr.write(
        `\nStopping: nothing new is started${busy > 0 ? `, ${busy} in flight are waited for (Ctrl-C again leaves at once)` : ''}. Go on with: upshift resume ${loop.run}\n`,
      );
      void drain(() => (loop.finished ? exitCodeOf(loop.state) : EXIT.interrupted));
    };
    process.on('SIGINT', interrupt);
    process.on('SIGTERM', interrupt);
    const look = () => {
      if (loop.finished) finish(exitCodeOf(loop.state));
      else if (!options.wait && interrupts === 0 && !loop.trouble && needsPerson(sourceOf(loop))) {
        interrupts = 1;
        void drain(() => EXIT.operator);
      }
    };
    loop.onChange = (members) => {
      display.changed(members);
      look();
    };
    look();
  });
}

function liveDisplay(loop: RunLoop): Display {
  const painter = new Painter(process.stdout);
  const style = styleFor(process.stdout);
  let timer: NodeJS.Timeout | undefined;
  const paint = () => {
    timer = undefined;
    const view = runView(sourceOf(loop), { limit: DETAIL_LIMIT, now: Date.now() });
    painter.paint(runLines(view, style, { now: Date.now(), columns: painter.columns, rows: painter.rows - 1 }));
  };
  const soon = () => {
    timer ??= setTimeout(paint, FRAME_MS);
  };
  const tick = setInterval(soon, TICK_MS);
  process.stdout.on('resize', soon);
  paint();
  return {
    changed: soon,
    end: () => {
      clearTimeout(timer);
      clearInterval(tick);
      process.stdout.off('resize', soon);
      paint();
      clearTimeout(timer);
      painter.end();
    },
  };
}

/** What changed of a member, as one fact. */
function memberChange(loop: RunLoop, state: TargetState): { target: string; stage: string } & Partial<MemberView> & { change: string } {
  const { stage, position } = memberAt(loop.plan, state.member);
  const phase = state.phase;
  const procedure = loop.plan.procedures[(state.direction === 'back' ? stage.rollback : stage.procedure) as string];
  const name = 'state' in phase && phase.state !== null ? phase.state : undefined;
  return {
    target: targetAt(loop.plan, stage, position).id,
    stage: stage.name,
    change: targetChange(state),
    ...(name === undefined ? {} : { state: name, title: procedure?.states[name]?.title ?? name }),
    ...(state.message === undefined ? {} : { message: state.message }),
    ...('fault' in phase && phase.fault ? { fault: phase.fault } : {}),
  };
}

function plainDisplay(loop: RunLoop): Display {
  const last = new Map<number, string>();
  let lastWaiting = '';
  const say = (text: string) => process.stdout.write(`${new Date().toISOString().slice(11, 19)}  ${text}\n`);
  return {
    changed: (members) => {
      for (const state of members) {
        const { target, stage, change, title, message, fault } = memberChange(loop, state);
        if (last.get(state.member) === change) continue;
        last.set(state.member, change);
        const what = state.phase.at === 'acting' ? title : state.phase.at === 'checking' ? 'reading its version' : change;
        say(
          `${stage}  ${target}  ${what}${state.phase.at !== 'acting' && message ? ` — ${message}` : ''}${fault ? ` — ${faultText(fault)}` : ''}`,
        );
      }
      const waiting = waitingOn(sourceOf(loop)).filter((one) => one.kind !== 'targets');
      const text = waiting
        .map(
          (one) =>
            `${one.needsPerson ? 'needs you' : 'waits for'}: ${one.text}${one.remedy === undefined ? '' : `\n            ${one.remedy.replaceAll('\n', '\n            ')}`}`,
        )
        .join('\n          ');
      if (text !== lastWaiting && text !== '') say(text);
      lastWaiting = text;
    },
    end: () => {},
  };
}

/** One JSON object a line: `change` for a member, `waiting` when the reasons to wait change, `run` at the end. */
function jsonDisplay(loop: RunLoop): Display {
  let lastWaiting = '[]';
  const say = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
  return {
    changed: (members) => {
      const at = new Date().toISOString();
      for (const state of members) say({ type: 'change', at, run: loop.run, ...memberChange(loop, state) });
      const waiting = waitingOn(sourceOf(loop)).filter((one) => one.kind !== 'targets');
      const text = JSON.stringify(waiting.map(({ kind, text }) => [kind, text]));
      if (text !== lastWaiting) say({ type: 'waiting', at, run: loop.run, waiting });
      lastWaiting = text;
    },
    end: () => say({ type: 'run', ...runView(sourceOf(loop)) }),
  };
}
