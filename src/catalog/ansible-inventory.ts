/**
 * An Ansible inventory as an Inventory: INI, YAML, or what `ansible-inventory --list` prints.
 *
 * Each host is a target. `ansible_host`, `_port`, `_user` and `_ssh_private_key_file` say how to connect; `upshift_product`,
 * `upshift_version` and `upshift_labels` give what Ansible has no word for. `vars.groups` holds the groups of a host, and the label `group`
 * the most specific of them. Passwords are not taken over.
 *
 * Source: Ansible's user guide, "How to build your inventory".
 */

import { ID_PATTERN } from '../model/documents/common.ts';
import type { Inventory, SshConnect, Target } from '../model/documents/index.ts';
import { compareProblems, foundText, type Problem } from '../model/problem.ts';
import { decodeText, parseText } from '../model/source.ts';
import { nearest } from '../model/suggestion.ts';
import type { FileBytes } from './document-set.ts';

type Vars = Record<string, unknown>;
/** `children`: the line each is named in; 0 where that is not known. */
type Group = { hosts: Map<string, Vars>; children: Map<string, number>; vars: Vars };
type Groups = Map<string, Group>;

const MAX_RANGE = 100_000;

export function readAnsibleInventory({ file, bytes }: FileBytes): { body: Inventory; problems: Problem[] } {
  const problems: Problem[] = [];
  const report = (line: number, message: string, more: Partial<Problem> = {}) =>
    problems.push({ severity: 'error', file, line, column: line > 0 ? 1 : 0, at: '', message, ...more });
  const groups: Groups = new Map();
  const decoded = decodeText(file, bytes);
  if ('problem' in decoded) return { body: { kind: 'Inventory', name: file, targets: [] }, problems: [decoded.problem] };
  const text = decoded.text.slice(0, 4096).trimStart();
  const looksYaml = /^(---|\{|[A-Za-z_][\w-]*:\s*(#.*)?$)/m.test(text) && !/^\s*\[[^\]]+\]\s*$/m.test(text);
  if (looksYaml) {
    const source = parseText(file, decoded.text);
    problems.push(...source.problems);
    const value = source.documents[0]?.value;
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) readTree(value as Vars, groups, report);
    else if (problems.length === 0)
      report(1, 'this is no Ansible inventory', {
        expected: 'INI, YAML, or the output of ansible-inventory --list',
        found: foundText(value),
      });
  } else readIni(decoded.text, groups, report);
  const targets = toTargets(groups, report);
  if (targets.length === 0 && problems.length === 0) report(0, 'the inventory has no hosts');
  return { body: { kind: 'Inventory', name: file, targets }, problems: problems.sort(compareProblems) };
}

type Report = (line: number, message: string, more?: Partial<Problem>) => void;

function groupNamed(groups: Groups, name: string): Group {
  let group = groups.get(name);
  if (!group) {
    group = { hosts: new Map(), children: new Map(), vars: {} };
    groups.set(name, group);
  }
  return group;
}

function readIni(text: string, groups: Groups, report: Report): void {
  let section = 'ungrouped';
  let kind: 'hosts' | 'children' | 'vars' | 'unknown' = 'hosts';
  text.split('\n').forEach((raw, index) => {
    const line = raw.replace(/(^|\s)[#;].*$/, '').trim();
    if (line === '') return;
    const header = /^\[([^\]:]+)(?::(children|vars))?\]$/.exec(line);
    if (header) {
      section = (header[1] as string).trim();
      kind = (header[2] as 'children' | 'vars' | undefined) ?? 'hosts';
      groupNamed(groups, section);
      return;
    }
    if (line.startsWith('[')) {
      // What stands below a section that is none means nothing.
      kind = 'unknown';
      return report(index + 1, 'not a section', { expected: '[group], [group:children] or [group:vars]', found: foundText(line) });
    }
    if (kind === 'unknown') return;
    const group = groupNamed(groups, section);
    if (kind === 'children') group.children.set(line, index + 1);
    else if (kind === 'vars') {
      const pair = /^([^=\s]+)\s*=\s*(.*)$/.exec(line);
      if (!pair) return report(index + 1, 'not a variable', { expected: 'name=value', found: foundText(line) });
      group.vars[pair[1] as string] = iniValue(pair[2] as string);
    } else {
      const [name = '', ...words] = splitWords(line);
      const [, pattern = name, port] = /^([^:[\]]+(?:\[[^\]]*\][^:[\]]*)*):(\d+)$/.exec(name) ?? [];
      const vars: Vars = port === undefined ? {} : { ansible_port: Number(port) };
      for (const word of words) {
        const pair = /^([^=]+)=(.*)$/s.exec(word);
        if (!pair) return report(index + 1, 'not a variable of a host', { expected: 'name=value', found: foundText(word) });
        vars[pair[1] as string] = iniValue(pair[2] as string);
      }
      for (const host of expandRange(pattern, (message) => report(index + 1, message, { expected: RANGE_FORM, found: foundText(pattern) })))
        group.hosts.set(host, { ...group.hosts.get(host), ...vars });
    }
  });
}

/** Words between spaces; quotes keep spaces. */
function splitWords(line: string): string[] {
  return (line.match(/(?:[^\s"']+|"[^"]*"|'[^']*')+/g) ?? []).map((word) => word.replaceAll(/"([^"]*)"|'([^']*)'/g, '$1$2'));
}

function iniValue(text: string): unknown {
  const value = text.trim();
  if (/^-?(0|[1-9]\d*)$/.test(value)) return Number(value);
  if (/^(true|yes)$/i.test(value)) return true;
  if (/^(false|no)$/i.test(value)) return false;
  return value;
}

const RANGE_FORM = 'NAME[FIRST:LAST] or NAME[FIRST:LAST:STEP], such as web[01:50]';

/** `web[01:50:2].example` and `db-[a:f]`, one range after the other. */
function expandRange(pattern: string, wrong: (message: string) => void): string[] {
  const match = /^([^[]*)\[([0-9]+|[A-Za-z]):([0-9]+|[A-Za-z])(?::(\d+))?\](.*)$/.exec(pattern);
  if (!match) {
    if (!/[[\]]/.test(pattern)) return [pattern];
    wrong('not a range of hosts');
    return [];
  }
  const [, before = '', from = '', to = '', step = '1', after = ''] = match;
  const numeric = /^\d/.test(from);
  const [first, last] = numeric ? [Number(from), Number(to)] : [from.charCodeAt(0), to.charCodeAt(0)];
  const by = Number(step);
  if (by < 1 || last < first) {
    wrong('the range of hosts is empty');
    return [];
  }
  const rest = expandRange(after, wrong);
  if ((Math.floor((last - first) / by) + 1) * rest.length > MAX_RANGE) {
    wrong(`the range has more than ${MAX_RANGE.toLocaleString('en')} hosts`);
    return [];
  }
  const hosts: string[] = [];
  for (let at = first; at <= last; at += by) {
    const text = numeric ? String(at).padStart(from.length, '0') : String.fromCharCode(at);
    for (const end of rest) hosts.push(before + text + end);
  }
  return hosts;
}

/** YAML (`all: {hosts, children, vars}`) or the JSON of `--list` (`group: {hosts: [...]}, _meta: {hostvars}`). */
function readTree(tree: Vars, groups: Groups, report: Report): void {
  const hostvars = ((tree['_meta'] as Vars | undefined)?.['hostvars'] ?? {}) as Record<string, Vars>;
  const read = (name: string, value: unknown) => {
    const group = groupNamed(groups, name);
    if (value === null || value === undefined) return;
    if (typeof value !== 'object' || Array.isArray(value))
      return report(0, `the group ${name} is no map`, { expected: 'a map with hosts, children and vars', found: foundText(value) });
    const { hosts, children, vars } = value as Vars;
    const names = Array.isArray(hosts) ? hosts.map((host) => [String(host), {}] as const) : Object.entries((hosts ?? {}) as Vars);
    for (const [pattern, own] of names)
      for (const host of expandRange(pattern, (message) => report(0, message, { expected: RANGE_FORM, found: foundText(pattern) })))
        group.hosts.set(host, { ...hostvars[host], ...((own ?? {}) as Vars) });
    Object.assign(group.vars, vars ?? {});
    if (Array.isArray(children)) for (const child of children) group.children.set(String(child), 0);
    else
      for (const [child, inner] of Object.entries((children ?? {}) as Vars)) {
        group.children.set(child, 0);
        read(child, inner);
      }
  };
  for (const [name, value] of Object.entries(tree)) if (name !== '_meta') read(name, value);
}

function toTargets(groups: Groups, report: Report): Target[] {
  const parents = new Map<string, string[]>();
  for (const [name, group] of groups)
    for (const [child, line] of group.children) {
      if (!groups.has(child)) {
        const meant = nearest(child, groups.keys());
        report(line, `the group ${name} has a child that does not exist`, {
          found: foundText(child),
          expected: `one of ${[...groups.keys()].join(', ')}`,
          ...(meant === undefined ? {} : { suggestion: meant }),
        });
      }
      parents.set(child, [...(parents.get(child) ?? []), name]);
    }
  const depths = new Map<string, number>();
  const depthOf = (name: string, below: readonly string[]): number => {
    if (below.includes(name)) {
      // From a group to those it is in: turned round it reads as the file does, from parent to child.
      const circle = [...below.slice(below.indexOf(name)), name].reverse();
      const line = groups.get(circle[0] as string)?.children.get(circle[1] as string) ?? 0;
      report(line, 'the groups form a circle', { found: circle.join(' → ') });
      return 0;
    }
    let depth = depths.get(name);
    if (depth === undefined) {
      depth = name === 'all' ? 0 : 1 + Math.max(0, ...(parents.get(name) ?? []).map((parent) => depthOf(parent, [...below, name])));
      depths.set(name, depth);
    }
    return depth;
  };
  for (const name of groups.keys()) depthOf(name, []);
  const membership = new Map<string, Set<string>>();
  const own = new Map<string, Vars>();
  for (const [name, group] of groups)
    for (const [host, vars] of group.hosts) {
      own.set(host, { ...own.get(host), ...vars });
      const all = membership.get(host) ?? new Set<string>();
      const climb = (at: string) => {
        if (all.has(at)) return;
        all.add(at);
        for (const parent of parents.get(at) ?? []) climb(parent);
      };
      climb(name);
      membership.set(host, all);
    }
  return [...own].flatMap(([host, vars]) => {
    if (!new RegExp(ID_PATTERN).test(host)) {
      report(0, 'a host has a name that cannot be an id', {
        expected: 'letters, digits, dots, dashes, underscores and colons',
        found: foundText(host),
      });
      return [];
    }
    const names = [...(membership.get(host) ?? [])]
      .filter((name) => name !== 'all' && name !== 'ungrouped')
      .sort((a, b) => depthOf(b, []) - depthOf(a, []) || a.localeCompare(b));
    const inherited: Vars = { ...groups.get('all')?.vars };
    for (const name of [...names].reverse()) Object.assign(inherited, groups.get(name)?.vars);
    return [toTarget(host, { ...inherited, ...vars }, names, report)];
  });
}

function toTarget(host: string, vars: Vars, groups: string[], report: Report): Target {
  const text = (name: string) => (vars[name] === undefined ? undefined : String(vars[name]));
  const ssh: SshConnect = { host: text('ansible_host') ?? text('ansible_ssh_host') ?? host };
  const port = Number(vars['ansible_port'] ?? vars['ansible_ssh_port']);
  if (Number.isInteger(port) && port > 0) ssh.port = port;
  const user = text('ansible_user') ?? text('ansible_ssh_user');
  if (user !== undefined) ssh.user = user;
  const identity = text('ansible_ssh_private_key_file') ?? text('ansible_private_key_file');
  if (identity !== undefined) ssh.identity = identity;
  const rest = Object.fromEntries(
    Object.entries(vars).filter(
      ([name]) => !/^(ansible_|upshift_(product|version|labels)$)/.test(name) && !/pass(word|wd|phrase)?$|secret|token/i.test(name),
    ),
  );
  if (typeof vars['upshift_version'] === 'number' && !Number.isInteger(vars['upshift_version']))
    report(0, `upshift_version of ${host} is a number`, {
      expected: 'a version in quotes, such as "17.20"',
      found: foundText(vars['upshift_version']),
    });
  const labels = labelsOf(host, vars['upshift_labels'], report);
  const group = groups[0];
  const [product, version] = [text('upshift_product'), text('upshift_version')];
  return {
    id: host,
    ...(product === undefined ? {} : { product }),
    ...(version === undefined ? {} : { version }),
    labels: { ...(group === undefined ? {} : { group }), ...labels },
    vars: { ...rest, groups },
    connect: { ssh },
  };
}

/** Labels are a map; in INI, where values are texts, the JSON of one. */
function labelsOf(host: string, value: unknown, report: Report): Record<string, string> {
  let map: unknown = value ?? {};
  if (typeof map === 'string') {
    try {
      map = JSON.parse(map) as unknown;
    } catch {
      // Reported below: a text is no map.
    }
  }
  if (map !== null && typeof map === 'object' && !Array.isArray(map))
    return Object.fromEntries(Object.entries(map).map(([name, label]) => [name, String(label)]));
  report(0, `upshift_labels of ${host} is no map`, { expected: `a map, in INI as JSON: '{"role": "se"}'`, found: foundText(value) });
  return {};
}
