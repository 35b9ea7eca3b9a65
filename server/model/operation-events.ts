import { LIMITS } from '../core/limits';
import type { JournalEntry, Operation } from './operation';

type EntryListener = (entry: JournalEntry) => void;
type EndListener = (operation: Operation) => void;

/** What just happened, for waiters inside this process. Not durable: who misses it reads the journal. */
export class OperationEvents {
  private readonly entryListeners = new Set<EntryListener>();
  private readonly endListeners = new Map<string, Set<EndListener>>();
  /** The greatest id that was published. */
  private newest = 0;
  /** The latest entries that were published after one with a greater id, and the greatest before them. */
  private readonly late: { readonly entry: JournalEntry; readonly newest: number }[] = [];

  publish(entries: readonly JournalEntry[]): void {
    for (const entry of entries) {
      if (entry.id < this.newest) this.late.push({ entry, newest: this.newest });
      if (this.late.length > LIMITS.STREAM_OVERTAKEN) this.late.shift();
      this.newest = Math.max(this.newest, entry.id);
      for (const listener of this.entryListeners) listener(entry);
    }
  }

  /**
   * The entries below this id that a reader who got no further may not have seen: ids are given before a write is
   * committed, and one that had to wait for a lock is published after others with greater ids.
   */
  overtaken(id: number): JournalEntry[] {
    return this.late.filter(({ entry, newest }) => entry.id < id && id <= newest).map(({ entry }) => entry);
  }

  ended(operation: Operation): void {
    for (const listener of this.endListeners.get(operation.id) ?? []) listener(operation);
    this.endListeners.delete(operation.id);
  }

  onEntry(listener: EntryListener): () => void {
    this.entryListeners.add(listener);
    return () => this.entryListeners.delete(listener);
  }

  onEnd(operationId: string, listener: EndListener): () => void {
    const listeners = this.endListeners.get(operationId) ?? new Set();
    this.endListeners.set(operationId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.endListeners.get(operationId) === listeners)
        this.endListeners.delete(operationId);
    };
  }
}
