import { journalSoFar } from '../../cli/client/journal';
import type { JournalEntryReply } from '../../server/http/schemas/operations';
import { openStream } from './event-stream';

const JOURNALS_MAX = 300;

/** The journals of operations, as far as they were read or came as events; the oldest are forgotten. */
export class Journals {
  private readonly byOperation = new Map<string, Map<number, JournalEntryReply>>();
  private readonly complete = new Set<string>();

  constructor(private readonly changed: () => void) {}

  of(operationId: string): JournalEntryReply[] {
    return [...(this.byOperation.get(operationId)?.values() ?? [])].sort((a, b) => a.sequence - b.sequence);
  }

  keep(entry: JournalEntryReply): void {
    const known = this.byOperation.get(entry.operation_id) ?? new Map<number, JournalEntryReply>();
    known.set(entry.sequence, entry);
    this.byOperation.set(entry.operation_id, known);
    if (known.has(1)) this.complete.add(entry.operation_id);
    for (const oldest of this.byOperation.keys()) {
      if (this.byOperation.size <= JOURNALS_MAX) break;
      this.byOperation.delete(oldest);
      this.complete.delete(oldest);
    }
  }

  /** Loads the journal of an operation unless it is complete from its first entry. */
  async need(operationId: string): Promise<void> {
    if (this.complete.has(operationId)) return;
    this.complete.add(operationId);
    try {
      await this.read(operationId);
    } catch {
      this.complete.delete(operationId);
    }
    this.changed();
  }

  /** Reads it as it is now. Throws what `openStream` throws. */
  async read(operationId: string): Promise<void> {
    const path = `/api/v1/operations/${encodeURIComponent(operationId)}/events`;
    for (const entry of await journalSoFar((signal) => openStream(path, { signal }))) this.keep(entry);
  }
}
