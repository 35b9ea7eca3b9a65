import type { JournalEntry } from './operation';

/** What of a journal, in its order, this version does not understand; null when it understands it all. */
export function journalFlaw(entries: readonly JournalEntry[]): string | null {
  const entry = entries.find(({ unreadable }) => unreadable !== undefined);
  return entry?.unreadable === undefined ? null : `journal entry ${entry.sequence}: ${entry.unreadable}`;
}
