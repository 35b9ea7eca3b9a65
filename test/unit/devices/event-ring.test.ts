import { describe, expect, it } from 'vitest';
import { EventRing } from '~/server/devices/event-ring';
import { disk } from './worlds';

function channel(capacity?: number) {
  const ring = new EventRing(capacity);
  const publish = (name: string) =>
    ring.publish({ type: 'added', device: disk({ name }), at: 0, monotonic: 0 });
  return { ring, publish, names: () => ring.recent().map(({ device }) => device.name) };
}

describe('the correlation channel', () => {
  it('lets every reader see every event: reading consumes nothing', () => {
    const { publish, names } = channel();
    publish('vdb');
    publish('vdc');
    expect(names()).toEqual(['vdb', 'vdc']);
    expect(names()).toEqual(['vdb', 'vdc']);
  });

  it('numbers the events', () => {
    const { ring, publish } = channel();
    expect(publish('vdb').sequence).toBe(1);
    expect(publish('vdc').sequence).toBe(2);
    expect(ring.recent().map(({ sequence }) => sequence)).toEqual([1, 2]);
  });

  it('holds the last 100 events: a full ring drops the oldest, never the newest', () => {
    const { publish, names } = channel();
    for (let index = 0; index < 101; index += 1) publish(`disk ${index}`);
    expect(names()).toHaveLength(100);
    expect([names().at(0), names().at(-1)]).toEqual(['disk 1', 'disk 100']);
  });

  it('hands out a list that does not change under the reader', () => {
    const { ring, publish, names } = channel(2);
    publish('vdb');
    const before = ring.recent();
    publish('vdc');
    publish('vdd');
    expect(before.map(({ device }) => device.name)).toEqual(['vdb']);
    expect(names()).toEqual(['vdc', 'vdd']);
  });
});
