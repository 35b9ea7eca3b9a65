import type { EventSourceMessage } from 'eventsource-parser';
import type { JournalEntryReply } from '~/server/http/schemas/operations';
import { Watchdog } from './watchdog';

const FIRST_EVENT_MS = 20_000;
/** The past of an operation arrives at once; a stream that stays open is left at the pause after it. */
const IDLE_MS = 400;

/** The journal entry in an event, null when it is another kind of event. */
export function entryOf({ event, data }: EventSourceMessage): JournalEntryReply | null {
  return event === 'operation' || event === 'appliance' ? JSON.parse(data) : null;
}

/**
 * The journal of an operation up to now. Its event stream begins with it and ends with the operation; the
 * stream of a running operation is left when it falls idle.
 *
 * ```ts
 * const open = (signal) => client.events('streamOperation', { path: { id } }, { signal });
 * const journal = await journalSoFar(open);
 * ```
 */
export async function journalSoFar(
  open: (signal: AbortSignal) => AsyncIterable<EventSourceMessage>,
  idleMs = IDLE_MS,
): Promise<JournalEntryReply[]> {
  const idle = new Watchdog(FIRST_EVENT_MS);
  const entries: JournalEntryReply[] = [];
  try {
    for await (const event of open(idle.signal)) {
      const entry = entryOf(event);
      if (entry) entries.push(entry);
      idle.renew(idleMs);
    }
  } catch (error) {
    if (!idle.signal.aborted) throw error;
  } finally {
    idle.stop();
  }
  return entries;
}
