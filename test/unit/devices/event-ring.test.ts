import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { EventRing } from '~/server/devices/event-ring';
import { ManualClock, settle } from './manual-clock';
import { disk } from './worlds';

function channel(capacity = 100) {
  const clock = new ManualClock();
  const made = new EventRing(capacity, clock);
  const publish = (name = 'vdb') =>
    made.publish({ type: 'added', device: disk({ name }), at: clock.now(), monotonic: clock.monotonic() });
  return { clock, made, publish };
}

const names = ({ events }: { events: readonly { device: { name: string } }[] }) =>
  events.map(({ device }) => device.name);

describe('the event ring', () => {
  it('lets every waiter see every event: reading consumes nothing', async () => {
    const { made, publish } = channel();
    const waiters = [made.next(0, { timeout: 1_000 }), made.next(0, { timeout: 1_000 })];
    publish('vdb');
    expect((await Promise.all(waiters)).map(names)).toEqual([['vdb'], ['vdb']]);
    expect(names(made.read(0))).toEqual(['vdb']);
  });

  it('loses no event between two reads', async () => {
    const { made, publish } = channel();
    const first = made.next(0, { timeout: 1_000 });
    publish('vdb');
    const { cursor } = await first;
    publish('vdc');
    publish('vdd');
    expect(names(await made.next(cursor, { timeout: 1_000 }))).toEqual(['vdc', 'vdd']);
  });

  it('gives a late waiter the last 5 s, and nothing older', async () => {
    const { clock, made, publish } = channel();
    publish('vdb');
    await clock.advance(LIMITS.CONTEMPORARY_WINDOW_MS + 1);
    publish('vdc');
    await clock.advance(LIMITS.CONTEMPORARY_WINDOW_MS);
    expect(names(made.read(made.cursorSince(clock.monotonic())))).toEqual(['vdc']);
    await clock.advance(1);
    expect(names(made.read(made.cursorSince(clock.monotonic())))).toEqual([]);
  });

  it('tells a waiter who missed events to look at the devices', async () => {
    const { made, publish } = channel(3);
    for (const name of ['vdb', 'vdc', 'vdd', 'vde']) publish(name);
    const batch = await made.next(0, { timeout: 1_000 });
    expect(names(batch)).toEqual(['vdc', 'vdd', 'vde']);
    expect(batch.overflowed).toBe(true);
    expect(made.read(1).overflowed).toBe(false);
    expect(made.read(batch.cursor)).toMatchObject({ events: [], overflowed: false });
  });

  it('answers with nothing after the timeout, and when the signal aborts', async () => {
    const { clock, made } = channel();
    const late = made.next(0, { timeout: 1_000 });
    await clock.advance(1_000);
    expect(await late).toEqual({ events: [], cursor: 0, overflowed: false });
    const stop = new AbortController();
    const stopped = made.next(0, { timeout: 1_000, signal: stop.signal });
    stop.abort();
    expect((await stopped).events).toEqual([]);
    expect((await made.next(0, { timeout: 1_000, signal: stop.signal })).events).toEqual([]);
    await settle();
    expect(clock.sleeping).toBe(0);
  });

  it('bounds its waiters, and frees their places', async () => {
    const { made, publish } = channel();
    const waiters = Array.from({ length: LIMITS.CHANNEL_WAITERS }, () => made.next(0, { timeout: 1_000 }));
    await expect(made.next(0, { timeout: 1_000 })).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    publish();
    await Promise.all(waiters);
    const after = made.next(1, { timeout: 1_000 });
    publish('vdc');
    expect(names(await after)).toEqual(['vdc']);
  });

  it('hands out a list of recent events that does not change under the reader', () => {
    const { made, publish } = channel(2);
    publish('vdb');
    const before = made.recent();
    publish('vdc');
    publish('vdd');
    expect(names({ events: before })).toEqual(['vdb']);
    expect(names({ events: made.recent() })).toEqual(['vdc', 'vdd']);
  });
});
