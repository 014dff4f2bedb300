/** The packs there are, and where their documents lie. */
import { fileURLToPath } from 'node:url';

export type PackEntry = { name: string; folder: string };

function entry(name: string): PackEntry {
  return { name, folder: fileURLToPath(new URL(name, import.meta.url)) };
}

export const PACKS: readonly PackEntry[] = [entry('avi'), entry('tpvm')];
