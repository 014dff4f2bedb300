/** Where the checks of documents put what they find. */
import type { DocumentBody } from '../model/documents/index.ts';
import { foundText, type Path, type Problem, pathText } from '../model/problem.ts';
import type { SourceDocument } from '../model/source.ts';
import { nearest } from '../model/suggestion.ts';

/** A document that passed its schema, with its place. */
export type Placed<T extends DocumentBody = DocumentBody> = { body: T; source: SourceDocument };

/**
 * Collects the problems of documents.
 *
 * What a document with errors declares is not known to be missing: a name it holds (`doubt`), or any name once a file could not be read at
 * all (`doubtAll`), is not reported as unknown, since that would be the same mistake again.
 */
export class ProblemReport {
  readonly problems: Problem[] = [];
  readonly #doubtful = new Set<string>();
  #allDoubtful = false;

  /** A name that a document with errors declares. */
  doubt(name: string): void {
    this.#doubtful.add(name);
  }

  /** A file could not be read; what it declares is not known. */
  doubtAll(): void {
    this.#allDoubtful = true;
  }

  /** Reports a name that no document declares, unless one with errors may. */
  undeclared(source: SourceDocument, path: Path, what: string, word: string, known: readonly string[]): void {
    if (!this.#allDoubtful && !this.#doubtful.has(word)) this.unknown(source, path, what, word, known);
  }

  /** Reports a problem at a place of a document. */
  add(
    source: SourceDocument,
    path: Path,
    message: string,
    more: {
      expected?: string;
      found?: string;
      suggestion?: string | undefined;
      ofKey?: boolean;
      severity?: 'warning';
      columnOffset?: number;
    } = {},
  ): void {
    const { ofKey, severity, columnOffset, suggestion, ...rest } = more;
    const place = source.locate(path, ofKey);
    this.problems.push({
      severity: severity ?? 'error',
      file: source.file,
      line: place.line,
      column: place.column + (columnOffset ?? 0),
      at: pathText(path),
      message,
      ...rest,
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  }

  /** Reports a name that nothing known has. */
  unknown(source: SourceDocument, path: Path, what: string, word: string, known: readonly string[]): void {
    const list = known.length > 8 ? `${known.slice(0, 8).join(', ')}, … (${known.length})` : known.join(', ');
    const shown = known.length === 0 ? `a ${what} (there is none)` : known.length === 1 ? list : `one of ${list}`;
    this.add(source, path, `no ${what} is called ${word}`, { expected: shown, found: foundText(word), suggestion: nearest(word, known) });
  }
}
