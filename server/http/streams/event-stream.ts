import { setMaxListeners } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { H3Event } from 'h3';
import { DaemonError } from '../../core/errors';
import { LIMITS } from '../../core/limits';

export interface StreamEvent {
  /** Journal id, what Last-Event-ID refers to; absent for events that are not replayed. */
  readonly id?: number;
  readonly name: string;
  readonly data: unknown;
}

let open = 0;

/**
 * One server-sent event stream. It writes to the response itself, because h3's own stream has no bound: a reader who does not
 * keep up is cut off after STREAM_BUFFER_BYTES, and comes back with Last-Event-ID.
 */
export class EventStream {
  private readonly response: ServerResponse;
  private readonly heartbeat: NodeJS.Timeout;
  private readonly waiters = new Set<() => void>();
  private over = false;
  private bell = false;

  /** RATE_LIMITED when too many streams are open, STOPPING when the daemon is going down. */
  constructor(
    event: H3Event,
    private readonly stopping: AbortSignal,
    heartbeatMs: number = LIMITS.STREAM_HEARTBEAT_MS,
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
    this.response.setHeader('Content-Type', 'text/event-stream');
    this.response.setHeader('Cache-Control', 'no-store');
    this.response.setHeader('X-Accel-Buffering', 'no');
    this.response.once('close', this.close);
    // Every open stream listens, which is not the leak Node would warn of.
    setMaxListeners(LIMITS.STREAMS + 16, stopping);
    stopping.addEventListener('abort', this.close, { once: true });
    this.heartbeat = setInterval(() => this.write(': heartbeat\n\n'), heartbeatMs);
    this.heartbeat.unref();
    this.response.flushHeaders();
    this.write('retry: 1000\n\n');
  }

  get closed(): boolean {
    return this.over;
  }

  send({ id, name, data }: StreamEvent): void {
    this.write(`${id === undefined ? '' : `id: ${id}\n`}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** Wakes `wait`; a ring before the wait is not lost. */
  readonly ring = (): void => {
    this.bell = true;
    for (const wake of this.waiters) wake();
  };

  /** Resolves at the next ring, after `ms`, or when the stream has ended. */
  async wait(ms: number): Promise<void> {
    if (!this.bell && !this.over) await this.sleep(ms);
    this.bell = false;
  }

  /** Resolves when the reader has taken what was written (or is gone): long replays go at the reader's pace. */
  async drained(): Promise<void> {
    while (!this.over && this.response.writableNeedDrain) await this.sleep(LIMITS.STREAM_TICK_MS, 'drain');
  }

  readonly close = (): void => {
    if (this.over) return;
    this.over = true;
    open -= 1;
    clearInterval(this.heartbeat);
    this.stopping.removeEventListener('abort', this.close);
    if (!this.response.writableEnded) this.response.end();
    this.ring();
  };

  private write(text: string): void {
    if (this.over) return;
    if (this.response.writableLength > LIMITS.STREAM_BUFFER_BYTES) {
      this.response.destroy();
      this.close();
      return;
    }
    this.response.write(text);
  }

  private sleep(ms: number, event?: 'drain'): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.waiters.delete(wake);
        if (event) this.response.off(event, wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.waiters.add(wake);
      if (event) this.response.once(event, wake);
    });
  }
}

export function openStreams(): number {
  return open;
}
