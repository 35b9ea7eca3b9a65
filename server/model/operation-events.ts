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
  /** The latest that were published: by id, of which operation and where in its journal. */
  private readonly told = new Map<number, string>();
  /** What is in the journal up to this id has been published, or is too old to be. */
  private upTo: number | null = null;

  /** Publishes each entry once, also when it was found in the journal before its writer was answered. */
  publish(entries: readonly JournalEntry[]): void {
    for (const entry of entries) {
      const place = `${entry.operationId} ${entry.sequence}`;
      if (this.told.get(entry.id) === place) continue;
      this.remember(entry.id, place);
      if (entry.id < this.newest) this.late.push({ entry, newest: this.newest });
      if (this.late.length > LIMITS.STREAM_OVERTAKEN) this.late.shift();
      this.newest = Math.max(this.newest, entry.id);
      for (const listener of this.entryListeners) listener(entry);
    }
  }

  /**
   * Above this id the journal may have entries that nobody was told of; null before the first was published.
   */
  get toldUpTo(): number | null {
    return this.upTo;
  }

  /**
   * Publishes what of the journal was not: its writer was not answered, or was another process.
   *
   * @param entries those that follow `toldUpTo`, in their order, and none that another may still precede
   */
  catchUp(entries: readonly JournalEntry[]): void {
    this.publish(entries);
    this.upTo = Math.max(this.upTo ?? 0, entries.at(-1)?.id ?? 0);
  }

  private remember(id: number, place: string): void {
    this.upTo ??= id;
    this.told.set(id, place);
    if (this.told.size <= LIMITS.STREAM_TOLD) return;
    const [oldest = id] = this.told.keys();
    this.told.delete(oldest);
    this.upTo = Math.max(this.upTo, oldest);
  }

  /**
   * The entries below this id that a reader who got no further may not have seen: ids are given before a
   * write is committed, and one that had to wait for a lock is published after others with greater ids.
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
