import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '~/server/core/clock';
import { LIMITS } from '~/server/core/limits';
import type { Guest } from '~/server/devices/device';
import { watchNodes } from '~/server/devices/sysfs/dev-watch';
import { createSysfsGuest } from '~/server/devices/sysfs/sysfs-guest';
import { GuestTree, page } from './guest-tree';
import { BOOT } from './worlds';

let tree: GuestTree;
let guest: Guest;

beforeEach(() => {
  tree = new GuestTree();
  guest = createSysfsGuest({ ...tree, clock: systemClock });
});
afterEach(() => tree.remove());

/** Looks until no serial is pending. */
async function settledLook() {
  for (;;) {
    const look = await guest.look();
    const disks = [...look.devices, ...(look.others ?? [])];
    if (disks.every(({ serialState }) => serialState !== 'pending')) return look;
  }
}

describe('a look at the guest', () => {
  it('shows every virtio disk with what sysfs says of it', async () => {
    tree.plug('vdb', { sectors: 10_487_808, serial: '0f3c9a517be24d609a44' });
    expect(await settledLook()).toEqual({
      bootId: BOOT,
      devices: [
        {
          name: 'vdb',
          path: join(tree.devDir, 'vdb'),
          size: 5_369_757_696,
          serial: '0f3c9a517be24d609a44',
          serialState: 'read',
          diskseq: 7,
          dev: '253:16',
          controller: 'virtio4',
          bus: 'virtio',
        },
      ],
      others: [],
    });
  });

  it('lists vdz before vdaa, and nothing that is no disk', async () => {
    for (const name of ['vdaa', 'vdb', 'vdz', 'sr0', 'loop0', 'vdb1', 'zram0']) tree.plug(name);
    expect((await guest.look()).devices.map(({ name }) => name)).toEqual(['vdb', 'vdz', 'vdaa']);
  });

  /** A SCSI disk on this host, with these pages. */
  function plugScsi(name: string, host: string, pages: Readonly<Record<string, Buffer>>): void {
    const address = `${host}/target2:0:0/2:0:0:0`;
    for (const [file, bytes] of Object.entries(pages))
      tree.write(`devices/pci0000:00/${address}/${file}`, bytes);
    mkdirSync(join(tree.root, 'devices/pci0000:00', address), { recursive: true });
    tree.plug(name, { serial: null, controller: address });
  }
  const WHOLE = '0f3c9a517be24d609a44c1d2e3f40516';

  it('shows a disk behind virtio-scsi with the serial of page 0x80, else of page 0x83', async () => {
    const named = Buffer.concat([Buffer.from([2, 0, 0, 20]), Buffer.from(WHOLE.slice(0, 20))]);
    plugScsi('sda', '0000:00:05.0/virtio3/host2', { vpd_pg80: page(0x80, Buffer.from(WHOLE)) });
    plugScsi('sdb', '0000:00:06.0/virtio5/host3', { vpd_pg83: page(0x83, named) });
    plugScsi('sdc', '0000:00:07.0/virtio6/host4', {});
    const { devices, others } = await settledLook();
    expect(devices.map(({ name, bus, controller, serial }) => [name, bus, controller, serial])).toEqual([
      ['sda', 'virtio-scsi', 'virtio3', WHOLE],
      ['sdb', 'virtio-scsi', 'virtio5', WHOLE.slice(0, 20)],
      ['sdc', 'virtio-scsi', 'virtio6', null],
    ]);
    expect(others).toEqual([]);
  });

  it('shows a Xen disk, which has no serial', async () => {
    tree.plug('xvdb', { serial: null, controller: 'vbd-51728' });
    expect((await settledLook()).devices).toMatchObject([
      { name: 'xvdb', bus: 'xen', serial: null, serialState: 'absent' },
    ]);
  });

  it('the bus is known by where the disk hangs, never by its name; disks on other buses are named apart', async () => {
    plugScsi('sdb', '0000:00:1f.2/ata1/host0', {});
    plugScsi('sdc', '0000:00:08.0/host7', { vpd_pg80: page(0x80, Buffer.from(WHOLE)) });
    tree.plug('nvme0n1', { serial: null, controller: 'nvme0' });
    tree.write('devices/pci0000:00/nvme0/serial', 'nvme-1              \n');
    tree.plug('sdd', { controller: 'virtio9' });
    const { devices, others } = await settledLook();
    expect(devices.map(({ name, bus }) => [name, bus])).toEqual([['sdd', 'virtio']]);
    expect(others?.map(({ path, bus, serial }) => [path.slice(tree.devDir.length), bus, serial])).toEqual([
      ['/sdb', 'sata or ide', null],
      ['/sdc', 'scsi', WHOLE],
      ['/nvme0n1', 'nvme', 'nvme-1'],
    ]);
  });

  it('takes an empty and a missing serial for none', async () => {
    tree.plug('vdb', { serial: '' });
    tree.plug('vdc', { serial: null, diskseq: 8 });
    const { devices } = await settledLook();
    expect(devices.map(({ serial, serialState }) => [serial, serialState])).toEqual([
      [null, 'absent'],
      [null, 'absent'],
    ]);
  });

  it('does not take the serial of a disk that is still being made for none', async () => {
    // Before kernel 4.20 virtio makes the file once the partitions are read.
    tree.plug('vdb', { serial: null, diskseq: null });
    expect((await guest.look()).devices[0]).toMatchObject({ serial: null, serialState: 'pending' });
    expect((await guest.look()).devices[0]).toMatchObject({ serial: null, serialState: 'pending' });
    tree.write('sys/vdb/serial', '0f3c9a517be24d609a44');
    expect((await settledLook()).devices[0]).toMatchObject({ serial: '0f3c9a517be24d609a44' });
  });

  it('leaves out a disk that has no number yet, which the kernel gives it last', async () => {
    tree.plug('vdb');
    rmSync(join(tree.sysBlockDir, 'vdb', 'dev'));
    expect((await guest.look()).devices).toEqual([]);
    tree.write('sys/vdb/dev', '253:16\n');
    expect((await settledLook()).devices).toMatchObject([{ name: 'vdb', dev: '253:16' }]);
  });

  it('reads the serial again when the letter is plugged again', async () => {
    tree.plug('vdb', { serial: 'first' });
    await settledLook();
    tree.unplug('vdb');
    tree.plug('vdb', { serial: 'second', diskseq: 8 });
    expect((await settledLook()).devices[0]).toMatchObject({ serial: 'second', diskseq: 8 });
  });

  it('does so even where the kernel gives no diskseq', async () => {
    tree.plug('vdb', { serial: 'first', diskseq: null });
    await settledLook();
    tree.plug('vdc', { diskseq: null });
    tree.unplug('vdb');
    tree.plug('vdb', { serial: 'second', diskseq: null });
    expect((await settledLook()).devices[0]).toMatchObject({ serial: 'second', diskseq: null });
  });

  it('follows a resize without reading the serial again', async () => {
    tree.plug('vdb', { sectors: 2048 });
    await settledLook();
    tree.write('sys/vdb/size', '4096\n');
    tree.write('sys/vdb/serial', 'must not be read');
    expect((await guest.look()).devices[0]).toMatchObject({ size: 2_097_152, serial: 'serial-of-the-disk' });
  });

  it('leaves out a disk that vanishes in the middle of it', async () => {
    tree.plug('vdb');
    tree.plug('vdc', { diskseq: 8 });
    rmSync(join(tree.sysBlockDir, 'vdb', 'size'));
    expect((await guest.look()).devices.map(({ name }) => name)).toEqual(['vdc']);
  });

  it('fails as a whole when a disk is there and cannot be read: it must not look unplugged', async () => {
    tree.plug('vdb', { sectors: 'many' });
    await expect(guest.look()).rejects.toThrow(/size holds no number: "many"/);
    tree.unplug('vdb');
    mkdirSync(join(tree.sysBlockDir, 'vdb/size'), { recursive: true });
    await expect(guest.look()).rejects.toThrow(/EISDIR/);
  });

  it('fails when there is no /sys/block, and works again when there is', async () => {
    rmSync(tree.sysBlockDir, { recursive: true });
    await expect(guest.look()).rejects.toThrow(/ENOENT/);
    mkdirSync(tree.sysBlockDir);
    expect((await guest.look()).devices).toEqual([]);
  });

  it('watches no more disks than its bound', async () => {
    for (let index = 0; index <= LIMITS.DEVICES_MAX; index += 1) {
      mkdirSync(join(tree.sysBlockDir, `vd${letters(index)}`));
    }
    await expect(guest.look()).rejects.toThrow(/at most 1024 are watched/);
  });

  it('knows no boot where the kernel does not tell', async () => {
    rmSync(join(tree.procDir, 'sys'), { recursive: true });
    expect((await guest.look()).bootId).toBeNull();
  });
});

function letters(index: number): string {
  return index < 26
    ? String.fromCharCode(97 + index)
    : letters(Math.floor(index / 26) - 1) + letters(index % 26);
}

describe('the disk that the system runs from', () => {
  const mountinfo = (dev: string, source: string) =>
    `29 1 ${dev} / / rw,relatime shared:1 - ext4 ${source} rw\n`;
  const roots = async () => (await guest.look()).devices.map(({ name, root }) => [name, root] as const);

  beforeEach(() => {
    tree.plug('vda', { dev: '253:0', diskseq: 1 });
    tree.plug('vdb', { dev: '253:16' });
  });

  it('is found by the number of its partition, whatever the source is called', async () => {
    tree.write('sys/vdb/vdb1/dev', '253:17\n');
    tree.write('proc/self/mountinfo', mountinfo('253:17', '/dev/root'));
    expect(await roots()).toEqual([
      ['vda', false],
      ['vdb', true],
    ]);
  });

  it('is found by the source where the number is anonymous (btrfs)', async () => {
    tree.write('sys/vda/vda2/dev', '253:2\n');
    tree.write('proc/self/mountinfo', mountinfo('0:31', '/dev/vda2'));
    expect(await roots()).toEqual([
      ['vda', true],
      ['vdb', false],
    ]);
  });

  it('is found below LVM', async () => {
    tree.write('sys/vda/vda3/dev', '253:3\n');
    tree.write('sys/dm-0/dev', '252:0\n');
    tree.write('sys/dm-0/slaves/vda3/dev', '253:3\n');
    tree.write('proc/self/mountinfo', mountinfo('252:0', '/dev/mapper/vg-root'));
    expect(await roots()).toEqual([
      ['vda', true],
      ['vdb', false],
    ]);
  });

  it('is none of the virtio disks when / is on something else', async () => {
    tree.write('sys/nvme0n1/dev', '259:0\n');
    tree.write('proc/self/mountinfo', mountinfo('259:0', '/dev/nvme0n1'));
    expect(await roots()).toEqual([
      ['vda', false],
      ['vdb', false],
    ]);
  });

  it('is not known in a container or a lab', async () => {
    tree.write('proc/self/mountinfo', mountinfo('0:50', 'overlay'));
    expect(await roots()).toEqual([
      ['vda', undefined],
      ['vdb', undefined],
    ]);
  });
});

describe('the watch on /dev', () => {
  it('reports disks that come and go in /dev', async () => {
    const rung = nextRing();
    tree.plug('vdb');
    await rung.heard;
    rung.stop();
  });

  it('survives a /dev that is not there', () => {
    const other = createSysfsGuest({ ...tree, devDir: join(tree.root, 'nowhere'), clock: systemClock });
    const stop = other.onHint(() => {});
    stop();
  });

  it('is set up again when /dev has come back', async () => {
    const dir = join(tree.root, 'comes-and-goes');
    let rings = 0;
    let disks = 0;
    const clock = { ...systemClock, sleep: () => new Promise<void>((resolve) => void setImmediate(resolve)) };
    const stop = watchNodes(dir, clock, () => {
      rings += 1;
    });
    for (let time = 0; time < 2; time += 1) {
      mkdirSync(dir);
      const before = rings;
      await expect
        .poll(() => {
          writeFileSync(join(dir, `vd${letters(disks)}`), '');
          disks += 1;
          return rings;
        })
        .toBeGreaterThan(before);
      rmSync(dir, { recursive: true });
      // What the removal itself rings does not count.
      let known = Number.NaN;
      await expect
        .poll(() => {
          const last = known;
          known = rings;
          return known === last;
        })
        .toBe(true);
    }
    stop();
  });

  it('reports when a slow serial has become known', async () => {
    const rung = nextRing();
    tree.plug('vdc', { diskseq: 9 });
    await guest.look();
    await rung.heard;
    rung.stop();
  });

  function nextRing() {
    let stop = () => {};
    const heard = new Promise<void>((resolve) => {
      stop = guest.onHint(resolve);
    });
    return { heard, stop };
  }
});

describe('the firmware', () => {
  it('tells the id of the VM in lower case', async () => {
    tree.write('dmi/product_uuid', '0F3C9A51-7BE2-4D60-9A44-C1D2E3F40516\n');
    expect(await guest.productUuid()).toBe('0f3c9a51-7be2-4d60-9a44-c1d2e3f40516');
  });

  it('gives nothing that is no UUID, and nothing when it is absent', async () => {
    expect(await guest.productUuid()).toBeNull();
    tree.write('dmi/product_uuid', 'To be filled by O.E.M.\n');
    expect(await guest.productUuid()).toBeNull();
  });
});
