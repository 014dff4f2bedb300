/** Takes secrets out of texts before anything is written down or shown. */

const MASK = '•••';
/** A secret of one or two characters would blank out half of every text, and is none. */
const MIN_LENGTH = 3;

export class Redaction {
  readonly #secrets: string[];
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
    this.#secrets = [...forms].sort((a, b) => b.length - a.length);
    this.#longest = this.#secrets[0]?.length ?? 0;
  }

  text(text: string): string {
    let clean = text;
    for (const secret of this.#secrets) if (clean.includes(secret)) clean = clean.replaceAll(secret, MASK);
    return clean;
  }

  /** A plain value with every text in it made clean. */
  value<T>(value: T): T {
    if (this.#secrets.length === 0) return value;
    return JSON.parse(JSON.stringify(value), (_key, item: unknown) => (typeof item === 'string' ? this.text(item) : item)) as T;
  }

  /** A stream in which a secret may be cut in two: holds back as much as could be the start of one. */
  stream(put: (text: string) => void): { push(text: string): void; end(): void } {
    let held = '';
    return {
      push: (text) => {
        if (this.#longest === 0) return put(text);
        const clean = this.text(held + text);
        const keep = Math.min(clean.length, this.#longest - 1);
        if (clean.length > keep) put(clean.slice(0, clean.length - keep));
        held = clean.slice(clean.length - keep);
      },
      end: () => {
        if (held !== '') put(this.text(held));
        held = '';
      },
    };
  }
}
