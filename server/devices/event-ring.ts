import { type Clock, systemClock } from '../core/clock';
import { DaemonError } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { DeviceEvent } from './device';

export interface Batch {
  readonly events: readonly DeviceEvent[];
  /** Where to read on. */
  readonly cursor: number;
  /** Events were overwritten before they were read: look at the devices themselves. */
  readonly overflowed: boolean;
}

/**
 * The correlation channel (DESIGN section 6): a bounded ring read by cursor. Reading consumes nothing, so every waiter sees
 * every event; a late waiter starts with the last 5 s; an overflow is told, never hidden. The original lost events because one
 * waiter consumed another's, and because a full channel dropped the newest.
 */
export class EventRing {
  private ring: DeviceEvent[] = [];
  private last = 0;
  private readonly bells = new Set<() => void>();

  constructor(
    private readonly capacity: number = LIMITS.CHANNEL_CAPACITY,
    private readonly clock: Clock = systemClock,
  ) {}

  /** Adds an event; the oldest gives way when the ring is full. Wakes every waiter. */
  publish(event: Omit<DeviceEvent, 'sequence'>): DeviceEvent {
    this.last += 1;
    const full: DeviceEvent = { ...event, sequence: this.last };
    this.ring = [...this.ring.slice(-(this.capacity - 1)), full];
    for (const wake of [...this.bells]) wake();
    return full;
  }

  /** A cursor that still sees the held events since `monotonic − window` ms (the contemporary window). */
  cursorSince(monotonic: number, window: number = LIMITS.CONTEMPORARY_WINDOW_MS): number {
    const first = this.ring.find((event) => event.monotonic >= monotonic - window);
    return first ? first.sequence - 1 : this.last;
  }

  /** Everything after the cursor that is still held. Never waits. */
  read(cursor: number): Batch {
    const oldest = this.ring[0]?.sequence ?? this.last + 1;
    const events = this.ring.filter((event) => event.sequence > cursor);
    return { events, cursor: this.last, overflowed: cursor + 1 < oldest };
  }

  /**
   * The batch after the cursor, as soon as there is one; an empty batch after `timeout` ms or when the signal aborts. What is
   * published between two calls is not lost: it is after the cursor. Throws QUEUE_FULL beyond LIMITS.CHANNEL_WAITERS.
   */
  async next(
    cursor: number,
    options: { readonly timeout: number; readonly signal?: AbortSignal },
  ): Promise<Batch> {
    const batch = this.read(cursor);
    if (batch.events.length > 0 || batch.overflowed || options.signal?.aborted) return batch;
    if (this.bells.size >= LIMITS.CHANNEL_WAITERS) {
      throw new DaemonError('QUEUE_FULL', `${this.bells.size} readers already wait for device events`);
    }
    const awake = new AbortController();
    const wake = () => awake.abort();
    this.bells.add(wake);
    options.signal?.addEventListener('abort', wake, { once: true });
    try {
      await this.clock.sleep(options.timeout, awake.signal);
    } finally {
      this.bells.delete(wake);
      options.signal?.removeEventListener('abort', wake);
    }
    return this.read(cursor);
  }

  /** The events still held, oldest first. The array never changes. */
  recent(): readonly DeviceEvent[] {
    return this.ring;
  }
}
