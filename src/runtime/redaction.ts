/** Takes secrets out of texts before anything is written down or shown. */

const MASK = '•••';
/** A secret of one or two characters would blank out half of every text, and is none. */
const MIN_LENGTH = 3;

export class Redaction {
  /** Finds the leftmost secret, and of several that begin at the same place the longest. */
  readonly #secrets: RegExp | undefined;
  readonly #longest: number;

  constructor(secrets: Iterable<string>) {
    const forms = new Set<string>();
    for (const secret of secrets) {
      if (secret.length < MIN_LENGTH) continue;
      forms.add(secret);
      // As it looks inside JSON.
      forms.add(JSON.stringify(secret).slice(1, -1));
      // Each line of a key or a certificate.
      for (const line of secret.split('\n')) if (line.trim().length >= 12) forms.add(line.trim());
    }
    const sorted = [...forms].sort((a, b) => b.length - a.length);
    this.#longest = sorted[0]?.length ?? 0;
    if (this.#longest > 0)
      this.#secrets = new RegExp(sorted.map((form) => form.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|'), 'g');
  }

  text(text: string): string {
    return this.#secrets ? text.replaceAll(this.#secrets, MASK) : text;
  }

  /** A plain value with every text in it made clean, keys included. */
  value<T>(value: T): T {
    return this.#secrets ? (this.#clean(value) as T) : value;
  }

  #clean(value: unknown): unknown {
    if (typeof value === 'string') return this.text(value);
    if (Array.isArray(value)) return value.map((item) => this.#clean(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [this.text(key), this.#clean(item)]));
  }

  /**
   * A stream in which a secret may be cut in two: holds back as much as could be the start of one. What comes out is what `text` makes of
   * the whole, however it was cut.
   */
  stream(put: (text: string) => void): { push(text: string): void; end(): void } {
    let held = '';
    /** Passes on what is decided: everything before `cut`, and a secret that begins before it to its end. */
    const pass = (cut: number) => {
      let clean = '';
      let at = 0;
      for (const found of held.matchAll(this.#secrets as RegExp)) {
        if (found.index >= cut) break;
        clean += held.slice(at, found.index) + MASK;
        at = found.index + found[0].length;
      }
      if (at < cut) clean += held.slice(at, cut);
      held = held.slice(Math.max(at, cut));
      if (clean !== '') put(clean);
    };
    return {
      push: (text) => {
        if (!this.#secrets) return put(text);
        held += text;
        // A secret that begins here or later may be longer than what there is of it.
        const cut = held.length - this.#longest + 1;
        if (cut > 0) pass(cut);
      },
      end: () => {
        if (held !== '') pass(held.length);
      },
    };
  }
}
