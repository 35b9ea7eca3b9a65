import { setMaxListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { H3Event } from 'h3';
import { DaemonError } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { EVENT_STREAM } from '../endpoints/endpoint';
import { isStillAccepted } from '../request/guard';

interface StreamEvent {
  /** Journal id, which Last-Event-ID refers to; absent for events that are not replayed. */
  readonly id?: number;
  readonly name: string;
  readonly data: unknown;
}

let open = 0;

/** For tests: how many streams are open. */
export function openStreams(): number {
  return open;
}

/**
 * One stream of server-sent events. It writes to the response directly because h3's own stream has no bound:
 * a client that does not read is disconnected after STREAM_BUFFER_BYTES, and reconnects with Last-Event-ID.
 * One whose token is revoked is disconnected before the next event or heartbeat.
 */
export class EventStream {
  private readonly response: ServerResponse;
  private readonly heartbeat: NodeJS.Timeout;
  private ended = false;
  private notified = false;
  private wake = (): void => {};
  /** Monotonic ms of the last look whether the token of the client still counts. */
  private acceptedAt = performance.now();

  /** Throws RATE_LIMITED when too many streams are open, STOPPING when the daemon is stopping. */
  constructor(
    private readonly event: H3Event,
    private readonly stopping: AbortSignal,
  ) {
    if (stopping.aborted)
      throw new DaemonError('STOPPING', 'The daemon is stopping', { retryAfterSeconds: 5 });
    if (open >= LIMITS.STREAMS) {
      throw new DaemonError('RATE_LIMITED', `Already ${open} event streams are open`, {
        retryAfterSeconds: 5,
      });
    }
    open += 1;
    this.response = event.node.res;
    this.response.statusCode = 200;
    this.response.setHeader('Content-Type', EVENT_STREAM);
    this.response.setHeader('Cache-Control', 'no-store');
    this.response.setHeader('X-Accel-Buffering', 'no');
    this.response.once('close', this.close);
    this.response.on('drain', this.notify);
    // Every open stream listens to this signal, which is not the leak that Node would warn of.
    setMaxListeners(LIMITS.STOP_LISTENERS, stopping);
    stopping.addEventListener('abort', this.close, { once: true });
    this.heartbeat = setInterval(() => this.write(': heartbeat\n\n'), LIMITS.STREAM_HEARTBEAT_MS);
    this.heartbeat.unref();
    this.response.flushHeaders();
    this.write('retry: 1000\n\n');
    // Who has left while something was read for the stream does not close it a second time: it would be open
    // until its operation ends, and take the place of another.
    if (this.response.closed) this.close();
  }

  get closed(): boolean {
    return this.ended;
  }

  send({ id, name, data }: StreamEvent): void {
    this.write(`${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** Ends the current `wait`, or the next one if there is none. */
  readonly notify = (): void => {
    this.notified = true;
    this.wake();
  };

  /** Resolves when notified, after the timeout, or when the stream has ended. One caller at a time. */
  async wait(timeoutMs: number): Promise<void> {
    if (!this.notified && !this.ended) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.notified = false;
  }

  /** Resolves when the client has read what was written: replays run at its speed. */
  async drained(): Promise<void> {
    while (!this.ended && this.response.writableNeedDrain) await this.wait(LIMITS.STREAM_TICK_MS);
  }

  readonly close = (): void => {
    if (this.ended) return;
    this.ended = true;
    open -= 1;
    clearInterval(this.heartbeat);
    this.stopping.removeEventListener('abort', this.close);
    if (!this.response.writableEnded) this.response.end();
    this.notify();
  };

  /** A client whose token was revoked gets nothing more; it is told why when it connects again. */
  private isAccepted(): boolean {
    const now = performance.now();
    if (now - this.acceptedAt < LIMITS.TOKENS_LOOK_MS) return true;
    this.acceptedAt = now;
    return isStillAccepted(this.event);
  }

  private write(text: string): void {
    if (this.ended) return;
    if (!this.isAccepted()) {
      this.close();
      return;
    }
    if (this.response.writableLength > LIMITS.STREAM_BUFFER_BYTES) {
      this.response.destroy();
      this.close();
      return;
    }
    this.response.write(text);
  }
}
