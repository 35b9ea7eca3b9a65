import { linkSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Device, Holder } from '~/server/devices/device';
import { deviceNumber } from '~/server/devices/sysfs/block-target';
import { findHolders } from '~/server/devices/sysfs/holders';
import { parseMountinfo, parseMounts } from '~/server/devices/sysfs/mounts';
import { GuestTree } from './guest-tree';
import { disk } from './worlds';

let tree: GuestTree;

beforeEach(() => {
  tree = new GuestTree();
  tree.plug('vdb', { dev: '253:16' });
  tree.write('sys/vdb/vdb1/dev', '253:17\n');
});
afterEach(() => tree.remove());

async function holders(ignored: readonly number[] = [], of: Partial<Device> = {}): Promise<Holder[]> {
  const device = disk({ path: join(tree.devDir, 'vdb'), dev: '253:16', ...of });
  const found = await findHolders({ ...tree, ignoredPids: new Set(ignored) }, [device]);
  return found.get(device.path) ?? [];
}

function process(pid: number, command: string, opened: readonly string[] = [], namespace = 'own'): void {
  tree.write(`proc/${pid}/comm`, `${command}\n`);
  tree.write(`namespaces/${namespace}`, '');
  tree.link(`proc/${pid}/ns/mnt`, join(tree.root, 'namespaces', namespace));
  mkdirSync(join(tree.procDir, `${pid}/fd`), { recursive: true });
  for (const [index, target] of opened.entries()) tree.link(`proc/${pid}/fd/${index}`, target);
}

const stat = (pid: number, name: string, started: number) =>
  `${pid} (${name}) S 1 ${pid} ${pid} 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 ${started} 1000 100\n`;

const line = (dev: string, source: string, target: string, type = 'ext4') =>
  `36 35 ${dev} / ${target} rw,noatime master:1 - ${type} ${source} rw\n`;

describe('a disk in use', () => {
  it('is not one that nobody uses', async () => {
    process(20, 'bash', ['/dev/null', 'socket:[1234]', join(tree.root, 'nothing')]);
    tree.write('proc/self/mountinfo', line('253:0', '/dev/vda1', '/'));
    tree.write('proc/swaps', 'Filename\tType\tSize\tUsed\tPriority\n/dev/vda2 partition 1 0 -2\n');
    expect(await holders()).toEqual([]);
  });

  it('is mounted through a partition, with a blank in the path', async () => {
    tree.write('proc/self/mountinfo', line('253:17', '/dev/root', '/mnt/my\\040disk'));
    expect(await holders()).toEqual([{ kind: 'mount', detail: '/dev/root on /mnt/my disk (ext4)' }]);
  });

  it('is mounted with an anonymous number (btrfs)', async () => {
    tree.write('proc/self/mountinfo', line('0:44', join(tree.devDir, 'vdb'), '/mnt', 'btrfs'));
    expect(await holders()).toMatchObject([{ kind: 'mount' }]);
  });

  it('is mounted where only /proc/mounts tells', async () => {
    rmSync(join(tree.procDir, 'self/mountinfo'));
    tree.write('proc/mounts', `${join(tree.devDir, 'vdb1')} /mnt ext4 rw 0 0\n`);
    expect(await holders()).toMatchObject([{ kind: 'mount' }]);
  });

  it('is mounted in the mount namespace of a container, told once', async () => {
    tree.link('proc/self/ns/mnt', join(tree.root, 'namespaces/own'));
    tree.write('proc/self/mountinfo', line('253:0', '/dev/vda1', '/'));
    process(20, 'bash');
    for (const pid of [30, 31]) {
      process(pid, 'container', [], 'other');
      tree.write(`proc/${pid}/mountinfo`, line('253:16', '/dev/vdb', '/data'));
    }
    expect(await holders()).toEqual([
      { kind: 'mount', detail: '/dev/vdb on /data (ext4) in the mount namespace of pid 30 (container)' },
    ]);
  });

  it('is swap', async () => {
    const swap = join(tree.devDir, 'vdb1');
    tree.write('proc/swaps', `Filename\tType\tSize\tUsed\tPriority\n${swap} partition 1048572 0 -2\n`);
    expect(await holders()).toEqual([{ kind: 'swap', detail: swap }]);
  });

  it('is below LVM, on the disk or on a partition', async () => {
    tree.write('sys/vdb/holders/md127/dev', '9:127\n');
    tree.write('sys/vdb/vdb1/holders/dm-0/dm/name', 'vg-data\n');
    expect(await holders()).toEqual([
      { kind: 'holder', detail: 'md127 on vdb' },
      { kind: 'holder', detail: 'dm-0 (vg-data) on vdb1' },
    ]);
  });

  it('is below a loop device, which shows neither as holder nor as descriptor', async () => {
    tree.write('sys/loop3/loop/backing_file', '/var/lib/image.raw\n');
    expect(await holders(), 'one that stands on something else').toEqual([]);
    tree.write('sys/loop3/loop/backing_file', `${join(tree.devDir, 'vdb')}\n`);
    expect(await holders()).toEqual([{ kind: 'holder', detail: 'loop3 on vdb' }]);
  });

  it('is open in a process, under whatever name', async () => {
    linkSync(join(tree.devDir, 'vdb'), join(tree.root, 'another-name'));
    process(40, 'dd', ['/dev/null', join(tree.root, 'another-name')]);
    expect(await holders()).toEqual([{ kind: 'open', detail: 'pid 40 (dd)' }]);
  });

  it('has a connected NBD client: the process that serves it has it open, and the export server knows that one', async () => {
    process(41, 'nbdkit', [join(tree.devDir, 'vdb')]);
    tree.write('proc/41/stat', stat(41, 'nbdkit', 700));
    tree.exportClients = async () => new Map([['41@700', 'connected']]);
    expect(await holders()).toEqual([{ kind: 'nbd-client', detail: 'pid 41 (nbdkit)' }]);
    tree.exportClients = async () => new Map([['41@700', 'leaving']]);
    const detail = 'pid 41 (nbdkit), whose client has left';
    expect(await holders()).toEqual([{ kind: 'nbd-client', detail, leaving: true }]);
  });

  it.each([
    ['a process that is merely called like an export server', []],
    ['a process that has got the number of one that served a client', ['41@699']],
  ])('is open in %s: that one is a user', async (_who, known) => {
    for (const server of ['nbdkit', 'nbd-server', 'a) R (b']) {
      process(41, server, [join(tree.devDir, 'vdb')]);
      tree.write('proc/41/stat', stat(41, server, 700));
      tree.exportClients = async () => new Map(known.map((one) => [one, 'connected']));
      expect(await holders()).toEqual([{ kind: 'open', detail: `pid 41 (${server})` }]);
      rmSync(join(tree.procDir, '41'), { recursive: true });
    }
  });

  it('is not held by the daemon itself', async () => {
    process(42, 'volume-daemon', [join(tree.devDir, 'vdb')]);
    expect(await holders([42])).toEqual([]);
    expect(await holders([43])).toHaveLength(1);
  });

  it('is distinguished from vdbb and from its partitions', async () => {
    tree.plug('vdbb', { dev: '253:240', diskseq: 9 });
    tree.write('sys/vdb/vdbb1/dev', '253:241\n');
    tree.write(
      'proc/self/mountinfo',
      line('253:240', '/dev/vdbb', '/a') + line('253:241', '/dev/vdbb1', '/b'),
    );
    expect(await holders()).toEqual([]);
  });

  it('is never touched through a file server that may hang', async () => {
    tree.write('proc/self/mountinfo', line('0:50', 'server:/share', tree.devDir, 'nfs4'));
    process(40, 'dd', [join(tree.devDir, 'vdb')]);
    expect(await holders()).toEqual([]);
  });
});

describe('kernel tables', () => {
  it('mountinfo with optional fields or without', () => {
    expect(
      parseMountinfo(`36 35 98:0 /x /mnt rw - ext3 /dev/root rw\n${line('1:2', 'a\\134b', '/c')}garbage\n`),
    ).toEqual([
      { dev: '98:0', target: '/mnt', type: 'ext3', source: '/dev/root', options: 'rw' },
      { dev: '1:2', target: '/c', type: 'ext4', source: 'a\\b', options: 'rw' },
    ]);
  });

  it('mounts', () => {
    expect(parseMounts('/dev/vdb1 /mnt\\011x ext4 rw 0 0\n\nodd\n')).toEqual([
      { dev: null, target: '/mnt\tx', type: 'ext4', source: '/dev/vdb1', options: '' },
    ]);
  });

  it('device numbers with large minors', () => {
    expect([0xfd10n, 0x0710fd56n, 0x2340fd56n].map(deviceNumber)).toEqual([
      '253:16',
      `253:${0x07156}`,
      `253:${0x23456}`,
    ]);
  });
});
