/** Writes docs/reference/documents.md and actions.md from the schemas and declarations; `--check` only says whether they are up to date. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { openDrivers } from '../src/drivers/registry.ts';
import { KINDS, SCHEMAS } from '../src/model/documents/index.ts';
import { SCOPES } from '../src/model/expression.ts';
import type { JsonSchema } from '../src/model/schema.ts';
import { expectedText } from '../src/model/schema-check.ts';

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

/** The keys of a schema as table rows, nested keys below their parents. */
function rows(schema: JsonSchema, prefix: string, out: string[]): void {
  const forms = schema.anyOf ?? [schema];
  for (const form of forms) {
    if (form.type === 'array' && form.items) rows(form.items, `${prefix}[]`, out);
    if (typeof form.additionalProperties === 'object') rows(form.additionalProperties, `${prefix}.NAME`, out);
    for (const [key, property] of Object.entries(form.properties ?? {})) {
      const path = prefix === '' ? key : `${prefix}.${key}`;
      const must = form.required?.includes(key) ? 'yes' : '';
      out.push(`| \`${path}\` | ${must} | ${cell(expectedText(property))} | ${cell(property.description ?? '')} |`);
      rows(property, path, out);
    }
  }
}

function documents(): string {
  const parts = [
    '# Documents',
    '',
    'Made from the schemas by `npm run reference`. Print a schema for your editor with `upshift schema KIND`.',
    '',
  ];
  for (const kind of KINDS) {
    const schema = SCHEMAS[kind];
    const out: string[] = [];
    rows(schema, '', out);
    parts.push(`## ${kind}`, '', schema.description ?? '', '', '| key | must | value | meaning |', '|---|---|---|---|', ...out, '');
  }
  parts.push(
    '## Expressions',
    '',
    'CEL, bare where a condition is expected and as `${...}` inside texts; `$${` is a plain `${`. What an expression sees depends on where it stands:',
    '',
  );
  parts.push(
    '| where | variables |',
    '|---|---|',
    ...Object.entries(SCOPES).map(([scope, names]) => `| ${scope} | ${names.map((name) => `\`${name}\``).join(', ')} |`),
    '',
  );
  return parts.join('\n');
}

function actions(): string {
  const parts = ['# Actions', '', 'Made from the declarations of the drivers by `npm run reference`.', ''];
  for (const { declaration } of openDrivers().actions.values()) {
    const traits = Object.entries(declaration.traits).flatMap(([trait, on]) => (on ? [trait] : []));
    const out: string[] = [];
    rows(declaration.inputs, '', out);
    parts.push(
      `## ${declaration.name}`,
      '',
      `${declaration.title}. Traits: ${traits.join(', ') || 'none'}.${declaration.connects ? ` Needs \`connect.${declaration.connects}\`.` : ''}`,
      '',
    );
    parts.push('| input | must | value | meaning |', '|---|---|---|---|', ...out, '');
    parts.push(
      '| outcome | meaning |',
      '|---|---|',
      ...Object.entries(declaration.outcomes).map(([outcome, meaning]) => `| ${outcome} | ${meaning} |`),
      '',
    );
    parts.push(
      `\`result\` has ${Object.entries(declaration.result)
        .map(([field, type]) => `\`${field}\` (${type})`)
        .join(', ')}.`,
      '',
    );
  }
  return parts.join('\n');
}

const files = { 'docs/reference/documents.md': documents(), 'docs/reference/actions.md': actions() };
const stale = Object.entries(files).filter(([file, text]) => !existsSync(file) || readFileSync(file, 'utf8') !== text);
if (process.argv.includes('--check')) {
  if (stale.length > 0) {
    console.error(`Out of date: ${stale.map(([file]) => file).join(', ')}. Run \`npm run reference\`.`);
    process.exit(1);
  }
  console.log('The reference is up to date');
} else {
  mkdirSync('docs/reference', { recursive: true });
  for (const [file, text] of stale) writeFileSync(file, text);
}
