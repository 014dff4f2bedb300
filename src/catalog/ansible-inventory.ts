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
import { parseSource } from '../model/source.ts';
import type { FileBytes } from './document-set.ts';

type Vars = Record<string, unknown>;
type Group = { hosts: Map<string, Vars>; children: Set<string>; vars: Vars };
type Groups = Map<string, Group>;

const MAX_RANGE = 100_000;

export function readAnsibleInventory({ file, bytes }: FileBytes): { body: Inventory; problems: Problem[] } {
  const problems: Problem[] = [];
  const report = (line: number, message: string, more: Partial<Problem> = {}) =>
    problems.push({ severity: 'error', file, line, column: line > 0 ? 1 : 0, at: '', message, ...more });
  const groups: Groups = new Map();
  const text = new TextDecoder('utf-8').decode(bytes.subarray(0, 4096)).trimStart();
  const looksYaml = /^(---|\{|[A-Za-z_][\w-]*:\s*(#.*)?$)/m.test(text) && !/^\s*\[[^\]]+\]\s*$/m.test(text);
  if (looksYaml) {
    const source = parseSource(file, bytes);
    problems.push(...source.problems);
    const value = source.documents[0]?.value;
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) readTree(value as Vars, groups, report);
    else if (problems.length === 0)
      report(1, 'this is no Ansible inventory', {
        expected: 'INI, YAML, or the output of ansible-inventory --list',
        found: foundText(value),
      });
  } else readIni(new TextDecoder('utf-8').decode(bytes), groups, report);
  const targets = toTargets(groups, report);
  if (targets.length === 0 && problems.length === 0) report(0, 'the inventory has no hosts');
  return { body: { kind: 'Inventory', name: file, targets }, problems: problems.sort(compareProblems) };
}

type Report = (line: number, message: string, more?: Partial<Problem>) => void;

function groupNamed(groups: Groups, name: string): Group {
  let group = groups.get(name);
  if (!group) {
    group = { hosts: new Map(), children: new Set(), vars: {} };
    groups.set(name, group);
  }
  return group;
}

function readIni(text: string, groups: Groups, report: Report): void {
  let section = 'ungrouped';
  let kind: 'hosts' | 'children' | 'vars' = 'hosts';
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
    if (line.startsWith('['))
      return report(index + 1, 'not a section', { expected: '[group], [group:children] or [group:vars]', found: foundText(line) });
    const group = groupNamed(groups, section);
    if (kind === 'children') group.children.add(line);
    else if (kind === 'vars') {
      const pair = /^([^=\s]+)\s*=\s*(.*)$/.exec(line);
      if (!pair) return report(index + 1, 'not a variable', { expected: 'name=value', found: foundText(line) });
      group.vars[pair[1] as string] = iniValue(pair[2] as string);
    } else {
      const [pattern = '', ...words] = splitWords(line);
      const vars: Vars = {};
      for (const word of words) {
        const pair = /^([^=]+)=(.*)$/s.exec(word);
        if (!pair) return report(index + 1, 'not a variable of a host', { expected: 'name=value', found: foundText(word) });
        vars[pair[1] as string] = iniValue(pair[2] as string);
      }
      for (const host of expandRange(pattern, (message) => report(index + 1, message, { found: foundText(pattern) })))
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
  if (/^-?\d+$/.test(value)) return Number(value);
  if (/^(true|yes)$/i.test(value)) return true;
  if (/^(false|no)$/i.test(value)) return false;
  return value;
}

/** `web[01:50:2].example` and `db-[a:f]`, one range after the other. */
function expandRange(pattern: string, wrong: (message: string) => void): string[] {
  const match = /^([^[]*)\[([0-9]+|[A-Za-z]):([0-9]+|[A-Za-z])(?::(\d+))?\](.*)$/.exec(pattern);
  if (!match) return [pattern];
  const [, before = '', from = '', to = '', step = '1', after = ''] = match;
  const numeric = /^\d/.test(from);
  const [first, last] = numeric ? [Number(from), Number(to)] : [from.charCodeAt(0), to.charCodeAt(0)];
  const by = Number(step);
  if (by < 1 || last < first || (last - first) / by > MAX_RANGE) {
    wrong('the range of hosts is empty or too large');
    return [];
  }
  const rest = expandRange(after, wrong);
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
      return report(0, `the group ${name} is no map`, { expected: 'hosts, children, vars', found: foundText(value) });
    const { hosts, children, vars } = value as Vars;
    const names = Array.isArray(hosts) ? hosts.map((host) => [String(host), {}] as const) : Object.entries((hosts ?? {}) as Vars);
    for (const [pattern, own] of names)
      for (const host of expandRange(pattern, (message) => report(0, message, { found: foundText(pattern) })))
        group.hosts.set(host, { ...hostvars[host], ...((own ?? {}) as Vars) });
    Object.assign(group.vars, vars ?? {});
    if (Array.isArray(children)) for (const child of children) group.children.add(String(child));
    else
      for (const [child, inner] of Object.entries((children ?? {}) as Vars)) {
        group.children.add(child);
        read(child, inner);
      }
  };
  for (const [name, value] of Object.entries(tree)) if (name !== '_meta') read(name, value);
}

function toTargets(groups: Groups, report: Report): Target[] {
  const parents = new Map<string, string[]>();
  for (const [name, group] of groups)
    for (const child of group.children) {
      if (!groups.has(child))
        report(0, `the group ${name} has a child that does not exist`, {
          found: foundText(child),
          expected: [...groups.keys()].join(', '),
        });
      parents.set(child, [...(parents.get(child) ?? []), name]);
    }
  const depths = new Map<string, number>();
  const depthOf = (name: string, below: readonly string[]): number => {
    if (below.includes(name)) {
      report(0, 'the groups form a circle', { found: [...below.slice(below.indexOf(name)), name].join(' → ') });
      return 0;
    }
    let depth = depths.get(name);
    if (depth === undefined) {
      depth = name === 'all' ? 0 : 1 + Math.max(0, ...(parents.get(name) ?? []).map((parent) => depthOf(parent, [...below, name])));
      depths.set(name, depth);
    }
    return depth;
  };
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
      report(0, 'a host has a name that cannot be an id', { found: foundText(host) });
      return [];
    }
    const names = [...(membership.get(host) ?? [])]
      .filter((name) => name !== 'all' && name !== 'ungrouped')
      .sort((a, b) => depthOf(b, []) - depthOf(a, []) || a.localeCompare(b));
    const inherited: Vars = { ...groups.get('all')?.vars };
    for (const name of [...names].reverse()) Object.assign(inherited, groups.get(name)?.vars);
    return [toTarget(host, { ...inherited, ...vars }, names)];
  });
}

function toTarget(host: string, vars: Vars, groups: string[]): Target {
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
  const labels = Object.fromEntries(Object.entries((vars['upshift_labels'] ?? {}) as Vars).map(([name, value]) => [name, String(value)]));
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
