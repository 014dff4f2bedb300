/** When a window is open. Time zones come from the runtime's own tables: the answer is a function of the moment alone. */
import type { Window } from '../../model/documents/index.ts';

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
const MINUTE_MS = 60_000;
/** Every window opens at least once a week; a day more covers a clock that is put back. */
const HORIZON_MINUTES = 8 * 24 * 60;

const formats = new Map<string, Intl.DateTimeFormat>();

function localTime(zone: string, at: number): { day: (typeof DAYS)[number]; minute: number } {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat('en-GB', { timeZone: zone, weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
    formats.set(zone, format);
  }
  const parts = Object.fromEntries(format.formatToParts(at).map((part) => [part.type, part.value]));
  return {
    day: (parts['weekday'] as string).toLowerCase().slice(0, 3) as (typeof DAYS)[number],
    minute: Number(parts['hour']) * 60 + Number(parts['minute']),
  };
}

function minuteOf(time: string): number {
  const [hours, minutes] = time.split(':');
  return Number(hours) * 60 + Number(minutes);
}

/** Whether a window is open at a moment (ms since the epoch). A window past midnight belongs to the day it opened on. */
export function isOpen(window: Window, at: number): boolean {
  const { day, minute } = localTime(window.zone ?? 'UTC', at);
  const [from, to] = [minuteOf(window.from), minuteOf(window.to)];
  const on = (name: string) => window.days === undefined || window.days.some((one) => one === name);
  const yesterday = DAYS[(DAYS.indexOf(day) + 6) % 7] as string;
  if (from < to) return on(day) && minute >= from && minute < to;
  return (on(day) && minute >= from) || (on(yesterday) && minute < to);
}

/** The next moment a window is open, in ms since the epoch: `at` itself where it is open now. At worst a look at each minute of a week. */
export function nextOpening(window: Window, at: number): number {
  if (isOpen(window, at)) return at;
  const first = Math.floor(at / MINUTE_MS) + 1;
  for (let minute = first; minute < first + HORIZON_MINUTES; minute++) if (isOpen(window, minute * MINUTE_MS)) return minute * MINUTE_MS;
  return at + HORIZON_MINUTES * MINUTE_MS;
}
