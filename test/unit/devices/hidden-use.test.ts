import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { deviceNumber } from '~/server/devices/sysfs/block-target';
import { findHolders } from '~/server/devices/sysfs/holders';
import { remotePaths } from '~/server/devices/sysfs/mounts';
import { GuestTree } from './guest-tree';
import { disk } from './worlds';

let tree: GuestTree;
beforeEach(() => {
  tree = new GuestTree();
  tree.plug('vdb', { dev: '253:16' });
  tree.write('sys/vdb/vdb1/dev', '253:17\n');
});
afterEach(() => tree.remove());

const line = (dev: string, source: string, target: string, type: string, options = 'rw') =>
  `36 35 ${dev} / ${target} rw - ${type} ${source} ${options}\n`;

async function users() {
  const device = disk({ path: join(tree.devDir, 'vdb'), dev: '253:16' });
  return (await findHolders({ ...tree, ignoredPids: new Set() }, [device])).get(device.path) ?? [];
}

it.each([
  ['target/core/fileio_0/backup/udev_path', '/dev/vdb', '/dev/vdc'],
  ['nvmet/subsystems/nqn.x/namespaces/1/device_path', '/dev/vdb1', '/srv/disk.img'],
  ['usb_gadget/g1/functions/mass_storage.0/lun.0/file', '/dev/vdb', ''],
])('a disk that the kernel serves itself shows no process and no claim: %s', async (file, ours, other) => {
  tree.write(`kernel/config/${file}`, `${other}\n`);
  expect(await users()).toEqual([]);
  tree.write(`kernel/config/${file}`, `${ours}\n`);
  expect(await users()).toEqual([
    { kind: 'holder', detail: expect.stringMatching(`serves .*${ours} as ${dirname(file)}`) },
  ]);
});

it.each([
  ['rw-s', false],
  ['r--s', true],
  ['rw-p', true],
])(
  'a process that has the disk in its memory (%s) needs no descriptor any more',
  async (access, readOnly) => {
    tree.write('proc/40/comm', 'dd\n');
    tree.write('proc/40/fd/.keep', '');
    const map = (path: string) =>
      `7f3a10000000-7f3a10001000 r-xp 00000000 fd:01 77    /usr/lib/libc.so.6\n7f3a20000000-7f3a20001000 ${access} 00000000 00:06 321    ${path}\n`;
    tree.write('proc/40/maps', map(join(tree.devDir, 'vdb10')));
    expect(await users()).toEqual([]);
    tree.write('proc/40/maps', map(join(tree.devDir, 'vdb1')));
    expect(await users()).toEqual([
      { kind: 'open', detail: 'pid 40 (dd), mapped into memory', ...(readOnly && { readOnly: true }) },
    ]);
  },
);

it('a disk in memory is known by its node, whatever that is called there; the name of one that has left is none', async () => {
  tree.write('proc/40/comm', 'dd\n');
  tree.write('proc/40/fd/.keep', '');
  const { dev, ino } = statSync(join(tree.devDir, 'vdb'), { bigint: true });
  const words = deviceNumber(dev).split(':');
  const fileSystem = words.map((word) => Number(word).toString(16).padStart(2, '0')).join(':');
  const map = (inode: bigint, path: string) =>
    `7f3a20000000-7f3a20001000 rw-s 00000000 ${fileSystem} ${inode}    ${path}\n`;
  for (const path of ['/dev/volume-daemon/7.vdb.migration', '/dev/volume-daemon/7.vdb.migration (deleted)']) {
    tree.write('proc/40/maps', map(ino, path));
    expect(await users(), path).toEqual([{ kind: 'open', detail: 'pid 40 (dd), mapped into memory' }]);
    tree.write('proc/40/maps', map(ino * 10n, path));
    expect(await users(), `${path} of another plug`).toEqual([]);
  }
});

it.each([
  ['vdb', 'vdb1'],
  ['/dev/vdb', '/dev/vdb1'],
])('nor does one that has registered %s with io_uring', async (whole, partition) => {
  tree.write('proc/40/comm', 'fio\n');
  tree.link('proc/40/fd/3', 'anon_inode:[io_uring]');
  const ring = (...rows: string[]) =>
    tree.write('proc/40/fdinfo/3', `pos:\t0\nUserFiles:\t9\n${rows.join('')}UserBufs:\t1\n    0: 0x7f/512\n`);
  const at = (path: string) => path.replace('/dev', tree.devDir);
  const row = (path: string) => `    1: ${at(path)}\n`;
  ring('    0: <none>\n', row('vdc'), row('/dev/vdb10'));
  expect(await users()).toEqual([]);
  for (const used of [whole, partition]) {
    ring('    0: <none>\n', row(used));
    expect(await users()).toEqual([{ kind: 'open', detail: 'pid 40 (fio), registered with io_uring' }]);
  }
  ring();
  expect(await users(), 'a table whose places are all free').toEqual([]);
  tree.write('proc/40/fdinfo/3', 'pos:\t0\nflags:\t02000002\n');
  expect(await users()).toEqual([
    { kind: 'unknown', detail: expect.stringContaining('a ring of io_uring of process 40 does not tell') },
  ]);
});

it.each([
  ['hidepid=2', '0000000000000000', true],
  ['gid=4,hidepid=invisible', '0000000000000004', true],
  ['hidepid=ptraceable', 'nonsense', true],
  ['hidepid=2', '0000000000080004', false],
  ['hidepid=0', '0000000000000000', false],
  ['hidepid=off', '0000000000000000', false],
])('a /proc with %s lists not all processes, unless we may trace them (%s)', async (options, held, hides) => {
  const proc = line('0:5', 'proc', tree.procDir, 'proc', `rw,${options}`);
  tree.write('proc/self/mountinfo', proc + line('0:6', 'tmpfs', '/run', 'tmpfs'));
  tree.write('proc/self/status', `Name:\tnode\nCapEff:\t${held}\n`);
  const unknown = [{ kind: 'unknown', detail: expect.stringContaining('hidepid') }];
  expect(await users()).toEqual(hides ? unknown : []);
});

it('a process is seen also where / itself comes from a server, because /dev does not', async () => {
  tree.write(
    'proc/self/mountinfo',
    line('0:20', 'server:/root', '/', 'nfs4') + line('0:6', 'udev', tree.devDir, 'devtmpfs'),
  );
  tree.write('proc/40/comm', 'dd\n');
  tree.link('proc/40/fd/3', join(tree.devDir, 'vdb'));
  expect(await users()).toEqual([{ kind: 'open', detail: 'pid 40 (dd)' }]);
});

it('the innermost mount says whether a path is on a server; in doubt it is', () => {
  const mount = (target: string, type: string) => ({ dev: null, target, type, source: 'x', options: '' });
  const isRemote = remotePaths([
    mount('/', 'fuse.fuse-overlayfs'),
    mount('/dev', 'devtmpfs'),
    mount('/dev/remote', '9p'),
    mount('/both', 'ext4'),
    mount('/both', 'nfs'),
  ]);
  expect(['/x', '/dev/vdb', '/device', '/dev/remote/x', '/both/x'].map(isRemote)).toEqual([
    true,
    false,
    true,
    true,
    true,
  ]);
});
