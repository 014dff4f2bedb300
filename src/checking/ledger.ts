/** What targets wrote down themselves, judged: the promises as somebody sees them who never looks at Upshift. */

/** One line of a target's ledger. A `begin` is followed by an `end` or, where the target went down meanwhile, by `killed`. */
export type LedgerEntry = { at: string; fence: string; action: string; phase: 'begin' | 'end' | 'killed'; outcome: string | null };

export type Ledgers = ReadonlyMap<string, readonly LedgerEntry[]>;

export type LedgerExpectations = {
  /** How often each action may begin on a target: once, and once more for every time an operator asked for it. */
  allowed(target: string, action: string): number;
  /** Targets of which only one at a time may be worked on, by the name of their group. */
  serial: ReadonlyMap<string, readonly string[]>;
  /** The target that keeps the freeze. */
  freezer?: string;
};

const FREEZE = new Set(['freeze', 'thaw']);

/** Every way in which ledgers break a promise, as sentences; none where all is well. */
export function ledgerViolations(ledgers: Ledgers, expected: LedgerExpectations): string[] {
  return [
    ...repeated(ledgers, expected),
    ...unended(ledgers),
    ...overlapping(ledgers, expected.serial),
    ...(expected.freezer === undefined ? [] : frozenBadly(ledgers, expected.freezer)),
  ];
}

/** P4: nothing is begun more often than somebody asked for, and no entering of a state begins its work twice. */
function repeated(ledgers: Ledgers, { allowed }: LedgerExpectations): string[] {
  const found: string[] = [];
  for (const [target, entries] of ledgers) {
    const counts = new Map<string, number>();
    const fences = new Set<string>();
    for (const { action, phase, fence } of entries) {
      if (phase !== 'begin') continue;
      counts.set(action, (counts.get(action) ?? 0) + 1);
      const key = `${action} ${fence}`;
      if (fences.has(key)) found.push(`P4: ${target} began ${action} twice under the fence ${fence}`);
      fences.add(key);
    }
    for (const [action, count] of counts)
      if (count > allowed(target, action)) found.push(`P4: ${target} began ${action} ${count} times, ${allowed(target, action)} allowed`);
  }
  return found;
}

/** What began has ended by the time the run has. */
function unended(ledgers: Ledgers): string[] {
  const found: string[] = [];
  for (const [target, entries] of ledgers) {
    const open = new Set<string>();
    for (const { action, phase, fence } of entries) {
      const key = `${action} ${fence}`;
      if (phase === 'begin') open.add(key);
      else open.delete(key);
    }
    for (const key of open) found.push(`the run has ended, and on ${target} this has not: ${key}`);
  }
  return found;
}

type Span = { target: string; from: string; to: string };

/** P6: from the first to the last line of a target nobody else of its group is worked on. */
function overlapping(ledgers: Ledgers, serial: LedgerExpectations['serial']): string[] {
  const found: string[] = [];
  for (const [group, targets] of serial) {
    const spans: Span[] = [];
    for (const target of targets) {
      const entries = worked(ledgers.get(target) ?? []);
      const [first, last] = [entries[0], entries.at(-1)];
      if (first && last) spans.push({ target, from: first.at, to: last.at });
    }
    spans.sort((a, b) => (a.from < b.from ? -1 : 1));
    for (let next = 1; next < spans.length; next++) {
      const [a, b] = [spans[next - 1] as Span, spans[next] as Span];
      if (b.from < a.to) found.push(`P6: in group ${group}, ${b.target} began at ${b.from}, before ${a.target} ended at ${a.to}`);
    }
  }
  return found;
}

function worked(entries: readonly LedgerEntry[]): LedgerEntry[] {
  return entries.filter((entry) => !FREEZE.has(entry.action));
}

/** P7: whatever is done is done while the freeze holds, and at the end it is lifted. */
function frozenBadly(ledgers: Ledgers, freezer: string): string[] {
  const freezes = (ledgers.get(freezer) ?? []).filter((entry) => FREEZE.has(entry.action));
  const all = [...ledgers].flatMap(([target, entries]) => worked(entries).map((entry) => ({ target, entry })));
  const found: string[] = [];
  for (const { target, entry } of all) {
    const last = freezes.findLast((freeze) => freeze.at <= entry.at);
    if (entry.phase === 'begin' && last?.action !== 'freeze')
      found.push(`P7: ${target} began ${entry.action} at ${entry.at}, and nothing was frozen`);
  }
  const last = freezes.at(-1);
  if (last && last.action !== 'thaw') found.push(`P7: the run has ended, and ${freezer} is still frozen, since ${last.at}`);
  return found;
}
