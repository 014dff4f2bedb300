import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Redaction } from './redaction.ts';

const MASK = '•••';

/** Few letters, so that secrets overlap each other and themselves, and every one of them that means something somewhere. */
const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '"', '\\', '$', '.', '*', '\n', '(', ']', 'é', '💥'), maxLength: 60 });
const secret = letters.filter((text) => text.length >= 3);
const secrets = fc.array(secret, { maxLength: 4 });

/** A text with some of the secrets in it. */
function textWith(names: readonly string[]): fc.Arbitrary<string> {
  const parts: fc.Arbitrary<string>[] = [letters, ...names.map((name) => fc.constant(name))];
  return fc.array(fc.oneof(...parts), { maxLength: 8 }).map((all) => all.join(''));
}

/** A text in pieces. */
function pieces(text: string, cuts: readonly number[]): string[] {
  const at = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
  return at.slice(1).map((end, index) => text.slice(at[index], end));
}

function streamed(redaction: Redaction, chunks: readonly string[]): string {
  let out = '';
  const stream = redaction.stream((text) => {
    out += text;
  });
  for (const chunk of chunks) stream.push(chunk);
  stream.end();
  return out;
}

const withText = secrets.chain((names) =>
  fc.record({ names: fc.constant(names), text: textWith(names), cuts: fc.array(fc.nat(), { maxLength: 12 }) }),
);

describe('redaction', () => {
  test('no text that comes out holds a secret', () => {
    fc.assert(
      fc.property(withText, ({ names, text }) => {
        const clean = new Redaction(names).text(text);
        for (const name of names) assert(!clean.includes(name), JSON.stringify({ name, clean }));
      }),
      { numRuns: 2_000 },
    );
  });

  test('a stream says what the whole text says, however it is cut', () => {
    fc.assert(
      fc.property(withText, ({ names, text, cuts }) => {
        const redaction = new Redaction(names);
        assert.equal(streamed(redaction, pieces(text, cuts)), redaction.text(text));
      }),
      { numRuns: 3_000 },
    );
  });

  test('a secret that is cut in every possible place never comes out, nor a part of it', () => {
    const name = 'pa$$w"rd\\1';
    const text = `before ${name} between ${name}${name} after`;
    const redaction = new Redaction([name]);
    for (let first = 0; first <= text.length; first++)
      for (let second = first; second <= text.length; second++)
        assert.equal(
          streamed(redaction, [text.slice(0, first), text.slice(first, second), text.slice(second)]),
          `before ${MASK} between ${MASK}${MASK} after`,
        );
  });

  test('of a secret that begins like another, no rest comes out when it is cut after that', () => {
    const redaction = new Redaction(['token', 'token-of-root']);
    assert.equal(streamed(redaction, ['token', '-of-', 'root', ' and token']), `${MASK} and ${MASK}`);
  });

  test('text without secrets is unchanged', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 10 }), (chunks) => {
        const redaction = new Redaction(['NEVER-THERE-1', 'NEVER-THERE-22']);
        assert.equal(redaction.text(chunks.join('')), chunks.join(''));
        assert.equal(streamed(redaction, chunks), chunks.join(''));
        assert.equal(streamed(new Redaction([]), chunks), chunks.join(''));
      }),
    );
  });

  test('a stream holds back no more than could be the start of a secret', () => {
    let out = '';
    const stream = new Redaction(['12345678']).stream((text) => {
      out += text;
    });
    stream.push('a line of output\n');
    assert.equal(out, 'a line of output\n'.slice(0, -7));
  });

  test('a stream that ended may go on', () => {
    assert.equal(streamed(new Redaction(['abc']), ['xab']), 'xab');
  });

  test('a secret is found inside JSON, where its quotes and line ends look different', () => {
    fc.assert(
      fc.property(secret, letters, (name, other) => {
        const redaction = new Redaction([name]);
        const text = redaction.text(JSON.stringify({ password: name, other: `x${name}y` }));
        assert(!text.includes(name) && !text.includes(JSON.stringify(name).slice(1, -1)), text);
        assert(!JSON.stringify(redaction.value({ deep: [{ [other]: name }] })).includes(JSON.stringify(name).slice(1, -1)));
      }),
    );
  });

  test('a value keeps its shape: only its texts change, keys too', () => {
    const value = { a: 1, b: [true, null, 'has s3cret!'], 's3cret!': { c: 's3cret!' }, d: '' };
    assert.deepEqual(new Redaction(['s3cret!']).value(value), { a: 1, b: [true, null, `has ${MASK}`], [MASK]: { c: MASK }, d: '' });
  });

  test('without secrets, and with nothing, a value is what it was', () => {
    assert.equal(new Redaction(['s3cret!']).value(undefined), undefined);
    assert.deepEqual(new Redaction([]).value({ a: 's' }), { a: 's' });
  });

  test('each line of a key is a secret of its own', () => {
    const key = '-----BEGIN KEY-----\nAAAAB3NzaC1yc2EAAA\nBBBBB3NzaC1yc2EBBB\n-----END KEY-----\n';
    const redaction = new Redaction([key]);
    assert.equal(redaction.text('it said: BBBBB3NzaC1yc2EBBB.'), `it said: ${MASK}.`);
    assert(!redaction.text(key.replaceAll('\n', '\r\n')).includes('3NzaC1yc2E'));
  });

  test('a word of one or two characters is no secret', () => {
    assert.equal(new Redaction(['', 'a', 'ab']).text('abacus'), 'abacus');
  });

  test('a secret that means something to a regular expression or a replacement is only itself', () => {
    const redaction = new Redaction(['.*+', '$&$1', '[a-z]', '(?:x', 'a|b|c', '\\d{3}', '^-/^']);
    const text = 'abc 123 anything x';
    assert.equal(redaction.text(text), text);
    assert.equal(redaction.text('.*+ $&$1 [a-z] (?:x a|b|c \\d{3} ^-/^'), Array(7).fill(MASK).join(' '));
  });
});
