import { headers, problem } from './api';
import { type Message, messagesIn, readText } from './sse';

export type FeedState = 'connecting' | 'live' | 'lost';

export interface FeedListener {
  state(state: FeedState): void;
  message(message: Message): void;
  /** The stream was refused; a 401 needs a token before it makes sense to try again. */
  refused(error: Error): void;
}

const FIRST_RETRY = 500;
const LAST_RETRY = 5_000;
/** The server sends a heartbeat every 15 s; after more than two of them missing the connection is dead, ms. */
const SILENCE = 40_000;

/** GET /events, for ever: comes back after every end with Last-Event-ID, so that nothing of the journal is missed. */
export class Feed {
  private lastId: string | null = null;
  private stopped = new AbortController();

  constructor(private readonly listener: FeedListener) {}

  start(): void {
    this.stopped.abort();
    this.stopped = new AbortController();
    void this.run(this.stopped.signal);
  }

  private async run(stopped: AbortSignal): Promise<void> {
    let pause = FIRST_RETRY;
    while (!stopped.aborted) {
      try {
        await this.read(stopped, () => {
          pause = FIRST_RETRY;
        });
      } catch (error) {
        if (!stopped.aborted && error instanceof Error) this.listener.refused(error);
      }
      if (stopped.aborted) return;
      this.listener.state('lost');
      await new Promise((resolve) => window.setTimeout(resolve, pause));
      pause = Math.min(LAST_RETRY, pause * 2);
    }
  }

  /** Reads one connection to its end. */
  private async read(stopped: AbortSignal, opened: () => void): Promise<void> {
    const dead = new AbortController();
    let silence = window.setTimeout(() => dead.abort(), SILENCE);
    const heard = (): void => {
      window.clearTimeout(silence);
      silence = window.setTimeout(() => dead.abort(), SILENCE);
    };
    try {
      const answer = await fetch('/api/v1/events', {
        headers: headers(this.lastId === null ? {} : { 'last-event-id': this.lastId }),
        signal: AbortSignal.any([stopped, dead.signal]),
      });
      if (!answer.ok || !answer.body) throw problem(answer.status, await answer.text());
      opened();
      this.listener.state('live');
      for await (const message of messagesIn(heardOf(readText(answer.body), heard))) {
        if (message.id !== null) this.lastId = message.id;
        this.listener.message(message);
      }
    } finally {
      window.clearTimeout(silence);
    }
  }
}

async function* heardOf(chunks: AsyncIterable<string>, heard: () => void): AsyncGenerator<string> {
  for await (const chunk of chunks) {
    heard();
    yield chunk;
  }
}
