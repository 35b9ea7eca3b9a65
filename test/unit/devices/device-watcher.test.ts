import { describe, expect, it } from 'vitest';
import { createMemoryInventory } from '~/lab/guest/memory-inventory';
import { LIMITS } from '~/server/core/limits';
import type { LogFields, Logger } from '~/server/core/log/logger';
import type { Device, DeviceEvent, DeviceSnapshot, Guest } from '~/server/devices/device';
import { DeviceWatcher } from '~/server/devices/device-watcher';
import type { InventoryStore } from '~/server/devices/inventory-store';
import { unknown } from '~/server/model/evidence';
import { warningsOf } from '~/test/support/warnings';
import { ManualClock, settle } from './manual-clock';
import { BOOT, disk, mappingTo, VOLUME } from './worlds';

class FakeGuest implements Guest {
  bootId: string | null = BOOT;
  devices: Device[] = [];
  looks = 0;
  failure: Error | null = null;
  /** While set, looks hang until it is resolved. */
  gate: Promise<void> | null = null;
  ring: () => void = () => {};

  async look() {
    this.looks += 1;
    const seen = { bootId: this.bootId, devices: [...this.devices] };
    if (this.gate) await this.gate;
    if (this.failure) throw this.failure;
    return seen;
  }

  slots = async () => unknown('not asked here', 0, 'guest');

  onHint(ring: () => void) {
    this.ring = ring;
    return () => {
      this.ring = () => {};
    };
  }

  async holders() {
    return new Map();
  }

  async productUuid() {
    return null;
  }
}

function recorder() {
  const lines: { level: string; message: string; fields: LogFields | undefined }[] = [];
  const at = (level: string) => (message: string, fields?: LogFields) =>
    void lines.push({ level, message, fields });
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  };
  return { logger, lines };
}

function setUp(inventory: InventoryStore = createMemoryInventory()) {
  const clock = new ManualClock();
  const guest = new FakeGuest();
  const { logger, lines } = recorder();
  const watcher = new DeviceWatcher({ clock, guest, logger, inventory });
  const events: string[] = [];
  watcher.onEvent(
    ({ type, device }: DeviceEvent) => void events.push(`${type} ${device.name}#${device.diskseq}`),
  );
  return { clock, guest, lines, watcher, events, inventory };
}

function stored(devices: Device[], bootId: string | null = BOOT): InventoryStore {
  return createMemoryInventory({ bootId, devices, at: 0, scanned: true } satisfies DeviceSnapshot);
}

const byName = (name: string) => (snapshot: DeviceSnapshot) =>
  snapshot.devices.find((device) => device.name === name) ?? null;

describe('the first look', () => {
  it('of a daemon without an inventory makes no events, and is the inventory of the next one', async () => {
    const { guest, watcher, events, inventory } = setUp();
    guest.devices = [disk()];
    await watcher.start();
    expect(events).toEqual([]);
    expect(watcher.snapshot()).toMatchObject({ scanned: true, bootId: BOOT, devices: [{ name: 'vdb' }] });
    const next = setUp(inventory);
    await next.watcher.start();
    expect(next.events).toEqual(['removed vdb#7']);
  });

  it('tells what changed while the daemon was away', async () => {
    const { guest, watcher, events } = setUp(stored([disk(), disk({ name: 'vdc', diskseq: 8 })]));
    guest.devices = [disk({ diskseq: 9 }), disk({ name: 'vdd', diskseq: 10 })];
    await watcher.start();
    expect(events).toEqual(['removed vdb#7', 'removed vdc#8', 'added vdb#9', 'added vdd#10']);
  });

  it('recognises a reboot: every disk is another plug, though letters and diskseq are the same', async () => {
    const { guest, watcher, events, lines } = setUp(stored([disk()], 'an earlier boot'));
    guest.devices = [disk()];
    await watcher.start();
    expect(events).toEqual(['removed vdb#7', 'added vdb#7']);
    expect(lines.map(({ message }) => message)).toContain(
      'The guest has been rebooted; every device is looked at anew',
    );
  });

  it('may fail; the first one that works then makes no events', async () => {
    const { guest, watcher, events } = setUp();
    guest.failure = new Error('EIO');
    await watcher.start();
    expect(watcher.snapshot().scanned).toBe(false);
    guest.failure = null;
    guest.devices = [disk()];
    await watcher.scan();
    expect(events).toEqual([]);
  });
});

describe('scanning', () => {
  it('publishes what changed and logs it in the words of the specification', async () => {
    const { guest, watcher, lines } = setUp();
    await watcher.start();
    guest.devices = [disk()];
    await watcher.scan();
    expect(watcher.recentEvents().map(({ type, sequence }) => [type, sequence])).toEqual([['added', 1]]);
    expect(lines.at(-1)).toMatchObject({
      level: 'info',
      message: '📎 New block device detected via polling',
      fields: { device_path: '/dev/vdb', diskseq: 7, controller: 'virtio4' },
    });
    expect(watcher.health()).toMatchObject({ status: 'healthy', devices: 1, eventsProcessed: 1 });
  });

  it('tells of a serial that is read late, which is no event, and once', async () => {
    const { guest, watcher, events } = setUp();
    let told = 0;
    guest.devices = [disk({ serial: null, serialState: 'pending' })];
    await watcher.start();
    watcher.onSerial(() => {
      told += 1;
    });
    await watcher.scan();
    expect(told).toBe(0);
    guest.devices = [disk()];
    await watcher.scan();
    expect(told).toBe(1);
    await watcher.scan();
    expect(told).toBe(1);
    expect(events).toEqual([]);
  });

  it('answers with a look that began after the question, and shares it among all who asked', async () => {
    const { guest, watcher } = setUp();
    await watcher.start();
    let open: () => void = () => {};
    guest.gate = new Promise((resolve) => {
      open = resolve;
    });
    const early = watcher.scan();
    guest.devices = [disk()];
    const late = [watcher.scan(), watcher.scan()];
    open();
    expect((await early).devices).toEqual([]);
    expect((await Promise.all(late)).map(({ devices }) => devices.length)).toEqual([1, 1]);
    expect(guest.looks).toBe(3);
  });

  it('scans at once when /dev changes', async () => {
    const { guest, watcher, events } = setUp();
    await watcher.start();
    guest.devices = [disk()];
    guest.ring();
    await settle();
    expect(events).toEqual(['added vdb#7']);
  });

  it('keeps the inventory for the next start', async () => {
    const { guest, watcher, inventory } = setUp();
    await watcher.start();
    guest.devices = [disk()];
    await watcher.scan();
    const next = setUp(inventory);
    await next.watcher.start();
    expect(next.events).toEqual(['removed vdb#7']);
  });

  it('goes on without an inventory that cannot be written, and says so once', async () => {
    const broken: InventoryStore = {
      load: async () => null,
      save: async () => {
        throw new Error('ENOSPC');
      },
    };
    const { guest, watcher, events, lines } = setUp(broken);
    await watcher.start();
    guest.devices = [disk()];
    await watcher.scan();
    expect(events).toEqual(['added vdb#7']);
    expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });
});

describe('a guest that cannot be read', () => {
  it('keeps the last snapshot, counts, and is logged once per change of state', async () => {
    const { guest, watcher, lines, events } = setUp();
    guest.devices = [disk()];
    await watcher.start();
    guest.failure = new Error('EACCES: /sys/block');
    await expect(watcher.scan()).rejects.toMatchObject({ code: 'DEVICES_UNREADABLE', status: 503 });
    await expect(watcher.scan()).rejects.toThrow('EACCES');
    expect(watcher.health()).toMatchObject({ status: 'unhealthy', failedScans: 2, devices: 1 });
    guest.failure = null;
    await watcher.scan();
    expect(events).toEqual([]);
    expect(watcher.health().status).toBe('healthy');
    expect(lines.map(({ message }) => message)).toEqual([
      'Device monitor failed',
      'Device monitor works again',
    ]);
  });

  it('shows for a while what it has shown, and then that nobody knows: disks may have changed their names', async () => {
    const { guest, clock, watcher } = setUp();
    guest.devices = [disk()];
    await watcher.start();
    await clock.advance(LIMITS.SCAN_STALE_MS);
    await watcher.scan();
    guest.failure = new Error('EMFILE');
    await expect(watcher.scan()).rejects.toThrow('EMFILE');
    expect(watcher.snapshot().scanned).toBe(true);
    await clock.advance(LIMITS.SCAN_STALE_MS + 1);
    expect(watcher.snapshot()).toMatchObject({ scanned: false, devices: [{ name: 'vdb' }] });
    guest.failure = null;
    await watcher.scan();
    expect(watcher.snapshot().scanned).toBe(true);
  });

  it('is looked at as often as it is told to be: with a long POLL_INTERVAL that is no fault', async () => {
    const { clock, guest } = setUp();
    const { logger } = recorder();
    const parts = { guest, clock, logger, inventory: createMemoryInventory(), pollIntervalMs: 60_000 };
    const watcher = new DeviceWatcher(parts);
    await watcher.start();
    await clock.advance(60_000);
    expect(watcher.health().status).toBe('healthy');
    await clock.advance(LIMITS.SCAN_STALE_MS + 1);
    expect(watcher.health().status).toBe('degraded');
  });

  it('is distinguished from one that is not looked at', async () => {
    const { clock, watcher } = setUp();
    expect(watcher.health().status).toBe('unknown');
    await watcher.start();
    await clock.advance(LIMITS.SCAN_STALE_MS + 1);
    expect(watcher.health()).toMatchObject({ status: 'degraded' });
  });
});

describe('waiting for a device', () => {
  it('looks again at once: what was seen before the question proves nothing', async () => {
    const { guest, watcher } = setUp();
    guest.devices = [disk()];
    await watcher.start();
    guest.devices = [];
    const seen: number[] = [];
    const stop = new AbortController();
    const waited = watcher.waitFor(
      ({ devices }) => {
        seen.push(devices.length);
        stop.abort();
        return null;
      },
      { timeoutMs: 1_000, signal: stop.signal },
    );
    expect(await waited).toBeNull();
    expect(seen[0]).toBe(0);
  });

  it('scans fast while somebody waits, and no longer', async () => {
    const { clock, guest, watcher } = setUp();
    await watcher.start();
    const waited = watcher.waitFor(byName('vdb'), { timeoutMs: 30_000 });
    await clock.advance(LIMITS.FAST_SCAN_MS * 10);
    expect(guest.looks).toBeGreaterThanOrEqual(10);
    guest.devices = [disk()];
    await clock.advance(LIMITS.FAST_SCAN_MS);
    expect(await waited).toMatchObject({ name: 'vdb' });
    await clock.advance(LIMITS.FAST_SCAN_MS);
    const looks = guest.looks;
    await clock.advance(60_000);
    expect(guest.looks).toBe(looks);
    expect(clock.sleeping).toBe(0);
  });

  it('serves many waiters from the same scans, each with its own answer', async () => {
    const { clock, guest, watcher } = setUp();
    await watcher.start();
    const waited = ['vdb', 'vdc', 'vdd'].map((name) => watcher.waitFor(byName(name), { timeoutMs: 30_000 }));
    await settle();
    guest.devices = [disk(), disk({ name: 'vdc', diskseq: 8 }), disk({ name: 'vdd', diskseq: 9 })];
    const before = guest.looks;
    await clock.advance(LIMITS.FAST_SCAN_MS);
    expect((await Promise.all(waited)).map((device) => device?.name)).toEqual(['vdb', 'vdc', 'vdd']);
    expect(guest.looks).toBe(before + 1);
  });

  it('ends with null after the timeout, through looks that fail', async () => {
    const { clock, guest, watcher } = setUp();
    await watcher.start();
    guest.failure = new Error('EIO');
    let asked = 0;
    const waited = watcher.waitFor(
      () => {
        asked += 1;
        return null;
      },
      { timeoutMs: 1_000 },
    );
    await clock.advance(1_000);
    expect(await waited).toBeNull();
    expect(asked).toBe(0);
  });

  it('ends when the daemon stops, and the watcher scans no more', async () => {
    const { clock, guest, watcher } = setUp();
    await watcher.start();
    const waited = watcher.waitFor(byName('vdb'), { timeoutMs: 30_000 });
    await settle();
    await watcher.stop();
    expect(await waited).toBeNull();
    const looks = guest.looks;
    await clock.advance(60_000);
    expect(guest.looks).toBe(looks);
  });
});

describe('the device of a mapping', () => {
  it('is given only while its identity holds', async () => {
    const { guest, watcher } = setUp();
    const mapping = {
      ...mappingTo(disk(), { volumeId: VOLUME }),
      id: 'm',
      vmId: 'vm',
      cloudstackState: 'attached' as const,
      linuxState: 'detected' as const,
      size: disk().size,
      controller: null,
      cloudstackDeviceId: null,
      lastSync: 0,
      createdAt: 0,
      updatedAt: 0,
    };
    guest.devices = [disk()];
    await watcher.start();
    expect(watcher.deviceOf(mapping)?.path).toBe('/dev/vdb');
    guest.devices = [disk({ diskseq: 8, serial: '7d21b6e093fa4c188b57' })];
    await watcher.scan();
    expect(watcher.deviceOf(mapping)).toBeNull();
  });
});

it('many who wait for a disk at once are no leak that Node would warn of', async () => {
  const { watcher } = setUp();
  const warnings = await warningsOf(async () => {
    const waits = Array.from({ length: 32 }, () => watcher.waitFor(byName('vdz'), { timeoutMs: 60_000 }));
    await watcher.stop();
    expect(await Promise.all(waits)).toEqual(waits.map(() => null));
  });
  expect(warnings).toEqual([]);
});
