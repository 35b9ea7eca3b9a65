import type { JournalEntryReply } from '../../server/http/schemas/operations';
import { openStream, Watchdog } from './event-stream';

const FIRST_EVENT_MS = 20_000;
/** The past of a running operation arrives at once: the pause after it ends the reading of a stream that stays open. */
const IDLE_MS = 400;

/** The journal of an operation up to now. Its event stream begins with it. */
export async function journalSoFar(operationId: string): Promise<JournalEntryReply[]> {
  const idle = new Watchdog(FIRST_EVENT_MS);
  const entries: JournalEntryReply[] = [];
  const path = `/api/v1/operations/${encodeURIComponent(operationId)}/events`;
  try {
    for await (const { event, data } of openStream(path, { signal: idle.signal })) {
      if (event === 'operation') entries.push(JSON.parse(data));
      idle.renew(IDLE_MS);
    }
  } catch (error) {
    if (!idle.signal.aborted) throw error;
  } finally {
    idle.stop();
  }
  return entries;
}
