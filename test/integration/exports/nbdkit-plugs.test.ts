import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  mkdir,
  open as openFile,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasOpen } from '~/server/devices/sysfs/process-table';
import type { ExportTarget } from '~/server/exports/export-server';
import type { NbdkitExports } from '~/server/exports/nbdkit/nbdkit-exports';
import { exportName } from '~/server/model/export-name';
import { withLimits } from '~/test/support/with-limits';
import { firstByteOf, SIZE, until, useNbdkit } from './use-nbdkit';

/** The real nbdkit, and disks that leave and come: whose disk is behind an export. */
const run = promisify(execFile);
const scene = useNbdkit();
let server: NbdkitExports;
beforeEach(() => {
  server = scene.create();
});
afterEach(() => server.close());

describe('a disk leaves and another one gets its letter, while the daemon hangs', () => {
  /** What the udev rule runs when a disk has left; systemd calls the daemon active. */
  async function tellUdev(target: ExportTarget): Promise<void> {
    await mkdir(join(scene.dir, 'bin'), { recursive: true });
    await writeFile(join(scene.dir, 'bin', 'systemctl'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
    const env = { PATH: `${join(scene.dir, 'bin')}:${process.env.PATH}`, RUN_DIR: scene.nbdkit.runDir };
    const [name, diskseq] = [basename(target.devicePath), String(target.diskseq)];
    await run('/bin/sh', ['packaging/udev/close-links', name, diskseq], { env });
  }

  it('nobody gets in under the old name, and the next one has an export of its own', async () => {
    let plug = 7;
    server = scene.create({ diskseq: () => plug });
    const one = { ...(await scene.disk(0)), diskseq: 7 };
    await server.publish(one);
    expect(await scene.complaintOf(one)).toBe('');
    await rm(one.devicePath);
    await tellUdev(one);
    await writeFile(one.devicePath, Buffer.alloc(SIZE, 0x66));
    plug = 8;
    expect(await scene.complaintOf(one)).not.toBe('');
    const next = { ...(await scene.disk(1)), devicePath: one.devicePath, diskseq: 8 };
    await server.publish(next);
    expect((await scene.create().list()).map(({ name, plug: number }) => [name, number])).toContainEqual([
      next.name,
      8,
    ]);
    // It was told late of the first one.
    await tellUdev(one);
    expect(await scene.complaintOf(next)).toBe('');
    expect(await scene.complaintOf(one)).not.toBe('');
    await server.withdraw(one.name);
    await server.withdraw(next.name);
    expect(await readdir(join(scene.nbdkit.runDir, 'plugs'))).toEqual([]);
  });

  it('and the daemon goes on with a publish of the one that has left: its link does not come to life meanwhile', async () => {
    const plugs = [7];
    const leads: boolean[] = [];
    const one = { ...(await scene.disk(0)), diskseq: 7 };
    server = scene.create({
      diskseq: () => {
        leads.push(existsSync(join(scene.nbdkit.runDir, 'exports', one.name)));
        return plugs.shift() ?? 7;
      },
    });
    await server.publish(one);
    await tellUdev(one);
    // It leaves right after it was verified.
    plugs.push(7, 8);
    leads.length = 0;
    await expect(server.publish(one)).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    expect(leads).toEqual([false, false]);
    expect(await scene.complaintOf(one)).not.toBe('');
  });

  it('a kernel that shows the plug no more has no disk there', async () => {
    server = scene.create({ diskseq: () => null });
    const one = { ...(await scene.disk(0)), diskseq: 7 };
    await expect(server.publish(one)).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    expect(await scene.complaintOf(one)).not.toBe('');
  });

  it('what a crash has left of plugs is removed at the next start, and what exports lead through is not', async () => {
    server = scene.create({ diskseq: () => 7 });
    const one = { ...(await scene.disk(0)), diskseq: 7 };
    await server.publish(one);
    const folder = join(scene.nbdkit.runDir, 'plugs');
    const used = await readdir(folder);
    await symlink(one.devicePath, join(folder, `6.vdb.${one.name}`));
    server = scene.create({ diskseq: () => 7 });
    await server.publish(one);
    expect(await readdir(folder)).toEqual(used);
    expect(await scene.complaintOf(one)).toBe('');
  });
});

/**
 * Makes or removes the node and the disk of a loop device, as the kernel does with a disk that comes or
 * leaves.
 */
const loopControl = (request: 'ADD' | 'REMOVE', number: number) =>
  run('python3', [
    '-c',
    `import fcntl; fcntl.ioctl(open('/dev/loop-control', 'rb'), ${request === 'ADD' ? '0x4c80' : '0x4c81'}, ${number})`,
  ]);

/** A number of a loop device that nobody has, made; why there is none otherwise. */
async function freeLoop(): Promise<number | string> {
  try {
    const mounts = await readFile('/proc/self/mountinfo', 'utf8');
    if (!/ \/dev .* - devtmpfs /.test(mounts)) return '/dev has no nodes of the kernel';
    await run('setpriv', ['--bounding-set=-all', '--inh-caps=-all', 'true']);
    const number = 70_000 + (process.pid % 30_000);
    await loopControl('ADD', number);
    return number;
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  }
}

describe('a disk of the kernel leaves, and nobody has been told yet when the next one has its name', () => {
  const ended: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of ended.splice(0).reverse()) await end().catch(() => {});
  });

  it('nobody gets it under the old export, and a daemon that starts then gives it one of its own', async (context) => {
    const number = await freeLoop();
    if (typeof number === 'string') return context.skip(number);
    const name = `loop${number}`;
    const devicePath = `/dev/${name}`;
    ended.push(() => loopControl('REMOVE', number));
    const read = async (file: string) => (await readFile(`/sys/block/${name}/${file}`, 'utf8')).trim();
    const plugIn = async (content: number) => {
      const file = join(scene.dir, `disk-${content}`);
      await writeFile(file, Buffer.alloc(SIZE, content));
      await run('losetup', [devicePath, file]);
    };
    await plugIn(1);
    ended.push(() => run('losetup', ['--detach', devicePath]));

    // What the unit of the exports has: no capabilities.
    const binary = join(scene.dir, 'nbdkit');
    const script = '#!/bin/sh\nexec setpriv --bounding-set=-all --inh-caps=-all nbdkit "$@"\n';
    await writeFile(binary, script, { mode: 0o755 });
    const plugNumber = Number(await read('diskseq'));
    let diskseq: number | null = plugNumber;
    server = scene.create({ binary, devDir: '/dev', diskseq: () => diskseq });
    const volumeId = '00000000-0000-4000-8000-000000000009';
    const one = { name: exportName(volumeId), volumeId, devicePath, size: SIZE, dev: await read('dev') };
    const target = { ...one, diskseq: plugNumber };
    await server.publish(target);
    ended.push(() => server.withdraw(one.name));
    const client = await scene.open(target);
    expect(await firstByteOf(client)).toBe(1);
    await client.close();
    await until(async () => (await scene.nbdkit.servers()).length === 0);
    const link = join(scene.nbdkit.runDir, 'exports', one.name);
    const before = await readlink(link);
    await server.publish(target);
    expect(await readlink(link)).toBe(before);

    await run('losetup', ['--detach', devicePath]);
    await loopControl('REMOVE', number);
    await loopControl('ADD', number);
    await plugIn(2);
    diskseq = Number(await read('diskseq'));
    expect(diskseq).not.toBe(plugNumber);
    expect(await readlink(link)).toBe(before);
    expect(await scene.complaintOf(target)).not.toBe('');

    // A daemon that starts now finds a link that leads to no disk.
    server = scene.create({ binary, devDir: '/dev', diskseq: () => diskseq });
    await expect(server.publish(target)).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    expect(await server.list()).toEqual([]);
    expect(existsSync(join('/dev/volume-daemon', basename(before)))).toBe(false);
    const next = { ...target, diskseq };
    await server.publish(next);
    const nextClient = await scene.open(next);
    expect(await firstByteOf(nextClient)).toBe(2);
    await nextClient.close();
  }, 60_000);
});

describe('an export that an earlier version has made, which leads to the disk itself', () => {
  it('stays when the server does not answer, and leads to the second name of the node from then on', async (context) => {
    const number = await freeLoop();
    if (typeof number === 'string') return context.skip(number);
    try {
      const volumeId = '00000000-0000-4000-8000-000000000009';
      const [devicePath, name] = [`/dev/loop${number}`, exportName(volumeId)];
      const plug = join(scene.nbdkit.runDir, 'plugs', `7.loop${number}.${name}`);
      const link = join(scene.nbdkit.runDir, 'exports', name);
      for (const path of [plug, link]) await mkdir(dirname(path), { recursive: true });
      await symlink(devicePath, plug);
      await symlink(plug, link);
      const dev = (await readFile(`/sys/block/loop${number}/dev`, 'utf8')).trim();
      const target = { name, volumeId, devicePath, size: SIZE, dev, diskseq: 7 };
      await withLimits({ NBD_START_TIMEOUT_MS: 200 }, async () => {
        server = scene.create({ devDir: '/dev', diskseq: () => 7, holder: join(scene.dir, 'not there') });
        await expect(server.publish(target)).rejects.toMatchObject({ code: 'EXPORT_SERVER_UNHEALTHY' });
      });
      const second = join('/dev/volume-daemon', basename(plug));
      expect([await readlink(link), await readlink(plug), existsSync(second)]).toEqual([plug, second, true]);
      await server.withdraw(name);
      expect(existsSync(second)).toBe(false);
    } finally {
      await loopControl('REMOVE', number);
    }
  }, 60_000);
});

describe('a disk of the kernel has left, and no other has come', () => {
  it('who still has it open by the second name of its node is found', async (context) => {
    const folder = '/dev/volume-daemon';
    const path = join(folder, '7.vdzz.migration-vol-00000000-0000-4000-8000-000000000009');
    if (process.getuid?.() !== 0) return context.skip('only root makes names in /dev');
    await mkdir(folder, { recursive: true });
    await writeFile(path, '');
    const file = await openFile(path);
    try {
      expect(hasOpen(process.pid, '/dev/vdzz')).toBe(true);
      await rm(path);
      expect(hasOpen(process.pid, '/dev/vdzz')).toBe(true);
      expect(hasOpen(process.pid, '/dev/vdz')).toBe(false);
    } finally {
      await file.close();
    }
    expect(hasOpen(process.pid, '/dev/vdzz')).toBe(false);
  });
});

describe('proof of an export', () => {
  it('a disk that was swapped for another of the same size before the server opened it is noticed', async () => {
    const one = await scene.disk(0);
    const other = join(scene.dir, 'other');
    await writeFile(other, Buffer.alloc(SIZE, 0x66));
    await server.publish(one);
    await server.withdraw(one.name);
    // The disk changes after its node was looked at, before the handshake.
    const renamed: Promise<void>[] = [];
    server = scene.create({
      diskseq: () => {
        if (renamed.length === 0) renamed.push(rename(other, one.devicePath));
        return null;
      },
    });
    await expect(server.publish(one)).rejects.toMatchObject({
      code: 'DEVICE_IDENTITY_MISMATCH',
      message: expect.stringContaining('another disk'),
    });
    expect(renamed).toHaveLength(1);
    expect(await scene.complaintOf(one)).not.toBe('');
    expect(await server.list()).toEqual([]);
  });

  it('another plug of a disk under the same letter is not published', async () => {
    const one = await scene.disk(0);
    server = scene.create({ diskseq: () => 8 });
    await expect(server.publish({ ...one, diskseq: 7 })).rejects.toMatchObject({
      code: 'DEVICE_IDENTITY_MISMATCH',
      message: expect.stringContaining('diskseq 8 instead of 7'),
    });
    await server.publish({ ...one, diskseq: 8 });
  });
});
