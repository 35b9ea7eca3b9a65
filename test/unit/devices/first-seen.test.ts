import { describe, expect, it } from 'vitest';
import { MemoryGuest } from '~/lab/guest/memory-guest';
import { createMemoryInventory } from '~/lab/guest/memory-inventory';
import { LIMITS } from '~/server/core/limits';
import { silentLogger } from '~/server/core/log/logger';
import { correlate, rootDevices } from '~/server/devices/correlation';
import { DeviceWatcher } from '~/server/devices/device-watcher';
import { countingRandom } from '../simulator/world';
import { ManualClock } from './manual-clock';
import { GIB, VOLUME } from './worlds';

/**
 * A guest without serials, where only size and time tell disks apart, and a daemon that dies between the plug
 * and the mapping: the next process has not seen the disk come.
 */
class Mute {
  readonly clock = new ManualClock();
  readonly guest = new MemoryGuest({ clock: this.clock, random: countingRandom(), serials: false });
  readonly inventory = createMemoryInventory();
  /** ms by which somebody has set the wall clock. */
  private shift = 0;

  /** A process of the daemon, after its first look. */
  async daemon(): Promise<DeviceWatcher> {
    const { guest, inventory, clock } = this;
    const shifted = {
      now: () => clock.now() + this.shift,
      // Every process has a monotonic clock of its own.
      monotonic: () => clock.monotonic() - 500_000,
      sleep: (ms: number, signal?: AbortSignal) => clock.sleep(ms, signal),
    };
    const parts = { guest, inventory, clock: shifted, logger: silentLogger };
    const watcher = new DeviceWatcher({ ...parts, uptime: () => clock.monotonic() });
    await watcher.start();
    return watcher;
  }

  setClock(ms: number): void {
    this.shift += ms;
  }

  plug(volumeId = VOLUME): Promise<void> {
    return this.guest.plug({ volumeId, size: 5 * GIB, serial: '' });
  }

  /** What the attach would be told whose intent was written `ago` ms before now. */
  correlate(watcher: DeviceWatcher, ago: number) {
    const snapshot = watcher.snapshot();
    return correlate({
      volume: { id: VOLUME, size: 5 * GIB },
      devices: snapshot.devices,
      bootId: snapshot.bootId,
      mappings: [],
      attachedHere: [],
      events: watcher.recentEvents(),
      disksBefore: { bootId: snapshot.bootId, disks: [] },
      submittedAt: this.clock.monotonic() - 500_000 - ago,
      windowMs: LIMITS.CONTEMPORARY_WINDOW_MS,
      toleranceBytes: 3 * GIB,
      rootDevices: rootDevices(snapshot),
    });
  }
}

/** The first process sees the disk come and dies; 10 s later the next one looks. */
async function afterCrash(mute = new Mute()): Promise<{ mute: Mute; watcher: DeviceWatcher }> {
  const first = await mute.daemon();
  await mute.clock.advance(60_000);
  await mute.plug();
  await first.scan();
  await first.stop();
  await mute.clock.advance(10_000);
  return { mute, watcher: await mute.daemon() };
}

describe('a crash between the plug and the mapping, without serials', () => {
  it('the next process knows when the disk came, and the attach gets it', async () => {
    const { mute, watcher } = await afterCrash();
    expect(mute.correlate(watcher, 11_000)).toMatchObject({
      kind: 'found',
      matchedBy: 'size',
      device: { name: 'vdb' },
    });
  });

  it('a disk that came before the attach was submitted is still no candidate', async () => {
    const { mute, watcher } = await afterCrash();
    expect(mute.correlate(watcher, 10_000 - LIMITS.CONTEMPORARY_WINDOW_MS - 1)).toMatchObject({
      kind: 'waiting',
    });
  });

  it('what was there when the very first process looked never counts as new', async () => {
    const mute = new Mute();
    await mute.plug();
    await (await mute.daemon()).stop();
    await mute.clock.advance(1_000);
    expect(mute.correlate(await mute.daemon(), 60_000)).toMatchObject({ kind: 'waiting' });
  });

  it('two disks that came are two candidates: refused', async () => {
    const mute = new Mute();
    const first = await mute.daemon();
    await mute.plug();
    await mute.plug('another');
    await first.scan();
    expect(mute.correlate(await mute.daemon(), 5_000)).toMatchObject({
      kind: 'refused',
      code: 'DEVICE_AMBIGUOUS',
    });
  });

  it('a letter that was reassigned between two looks counts as the appearance of its present disk', async () => {
    const { mute, watcher } = await afterCrash();
    await watcher.stop();
    await mute.guest.unplug(VOLUME);
    await mute.plug('another');
    await mute.clock.advance(60_000);
    const next = await mute.daemon();
    expect(next.recentEvents().map(({ type, device }) => `${type} ${device.name}#${device.diskseq}`)).toEqual(
      ['removed vdb#2', 'added vdb#3'],
    );
    expect(next.snapshot().appearances).toHaveLength(1);
  });

  it.each([-3_600_000, 3_600_000])(
    'the wall clock was set by %i ms in between: the time of appearance proves nothing',
    async (ms) => {
      const mute = new Mute();
      const first = await mute.daemon();
      await mute.plug();
      await first.scan();
      mute.setClock(ms);
      expect(mute.correlate(await mute.daemon(), 5_000)).toMatchObject({ kind: 'waiting' });
    },
  );

  it('after a reboot every disk has appeared anew: nothing is known of before', async () => {
    const { mute, watcher } = await afterCrash();
    await watcher.stop();
    await mute.guest.reboot();
    const next = await mute.daemon();
    expect(next.snapshot().appearances?.map(({ at }) => at)).toEqual(Array(2).fill(mute.clock.now()));
  });

  it('an appearance that is still in the ring is reported once', async () => {
    const mute = new Mute();
    const watcher = await mute.daemon();
    await mute.plug();
    await watcher.scan();
    expect(watcher.recentEvents().map(({ type, sequence }) => [type, sequence])).toEqual([['added', 1]]);
  });

  it('more events than the ring holds do not make a new disk an old one', async () => {
    const mute = new Mute();
    const watcher = await mute.daemon();
    await mute.plug();
    await watcher.scan();
    for (let index = 0; index < LIMITS.CHANNEL_CAPACITY; index += 1) {
      await mute.guest.resize(VOLUME, (5 + (index % 2)) * GIB);
      await watcher.scan();
    }
    await mute.guest.resize(VOLUME, 5 * GIB);
    await watcher.scan();
    expect(mute.correlate(watcher, 5_000)).toMatchObject({ kind: 'found', device: { name: 'vdb' } });
  });
});
