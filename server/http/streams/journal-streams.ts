import type { H3Event } from 'h3';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Daemon } from '../../daemon/daemon';
import type { ActiveExport } from '../../exports/export-traffic';
import { isTerminal, type JournalEntry } from '../../model/operation';
import { httpLogger } from '../http-logger';
import { requestIdOf } from '../request/assign-request-id';
import { requestHeader } from '../request/request-header';
import { deviceEventReply, journalEntryReply } from '../response/replies';
import { trafficEventReply } from '../response/traffic-reply';
import { ALREADY_SENT, connectionClosed } from '../serve';
import { EventStream } from './event-stream';

/** Where a client continues: by the header EventSource sends, or the query of its first visit. */
export function lastEventId(event: H3Event, query: { last_event_id?: number | undefined }): number | null {
  const header = requestHeader(event, 'last-event-id');
  if (header !== undefined && /^\d{1,15}$/.test(header)) return Number(header);
  return query.last_event_id ?? null;
}

/**
 * GET /events: all events of this appliance, until the client leaves or the daemon stops. Replays the journal
 * after `after`, then sends new entries. It subscribes before the replay, so none is missed; entries seen
 * twice are sent once.
 */
export async function streamFeed(
  event: H3Event,
  daemon: Daemon,
  after: number | null,
): Promise<typeof ALREADY_SENT> {
  const stream = new EventStream(event, daemon.stopping);
  const live = new LiveEntries(daemon, stream, () => true);
  const unsubscribe = daemon.volumes.onDeviceEvent(stream.notify);
  // The latest of each export: a client that reads slowly gets fewer of them, not old ones.
  const traffic = new Map<string, ActiveExport>();
  const unsubscribeTraffic = daemon.traffic.onFlow((active) => {
    traffic.set(active.record.volumeId, active);
    stream.notify();
  });
  let lastDeviceEvent = daemon.volumes.recentDeviceEvents().at(-1)?.sequence ?? 0;
  await runStream(event, stream, live, async () => {
    const replayed = after === null ? new Set<number>() : await replay(stream, daemon, after);
    while (!stream.closed) {
      for (const entry of live.take()) if (!replayed.delete(entry.id)) sendEntry(stream, entry);
      for (const deviceEvent of daemon.volumes.recentDeviceEvents()) {
        if (deviceEvent.sequence <= lastDeviceEvent) continue;
        lastDeviceEvent = deviceEvent.sequence;
        stream.send({ name: 'device', data: deviceEventReply(deviceEvent) });
      }
      for (const active of traffic.values())
        stream.send({ name: 'traffic', data: trafficEventReply(active) });
      traffic.clear();
      await stream.wait(LIMITS.STREAM_TICK_MS);
    }
  });
  unsubscribe();
  unsubscribeTraffic();
  return ALREADY_SENT;
}

/** GET /operations/{id}/events: the journal of one operation; the stream ends with the operation. */
export async function streamOperation(
  event: H3Event,
  daemon: Daemon,
  operationId: string,
  after: number,
): Promise<typeof ALREADY_SENT> {
  // Read before the stream begins, so that an unknown operation is a 404.
  await daemon.operations.read(operationId);
  const stream = new EventStream(event, daemon.stopping);
  const live = new LiveEntries(daemon, stream, (entry) => entry.operationId === operationId);
  await runStream(event, stream, live, async () => {
    const sent = new Set<number>();
    const send = async (entries: readonly JournalEntry[]) => {
      for (const entry of entries) {
        if (entry.id <= after || sent.has(entry.id)) continue;
        sent.add(entry.id);
        await sendStored(stream, entry);
      }
    };
    const end = watchEnd(daemon, stream, operationId, connectionClosed(event));
    await send(await daemon.operations.journal(operationId));
    while (!stream.closed && !end.reached) {
      await send(live.take());
      await stream.wait(LIMITS.STREAM_TICK_MS);
    }
    // Read once more: the journal holds every entry, in order.
    if (!stream.closed) await send(await daemon.operations.journal(operationId));
  });
  return ALREADY_SENT;
}

/** Notifies the stream when the operation has ended; closes it when it cannot be watched. */
function watchEnd(daemon: Daemon, stream: EventStream, id: string, gone: AbortSignal): { reached: boolean } {
  const end = { reached: false };
  const watch = async () => {
    while (!stream.closed && !end.reached) {
      const operation = await daemon.operations.waitForEnd(id, LIMITS.LONG_POLL_SECONDS * 1000, gone);
      end.reached = isTerminal(operation.status);
    }
  };
  watch()
    .catch(() => stream.close())
    .finally(stream.notify);
  return end;
}

/** Runs a stream and releases what it holds. After an error the client reconnects and continues. */
async function runStream(
  event: H3Event,
  stream: EventStream,
  live: LiveEntries,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    httpLogger().warn('An event stream was cut', {
      request_id: requestIdOf(event),
      reason: messageOf(error),
    });
  } finally {
    live.stop();
    stream.close();
  }
}

/** Sends the journal page by page. Returns the ids that may come again as live entries. */
async function replay(stream: EventStream, daemon: Daemon, after: number): Promise<Set<number>> {
  const sent = new Set<number>();
  for (const entry of daemon.operations.overtaken(after)) {
    await sendStored(stream, entry);
    sent.add(entry.id);
  }
  let cursor = after;
  for (let full = true; full && !stream.closed; ) {
    const page = await daemon.operations.feed(cursor, LIMITS.STREAM_REPLAY_PAGE);
    for (const entry of page) {
      await sendStored(stream, entry);
      sent.add(entry.id);
      cursor = entry.id;
    }
    if (sent.size > LIMITS.STREAM_QUEUE * 2)
      for (const id of [...sent].slice(0, LIMITS.STREAM_QUEUE)) sent.delete(id);
    full = page.length === LIMITS.STREAM_REPLAY_PAGE;
  }
  return sent;
}

/**
 * Sends what the journal holds, at the speed of the client. Within one turn of the event loop Node hands
 * nothing to the socket: many entries at once would look like a client that does not read.
 */
async function sendStored(stream: EventStream, entry: JournalEntry): Promise<void> {
  sendEntry(stream, entry);
  await stream.drained();
}

function sendEntry(stream: EventStream, entry: JournalEntry): void {
  const name = entry.operationId === '' ? 'appliance' : 'operation';
  stream.send({ id: entry.id, name, data: journalEntryReply(entry) });
}

/** The journal entries since the last `take`. A client too far behind is disconnected. */
class LiveEntries {
  private queue: JournalEntry[] = [];
  readonly stop: () => void;

  constructor(daemon: Daemon, stream: EventStream, wanted: (entry: JournalEntry) => boolean) {
    this.stop = daemon.operations.subscribe((entry) => {
      if (!wanted(entry)) return;
      this.queue.push(entry);
      if (this.queue.length > LIMITS.STREAM_QUEUE) stream.close();
      stream.notify();
    });
  }

  take(): JournalEntry[] {
    const taken = this.queue;
    this.queue = [];
    return taken;
  }
}
