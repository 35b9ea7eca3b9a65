import type { EventSourceMessage } from 'eventsource-parser';
import { STREAM_SILENCE_MS, Watchdog } from '../../cli/client/watchdog';
import { openStream } from './event-stream';
import type { FeedState } from './state';

interface FeedListener {
  onState(state: FeedState): void;
  onEvent(event: EventSourceMessage): void;
  /** The stream was refused. After a 401 a retry needs a token first. */
  onRefused(error: Error): void;
}

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 5_000;

/** Follows GET /events and reconnects with Last-Event-ID, so that no journal entry is missed. */
export class Feed {
  private lastId: string | null = null;
  private stopped = new AbortController();

  constructor(private readonly listener: FeedListener) {}

  start(): void {
    this.stopped.abort();
    this.stopped = new AbortController();
    void this.run(this.stopped.signal);
  }

  /** Until the next start, which goes on where this has ended. */
  stop(): void {
    this.stopped.abort();
  }

  private async run(stopped: AbortSignal): Promise<void> {
    let retryMs = RETRY_MIN_MS;
    while (!stopped.aborted) {
      try {
        await this.readConnection(stopped, () => {
          retryMs = RETRY_MIN_MS;
        });
      } catch (error) {
        if (!stopped.aborted && error instanceof Error) this.listener.onRefused(error);
      }
      if (stopped.aborted) return;
      this.listener.onState('lost');
      await new Promise((resolve) => window.setTimeout(resolve, retryMs));
      retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
    }
  }

  /** Reads one connection until it ends or falls silent. */
  private async readConnection(stopped: AbortSignal, onOpen: () => void): Promise<void> {
    const silence = new Watchdog(STREAM_SILENCE_MS);
    const events = openStream('/api/v1/events', {
      headers: this.lastId === null ? {} : { 'last-event-id': this.lastId },
      signal: AbortSignal.any([stopped, silence.signal]),
      onOpen: () => {
        onOpen();
        this.listener.onState('live');
      },
      onData: () => silence.renew(STREAM_SILENCE_MS),
    });
    try {
      for await (const event of events) {
        this.lastId = event.id ?? this.lastId;
        this.listener.onEvent(event);
      }
    } finally {
      silence.stop();
    }
  }
}
