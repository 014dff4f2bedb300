/** A chart of lines over a logarithmic axis, as SVG. */

export type Chart = {
  title: string;
  /** What the axes show. */
  x: string;
  y: string;
  /** Where on the x axis the values are. */
  at: readonly number[];
  lines: { name: string; values: readonly number[] }[];
};

const WIDTH = 720;
const HEIGHT = 400;
const LEFT = 70;
const RIGHT = 30;
const TOP = 80;
const BOTTOM = 60;
const COLOURS = ['#1864ab', '#868e96', '#c92a2a', '#2b8a3e'];

/** 1, 2 or 5 times a power of ten: the step that makes about five of them reach `most`. */
function stepFor(most: number): number {
  const power = 10 ** Math.floor(Math.log10(most / 5));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => most / step <= 5) as number;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}

export function lineChart({ title, x, y, at, lines }: Chart): string {
  const most = Math.max(...lines.flatMap((line) => line.values));
  const step = stepFor(most);
  const top = Math.ceil(most / step) * step;
  const [first = 1, last = 10] = [at[0], at.at(-1)];
  const across = (value: number) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(value / first)) / Math.log(last / first);
  const up = (value: number) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * value) / top;
  const text = (left: number, down: number, words: string, more = '') =>
    `<text x="${left.toFixed(1)}" y="${down.toFixed(1)}" ${more}>${escaped(words)}</text>`;
  const rule = (x1: number, y1: number, x2: number, y2: number, colour: string) =>
    `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" stroke="${colour}"/>`;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, sans-serif" font-size="13" fill="#212529">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(LEFT, 28, title, 'font-size="16" font-weight="600"'),
  ];
  for (let value = 0; value <= top + step / 2; value += step) {
    parts.push(rule(LEFT, up(value), WIDTH - RIGHT, up(value), value === 0 ? '#495057' : '#dee2e6'));
    parts.push(text(LEFT - 8, up(value) + 4, String(Number(value.toPrecision(6))), 'text-anchor="end"'));
  }
  for (const value of at) {
    parts.push(rule(across(value), up(0), across(value), up(0) + 5, '#495057'));
    parts.push(text(across(value), up(0) + 20, value.toLocaleString('en'), 'text-anchor="middle"'));
  }
  parts.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, `${x} (logarithmic)`, 'text-anchor="middle"'));
  parts.push(text(0, 0, y, `text-anchor="middle" transform="translate(20 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"`));
  lines.forEach((line, index) => {
    const colour = COLOURS[index % COLOURS.length] as string;
    const points = line.values.map((value, place) => ({ value, left: across(at[place] as number), down: up(value) }));
    parts.push(
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.map(({ left, down }) => `${left.toFixed(1)},${down.toFixed(1)}`).join(' ')}"/>`,
    );
    for (const { value, left, down } of points) {
      parts.push(`<circle cx="${left.toFixed(1)}" cy="${down.toFixed(1)}" r="3.5" fill="${colour}"/>`);
      parts.push(text(left, down - 9, value.toFixed(1), `text-anchor="middle" fill="${colour}"`));
    }
    const left = LEFT + index * 260;
    parts.push(`<rect x="${left}" y="42" width="14" height="4" fill="${colour}"/>`, text(left + 20, 49, line.name));
  });
  return `${parts.join('\n')}\n</svg>\n`;
}
