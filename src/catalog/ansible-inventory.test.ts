import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Target } from '../model/documents/index.ts';
import { SCHEMAS } from '../model/documents/index.ts';
import { problemText } from '../model/problem.ts';
import { mismatches } from '../model/schema-check.ts';
import { readAnsibleInventory } from './ansible-inventory.ts';

function read(text: string): Map<string, Target> {
  const { body, problems } = readAnsibleInventory({ file: 'hosts', bytes: new TextEncoder().encode(text) });
  assert.deepEqual(problems.map(problemText), []);
  assert.deepEqual(mismatches(SCHEMAS.Inventory, body), []);
  return new Map(body.targets.map((target) => [target.id, target]));
}

const INI = `
# the lab
mail.example.com

[webservers]
www[01:03:2].example.com   http_port=80 ; the old ones
jump.example.com:5522 ansible_host=10.0.0.5 ansible_user=ops

[dbservers]
db-[a:c].example.com

[east:children]
webservers
dbservers

[east:vars]
zone=east
upshift_product=box
upshift_version=7.20

[dbservers:vars]
zone=west
ansible_password=hunter2
`;

const YAML = `
ungrouped: {hosts: {mail.example.com: }}
all:
  children:
    east:
      vars: {zone: east, upshift_product: box, upshift_version: "7.20"}
      children:
        webservers:
          hosts:
            www[01:03:2].example.com: {http_port: 80}
            jump.example.com: {ansible_port: 5522, ansible_host: 10.0.0.5, ansible_user: ops}
        dbservers:
          hosts: {"db-[a:c].example.com": }
          vars: {zone: west, ansible_password: hunter2}
`;

const JSON_LIST = JSON.stringify({
  _meta: { hostvars: { 'jump.example.com': { ansible_port: 5522, ansible_host: '10.0.0.5', ansible_user: 'ops' } } },
  all: { children: ['ungrouped', 'east'] },
  ungrouped: { hosts: ['mail.example.com'] },
  east: { children: ['webservers', 'dbservers'], vars: { zone: 'east', upshift_product: 'box', upshift_version: '7.20' } },
  webservers: { hosts: ['www01.example.com', 'www03.example.com', 'jump.example.com'] },
  dbservers: { hosts: ['db-a.example.com', 'db-b.example.com', 'db-c.example.com'], vars: { zone: 'west' } },
});

for (const [form, text] of [
  ['INI', INI],
  ['YAML', YAML],
  ['the JSON of --list', JSON_LIST],
] as const)
  test(`${form} gives the same targets`, () => {
    const targets = read(text);
    assert.deepEqual([...targets.keys()].toSorted(), [
      'db-a.example.com',
      'db-b.example.com',
      'db-c.example.com',
      'jump.example.com',
      'mail.example.com',
      'www01.example.com',
      'www03.example.com',
    ]);
    const jump = targets.get('jump.example.com');
    assert.deepEqual(jump?.connect, { ssh: { host: '10.0.0.5', port: 5522, user: 'ops' } });
    assert.deepEqual([jump?.product, jump?.version], ['box', '7.20']);
    assert.deepEqual(jump?.labels, { group: 'webservers' });
    assert.deepEqual(jump?.vars, { zone: 'east', groups: ['webservers', 'east'] });
    // The variables of a group win over those of the groups it is in.
    assert.equal(targets.get('db-b.example.com')?.vars?.['zone'], 'west');
    const mail = targets.get('mail.example.com');
    assert.deepEqual([mail?.product, mail?.version, mail?.labels], [undefined, undefined, {}]);
    assert.deepEqual(mail?.connect, { ssh: { host: 'mail.example.com' } });
    assert.doesNotMatch(JSON.stringify([...targets.values()]), /hunter2/);
  });

test('labels are a map in YAML and the JSON of one in INI', () => {
  const yaml = read('all:\n  hosts:\n    a: {upshift_labels: {role: se, rack: 7}}\n');
  const ini = read(`[x]\na upshift_labels='{"role": "se", "rack": 7}'\n`);
  assert.deepEqual(yaml.get('a')?.labels, { role: 'se', rack: '7' });
  assert.deepEqual(ini.get('a')?.labels, { group: 'x', role: 'se', rack: '7' });
});

test('a value with a leading zero stays a text, and quotes keep spaces', () => {
  const target = read(`[x]\na rack=007 slots=4 note="top of rack" spare=yes\n`).get('a');
  assert.deepEqual(target?.vars, { rack: '007', slots: 4, note: 'top of rack', spare: true, groups: ['x'] });
});

test('a host of several groups has the variables of all of them, its own first', () => {
  const target = read('[a]\nh x=1\n[b]\nh\n[a:vars]\nx=2\ny=2\n[b:vars]\nz=3\n').get('h');
  assert.deepEqual(target?.vars, { x: 1, y: 2, z: 3, groups: ['a', 'b'] });
});

test('ranges count down their digits, and several multiply', () => {
  assert.deepEqual([...read('[x]\nr[08:10]-[a:b]\n').keys()], ['r08-a', 'r08-b', 'r09-a', 'r09-b', 'r10-a', 'r10-b']);
});

test('an inventory that is not UTF-8 is a problem with its place', () => {
  const { problems } = readAnsibleInventory({ file: 'hosts', bytes: Buffer.from('[a]\nh note=caf\xe9\n', 'latin1') });
  assert.deepEqual(
    problems.map(({ line, column, message }) => [line, column, message]),
    [[2, 11, 'the file is not UTF-8']],
  );
});
