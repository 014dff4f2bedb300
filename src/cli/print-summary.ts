/** How a run ended, for people. Pure. */
import type { RunState } from '../machines/run/state.ts';
import { durationText } from '../model/duration.ts';
import type { RunSummaryReport } from '../runtime/summary.ts';
import { faultLines, resultText } from './print-run.ts';
import { pad, plural, type Style, table, wrap } from './style.ts';

export function summaryLines(summary: RunSummaryReport, state: RunState, style: Style, columns = 100): string[] {
  const lines = [
    '',
    `${pad(style.bold('Result'), 11)} ${resultText(summary.result, style)} after ${durationText(summary.durationMs)}  ${style.dim(summary.run)}`,
  ];
  if (state.ending) lines.push(...faultLines(state.ending.fault, style, columns));
  const said = (word: string, names: readonly string[], what: string, colour = (text: string) => text) => {
    const list = `${plural(names.length, 'target')}${what}: ${names.slice(0, 10).join(', ')}${names.length > 10 ? ` and ${names.length - 10} more` : ''}`;
    wrap(list, Math.max(30, columns - 12)).forEach((line, index) => {
      lines.push(`${pad(index === 0 ? style.bold(word) : '', 11)} ${colour(line)}`);
    });
  };
  const moves = Map.groupBy(summary.changed, (one) => `${one.from} → ${one.to}`);
  for (const [move, targets] of moves)
    said(
      'Changed',
      targets.map((one) => one.target),
      ` ${move}`,
    );
  if (summary.takenBack.length > 0) said('Taken back', summary.takenBack, '');
  if (moves.size === 0 && summary.takenBack.length === 0) lines.push(`${pad(style.bold('Changed'), 11)} nothing`);
  if (summary.failed.length > 0) said('Failed', summary.failed, '', style.red);
  const never = summary.services.filter((service) => service.neverDown);
  const down = summary.services.filter((service) => !service.neverDown);
  const row = (service: RunSummaryReport['services'][number]) => [
    '          ',
    service.name,
    `at least ${service.least} of ${service.of} up, needs ${service.needs}`,
  ];
  if (never.length > 0)
    lines.push(
      `${pad(style.bold('Never down'), 11)} ${style.green(plural(never.length, 'service'))}`,
      ...table(never.slice(0, 12).map(row)),
    );
  if (down.length > 0)
    lines.push(`${pad(style.bold('Was down'), 11)} ${style.red(plural(down.length, 'service'))}`, ...table(down.slice(0, 12).map(row)));
  for (const one of state.unreleased) lines.push(...faultLines(one, style, columns));
  return lines;
}
