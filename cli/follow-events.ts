import type { EventSourceMessage } from 'eventsource-parser';
import type { DeviceEventReply } from '~/server/http/schemas/service';
import type { TrafficEventReply } from '~/server/http/schemas/traffic';
import { ConnectionError } from './client/errors';
import { entryOf } from './client/journal';
import { timeLimit } from './client/time-limit';
import type { Context } from './context';
import { EXIT } from './exit';
import { entryText } from './journal-text';
import { OutageTimer } from './outage-timer';
import type { Output } from './output/output';
import { timeText } from './output/text';
import { leftText, rateText, writtenText } from './output/traffic-text';
import { sizeText } from './output/units';

/** Time limit for opening the stream; --timeout limits how long it is followed. */
const OPEN_TIMEOUT_MS = 30_000;
const MAY_LACK =
  'The connection was broken before a first step had come: what happened meanwhile may be missing here.';
/** As wide as the ids of journal entries, for events without one. */
const NO_ID = ' '.repeat(6);

interface Following {
  /** Id of the event to begin after; undefined begins now. */
  readonly after: string | undefined;
  readonly limit: number | null;
  wanted(event: EventSourceMessage): boolean;
  /** Called whenever the stream is open, before its first event is printed. */
  onOpen?(): Promise<void>;
}

/**
 * Prints events until the limit or the time limit is reached, or the user interrupts. A broken connection is
 * resumed after the last event. The exit code is 4 when the time was over before the limit was reached.
 */
export async function followEvents(context: Context, following: Following): Promise<number> {
  const { client, timeoutMs, out } = context;
  const timer = timeLimit(timeoutMs);
  const signal = AbortSignal.any([context.signal, timer]);
  const outage = new OutageTimer();
  let { after } = following;
  let left = following.limit ?? Number.POSITIVE_INFINITY;
  let opened = false;
  const onOpen = async () => {
    outage.end();
    // Only steps are replayed, and only after one that was seen.
    if (opened && after === undefined) out.complain(MAY_LACK, 'warn');
    // Lists the devices only now, so that no change can be missed between the list and the stream.
    await following.onOpen?.();
    opened = true;
  };
  while (left > 0 && !signal.aborted) {
    try {
      const input = { query: { last_event_id: after } };
      const options = { signal, onOpen, timeoutMs: OPEN_TIMEOUT_MS };
      for await (const event of client.events('streamEvents', input, options)) {
        after = event.id ?? after;
        if (!following.wanted(event)) continue;
        print(out, event);
        left -= 1;
        if (left === 0) break;
      }
      if (left > 0) throw new ConnectionError('the daemon has ended the event stream');
    } catch (error) {
      if (signal.aborted) break;
      if (!opened) throw error;
      out.progress('the daemon does not answer; waiting for it');
      await outage.pauseOrThrow(error, signal);
    }
  }
  return timer.aborted && following.limit !== null && left > 0 ? EXIT.TIMEOUT : EXIT.OK;
}

function print(out: Output, message: EventSourceMessage): void {
  const { event = 'message', data } = message;
  const entry = entryOf(message);
  if (entry) {
    const subject = entry.operation_id === '' ? 'appliance' : entry.operation_id;
    const id = String(entry.id).padStart(NO_ID.length);
    out.stream({ event, ...entry }, `${id}  ${timeText(entry.at)}  ${subject}  ${entryText(entry)}`);
  } else if (event === 'device') {
    const device: DeviceEventReply = JSON.parse(data);
    out.stream({ event, ...device }, deviceText(device));
  } else if (event === 'traffic') {
    const flow: TrafficEventReply = JSON.parse(data);
    out.stream({ event, ...flow }, flowText(flow));
  } else out.stream({ event, data: JSON.parse(data) }, `${NO_ID}  ${event}  ${data}`);
}

function deviceText({ at, type, device_path, size, serial, diskseq, controller }: DeviceEventReply): string {
  const what = [sizeText(size), serial === null ? 'no serial' : `serial ${serial}`];
  if (diskseq !== null) what.push(`diskseq ${diskseq}`);
  if (controller !== null) what.push(controller);
  return `${NO_ID}  ${timeText(at)}  ${device_path} ${type}  ${what.join(', ')}`;
}

function flowText({ volume_id, traffic }: TrafficEventReply): string {
  const left = leftText(traffic);
  const what = [writtenText(traffic), rateText(traffic), ...(left === '' ? [] : [`${left} left`])];
  return `${NO_ID}  ${timeText(traffic.at)}  ${volume_id}  ${what.join(', ')}`;
}
