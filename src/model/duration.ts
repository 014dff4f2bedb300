/** Durations as people write them: `30s`, `45m`, `1h30m`, `2d`, `250ms`. */

const UNIT_MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

export const DURATION_PATTERN = '^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$';

/** Milliseconds of a duration text that matches {@link DURATION_PATTERN}; throws on any other (a programmer's error: the schema is the door). */
export function durationMs(text: string): number {
  let total = 0;
  let rest = text;
  while (rest !== '') {
    const match = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)/.exec(rest);
    if (!match) throw new Error(`not a duration: ${text}`);
    total += Number(match[1]) * (UNIT_MS[match[2] as string] as number);
    rest = rest.slice(match[0].length);
  }
  return Math.round(total);
}

/** The shortest text people read at a glance: `850ms`, `4.2s`, `3m 05s`, `2h 10m`, `3d 4h`. */
export function durationText(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)}ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)}s`;
  if (ms < 59_500) return `${Math.round(ms / 1000)}s`;
  if (ms < 60_000) return '1m 00s';
  const two = (value: number) => String(value).padStart(2, '0');
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)}m ${two(Math.floor((ms % 60_000) / 1000))}s`;
  if (ms < 86_400_000) return `${Math.floor(ms / 3_600_000)}h ${two(Math.floor((ms % 3_600_000) / 60_000))}m`;
  return `${Math.floor(ms / 86_400_000)}d ${Math.floor((ms % 86_400_000) / 3_600_000)}h`;
}
