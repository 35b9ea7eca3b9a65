import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findHolders } from '~/server/devices/sysfs/holders';
import { GuestTree } from './guest-tree';
import { disk } from './worlds';

let tree: GuestTree;
beforeEach(() => {
  tree = new GuestTree();
  tree.plug('vda', { dev: '253:0', diskseq: 1 });
  tree.write('sys/vda/vda1/dev', '253:1\n');
  tree.plug('vdb', { dev: '253:16' });
  tree.write('sys/vdb/vdb1/dev', '253:17\n');
  tree.write('dev/vdb1', '');
});
afterEach(() => tree.remove());

const runDir = () => `${tree.root}/run`;
const line = (dev: string, source: string, target: string, type = 'ext4') =>
  `36 35 ${dev} / ${target} rw,noatime - ${type} ${source} rw\n`;

async function users(withRun = true) {
  const device = disk({ path: `${tree.devDir}/vdb`, dev: '253:16' });
  const sources = { ...tree, ...(withRun ? { runDir: runDir() } : {}), ignoredPids: new Set<number>() };
  return (await findHolders(sources, [device])).get(device.path) ?? [];
}
const configured = [{ kind: 'configured', detail: expect.stringContaining('/data') }];

describe('a disk that is configured and not mounted', () => {
  beforeEach(() => {
    tree.link('dev/disk/by-uuid/12-34', '../../vdb1');
    tree.write('etc/fstab', 'UUID=12-34 /data/ ext4 noauto,x-systemd.automount 0 0\n');
  });

  it('waits for its first use behind an automount, which is no disk', async () => {
    tree.write('proc/self/mountinfo', line('0:40', 'systemd-1', '/data', 'autofs'));
    expect(await users()).toEqual(configured);
  });

  it('has its mount point hidden from us by the sandbox of our service', async () => {
    tree.write('proc/self/mountinfo', line('0:41', 'tmpfs', '/data', 'tmpfs'));
    expect(await users()).toEqual(configured);
  });

  it('is a copy of the one that is mounted, which only the namespace of the machine shows', async () => {
    for (const pid of ['self', '1']) tree.link(`proc/${pid}/ns/mnt`, `${tree.root}/namespace-of-${pid}`);
    for (const pid of ['self', '1']) tree.write(`namespace-of-${pid}`, '');
    tree.write('proc/self/mountinfo', line('0:41', 'tmpfs', '/data', 'tmpfs'));
    tree.write('proc/1/mountinfo', line('253:1', '/dev/vda1', '/data'));
    expect(await users()).toEqual([]);
  });
});

describe('what else names a disk for good', () => {
  it.each([
    ['a unit', 'etc/systemd/system/data.mount', '[Mount]\nWhat = /dev/vdb1\nWhere=/data\n', 'data.mount'],
    ['a unit with a tag', 'etc/systemd/system/data.mount', '[Mount]\nWhat=UUID=12-34\n', 'data.mount'],
    ['a swap unit', 'run/systemd/system/x.swap', '[Swap]\nWhat=/dev/vdb\n', 'x.swap'],
    ['an automount made by hand', 'run/systemd/transient/y.mount', '[Mount]\nWhat=/dev/vdb\n', 'y.mount'],
    ['the command line', 'proc/cmdline', 'root=/dev/vda1 resume=UUID=12-34 quiet\n', 'resume='],
    [
      'the name that LVM gives it',
      'etc/lvm/devices/system.devices',
      'IDTYPE=devname IDNAME=/dev/vdb\n',
      'LVM',
    ],
    [
      'another list of LVM, by its world-wide name',
      'etc/lvm/devices/other.devices',
      'IDTYPE=sys_wwid IDNAME=t10.QEMU_QEMU_HARDDISK_abc DEVNAME=/dev/sdz PVID=x\n',
      'LVM',
    ],
  ])('%s', async (_story, file, text, detail) => {
    tree.link('dev/disk/by-uuid/12-34', '../../vdb1');
    tree.write('sys/vdb/device-of-its-own', '');
    tree.write('devices/pci0000:00/virtio4/wwid', 't10.QEMU    QEMU HARDDISK   abc  \n');
    tree.write(file, text);
    expect(await users()).toEqual([{ kind: 'configured', detail: expect.stringContaining(detail) }]);
  });

  it('of another disk it says nothing of this one', async () => {
    tree.write('etc/systemd/system/a.mount', '[Mount]\nWhat=/dev/vdc\n');
    tree.write('etc/systemd/system/b.mount', '');
    tree.write('etc/systemd/system/c.service', 'What=/dev/vdb\n');
    tree.write(
      'etc/lvm/devices/system.devices',
      'IDTYPE=sys_wwid IDNAME=other\nIDTYPE=devname IDNAME=.\nIDTYPE=sys_wwid\nIDTYPE=lvmlv_uuid IDNAME=x\n',
    );
    expect(await users()).toEqual([]);
  });
});

describe('a disk that udev has not seen yet', () => {
  const done = (dev: string) => tree.write(`run/udev/data/b${dev}`, 'I:1\n');
  beforeEach(() => done('253:0'));

  it.each([
    ['etc/fstab', 'UUID=12-34 /data ext4 noauto 0 0\n'],
    ['etc/crypttab', 'secret UUID=12-34 none luks\n'],
    ['etc/volume-daemon/own-disks', '/dev/disk/by-path/pci-0000:00:07.0\n'],
  ])('may be the one that %s means by a link', async (file, text) => {
    tree.write(file, text);
    expect(await users()).toEqual([{ kind: 'unknown', detail: expect.stringContaining('udev is not done') }]);
    done('253:16');
    expect(await users()).toEqual([{ kind: 'unknown', detail: expect.stringContaining('vdb1') }]);
    done('253:17');
    expect(await users()).toEqual([]);
  });

  it('is not, when every link leads to a disk', async () => {
    tree.link('dev/disk/by-uuid/12-34', '../../vda1');
    tree.write('dev/vda1', '');
    tree.write('etc/fstab', 'UUID=12-34 /data ext4 noauto 0 0\n');
    tree.write('etc/lvm/devices/system.devices', 'IDTYPE=sys_serial IDNAME=another DEVNAME=. PVID=x\n');
    expect(await users()).toEqual([]);
  });

  it('is never waited for where no udev runs', async () => {
    tree.write('etc/fstab', 'UUID=12-34 /data ext4 noauto 0 0\n');
    expect(await users(false)).toEqual([]);
  });
});
