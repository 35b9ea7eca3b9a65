import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import type { Device } from '~/server/devices/device';
import { findHolders } from '~/server/devices/sysfs/holders';
import { findRootDisks } from '~/server/devices/sysfs/root-disk';
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

const at = (name: string) => join(tree.devDir, name);
const line = (dev: string, source: string, target: string, type = 'ext4', options = 'rw') =>
  `36 35 ${dev} / ${target} rw,noatime - ${type} ${source} ${options}\n`;
const mounts = (...lines: string[]) => tree.write('proc/self/mountinfo', lines.join(''));

async function users(of: Partial<Device> = {}) {
  const device = disk({ path: at('vdb'), dev: '253:16', ...of });
  const found = await findHolders({ ...tree, ignoredPids: new Set() }, [device]);
  return found.get(device.path) ?? [];
}

describe('fstab, crypttab and LVM', () => {
  it.each([
    ['a path of a partition', '/dev/vdb1 /data ext4 defaults 0 2', 'fstab: /dev/vdb1 on /data'],
    ['a UUID', 'UUID=12-34 /data ext4 noauto 0 0', 'fstab: UUID=12-34 on /data'],
    ['a quoted label with a blank', 'LABEL="my\\040disk" /my\\040data xfs', 'on /my data'],
    ['a PARTUUID for swap', 'PARTUUID=55 none swap sw 0 0', 'fstab: PARTUUID=55 on swap'],
  ])('fstab names it by %s, mounted or not', async (_story, entry, detail) => {
    tree.link('dev/disk/by-uuid/12-34', '../../vdb1');
    tree.link('dev/disk/by-label/my\\x20disk', '../../vdb');
    tree.link('dev/disk/by-partuuid/55', '../../vdb1');
    tree.write('etc/fstab', `# a comment\n\n${entry}\n`);
    expect(await users()).toEqual([{ kind: 'configured', detail: expect.stringContaining(detail) }]);
  });

  it('an entry that another disk serves now does not mean a copy with the same UUID', async () => {
    tree.link('dev/disk/by-uuid/root', '../../vdb1');
    tree.write('etc/fstab', 'UUID=root / ext4 defaults 0 1\n');
    mounts(line('253:1', at('vda1'), '/'));
    expect(await users()).toEqual([]);
  });

  it.each([
    ['the machine itself mounts another disk there', '1', []],
    ['only a container mounts another disk there', '50', [{ kind: 'configured' }]],
  ])('in a mount namespace of our own it counts that %s', async (_story, pid, expected) => {
    tree.link('dev/disk/by-uuid/root', '../../vdb1');
    tree.write('etc/fstab', 'UUID=root / ext4 defaults 0 1\n');
    for (const [process, namespace] of [
      ['self', 'ours'],
      [pid, 'theirs'],
    ] as const) {
      tree.write(`namespaces/${namespace}`, '');
      tree.link(`proc/${process}/ns/mnt`, join(tree.root, 'namespaces', namespace));
    }
    tree.write(`proc/${pid}/mountinfo`, line('253:1', at('vda1'), '/'));
    expect(await users()).toMatchObject(expected);
  });

  it('names others, nothing, or nonsense', async () => {
    tree.write(
      'etc/fstab',
      '/dev/vdc /x ext4\nserver:/share /nfs nfs\nUUID= / ext4\ntmpfs\nUUID=gone /y ext4\n',
    );
    tree.write('etc/crypttab', 'broken\n#before /dev/vdb1 none luks\n');
    expect(await users()).toEqual([]);
  });

  it('crypttab and the devices file of LVM name it', async () => {
    tree.write('etc/crypttab', 'secret /dev/vdb1 none luks\n');
    tree.write(
      'etc/lvm/devices/system.devices',
      `IDTYPE=sys_serial IDNAME=${disk().serial} DEVNAME=. PVID=x\n`,
    );
    expect((await users()).map(({ detail }) => detail)).toEqual([
      'crypttab: /dev/vdb1 as secret',
      `the devices file of LVM: serial ${disk().serial}`,
    ]);
  });
});

describe('what a mount does not show', () => {
  it('a further disk of a mounted btrfs is used', async () => {
    tree.write('fs/btrfs/1111-2222/label', 'pool\n');
    tree.write('fs/btrfs/1111-2222/devices/vda1', '');
    expect(await users(), 'it has other disks only').toEqual([]);
    tree.write('fs/btrfs/1111-2222/devices/vdb', '');
    expect(await users()).toEqual([{ kind: 'holder', detail: 'btrfs pool' }]);
  });

  it('several disks are looked at in one look, each with its own users', async () => {
    tree.plug('vdc', { dev: '253:32', diskseq: 9 });
    mounts(line('253:17', '/dev/vdb1', '/b'), line('253:32', '/dev/vdc', '/c'));
    const devices = ['vdb', 'vdc', 'vda'].map((name) =>
      disk({ name, path: at(name), dev: { vda: '253:0', vdb: '253:16' }[name] ?? '253:32', diskseq: null }),
    );
    const found = await findHolders({ ...tree, ignoredPids: new Set() }, devices);
    expect(devices.map(({ path }) => found.get(path)?.length)).toEqual([1, 1, 0]);
  });
});

describe('what cannot be looked at is no proof', () => {
  it('no table of mounts', async () => {
    rmSync(join(tree.procDir, 'self'), { recursive: true });
    expect(await users()).toEqual([{ kind: 'unknown', detail: expect.stringContaining('what is mounted') }]);
  });

  it('no /proc at all', async () => {
    rmSync(tree.procDir, { recursive: true });
    expect(await users()).toMatchObject([{ kind: 'unknown' }]);
  });

  it.each(['etc/fstab', 'proc/swaps', 'etc/crypttab'])('%s is a folder', async (path) => {
    mkdirSync(join(tree.root, path), { recursive: true });
    expect(await users()).toEqual([{ kind: 'unknown', detail: expect.stringContaining('EISDIR') }]);
  });

  it.each([
    ['the mount namespace of a process', 'proc/40/ns/mnt', 'mounts of 1 process(es) cannot be seen: '],
    ['the mounts of another namespace', 'proc/40/mountinfo', 'mounts of 1 process(es) cannot be seen: '],
    ['the open files of a process', 'proc/40/fd', 'open files of 1 process(es) cannot be seen: '],
    ['its threads, where the first one shows none', 'proc/40/task', 'open files of 1 process(es)'],
    ['the memory of a process', 'proc/40/maps', 'open files of 1 process(es) cannot be seen: '],
    ['what is stacked on the disk', 'sys/vdb/holders', 'ELOOP'],
    ['what is stacked on a partition', 'sys/vdb/vdb1/holders', 'ELOOP'],
    ['the file systems of btrfs', 'fs/btrfs', 'ELOOP'],
    ['the units that mount', 'etc/systemd/system', 'ELOOP'],
    ['the devices file of LVM', 'etc/lvm/devices/system.devices', 'ELOOP'],
    ['the list of own disks', 'etc/volume-daemon/own-disks', 'ELOOP'],
  ])('%s', async (_what, path, told) => {
    tree.write('proc/40/comm', 'closed\n');
    if (path !== 'proc/40/ns/mnt') tree.write('proc/40/ns/mnt', '');
    tree.link(path, join(tree.root, path));
    expect(await users()).toEqual([{ kind: 'unknown', detail: expect.stringContaining(told) }]);
  });

  it('a table that is longer than what is read of it', async () => {
    tree.write('etc/fstab', '#'.repeat(LIMITS.PROC_FILE_BYTES));
    expect(await users()).toEqual([]);
    tree.write('etc/fstab', '#'.repeat(LIMITS.PROC_FILE_BYTES + 1));
    expect(await users()).toEqual([
      { kind: 'unknown', detail: expect.stringContaining('too long to be read') },
    ]);
  });

  it('no node', async () => {
    rmSync(at('vdb'));
    expect(await users()).toEqual([{ kind: 'unknown', detail: `there is no ${at('vdb')}` }]);
  });

  it('another disk has its name by the end of the look', async () => {
    expect(await users({ diskseq: 6 })).toEqual([
      { kind: 'unknown', detail: expect.stringContaining('replaced during the look') },
    ]);
  });
});

describe('a process that only reads', () => {
  it.each([
    ['0100000', true],
    ['0100001', undefined],
    ['0100002', undefined],
  ])('with the flags %s', async (flags, readOnly) => {
    tree.write('proc/40/comm', 'dd\n');
    tree.link('proc/40/fd/3', at('vdb'));
    tree.write('proc/40/fdinfo/3', `pos:\t0\nflags:\t${flags}\nmnt_id:\t9\n`);
    expect((await users())[0]?.readOnly).toBe(readOnly);
  });
});

describe('a process that shows less than it does', () => {
  it('has it open for reading first and for writing, in any order: it writes', async () => {
    tree.write('proc/40/comm', 'parted\n');
    for (const [descriptor, flags] of [
      ['3', '0100002'],
      ['4', '0100000'],
    ] as const) {
      tree.link(`proc/40/fd/${descriptor}`, at('vdb'));
      tree.write(`proc/40/fdinfo/${descriptor}`, `flags:\t${flags}\n`);
    }
    expect(await users()).toEqual([{ kind: 'open', detail: 'pid 40 (parted)' }]);
  });

  it('its first thread has ended, and the others go on', async () => {
    mkdirSync(join(tree.procDir, '40/fd'), { recursive: true });
    mkdirSync(join(tree.procDir, '40/task/40/fd'), { recursive: true });
    tree.write('proc/40/task/41/comm', 'worker\n');
    tree.link('proc/40/task/41/fd/3', at('vdb'));
    expect(await users()).toEqual([{ kind: 'open', detail: 'pid 40/task/41 (worker)' }]);
  });
});

describe('the disks that hold /', () => {
  const roots = () => {
    const found = findRootDisks(tree);
    return found && { disks: [...found.disks].sort(), complete: found.complete };
  };

  it.each<[string, () => void, ReturnType<typeof roots>]>([
    ['a partition', () => mounts(line('253:1', '/dev/vda1', '/')), { disks: ['vda'], complete: true }],
    [
      'a partition, and what the disk itself stands on cannot be read',
      () => {
        mounts(line('253:1', '/dev/vda1', '/'));
        tree.link('sys/vda/slaves', join(tree.root, 'sys/vda/slaves'));
      },
      { disks: ['vda'], complete: false },
    ],
    [
      'a disk that is called vdb',
      () => mounts(line('253:16', '/dev/vdb', '/')),
      { disks: ['vdb'], complete: true },
    ],
    [
      'LVM on md on two disks',
      () => {
        tree.write('sys/dm-0/dev', '254:0\n');
        tree.write('sys/dm-0/slaves/md0/x', '');
        tree.write('sys/md0/dev', '9:0\n');
        for (const name of ['vda1', 'vdb1']) tree.write(`sys/md0/slaves/${name}/x`, '');
        mounts(line('254:0', '/dev/mapper/vg-root', '/'));
      },
      { disks: ['vda', 'vdb'], complete: true },
    ],
    [
      'a btrfs of two disks, whose number says nothing',
      () => {
        for (const name of ['vda1', 'vdb']) tree.write(`fs/btrfs/1-2/devices/${name}`, '');
        mounts(line('0:24', '/dev/vda1', '/', 'btrfs'));
      },
      { disks: ['vda', 'vdb'], complete: true },
    ],
    [
      'an overlay whose lower layer is a partition and whose upper is memory',
      () =>
        mounts(
          line(
            '0:30',
            'overlay',
            '/',
            'overlay',
            'rw,lowerdir=/media/ro\\040x:/media/ro\\040x/b,upperdir=/run/up',
          ),
          line('253:1', '/dev/vda1', '/media/ro\\040x'),
          line('0:31', 'tmpfs', '/run', 'tmpfs'),
        ),
      { disks: ['vda'], complete: true },
    ],
    [
      'an overlay whose lower layer is mounted nowhere',
      () => mounts(line('0:30', 'overlay', '/', 'overlay', 'rw,lowerdir=/gone')),
      null,
    ],
    [
      'an overlay of which one layer is a partition, and another one is mounted nowhere',
      () =>
        mounts(
          line('0:30', 'overlay', '/', 'overlay', 'rw,lowerdir=/gone:/media/b'),
          line('253:1', '/dev/vda1', '/media'),
        ),
      { disks: ['vda'], complete: false },
    ],
    [
      'an overlay whose layer is in a mount within another one',
      () =>
        mounts(
          line('0:30', 'overlay', '/', 'overlay', 'rw,lowerdir=/media/ro/b:/srv/ro/c'),
          line('253:1', '/dev/vda1', '/media/ro'),
          line('253:16', '/dev/vdb', '/media'),
          line('253:16', '/dev/vdb', '/srv'),
          line('253:1', '/dev/vda1', '/srv/ro'),
        ),
      { disks: ['vda'], complete: true },
    ],
    [
      'a btrfs of two disks, of which one stands on what the kernel does not name',
      () => {
        tree.write('sys/dm-0/slaves/vdz1/x', '');
        for (const name of ['vda1', 'dm-0']) tree.write(`fs/btrfs/1-2/devices/${name}`, '');
        mounts(line('0:24', '/dev/vda1', '/', 'btrfs'));
      },
      { disks: ['vda'], complete: false },
    ],
    ['zfs, which does not tell', () => mounts(line('0:40', 'rpool/ROOT', '/', 'zfs')), null],
    ['nothing that the guest says', () => mounts(), null],
  ])('%s', (_story, make, expected) => {
    make();
    expect(roots()).toEqual(expected);
  });
});
