/** The last part of what was printed: bounded, however much it is. */

export const TAIL_BYTES = 64 * 1024;

export class Tail {
  #chunks: Buffer[] = [];
  #size = 0;
  #dropped = 0;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    while (this.#size - (this.#chunks[0]?.length ?? 0) >= TAIL_BYTES) {
      const first = this.#chunks.shift() as Buffer;
      this.#size -= first.length;
      this.#dropped += first.length;
    }
  }

  /** The tail as text, with a line in front where something was left out. */
  text(): string {
    let all = Buffer.concat(this.#chunks);
    let dropped = this.#dropped;
    if (all.length > TAIL_BYTES) {
      dropped += all.length - TAIL_BYTES;
      all = all.subarray(all.length - TAIL_BYTES);
    }
    const text = all.toString('utf8');
    return dropped > 0 ? `… ${dropped} bytes left out\n${text}` : text;
  }
}
