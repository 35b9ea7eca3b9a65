import { createParser, type EventSourceMessage } from 'eventsource-parser';

/** No event of the daemon is longer; a longer one comes from another program. */
const EVENT_MAX_CHARACTERS = 1024 * 1024;

/**
 * The server-sent events in the body of a response, in whatever chunks it arrives. Comments (heartbeats) are
 * skipped.
 *
 * ```ts
 * const response = await fetch(`${url}/api/v1/events`);
 * for await (const { event, data } of readEvents(response.body ?? [])) console.log(event, JSON.parse(data));
 * ```
 */
export async function* readEvents(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<EventSourceMessage> {
  const decoder = new TextDecoder();
  const events: EventSourceMessage[] = [];
  const parser = createParser({
    onEvent: (event) => events.push(event),
    onError: (error) => {
      if (error.type === 'max-buffer-size-exceeded') throw error;
    },
    maxBufferSize: EVENT_MAX_CHARACTERS,
  });
  for await (const chunk of chunks) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    yield* events.splice(0);
  }
}
