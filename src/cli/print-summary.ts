/** How a run ended, for people. Pure. */
import type { RunState } from '../machines/run/state.ts';
import { durationText } from '../model/duration.ts';
import type { RunSummaryReport } from '../runtime/summary.ts';
import { faultLines, resultText } from './print-run.ts';
import { plural, type Style, table } from './style.ts';

export function summaryLines(summary: RunSummaryReport, state: RunState, style: Style, columns = 100): string[] {
  const lines = [
    '',
    `${style.bold('Result')}  ${resultText(summary.result, style)} after ${durationText(summary.durationMs)}  ${style.dim(summary.run)}`,
  ];
  if (state.ending) lines.push(...faultLines(state.ending.fault, style, columns));
  const moves = Map.groupBy(summary.changed, (one) => `${one.from} → ${one.to}`);
  for (const [move, targets] of moves) {
    const names = targets.map((one) => one.target);
    lines.push(
      `${style.bold('Changed')} ${plural(names.length, 'target')} ${move}: ${names.slice(0, 10).join(', ')}${names.length > 10 ? ` and ${names.length - 10} more` : ''}`,
    );
  }
  if (summary.takenBack.length > 0)
    lines.push(
      `${style.bold('Taken back')} ${plural(summary.takenBack.length, 'target')}: ${summary.takenBack.slice(0, 10).join(', ')}${summary.takenBack.length > 10 ? ` and ${summary.takenBack.length - 10} more` : ''}`,
    );
  if (moves.size === 0 && summary.takenBack.length === 0) lines.push(`${style.bold('Changed')} nothing`);
  if (summary.failed.length > 0)
    lines.push(
      `${style.bold('Failed')}  ${style.red(summary.failed.slice(0, 10).join(', '))}${summary.failed.length > 10 ? ` and ${summary.failed.length - 10} more` : ''}`,
    );
  const never = summary.services.filter((service) => service.neverDown);
  const down = summary.services.filter((service) => !service.neverDown);
  const row = (service: RunSummaryReport['services'][number]) => [
    '        ',
    service.name,
    `at least ${service.least} of ${service.of} up, needs ${service.needs}`,
  ];
  if (never.length > 0)
    lines.push(`${style.bold('Never down')} ${style.green(plural(never.length, 'service'))}`, ...table(never.slice(0, 12).map(row)));
  if (down.length > 0)
    lines.push(`${style.bold('Was down')}   ${style.red(plural(down.length, 'service'))}`, ...table(down.slice(0, 12).map(row)));
  for (const one of state.unreleased) lines.push(...faultLines(one, style, columns));
  return lines;
}
