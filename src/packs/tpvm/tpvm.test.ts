/** The pack's procedure against the vendor's own table, row by row, so that neither can drift. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { type Procedure, stepsOf } from '../../model/documents/index.ts';

const procedure = parse(readFileSync(new URL('procedures/tpvm-upgrade.yaml', import.meta.url), 'utf8')) as Procedure;
const SEED = new URL('../../../../shared/seeds/000_824c97d2dbe8bc21.txt', import.meta.url);
/** The vendor's text is not ours to copy: where it is not beside this checkout, its rows are not walked. */
const skip = !existsSync(SEED) && 'the vendor’s table is not beside this checkout (../shared/seeds)';
const TABLE = skip ? '' : readFileSync(SEED, 'utf8');

const STATES = [
  'TPVM Upgrade Workflow Started',
  'Device Validation',
  'TPVM Config Validation',
  'TPVM Configuration',
  'TPVM Installation',
  'TPVM Upgrade',
  'TPVM Revert',
  'XCO Deploy Peer and Rejoin',
  'TPVM Upgrade Workflow Finished',
];

type Row = { state: string; cases: string[]; next: Record<string, string>; text: string };

/** The rows of the vendor's table, as far as its text tells columns apart: each begins with the name of its state. */
function rowsOf(text: string): Row[] {
  const body = text
    .slice(text.indexOf('Case Description') + 'Case Description'.length)
    .replaceAll(/\s+/g, ' ')
    .trim();
  const begins = [
    'TPVM Upgrade Workflow Started Device Validation',
    'Device Validation Success',
    'TPVM Config Validation -Normal',
    'TPVM Configuration Success',
    'TPVM Installation Success',
    'TPVM Upgrade Success',
    'TPVM Revert Success',
    'XCO Deploy Peer and Rejoin Success',
    'TPVM Upgrade Workflow Finished N/A',
  ].map((begin) => {
    const at = body.lastIndexOf(begin);
    assert.ok(at >= 0, `the table has the row ${begin}`);
    return at;
  });
  return STATES.map((state, index) => {
    const row = body
      .slice(begins[index], begins[index + 1])
      .slice(state.length)
      .trim();
    const next: Record<string, string> = {};
    // A name may be the beginning of another, so the longest that fits is meant.
    const byLength = [...STATES].sort((a, b) => b.length - a.length);
    const nameAt = (from: string) => byLength.find((name) => from.startsWith(name)) ?? '';
    let way = '';
    for (const match of row.matchAll(/-(Normal Upgrade|Node Replacement):|(Success|Failure): /g)) {
      if (match[1]) way = `${match[1]} `;
      else next[`${way}${match[2]}`] = nameAt(row.slice(match.index + match[0].length));
    }
    if (Object.keys(next).length === 0 && !row.startsWith('N/A')) next['always'] = nameAt(row);
    const described = row.replaceAll(/-(Normal Upgrade|Node Replacement):/g, '');
    return {
      state,
      next,
      text: row,
      cases: ['Normal Upgrade', 'Node Replacement'].filter((name) => described.split(/\. |On failure/)[0]?.includes(name)),
    };
  });
}

function stateTitled(title: string) {
  const found = Object.entries(procedure.states).find(([, state]) => state.title === title);
  assert.ok(found, `the procedure has the state ${title}`);
  return found[1];
}

function titleOf(name: string): string {
  return procedure.states[name]?.title ?? '';
}

/** Where an outcome of a state leads in a case. */
function leadsTo(title: string, outcome: string, way: string): string {
  const steps = stepsOf(stateTitled(title).on?.[outcome] ?? []);
  const step = steps.find((one) => one.when === undefined || one.when === `case == "${way}"`);
  return titleOf(step?.to ?? '');
}

describe('the TPVM procedure and the vendor’s table', () => {
  test('the procedure has just the states of the table', () => {
    assert.deepEqual(
      Object.values(procedure.states)
        .map((state) => state.title)
        .sort(),
      [...STATES].sort(),
    );
  });

  if (skip) test('rows of the table', { skip }, () => {});
  for (const row of skip ? [] : rowsOf(TABLE))
    test(`row ${row.state}`, () => {
      const state = stateTitled(row.state);
      const allowed = (state.cases ?? ['normal', 'replacement']).map((name) => procedure.cases?.[name]);
      if (row.state !== 'TPVM Config Validation') assert.deepEqual(allowed, row.cases);
      if (row.state === 'TPVM Upgrade Workflow Finished') return assert.equal(state.final, true);
      if (row.next['always'] !== undefined) return assert.equal(titleOf(state.next ?? ''), row.next['always']);
      for (const [outcome, next] of Object.entries(row.next)) {
        if (outcome === 'Normal Upgrade Success') assert.equal(leadsTo(row.state, 'normal', ''), next);
        else if (outcome === 'Node Replacement Success') assert.equal(leadsTo(row.state, 'replacement', ''), next);
        else if (outcome.endsWith('Failure') && row.state === 'TPVM Config Validation') {
          assert.equal(leadsTo(row.state, 'failure', ''), next);
          assert.equal(leadsTo(row.state, 'mismatch', ''), next);
        } else if (outcome === 'Success') assert.equal(leadsTo(row.state, 'success', ''), next);
        else if (row.state === 'XCO Deploy Peer and Rejoin') {
          // The ambiguity of the table, decided in docs/decisions/0010: a replaced node has no snapshot.
          assert.equal(leadsTo(row.state, 'failure', 'normal'), next);
          assert.equal(leadsTo(row.state, 'failure', 'replacement'), 'TPVM Upgrade Workflow Finished');
        } else assert.equal(leadsTo(row.state, 'failure', ''), next);
      }
    });

  test('the third branch of the config validation ends failed, and says what to do', () => {
    const [step] = stepsOf(stateTitled('TPVM Config Validation').on?.['mismatch'] ?? []);
    assert.equal(step?.result, 'failed');
    assert.ok(step?.remedy);
  });
});
