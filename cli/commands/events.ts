import { once } from 'node:events';
import type { DeviceEvent, ServerEvent } from '../client/api';
import { Unreachable } from '../client/failures';
import { EXIT, type Noun, verb } from '../command';
import type { Context } from '../context';
import { entryOf, entryText, Patience } from '../follow';
import { parseCount } from '../globals';
import { sizeText, timeText, visible } from '../output/text';

export const eventsNoun: Noun = {
  name: 'events',
  summary: 'Follow everything that happens',
  verbs: [
    verb({
      name: '',
      summary: 'Follow everything that happens',
      details:
        'Begins now, or with --after at an event of the past: the first column is its id. A connection that breaks is taken up again where it broke, so that no step is missed. Ends with Ctrl-C.',
      args: {
        after: {
          type: 'string',
          valueHint: 'id',
          description: 'begin after this event; 0 for everything there is',
          field: 'last_event_id',
        },
        only: {
          type: 'enum',
          options: ['operation', 'device', 'appliance'],
          description: 'only events of this kind',
        },
        operation: {
          type: 'string',
          valueHint: 'id',
          description: 'only those of this operation',
          complete: 'operation',
        },
        limit: { type: 'string', valueHint: 'n', description: 'end after so many' },
      },
      examples: [
        { line: 'volumectl events', what: 'Until Ctrl-C.' },
        {
          line: 'volumectl events --after 0 --only operation --json',
          what: 'The whole journal, one JSON a line.',
        },
        { line: 'volumectl events --only device', what: 'Disks that come and go.' },
      ],
      async run(context, args) {
        const limit = args.limit === undefined ? null : parseCount(args.limit, '--limit');
        const wanted = (event: ServerEvent) =>
          (args.only === undefined || event.name === args.only) &&
          (args.operation === undefined || entryOf(event)?.operation_id === args.operation.toLowerCase());
        return follow(context, { after: args.after, limit, wanted });
      },
    }),
  ],
};

interface Following {
  /** Event id to begin after; undefined begins now. */
  readonly after: string | undefined;
  readonly limit: number | null;
  wanted(event: ServerEvent): boolean;
  /** Called once, when the stream stands and before its first event is printed. */
  onOpen?(): Promise<void>;
}

/**
 * Prints events until the limit, the time limit, or the user ends it. A break is taken up again with Last-Event-ID. Exit code 4
 * when the time was over before the limit was reached.
 */
export async function follow(context: Context, following: Following): Promise<number> {
  const timer =
    context.timeout === null ? new AbortController().signal : AbortSignal.timeout(context.timeout);
  const signal = AbortSignal.any([context.signal, timer]);
  const patience = new Patience();
  let { after } = following;
  let left = following.limit ?? Number.POSITIVE_INFINITY;
  let stood = false;
  while (left > 0 && !signal.aborted) {
    try {
      const input = { headers: {}, query: { last_event_id: after } };
      const opened = new AbortController();
      const onHeaders = () => opened.abort();
      const events = context.api.streamEvents(input, { signal, onHeaders })[Symbol.asyncIterator]();
      const first = events.next();
      await Promise.race([once(opened.signal, 'abort'), first]);
      patience.renew();
      // Asked for only now, so that nothing can happen between the picture and its changes.
      if (!stood) await following.onOpen?.();
      stood = true;
      for (let step = await first; !step.done; step = await events.next()) {
        after = step.value.id ?? after;
        if (!following.wanted(step.value)) continue;
        print(context, step.value);
        left -= 1;
        if (left === 0) break;
      }
      await events.return?.();
      if (left > 0) await patience.orThrow(new Unreachable('the daemon has ended the event stream'), signal);
    } catch (error) {
      if (signal.aborted) break;
      if (!stood) throw error;
      await patience.orThrow(error, signal);
      context.out.progress('the daemon does not answer; waiting for it');
    }
  }
  return timer.aborted && following.limit !== null && left > 0 ? EXIT.TIMEOUT : EXIT.OK;
}

function print({ out }: Context, event: ServerEvent): void {
  const entry = entryOf(event);
  if (entry) {
    const whose = entry.operation_id === '' ? 'appliance' : entry.operation_id;
    out.stream(
      { event: event.name, ...entry },
      `${String(entry.id).padStart(6)}  ${timeText(entry.at)}  ${whose}  ${entryText(entry)}`,
    );
    return;
  }
  const data: unknown = JSON.parse(event.data);
  if (event.name === 'device') {
    const device = data as DeviceEvent; // the document promises it for events of this name
    out.stream({ event: 'device', ...device }, deviceText(device));
  } else out.stream({ event: event.name, data }, `${''.padStart(6)}  ${event.name}  ${visible(event.data)}`);
}

function deviceText({ at, type, device_path, size, serial, diskseq, controller }: DeviceEvent): string {
  const what = [sizeText(size), serial === null ? 'no serial' : `serial ${visible(serial)}`];
  if (diskseq !== null) what.push(`diskseq ${diskseq}`);
  if (controller !== null) what.push(controller);
  return `${''.padStart(6)}  ${timeText(at)}  ${device_path} ${type}  ${what.join(', ')}`;
}
