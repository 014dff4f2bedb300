/** Colour where a person looks, and none where a program reads. NO_COLOR and FORCE_COLOR are honoured. */
import { stripVTControlCharacters, styleText } from 'node:util';

export type Style = { [K in 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan']: (text: string) => string };

/** The styles for a stream; plain texts where it is no terminal. */
export function styleFor(stream: { isTTY?: boolean } = process.stdout, env: NodeJS.ProcessEnv = process.env): Style {
  const on = env['NO_COLOR'] ? false : env['FORCE_COLOR'] ? env['FORCE_COLOR'] !== '0' : stream.isTTY === true && env['TERM'] !== 'dumb';
  const make = (format: Parameters<typeof styleText>[0]) => (text: string) =>
    on ? styleText(format, text, { validateStream: false }) : text;
  return { bold: make('bold'), dim: make('dim'), red: make('red'), green: make('green'), yellow: make('yellow'), cyan: make('cyan') };
}

/** The columns a text takes, without its colours. Wide characters (CJK, emoji) take two. */
export function widthOf(text: string): number {
  let width = 0;
  for (const char of stripVTControlCharacters(text)) {
    const code = char.codePointAt(0) as number;
    if (code < 32 || (code >= 0x300 && code <= 0x36f) || code === 0x200d || (code >= 0xfe00 && code <= 0xfe0f)) continue;
    const wide =
      (code >= 0x1100 && code <= 0x115f) ||
      (code >= 0x2e80 && code <= 0xa4cf) ||
      (code >= 0xac00 && code <= 0xd7a3) ||
      (code >= 0xf900 && code <= 0xfaff) ||
      (code >= 0xfe30 && code <= 0xfe6f) ||
      (code >= 0xff00 && code <= 0xff60) ||
      code >= 0x1f300;
    width += wide ? 2 : 1;
  }
  return width;
}

export function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - widthOf(text)));
}

/** Cuts a text without colours to a width, with an ellipsis where something is lost. */
export function cut(text: string, width: number): string {
  const flat = text.replaceAll(/\s+/g, ' ');
  if (widthOf(flat) <= width) return flat;
  let out = '';
  for (const char of flat) {
    if (widthOf(out + char) > width - 1) break;
    out += char;
  }
  return `${out}…`;
}

/** Cuts a line with colours and columns to a width, keeping both. */
export function cutLine(line: string, width: number): string {
  if (widthOf(line) <= width) return line;
  let out = '';
  let used = 0;
  let coloured = false;
  for (const part of line.split(/(\u001b\[[0-9;]*m)/)) {
    if (part.startsWith('\u001b')) {
      out += part;
      coloured = true;
      continue;
    }
    for (const char of part) {
      const wide = widthOf(char);
      if (used + wide > width - 1) return `${out}…${coloured ? '\u001b[0m' : ''}`;
      out += char;
      used += wide;
    }
  }
  return out;
}

/** Breaks a text at spaces into lines of at most a width. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  if (line !== '') lines.push(line);
  return lines;
}

/** Rows as columns of their own widths, two spaces apart. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, widthOf(cell))));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : pad(cell, widths[column] as number)))
      .join('  ')
      .trimEnd(),
  );
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : many}`;
}
