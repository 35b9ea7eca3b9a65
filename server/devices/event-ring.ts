import { LIMITS } from '../core/limits';
import type { DeviceEvent } from './device';

/**
 * The correlation channel of the specification. Reading consumes nothing, so every waiter sees every event; a
 * full ring drops the oldest event, never the newest. A waiter reads the whole ring after each look
 * (DeviceWatcher.recentEvents), so it needs no cursor.
 */
export class EventRing {
  private events: readonly DeviceEvent[] = [];
  private last = 0;

  constructor(private readonly capacity: number = LIMITS.CHANNEL_CAPACITY) {}

  publish(event: Omit<DeviceEvent, 'sequence'>): DeviceEvent {
    this.last += 1;
    const numbered: DeviceEvent = { ...event, sequence: this.last };
    this.events = [...this.events.slice(-(this.capacity - 1)), numbered];
    return numbered;
  }

  /** The events still held, oldest first. The array never changes. */
  recent(): readonly DeviceEvent[] {
    return this.events;
  }
}
