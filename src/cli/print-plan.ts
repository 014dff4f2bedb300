/** A plan as people want to read it. Pure: a plan in, lines out. */
import { checkName } from '../machines/run/checks.ts';
import type { Check } from '../model/documents/index.ts';
import { durationText } from '../model/duration.ts';
import { type Plan, type PlanStage, stageWidth, targetAt, worstFailures } from '../planning/plan.ts';
import { cut, pad, plural, type Style, table, widthOf, wrap } from './style.ts';

/** How many names a line of targets shows before it only counts. */
const NAMES = 8;

/** The lines of a plan, at most `columns` wide where that is possible. */
export function planLines(plan: Plan, style: Style, columns = 100): string[] {
  const lines: string[] = [];
  const say = (text = '') => lines.push(text.trimEnd());
  const path = [plan.hops[0]?.from ?? plan.from[0] ?? '?', ...plan.hops.map((hop) => hop.to)].join(' → ');
  const kinds = plan.hops.map((hop) => hop.kind + (hop.destructive ? ', destructive' : '')).join('; ');
  const members = new Set(plan.steps.flatMap((step) => (step.kind === 'stage' ? step.order : []))).size;
  for (const line of table([
    [style.dim('Upgrade'), `${style.bold(plan.title ?? plan.upgrade)}${plan.title ? style.dim(` (${plan.upgrade})`) : ''}`],
    [style.dim('Path'), `${plan.product} ${path}${kinds ? style.dim(` (${kinds})`) : ''}`],
    [
      style.dim('Targets'),
      `${members.toLocaleString('en')} of ${plural(plan.targets.length, 'target')} to be changed${plan.unchanged > 0 ? style.dim(`, ${plan.unchanged.toLocaleString('en')} already there`) : ''}`,
    ],
    [style.dim('Digest'), style.dim(plan.digest)],
  ]))
    say(line);
  say();
  if (plan.steps.length === 0) {
    say(style.green(plan.notes.length > 0 ? 'Nothing to do.' : 'Nothing to do: every target is where it should be.'));
    for (const note of plan.notes) for (const line of bullets(`${style.cyan('Note')} ${note}`, columns)) say(line);
    return lines;
  }
  for (const line of stepLines(plan, style, columns)) say(line);
  say();
  for (const line of impactLines(plan, style)) say(line);
  for (const line of safetyLines(plan, style, columns)) say(line);
  for (const risk of plan.risks)
    for (const line of bullets(
      `${style.yellow('Risk')} ${risk.name} (${risk.hop}, ${plural(risk.targets, 'target')}): ${risk.message}`,
      columns,
    ))
      say(line);
  for (const note of plan.notes) for (const line of bullets(`${style.cyan('Note')} ${note}`, columns)) say(line);
  for (const open of plan.undecided) for (const line of bullets(`${style.dim('Decided during the run:')} ${open}`, columns)) say(line);
  return lines;
}

function bullets(text: string, columns: number): string[] {
  return wrap(text, columns - 2).map((line, index) => (index === 0 ? line : `  ${line}`));
}

function stepLines(plan: Plan, style: Style, columns: number): string[] {
  const lines: string[] = [];
  const side = (word: string, text: string) => lines.push(`     ${style.dim(word.padEnd(10))}${text}`);
  for (const check of plan.preflight) side('preflight', checkText(check));
  if (plan.approval !== undefined) side('approval', plan.approval);
  if (plan.window)
    side('window', `${plan.window.days?.join(', ') ?? 'every day'} ${plan.window.from} to ${plan.window.to} ${plan.window.zone ?? 'UTC'}`);
  if (plan.freeze) side('freeze', checkText(plan.freeze.acquire));
  let number = 0;
  for (const step of plan.steps) {
    if (step.kind === 'commit') {
      const text = `── commit point: ${step.name} ── nothing above is rolled back after it `;
      lines.push(style.yellow(`     ${text}${'─'.repeat(Math.max(2, Math.min(columns, 100) - text.length - 5))}`));
    } else if (step.kind === 'approval') side('approval', step.name);
    else lines.push(...stageLines(plan, step, ++number, style, columns));
  }
  for (const check of plan.postUpgrade) side('then', checkText(check));
  if (plan.freeze) side('thaw', `${checkText(plan.freeze.release)}${style.dim(', in every ending')}`);
  return lines;
}

function checkText(check: Check): string {
  return `${checkName(check)}${check.timeout === undefined ? '' : ` (within ${check.timeout})`}`;
}

function stageLines(plan: Plan, stage: PlanStage, number: number, style: Style, columns: number): string[] {
  const lines: string[] = [];
  const label = Math.min(30, Math.max(10, ...stage.groups.slice(0, NAMES).map((group) => widthOf(group.key) + 2)));
  const side = (word: string, text: string) => {
    wrap(text, Math.max(40, columns - label - 5)).forEach((line, index) =>
      lines.push(`     ${style.dim(pad(index === 0 ? cut(word, label - 2) : '', label))}${line}`),
    );
  };
  const total = stage.order.length;
  const hop =
    stage.hop !== undefined && plan.hops.length > 1
      ? style.dim(` hop ${stage.hop + 1}: ${plan.hops[stage.hop]?.from} → ${plan.hops[stage.hop]?.to}`)
      : '';
  const procedure = plan.procedures[stage.procedure];
  lines.push(
    `${style.bold(String(number).padStart(3))}  ${style.bold(stage.title ?? stage.name)}${hop}  ${style.dim(`${plural(total, 'target')}, ${widthText(stage)}`)}`,
  );
  side('each', procedure?.title ?? stage.procedure);
  if (stage.moves.length > 1) side('from', stage.moves.map((move) => `${move.product} ${move.from} → ${move.to}`).join('; '));
  if (stage.waves.length > 1) {
    let before = 0;
    side(
      'waves',
      stage.waves
        .map((wave) => {
          const size = wave.until - before;
          before = wave.until;
          return String(size);
        })
        .join(', then ') + (stage.grouped ? ' groups' : ''),
    );
  }
  if (stage.live) side('order', `read anew before each target: ${stage.live.by}`);
  const shown = stage.groups.slice(0, NAMES);
  const serial = (!stage.live && stage.width.within === 1) || (!stage.grouped && stageWidth(stage) === 1);
  for (const group of shown) {
    const names = Array.from({ length: Math.min(group.count, NAMES) }, (_, index) => targetAt(plan, stage, group.first + index).id);
    side(
      stage.grouped ? group.key || '(none)' : 'targets',
      names.join(serial ? ' → ' : ', ') + (group.count > names.length ? ` and ${group.count - names.length} more` : ''),
    );
  }
  if (stage.groups.length > shown.length) side('', style.dim(`and ${stage.groups.length - shown.length} more groups`));
  if (stage.soakMs > 0) side('soak', durationText(stage.soakMs));
  if (stage.gate)
    side('gate', `${'approval' in stage.gate ? `approval: ${stage.gate.approval}` : checkText(stage.gate.check)} (between waves)`);
  if (stage.barrier) side('barrier', checkText(stage.barrier));
  side('failure', failureText(stage));
  return lines;
}

function widthText(stage: PlanStage): string {
  const most = stageWidth(stage);
  if (!stage.grouped) {
    if (stage.order.length === 1) return 'alone';
    const byBudget = most < stage.width.within ? ' by its budget' : '';
    return most >= stage.order.length ? 'all at once' : most === 1 ? `one at a time${byBudget}` : `${most} at a time${byBudget}`;
  }
  const groups =
    stage.width.groups >= stage.groups.length
      ? `all ${stage.groups.length} groups at once`
      : `${plural(stage.width.groups, 'group')} of ${stage.groups.length} at a time`;
  const total = most < stage.width.groups * stage.width.within ? `, at most ${most} in all` : '';
  return `${groups}, ${stage.width.within} within each${total}`;
}

function failureText(stage: PlanStage): string {
  const worst = worstFailures(stage);
  const total = stage.order.length;
  const limit = stage.budget
    ? `${stage.budget.failures === 0 ? 'the first' : `more than ${stage.budget.failures}`}${stage.budget.per === 'group' ? ' in a group' : ''}`
    : 'the first';
  const most = `at worst ${worst} of ${total} fail`;
  switch (stage.onFailure) {
    case 'continue':
      return `goes on whatever fails (${most})`;
    case 'rollback':
      return `${limit} failed → ${stage.rollback ? 'rolls back, newest first' : 'stops; there is no rollback'} (${most})`;
    case 'fail':
      return `${limit} failed → the run ends (${most})`;
    case 'suspend':
      return `${limit} failed → waits for a person (${most})`;
  }
}

function impactLines(plan: Plan, style: Style): string[] {
  if (plan.services.length === 0) return [style.dim('No services are declared, so nothing can be said about what users notice.')];
  const touched = new Map(plan.services.map((service) => [service.name, plan.impacts.filter((impact) => impact.service === service.name)]));
  const rows: string[][] = [];
  for (const service of plan.services) {
    const impacts = touched.get(service.name) ?? [];
    const name = service.title ?? service.name;
    if (impacts.length === 0) rows.push(['', name, style.green('not touched')]);
    for (const impact of impacts) {
      const step = plan.steps[impact.step];
      const hop = step?.kind === 'stage' && step.hop !== undefined && plan.hops.length > 1 ? ` (hop ${step.hop + 1})` : '';
      const stage = `${step?.name ?? ''}${hop}`;
      const numbers = `${impact.up} of ${service.on.length} up, needs ${impact.needs}`;
      const failures =
        impact.upAfterFailures < impact.needs && impact.effect !== 'down'
          ? style.yellow(`; down if targets fail (${impact.upAfterFailures} left)`)
          : '';
      rows.push(['', name, `${impact.effect === 'down' ? style.red('DOWN') : 'keeps working'} during ${stage}: ${numbers}${failures}`]);
    }
  }
  const titles = new Map(plan.services.map((service) => [service.name, service.title ?? service.name]));
  const down = new Set(plan.impacts.filter((impact) => impact.effect === 'down').map((impact) => titles.get(impact.service)));
  const verdict =
    down.size === 0
      ? style.green('This plan is non-disruptive: no service goes down.')
      : style.red(`This plan is disruptive: ${[...down].join(', ')} ${down.size === 1 ? 'goes' : 'go'} down.`);
  const shown = rows.length > 20 ? [...rows.slice(0, 20), ['', `and ${rows.length - 20} more`, '']] : rows;
  return [style.bold('Services'), ...table(shown), verdict];
}

/** Where the last safe return is. */
function safetyLines(plan: Plan, style: Style, columns: number): string[] {
  const stages = plan.steps.filter((step): step is PlanStage => step.kind === 'stage');
  const none = stages.filter((stage) => stage.rollback === undefined);
  const commit = plan.steps.findIndex((step) => step.kind === 'commit');
  let text: string;
  const firstNone = none[0];
  if (firstNone && (commit < 0 || plan.steps.indexOf(firstNone) < commit)) text = `before the stage ${firstNone.name}: it has no rollback`;
  else if (commit >= 0) text = `the commit point ${plan.steps[commit]?.name}; until then an abort takes everything back`;
  else text = 'the end: an abort takes everything back at any time';
  return bullets(`${style.bold('Last safe return')} ${text}.`, columns);
}
