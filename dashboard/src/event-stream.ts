import type { EventSourceMessage } from 'eventsource-parser';
import { readEvents } from '../../cli/client/event-stream';
import { headers, refusal } from './api';

interface StreamOptions {
  readonly signal: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
  readonly onOpen?: () => void;
  /** Called for everything that arrives, heartbeats included. */
  readonly onData?: () => void;
}

/** The events of a stream. Not EventSource, because that cannot send a token. */
export async function* openStream(path: string, options: StreamOptions): AsyncGenerator<EventSourceMessage> {
  const answer = await fetch(path, { headers: headers(options.headers), signal: options.signal });
  if (!answer.ok || !answer.body) throw refusal(answer.status, await answer.text());
  options.onOpen?.();
  yield* readEvents(chunksOf(answer.body, options.onData));
}

/** Not every browser can iterate over a stream. */
async function* chunksOf(body: ReadableStream<Uint8Array>, onData = () => {}): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onData();
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
