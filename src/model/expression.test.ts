import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileExpression, compileTemplate, renderValues, type ScopeName, shellQuote } from './expression.ts';

const TARGET = { id: 'se-1', product: 'se', version: '17.1.2', labels: { role: 'se', group: 'east' }, vars: { slots: 4 } };
const VARIABLES = { target: TARGET, from: '17.1.2', to: '17.2.1', params: { channel: 'stable' }, secrets: { token: "it's" } };

function evaluated(text: string, scope: ScopeName = 'select'): unknown {
  const compiled = compileExpression({ name: scope }, text);
  assert.ok(compiled.ok, compiled.ok ? '' : compiled.problem.message);
  const value = compiled.compiled.evaluate(VARIABLES);
  assert.ok(value.ok, value.ok ? '' : value.fault.message);
  return value.value;
}

const VALUES: [text: string, value: unknown][] = [
  ['target.labels.role == "se"', true],
  ['target.labels.group in ["east", "west"]', true],
  ['target.vars.slots > 3', true],
  ['target.vars.slots', 4],
  ['target.id.startsWith("se-")', true],
  ['has(target.labels.rack)', false],
  ['target.labels.?rack.orValue("none")', 'none'],
  ['[1, 2].map(x, x * 2)', [2, 4]],
  ['{"a": 1}', { a: 1 }],
];
for (const [text, value] of VALUES) test(`${text} is ${JSON.stringify(value)}`, () => assert.deepEqual(evaluated(text), value));

test('a missing label is a fault that says how to guard it', () => {
  const compiled = compileExpression({ name: 'select' }, 'target.labels.rack == "7"');
  assert.ok(compiled.ok);
  const value = compiled.compiled.evaluate(VARIABLES);
  assert.ok(!value.ok);
  assert.equal(value.fault.kind, 'expression-no-such-key');
  assert.match(value.fault.remedy ?? '', /has\(/);
});

const WRONG: [text: string, offset: number, message: RegExp, suggestion?: string][] = [
  ['target.labels.role = "se"', 19, /==/],
  ['(target.id == "a"', 17, /"\)".*the end/],
  ['taget.id == "a"', 0, /taget/, 'target'],
  ['target.lables.role == "a"', 7, /lables/, 'labels'],
  ['secrets.token == "a"', 0, /secrets.*target, params/],
  ['target.version + 1', 0, /string \+ int/],
  ['target.id.startWith("a")', 0, /startWith/, 'startsWith'],
];
for (const [text, offset, message, suggestion] of WRONG)
  test(`${text} is wrong at ${offset}`, () => {
    const compiled = compileExpression({ name: 'select' }, text);
    assert.ok(!compiled.ok);
    assert.equal(compiled.problem.offset, offset);
    assert.match(compiled.problem.message, message);
    assert.equal(compiled.problem.suggestion, suggestion);
  });

const TEMPLATES: [text: string, value: unknown][] = [
  ['plain', 'plain'],
  ['', ''],
  ['install ${to}', 'install 17.2.1'],
  ['${target.vars.slots}', 4],
  ['${target.labels}', TARGET.labels],
  ['slots=${target.vars.slots} ${target.labels}', `slots=4 ${JSON.stringify(TARGET.labels)}`],
  ['$${HOME} ${to}', '${HOME} 17.2.1'],
  ['$HOME costs $5', '$HOME costs $5'],
  ['${"}"}${ {"a": "}"}["a"] }', '}}'],
];
for (const [text, value] of TEMPLATES)
  test(`the template ${text || '(empty)'} becomes ${JSON.stringify(value)}`, () => {
    const compiled = compileTemplate({ name: 'with' }, text);
    assert.ok(compiled.ok, compiled.ok ? '' : compiled.problem.message);
    assert.deepEqual(compiled.compiled.evaluate(VARIABLES), { ok: true, value });
  });

test('a problem of a template counts from the start of the text', () => {
  const compiled = compileTemplate({ name: 'with' }, 'install ${ relase.version }');
  assert.ok(!compiled.ok);
  assert.equal(compiled.problem.offset, 'install ${ '.length);
  const open = compileTemplate({ name: 'with' }, 'install ${to');
  assert.ok(!open.ok);
  assert.equal(open.problem.offset, 8);
});

test('a variable of the shell is told how to be written', () => {
  const compiled = compileTemplate({ name: 'with' }, 'ls ${HOME}');
  assert.ok(!compiled.ok);
  assert.match(compiled.problem.message, /\$\$\{HOME\}/);
});

test('values are quoted in commands, raw ones are not, and other inputs are as they are', () => {
  const input = { command: 'echo ${secrets.token} ${raw(params.channel + " x")}', env: { TOKEN: '${secrets.token}' }, list: ['${to}', 1] };
  assert.deepEqual(renderValues({ name: 'with' }, input, VARIABLES, ['command']), {
    ok: true,
    value: { command: `echo 'it'\\''s' stable x`, env: { TOKEN: "it's" }, list: ['17.2.1', 1] },
  });
});

test('a command that is nothing but one value is quoted too', () => {
  const rendered = renderValues({ name: 'with' }, { command: '${secrets.token}' }, VARIABLES, ['command']);
  assert.deepEqual(rendered, { ok: true, value: { command: `'it'\\''s'` } });
});

test('a real shell reads every quoted text back as it was', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({ unit: fc.constantFrom("'", '"', '\\', '$', '`', '\n', ' ', '~', '!', '*', '#', '-', '=', 'é', '{', '&'), maxLength: 20 }),
  );
  const texts = fc.array(
    text.map((one) => one.replaceAll('\0', '')).filter((one) => one.isWellFormed()),
    { minLength: 100, maxLength: 100 },
  );
  fc.assert(
    fc.property(texts, (words) => {
      // printf repeats its format for each word, so that one shell reads them all.
      const out = execFileSync('sh', ['-c', `printf '%s\\0' ${words.map(shellQuote).join(' ')}`], { encoding: 'utf8' });
      assert.deepEqual(out.split('\0').slice(0, -1), words);
    }),
    { numRuns: 20 },
  );
});

test('a quoted text is one word, even where it is empty or looks like an option', () => {
  const out = execFileSync('sh', ['-c', `for word in ${['', '-n', 'a b', '$(id)'].map(shellQuote).join(' ')}; do echo "[$word]"; done`]);
  assert.equal(out.toString(), '[]\n[-n]\n[a b]\n[$(id)]\n');
});
