import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nbdServerExports } from '~/lab/exports/backends';
import { LiveClient } from '~/lab/exports/live-client';
import { type NbdServer, startNbdServer } from '~/lab/nbd-server';
import { findProgram } from '~/lab/packages';
import type { ExportTarget } from '~/server/exports/export-server';
import type { NbdServerExports, NbdServerOptions } from '~/server/exports/nbd-server/nbd-server-exports';
import { exportName } from '~/server/model/export-name';

/**
 * A full disk, a read-only folder, no permission, no server, a wrong pid: told clearly, undone, and over when
 * the cause is over.
 */
const run = promisify(execFile);
const SIZE = 1024 ** 2;
let dir: string;
let devDir: string;
let nbd: NbdServer;
let server: NbdServerExports;
const undo: (() => Promise<unknown>)[] = [];

const canMount = await run('sh', [
  '-c',
  'd=$(mktemp -d) && mount -t tmpfs -o size=64k none "$d" && umount "$d" && rmdir "$d"',
]).then(
  () => true,
  () => false,
);
if (!canMount)
  console.warn(
    'NOT RUN: full disk and read-only folder of the exports (this user may not mount; run the tests as root)',
  );

function create(options: Partial<NbdServerOptions> = {}): NbdServerExports {
  return nbdServerExports(nbd, { dir, devDir }, options);
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'volume-troubles-'));
  devDir = join(dir, 'dev');
  await mkdir(devDir);
  nbd = await startNbdServer({ dir: join(dir, 'nbd') });
  server = create();
});
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
  await server.close();
  await nbd.stop();
  await rm(dir, { recursive: true, force: true });
});

async function disk(index: number): Promise<ExportTarget> {
  const volumeId = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
  const devicePath = join(devDir, `vd${'bcd'[index]}`);
  await writeFile(devicePath, Buffer.alloc(SIZE, index + 1));
  return { name: exportName(volumeId), volumeId, devicePath, size: SIZE, dev: null, diskseq: null };
}

async function isLetIn({ name }: ExportTarget): Promise<boolean> {
  return LiveClient.open(nbd.port, name).then(
    (client) => client.close().then(() => true),
    () => false,
  );
}

async function expectNothingOf({ name }: ExportTarget): Promise<void> {
  expect((await readdir(nbd.configDir)).filter((file) => file.includes(name))).toEqual([]);
  expect(await readdir(join(dir, 'run/exports')).catch(() => [])).not.toContain(name);
  expect((await server.list()).map((one) => one.name)).not.toContain(name);
}

async function mount(folder: string, ...args: string[]): Promise<void> {
  await run('mount', [...args, folder]);
  undo.push(() => run('umount', ['-l', folder]));
}

/** Fills a file system; the returned function makes room again. */
async function fill(folder: string): Promise<() => Promise<void>> {
  const filler = join(folder, 'filler');
  await writeFile(filler, Buffer.alloc(10 * 1024 ** 2)).catch(() => undefined);
  return () => rm(filler);
}

describe('what can go wrong around nbd-server', () => {
  it.runIf(canMount)('the disk with the export files is full', async () => {
    await mount(nbd.configDir, '-t', 'tmpfs', '-o', 'size=64k', 'none');
    const there = await disk(0);
    const more = await disk(1);
    await server.publish(there);
    const makeRoom = await fill(nbd.configDir);
    await expect(server.publish(more)).rejects.toMatchObject({
      code: 'EXPORT_CONFIG_FAILED',
      message: expect.stringMatching(/ENOSPC.*free some space/),
    });
    await expectNothingOf(more);
    expect(await isLetIn(there)).toBe(true);
    await makeRoom();
    await server.publish(more);
    expect(await isLetIn(more)).toBe(true);
  });

  it.runIf(canMount)('the disk with the links is full', async () => {
    await mkdir(join(dir, 'run'));
    await mount(join(dir, 'run'), '-t', 'tmpfs', '-o', 'nr_inodes=2', 'none');
    const more = await disk(1);
    await expect(server.publish(more)).rejects.toMatchObject({
      code: 'EXPORT_CONFIG_FAILED',
      message: expect.stringContaining('ENOSPC'),
    });
    await expectNothingOf(more);
    expect(await isLetIn(more)).toBe(false);
  });

  it.runIf(canMount)(
    'the folder of the links cannot be made on a read-only file system: it says so',
    async () => {
      const readOnly = join(dir, 'read-only');
      await mkdir(readOnly);
      await mount(readOnly, '-t', 'tmpfs', '-o', 'ro', 'none');
      const target = await disk(0);
      // The first of two folders that are missing, as of one.
      for (const runDir of [readOnly, join(readOnly, 'run')])
        await expect(create({ runDir }).publish(target)).rejects.toMatchObject({
          code: 'EXPORT_CONFIG_FAILED',
          message: expect.stringMatching(/EROFS.*mount it writable/),
        });
    },
  );

  it.runIf(canMount)(
    'the folder of the export files is read-only: nothing new, and a withdraw fails closed',
    async () => {
      const there = await disk(0);
      const more = await disk(1);
      await server.publish(there);
      await mount(nbd.configDir, '--bind', nbd.configDir);
      await run('mount', ['-o', 'remount,ro,bind', nbd.configDir]);
      await expect(server.publish(more)).rejects.toMatchObject({
        code: 'EXPORT_CONFIG_FAILED',
        message: expect.stringMatching(/EROFS.*mount it writable/),
      });
      await expectNothingOf(more);
      await expect(server.withdraw(there.name)).rejects.toMatchObject({ code: 'EXPORT_CONFIG_FAILED' });
      expect(await isLetIn(there)).toBe(false);
      await run('mount', ['-o', 'remount,rw,bind', nbd.configDir]);
      await server.withdraw(there.name);
      await expectNothingOf(there);
      await server.publish(more);
      expect(await isLetIn(more)).toBe(true);
    },
  );

  it('no permission for the folder', async () => {
    const more = await disk(1);
    await server.publish(await disk(0));
    await chmod(nbd.configDir, 0o500);
    await chmod(dir, 0o755);
    // Root may write everywhere: for this call we are nobody.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65_534);
    try {
      await expect(server.publish(more)).rejects.toMatchObject({
        code: 'EXPORT_CONFIG_FAILED',
        message: expect.stringMatching(/EACCES/),
      });
    } finally {
      if (isRoot) process.seteuid?.(0);
      await chmod(nbd.configDir, 0o755);
    }
    await expectNothingOf(more);
    await server.publish(more);
    expect(await isLetIn(more)).toBe(true);
  });

  it('nbd-server is not installed', async () => {
    const more = await disk(1);
    server = create({ binary: join(dir, 'no-such-program') });
    await expect(server.publish(more)).rejects.toMatchObject({
      code: 'EXPORT_SERVER_UNHEALTHY',
      message: expect.stringContaining('not installed'),
    });
    await expectNothingOf(more);
    expect(await server.health()).toMatchObject({
      status: 'unhealthy',
      message: expect.stringContaining('not installed'),
    });
  });

  it('nbd-server is removed while it runs: nothing ends it for a new one that would not come', async () => {
    const binary = join(dir, 'nbd-server');
    await symlink(findProgram('nbd-server') ?? '', binary);
    server = create({ binary });
    const there = await disk(0);
    const more = await disk(1);
    await server.publish(there);
    await rm(binary);
    const says = { message: expect.stringContaining('nbd-server is not installed') };
    await expect(server.publish(more)).rejects.toMatchObject({ code: 'EXPORT_SERVER_UNHEALTHY', ...says });
    expect(await isLetIn(there)).toBe(true);
    for (const pid of await nbd.pids()) process.kill(pid, 'SIGKILL');
    while ((await nbd.pids()).length > 0) await new Promise((resolve) => setImmediate(resolve));
    // Each look says it, also those between two tries.
    for (let looks = 0; looks < 3; looks += 1)
      expect(await server.health()).toMatchObject({ status: 'unhealthy', ...says });
  });

  it('the pid file names somebody else: that process gets no signal, and the server is found all the same', async () => {
    await server.publish(await disk(0));
    const [before] = await nbd.pids();
    const bystander = spawn('sleep', ['600']);
    await once(bystander, 'spawn');
    const ended = once(bystander, 'exit');
    await writeFile(nbd.pidFile, `${bystander.pid}\n`);
    const more = await disk(1);
    await create().publish(more);
    expect(await isLetIn(more)).toBe(true);
    expect(bystander.exitCode ?? bystander.signalCode).toBeNull();
    expect(await nbd.pids()).not.toContain(before);
    bystander.kill();
    await ended;
  });

  it('the pid file names a child that serves a client: the client carries on', async () => {
    const busy = await disk(0);
    await server.publish(busy);
    const client = await LiveClient.open(nbd.port, busy.name);
    const parent = Number(await readFile(nbd.pidFile, 'utf8'));
    const child = (await nbd.pids()).find((pid) => pid !== parent);
    await writeFile(nbd.pidFile, `${child}\n`);
    const more = await disk(1);
    await create().publish(more);
    expect(await isLetIn(more)).toBe(true);
    expect((await client.read(0, 512))[0]).toBe(1);
    await client.close();
  });
});
