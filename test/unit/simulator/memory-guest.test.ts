import { describe, expect, it } from 'vitest';
import { MemoryGuest, type MemoryGuestOptions } from '~/lab/guest/memory-guest';
import { letters } from '~/lab/guest/slots';
import { ManualClock } from '../devices/manual-clock';
import { countingRandom } from './world';

const GIB = 1024 ** 3;
const disk = (n: number) => ({ volumeId: `volume-${n}`, size: GIB, serial: `serial-of-the-disk-${n}` });

function make(options: Partial<MemoryGuestOptions> = {}) {
  const clock = new ManualClock();
  const guest = new MemoryGuest({ clock, random: countingRandom(), ...options });
  const seen = async () =>
    (await guest.look()).devices.slice(1).map(({ name, serial, diskseq }) => [name, serial, diskseq]);
  return { clock, guest, seen };
}

describe('the guest in memory', () => {
  it('runs from vda', async () => {
    const { devices } = await make().guest.look();
    expect(devices).toMatchObject([
      { name: 'vda', root: true, diskseq: 1, dev: '253:0', controller: 'virtio2' },
    ]);
  });

  it('gives the lowest free letter again at once, a diskseq never', async () => {
    const { guest, seen } = make();
    for (const n of [1, 2, 3]) await guest.plug(disk(n));
    await guest.unplug('volume-1');
    await guest.plug(disk(4));
    expect(await seen()).toEqual([
      ['vdb', 'serial-of-the-disk-4', 5],
      ['vdc', 'serial-of-the-disk-2', 3],
      ['vdd', 'serial-of-the-disk-3', 4],
    ]);
  });

  it('letters go on after z, and the order is the kernel’s', async () => {
    expect([0, 1, 25, 26, 27, 51, 52, 701, 702].map(letters)).toEqual([
      'a',
      'b',
      'z',
      'aa',
      'ab',
      'az',
      'ba',
      'zz',
      'aaa',
    ]);
    const { guest } = make();
    for (let n = 1; n <= 27; n += 1) await guest.plug(disk(n));
    const { devices } = await guest.look();
    expect(devices.slice(-3).map(({ name }) => name)).toEqual(['vdz', 'vdaa', 'vdab']);
  });

  it('carries 20 bytes of a serial; other hypervisors set none', async () => {
    const long = { ...disk(1), serial: '123456789012345678901234567890' };
    const kvm = make();
    await kvm.guest.plug(long);
    expect((await kvm.guest.look()).devices[1]).toMatchObject({
      serial: '12345678901234567890',
      serialState: 'read',
    });
    const other = make({ serials: false });
    await other.guest.plug(long);
    expect((await other.guest.look()).devices[1]).toMatchObject({ serial: null, serialState: 'absent' });
  });

  it('a serial can be slow', async () => {
    const { guest } = make({ holdSerials: true });
    await guest.plug(disk(1));
    expect((await guest.look()).devices[1]).toMatchObject({ serial: null, serialState: 'pending' });
    guest.releaseSerial('volume-1');
    expect((await guest.look()).devices[1]).toMatchObject({
      serial: 'serial-of-the-disk-1',
      serialState: 'read',
    });
  });

  it('notifies listeners of every change', async () => {
    const { guest } = make();
    let rings = 0;
    const stop = guest.onHint(() => {
      rings += 1;
    });
    await guest.plug(disk(1));
    await guest.resize('volume-1', 2 * GIB);
    await guest.unplug('volume-1');
    expect(rings).toBe(3);
    stop();
    await guest.plug(disk(1));
    expect(rings).toBe(3);
  });

  it('a reboot: another boot id, new letters, diskseq counted from the start, no disks until it is up', async () => {
    const { clock, guest, seen } = make({ bootDelay: 1000 });
    for (const n of [1, 2]) await guest.plug(disk(n));
    const before = (await guest.look()).bootId;
    const rebooted = guest.reboot();
    await clock.advance(999);
    expect((await guest.look()).devices).toEqual([]);
    await clock.advance(1);
    await rebooted;
    expect(await seen()).toEqual([
      ['vdb', 'serial-of-the-disk-2', 2],
      ['vdc', 'serial-of-the-disk-1', 3],
    ]);
    expect((await guest.look()).bootId).not.toBe(before);
  });

  it('a disk resized while the guest reboots comes back with its new size', async () => {
    const { clock, guest } = make({ bootDelay: 1000 });
    await guest.plug(disk(1));
    const rebooted = guest.reboot();
    await clock.advance(500);
    const resized = guest.resize('volume-1', 2 * GIB);
    await clock.advance(500);
    await Promise.all([rebooted, resized]);
    expect((await guest.look()).devices[1]).toMatchObject({ size: 2 * GIB });
  });

  it('plugging and unplugging take time, one after the other', async () => {
    const { clock, guest } = make({ latency: { plug: 100, unplug: 100 } });
    const both = Promise.all([guest.plug(disk(1)), guest.unplug('volume-1')]);
    await clock.advance(100);
    expect(guest.plugged()).toEqual(['volume-1']);
    await clock.advance(100);
    await both;
    expect(guest.plugged()).toEqual([]);
  });

  it('says who holds a device; another disk under the same letter is free', async () => {
    const { guest } = make();
    await guest.plug(disk(1));
    guest.hold('volume-1', [{ kind: 'mount', detail: '/mnt' }]);
    const [, held] = (await guest.look()).devices;
    if (!held) throw new Error('no device');
    expect((await guest.holders([held])).get(held.path)).toEqual([{ kind: 'mount', detail: '/mnt' }]);
    guest.surpriseUnplug('volume-1');
    await guest.plug(disk(2));
    expect((await guest.holders([held])).get(held.path)).toEqual([]);
  });

  it('refuses the same disk twice, ignores an unplug of nothing, and can be unreadable', async () => {
    const { guest } = make({ productUuid: 'ABC' });
    await guest.plug(disk(1));
    await expect(guest.plug(disk(1))).rejects.toThrow('already exists');
    await guest.unplug('nobody');
    expect(await guest.productUuid()).toBe('abc');
    guest.breakLooks(new Error('EIO'));
    await expect(guest.look()).rejects.toThrow('EIO');
    guest.breakLooks(null);
    expect((await guest.look()).devices).toHaveLength(2);
  });
});
