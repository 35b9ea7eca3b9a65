import type { JournalEntry, Operation } from './operation';

type EntryListener = (entry: JournalEntry) => void;
type EndListener = (operation: Operation) => void;

/** What just happened, for waiters inside this process. Not durable: who misses it reads the journal. */
export class OperationEvents {
  private readonly entryListeners = new Set<EntryListener>();
  private readonly endListeners = new Map<string, Set<EndListener>>();

  publish(entries: readonly JournalEntry[]): void {
    for (const entry of entries) for (const listener of this.entryListeners) listener(entry);
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
