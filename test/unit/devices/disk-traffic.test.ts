import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MemoryGuest } from '~/lab/guest/memory-guest';
import { LIMITS } from '~/server/core/limits';
import { type DiskCounters, parseDiskStat } from '~/server/devices/disk-counters';
import { begin, observe, quietForMs, type TrafficHistory, trafficOf } from '~/server/devices/disk-traffic';
import { isIdle, TrafficMonitor } from '~/server/devices/traffic-monitor';
import { countingRandom } from '../simulator/world';
import { ManualClock } from './manual-clock';

const MIB = 1024 ** 2;

describe('the text of /sys/block/<disk>/stat', () => {
  it('is read as the kernel documents it: sectors of 512 bytes, requests without flushes', () => {
    const text =
      '    1063        5    71432      212     2048       31   524288     9876        3      544    10123       17        0     8192       35       99        8\n';
    expect(parseDiskStat(text)).toEqual({
      readBytes: 71_432 * 512,
      writtenBytes: 524_288 * 512,
      requests: 1063 + 2048 + 17,
      inFlight: 3,
    });
  });

  it('of a kernel before 4.18 has no discards', () => {
    expect(parseDiskStat('1 0 8 0 2 0 16 0 0 0 0')).toEqual({
      readBytes: 4096,
      writtenBytes: 8192,
      requests: 3,
      inFlight: 0,
    });
  });

  it.each([
    ['', 'empty'],
    ['1 2 3', 'cut'],
    ['1 0 8 0 -2 0 16 0 0 0 0', 'a negative number'],
    ['1 0 8 0 x 0 16 0 0 0 0', 'no number'],
    ['1 0 18446744073709551615 0 2 0 16 0 0 0 0', 'more than can be told exactly'],
  ])('%j is not believed: %s', (text) => {
    expect(parseDiskStat(text)).toBeNull();
  });
});

const idle: DiskCounters = { readBytes: 0, writtenBytes: 0, requests: 0, inFlight: 0 };
const wrote = (bytes: number, requests = 1): DiskCounters => ({ ...idle, writtenBytes: bytes, requests });

describe('the rate', () => {
  it('is over the last 10 s, and falls to 0 when nothing flows any more', () => {
    let history: TrafficHistory = begin(idle, 0);
    const rates: (number | null)[] = [];
    for (let second = 2; second <= 30; second += 2) {
      const written = Math.min(second, 10) * MIB;
      history = observe(history, wrote(written, second), second * 1000) ?? history;
      rates.push(trafficOf(history, second * 1000).writeRate);
    }
    expect(rates.slice(0, 5)).toEqual(Array(5).fill(MIB));
    expect(rates[6]).toBe(0.6 * MIB);
    expect(rates.at(-1)).toBe(0);
  });

  it('is not known after one look', () => {
    expect(trafficOf(begin(wrote(MIB), 0), 0)).toMatchObject({ writtenBytes: MIB, writeRate: null });
  });
});

/** What a disk does between two looks, and what the looker's clocks do. */
const history = fc.array(
  fc.record({
    /** ms; 0: two looks in one tick. */
    after: fc.oneof(
      fc.constant(0),
      fc.integer({ min: 1, max: 3_000 }),
      fc.integer({ min: 3_001, max: 90_000 }),
    ),
    read: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 64 * MIB })),
    written: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 64 * MIB })),
    event: fc.constantFrom('none', 'none', 'none', 'none', 'replaced', 'backwards', 'wall clock'),
  }),
  { minLength: 1, maxLength: 60 },
);

describe('whatever a disk and the clocks do', () => {
  it('totals are those of this plug, rates are never negative, and silence is never claimed too early', async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const clock = new ManualClock();
        const guest = new MemoryGuest({ clock, random: countingRandom() });
        let volume = 0;
        const plug = async () => {
          volume += 1;
          await guest.plug({ volumeId: `v${volume}`, size: MIB, serial: `v${volume}` });
          const device = (await guest.look()).devices.find(({ serial }) => serial === `v${volume}`);
          if (!device) throw new Error('it was not plugged');
          return device;
        };
        let device = await plug();
        const counters = { offset: 0, failed: false };
        const monitor = new TrafficMonitor({
          clock,
          counters: {
            flush: async () => {},
            read: (plug) => {
              const now = guest.read(plug);
              if (now.kind !== 'seen') return now;
              return {
                ...now,
                value: { ...now.value, writtenBytes: now.value.writtenBytes - counters.offset },
              };
            },
          },
        });
        let total = { read: 0, written: 0 };
        let lastIo = clock.monotonic();
        monitor.sample([device]);
        for (const { after, read, written, event } of steps) {
          await clock.advance(after);
          if (event === 'wall clock') clock.set(-3_600_000);
          if (event === 'replaced') {
            const { path, diskseq } = device;
            await guest.unplug(`v${volume}`);
            expect(monitor.look({ name: device.name, path, diskseq })).toMatchObject({ kind: 'unknown' });
            device = await plug();
            total = { read: 0, written: 0 };
            lastIo = clock.monotonic();
            Object.assign(counters, { offset: 0, failed: false });
          }
          guest.transfer(`v${volume}`, { read, written });
          total = { read: total.read + read, written: total.written + written };
          if (read > 0 || written > 0) lastIo = clock.monotonic();
          if (event === 'backwards' && total.written > 0 && !counters.failed) {
            monitor.sample([device]);
            Object.assign(counters, { offset: total.written, failed: true });
          }
          monitor.sample([device]);
          const now = monitor.look(device);
          if (counters.failed) {
            expect([now.kind, isIdle(now)]).toEqual(['unknown', false]);
            continue;
          }
          if (now.kind !== 'seen') throw new Error(now.why);
          const { readBytes, writtenBytes, readRate, writeRate } = now.value;
          expect([readBytes, writtenBytes]).toEqual([total.read, total.written]);
          for (const rate of [readRate, writeRate]) expect(rate ?? 0).toBeGreaterThanOrEqual(0);
          expect(quietForMs(now.value)).toBeLessThanOrEqual(clock.monotonic() - lastIo);
          expect(isIdle(now)).toBe(clock.monotonic() - lastIo >= LIMITS.CLIENT_IDLE_MS);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('only a few samples are kept, however often somebody looks', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 500 }), (pauses) => {
        let at = 0;
        let seen: TrafficHistory = begin(idle, 0);
        for (const [index, pause] of pauses.entries()) {
          at += pause;
          seen = observe(seen, wrote(index * MIB, index), at) ?? seen;
        }
        expect(seen.samples.length).toBeLessThanOrEqual(
          LIMITS.TRAFFIC_WINDOW_MS / LIMITS.TRAFFIC_SPACING_MS + 3,
        );
        const times = seen.samples.map((sample) => sample.at);
        expect(times).toEqual([...times].sort((a, b) => a - b));
      }),
    );
  });
});

describe('silence for a decision', () => {
  async function make() {
    const clock = new ManualClock();
    const guest = new MemoryGuest({ clock, random: countingRandom() });
    await guest.plug({ volumeId: 'one', size: MIB, serial: 'one' });
    const device = (await guest.look()).devices.find(({ serial }) => serial === 'one');
    if (!device) throw new Error('it was not plugged');
    return { clock, guest, device, monitor: new TrafficMonitor({ clock, counters: guest }) };
  }

  it('is not known before the disk has been observed for 30 s', async () => {
    const { clock, device, monitor } = await make();
    expect(isIdle(await monitor.settled(device))).toBe(false);
    await clock.advance(LIMITS.CLIENT_IDLE_MS - 1);
    expect(isIdle(await monitor.settled(device))).toBe(false);
    await clock.advance(1);
    expect(isIdle(await monitor.settled(device))).toBe(true);
  });

  it('what a client has written into the page cache is I/O, although no counter shows it yet', async () => {
    const { clock, guest, device, monitor } = await make();
    monitor.sample([device]);
    await clock.advance(LIMITS.CLIENT_IDLE_MS);
    guest.writeCached('one', MIB);
    expect(isIdle(monitor.look(device))).toBe(true);
    const settled = await monitor.settled(device);
    expect(isIdle(settled)).toBe(false);
    expect(settled).toMatchObject({ kind: 'seen', value: { writtenBytes: MIB, lastIoAgoMs: 0 } });
  });

  it('a disk that cannot be flushed is not idle', async () => {
    const { clock, guest, device } = await make();
    const flush = async () => {
      throw new Error('EIO');
    };
    const monitor = new TrafficMonitor({ clock, counters: { read: (plug) => guest.read(plug), flush } });
    monitor.sample([device]);
    await clock.advance(LIMITS.CLIENT_IDLE_MS);
    expect(await monitor.settled(device)).toMatchObject({
      kind: 'unknown',
      why: expect.stringContaining('EIO'),
    });
  });
});
