/** Paints a frame of lines over the one before, in a terminal. */

import { cutLine } from './style.ts';

export class Painter {
  readonly #stream: NodeJS.WriteStream;
  #painted = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  get columns(): number {
    return Math.max(40, this.#stream.columns ?? 80);
  }

  get rows(): number {
    return Math.max(10, this.#stream.rows ?? 24);
  }

  /** Replaces the frame. Lines that are too long are cut, and what does not fit the screen is left out from the middle. */
  paint(lines: readonly string[]): void {
    const fitting = lines.slice(0, this.rows - 1).map((line) => cutLine(line, this.columns));
    const up = this.#painted > 0 ? `\x1b[${this.#painted}A` : '';
    // Synchronized output, so that no half frame is seen.
    this.#stream.write(`\x1b[?2026h\x1b[?25l${up}${fitting.map((line) => `\x1b[2K${line}`).join('\n')}\n\x1b[0J\x1b[?2026l`);
    this.#painted = fitting.length;
  }

  /** Leaves the last frame where it is. */
  end(): void {
    this.#stream.write('\x1b[?25h');
    this.#painted = 0;
  }
}
