/** A run as people want to read it: its stages, who is in flight, what it waits for and what a person can do. */
import { durationText } from '../model/duration.ts';
import { type Fault, faultText } from '../model/fault.ts';
import type { MemberView, RunView, StageView } from '../runtime/view.ts';
import { cut, pad, plural, type Style, table, wrap } from './style.ts';

const BAR = 24;
/** Groups shown by name; the others are counted. */
const GROUPS = 6;

export function statusMark(status: string, style: Style): string {
  switch (status) {
    case 'succeeded':
      return style.green('✓');
    case 'failed':
      return style.red('✗');
    case 'deciding':
      return style.yellow('?');
    case 'reverted':
    case 'going back':
      return style.yellow('↩');
    case 'skipped':
      return style.dim('–');
    case 'in flight':
      return style.cyan('●');
    default:
      return style.dim('·');
  }
}

/** `[█████▒▒   ]` of done, in flight and failed. */
function bar(stage: StageView, style: Style): string {
  const count = (...names: string[]) => names.reduce((sum, name) => sum + (stage.counts[name] ?? 0), 0);
  const cells = (value: number) => Math.round((value / Math.max(1, stage.total)) * BAR);
  const done = cells(count('succeeded', 'skipped', 'reverted'));
  const failed = Math.min(BAR - done, count('failed') > 0 ? Math.max(1, cells(count('failed'))) : 0);
  const flight = Math.min(
    BAR - done - failed,
    count('in flight', 'deciding', 'going back') > 0 ? Math.max(1, cells(count('in flight', 'deciding', 'going back'))) : 0,
  );
  return `${style.green('█'.repeat(done))}${style.red('✗'.repeat(failed))}${style.cyan('▒'.repeat(flight))}${style.dim('░'.repeat(BAR - done - failed - flight))}`;
}

function stageLine(stage: StageView, style: Style, width: number): string {
  if (stage.kind === 'commit')
    return `  ${stage.status === 'done' ? style.yellow('◆') : style.dim('◇')} ${style.dim(`commit point ${stage.name}`)}`;
  if (stage.kind === 'approval')
    return `  ${stage.status === 'done' ? style.green('✓') : style.dim('·')} ${style.dim(`approval: ${stage.name}`)}`;
  const parts = ['succeeded', 'failed', 'deciding', 'in flight', 'going back', 'reverted', 'skipped'].flatMap((name) =>
    stage.counts[name] ? [`${stage.counts[name]} ${name}`] : [],
  );
  const done = ['succeeded', 'skipped', 'reverted'].reduce((sum, name) => sum + (stage.counts[name] ?? 0), 0);
  const mark =
    stage.status === 'current' ? style.cyan('▸') : done === stage.total && !stage.counts['failed'] ? style.green('✓') : style.dim('·');
  const name = pad(stage.status === 'current' ? style.bold(cut(stage.name, width)) : cut(stage.name, width), width);
  return `  ${mark} ${name}  ${bar(stage, style)}  ${String(done).padStart(String(stage.total).length)}/${stage.total}${parts.length > 0 && done < stage.total ? style.dim(`  ${parts.join(', ')}`) : ''}${stage.leftMs === undefined ? '' : style.dim(`, about ${durationText(stage.leftMs)} left`)}`;
}

/** The groups of the present stage that are going on, and how many are done or not begun. */
function groupLines(stage: StageView, style: Style, width: number): string[] {
  const going = stage.groups.filter((group) => group.inFlight > 0 || (group.done + group.failed > 0 && group.done < group.total));
  const lines = going
    .slice(0, GROUPS)
    .map(
      (group) =>
        `    ${style.dim(pad(cut(group.key || '(none)', width), width))}  ${style.dim(`${group.done}/${group.total}`)}${group.failed > 0 ? style.red(`  ${group.failed} failed`) : ''}`,
    );
  const done = stage.groups.filter((group) => group.done === group.total).length;
  const rest = [
    going.length > GROUPS ? `${going.length - GROUPS} more groups going on` : '',
    done > 0 ? `${plural(done, 'group')} done` : '',
    stage.groups.length - going.length - done > 0 ? `${plural(stage.groups.length - going.length - done, 'group')} not begun` : '',
  ].filter(Boolean);
  if (rest.length > 0) lines.push(`    ${style.dim(rest.join(', '))}`);
  return lines;
}

function memberLine(member: MemberView, style: Style, now: number, width: number, columns: number): string {
  const since =
    member.since === undefined || !['in flight', 'deciding', 'going back'].includes(member.status)
      ? ''
      : durationText(Math.max(0, now - member.since));
  const why =
    member.status === 'failed' || member.status === 'deciding'
      ? [member.message, member.fault ? faultText(member.fault) : undefined].filter(Boolean).join(': ')
      : '';
  const text = [member.status === 'failed' ? '' : (member.title ?? member.status), member.case === undefined ? '' : `(${member.case})`]
    .filter(Boolean)
    .join(' ');
  const room = columns - width - 10 - since.length;
  const shown = cut([text, why].filter(Boolean).join(' — '), Math.max(20, room));
  return `    ${statusMark(member.status, style)} ${pad(cut(member.target, width), width)}  ${member.status === 'failed' ? style.red(shown) : shown} ${style.dim(since)}`;
}

/** The lines of a run. `rows`: how many there is room for; members that do not fit are counted. */
export function runLines(view: RunView, style: Style, options: { now: number; columns: number; rows?: number }): string[] {
  const { now, columns } = options;
  const ended = view.result !== undefined;
  const age = durationText(Math.max(0, (view.endedAt ?? now) - view.startedAt));
  const head = `${style.bold(cut(view.title ?? view.upgrade, 60))}  ${style.dim(view.run)}  ${ended ? resultText(view.result as string, style) : style.cyan(PHASE_WORDS[view.phase] ?? view.phase)} ${style.dim(age)}`;
  const lines = [head];
  const names = Math.min(
    30,
    view.stages.reduce((most, stage) => Math.max(most, stage.kind === 'stage' ? stage.name.length : 0), 8),
  );
  for (const stage of view.stages) {
    lines.push(stageLine(stage, style, names));
    if (stage.status === 'current' && stage.groups.length > 1 && !ended)
      lines.push(
        ...groupLines(stage, style, Math.min(40, Math.max(names, ...stage.groups.slice(0, 200).map((group) => group.key.length)))),
      );
  }
  const tail: string[] = [];
  for (const one of view.waiting) {
    const until =
      one.until === undefined
        ? ''
        : ` ${style.dim(`(${one.kind === 'check' ? 'gives up in' : 'for'} ${durationText(Math.max(0, one.until - now))})`)}`;
    const label = one.needsPerson ? style.yellow('needs you') : style.dim('waits for');
    wrap(one.text, Math.max(30, columns - 14)).forEach((line, index, all) =>
      tail.push(`  ${index === 0 ? label : '         '}  ${line}${index === all.length - 1 ? until : ''}`),
    );
    for (const line of remedyLines(one.remedy, style)) tail.push(`             ${line}`);
  }
  if (view.reason && ended) tail.push(...faultLines(view.reason, style, columns));
  for (const one of view.unreleased) tail.push(...faultLines(one, style, columns));
  const room = options.rows === undefined ? Number.POSITIVE_INFINITY : Math.max(2, options.rows - lines.length - tail.length - 1);
  const pressing = [...view.members].sort((a, b) => weight(a) - weight(b));
  const shown = pressing.length > room ? pressing.slice(0, room - 1) : pressing;
  const width = Math.min(
    32,
    shown.reduce((most, member) => Math.max(most, member.target.length), 6),
  );
  for (const member of shown) {
    lines.push(memberLine(member, style, now, width, columns));
    if (
      member.remedy !== undefined &&
      member.status !== 'in flight' &&
      lines.length + tail.length < (options.rows ?? Number.POSITIVE_INFINITY) - 1
    )
      lines.push(`      ${style.dim('→')} ${cut(member.remedy, columns - 10)}`);
  }
  if (shown.length < pressing.length) lines.push(style.dim(`      and ${plural(pressing.length - shown.length, 'more target')}`));
  return [...lines, ...tail];
}

/** A remedy's commands, each with what it does, in two columns. */
function remedyLines(remedy: string | undefined, style: Style): string[] {
  if (remedy === undefined) return [];
  const rows = remedy.split('\n').map((line) => line.split(/ {3,}/));
  return table(rows.map(([command = '', meaning = '']) => [style.bold(command), style.dim(meaning)]));
}

/** What a phase is called for people. */
export const PHASE_WORDS: Record<string, string> = {
  new: 'starting',
  preflight: 'checking first',
  approval: 'waits for an approval',
  freezing: 'freezing',
  stage: 'running',
  soak: 'watching',
  gate: 'at a gate',
  barrier: 'at a barrier',
  'post-upgrade': 'after the last stage',
  draining: 'stopping',
  'rolling-back': 'rolling back',
  thawing: 'thawing',
};

function weight(member: MemberView): number {
  return ['deciding', 'failed', 'going back', 'in flight'].indexOf(member.status) + 1 || 9;
}

export function resultText(result: string, style: Style): string {
  if (result === 'succeeded') return style.green('succeeded');
  return result === 'reverted' ? style.yellow('rolled back') : style.red(result);
}

/** A fault for people: what, then expected and found, then the remedy. */
export function faultLines(value: Fault, style: Style, columns = 100): string[] {
  const lines = wrap(faultText(value), Math.max(30, columns - 4)).map((line, index) => `  ${index === 0 ? style.red('✗') : ' '} ${line}`);
  for (let at: Fault | undefined = value; at; at = at.cause)
    if (at.remedy !== undefined) for (const line of wrap(at.remedy, Math.max(30, columns - 6))) lines.push(`    ${style.dim('→')} ${line}`);
  return lines;
}
