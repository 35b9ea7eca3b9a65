import { execFile } from 'node:child_process';
import {
  appendFile,
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nbdServerExports } from '~/lab/exports/backends';
import { LiveClient } from '~/lab/exports/live-client';
import { type NbdServer, startNbdServer } from '~/lab/nbd-server';
import type { ExportTarget } from '~/server/exports/export-server';
import type { NbdServerExports, NbdServerOptions } from '~/server/exports/nbd-server/nbd-server-exports';
import { exportName } from '~/server/model/export-name';

/**
 * The real nbd-server of this machine: what is published answers, what is withdrawn leads to nothing, clients
 * are not cut.
 */
const run = promisify(execFile);
const MIB = 1024 ** 2;
let dir: string;
let devDir: string;
let nbd: NbdServer;
let server: NbdServerExports;

function create(options: Partial<NbdServerOptions> = {}): NbdServerExports {
  return nbdServerExports(nbd, { dir, devDir }, options);
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'volume-exports-'));
  devDir = join(dir, 'dev');
  await mkdir(devDir);
  nbd = await startNbdServer({ dir: join(dir, 'nbd') });
  server = create();
});
afterEach(async () => {
  await server.close();
  await nbd.stop();
  await rm(dir, { recursive: true, force: true });
});

/** A disk of one byte value, plugged as a letter. */
async function plug(letter: string, fill: number, size = 4 * MIB): Promise<string> {
  const path = join(devDir, letter);
  await writeFile(path, Buffer.alloc(size, fill));
  return path;
}

function target(index: number, devicePath: string, size = 4 * MIB): ExportTarget {
  const volumeId = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
  return { name: exportName(volumeId), volumeId, devicePath, size, dev: null, diskseq: null };
}

const uri = (name: string) => `nbd://127.0.0.1:${nbd.port}/${name}`;

/** The first byte an independent client reads, or its complaint. */
async function firstByte(name: string): Promise<number | string> {
  const file = join(dir, 'read');
  await rm(file, { force: true });
  try {
    await run('nbdcopy', ['--', uri(name), file]);
    return (await readFile(file))[0] ?? 'empty';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Once our own handshakes have left. */
async function pidsAtRest(): Promise<number[]> {
  await server.clientProcesses();
  return nbd.pids();
}

describe('exports through the real nbd-server', () => {
  it('a withdrawn name leads to nothing, even after another disk took the letter; nobody has restarted the server', async () => {
    const first = target(1, await plug('vdb', 0x11));
    await server.publish(first);
    const pids = await pidsAtRest();
    await server.withdraw(first.name);
    await rm(join(devDir, 'vdb'));
    await plug('vdb', 0x22);
    expect(await pidsAtRest()).toEqual(pids);
    expect(await firstByte(first.name)).toMatch(/policy prevents|no export named/);
    expect(await server.probe(first.name)).toMatchObject({ ok: false });
    expect((await server.health()).staleUntilRestart).toBe(1);
    const second = target(2, join(devDir, 'vdb'));
    await server.publish(second);
    expect(await firstByte(second.name)).toBe(0x22);
    expect(await firstByte(first.name)).toMatch(/policy prevents|no export named/);
    expect((await server.health()).staleUntilRestart).toBe(0);
  });

  it('the process that serves clients is not given the secrets in the environment of the daemon', async () => {
    vi.stubEnv('MIGRATEKIT_CRED_ENCRYPTION_KEY', 'canary-of-the-environment');
    await server.publish(target(1, await plug('vdb', 0x11))).finally(() => vi.unstubAllEnvs());
    const environments = await Promise.all(
      (await pidsAtRest()).map((pid) => readFile(`/proc/${pid}/environ`, 'utf8')),
    );
    expect(environments.length).toBeGreaterThan(0);
    expect(environments.filter((text) => text.includes('canary-of-the-environment'))).toEqual([]);
  });

  it('read-only exports that nbdkit has left are closed: nobody watches that folder any more, and its holder may still run', async () => {
    const folder = join(dir, 'run/exports-read-only');
    await mkdir(folder, { recursive: true });
    await symlink(await plug('vdb', 0x11), join(folder, target(1, 'vdb').name));
    await server.health();
    expect(await readdir(folder)).toEqual([]);
  });

  it('a disk that is swapped for another of the same size before the server opens it is noticed', async () => {
    const disk = target(1, await plug('vdb', 0x33));
    const other = join(dir, 'other');
    await writeFile(other, Buffer.alloc(disk.size, 0x66));
    let looks = 0;
    let swapped: Promise<void> | null = null;
    server = create({
      diskseq: () => {
        looks += 1;
        // Verified for the first time: now another disk takes the place.
        if (looks === 1)
          swapped = new Promise((resolve) => setImmediate(() => resolve(rename(other, disk.devicePath))));
        return null;
      },
    });
    await expect(server.publish(disk)).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    await swapped;
    expect(await firstByte(disk.name)).toEqual(expect.any(String));
    expect((await server.list()).filter((one) => one.target !== null)).toEqual([]);
  });

  it('a read-only export refuses writers, and so does one that was writable a moment before', async () => {
    const disk = target(1, await plug('vdb', 0x33));
    await server.publish(disk);
    await server.publish({ ...disk, readOnly: true });
    expect((await run('nbdinfo', [uri(disk.name)])).stdout).toMatch(/is_read_only: true/);
    const source = join(dir, 'source');
    await writeFile(source, Buffer.alloc(disk.size, 0x7e));
    await expect(run('nbdcopy', [source, uri(disk.name)])).rejects.toThrow(/read-only/);
    expect(await firstByte(disk.name)).toBe(0x33);
  });

  it('follows the volume to another letter without a reload', async () => {
    const disk = target(1, await plug('vdb', 0x33));
    await server.publish(disk);
    const pids = await pidsAtRest();
    await link(join(devDir, 'vdb'), join(devDir, 'vdf'));
    await server.publish({ ...disk, devicePath: join(devDir, 'vdf') });
    expect(await server.list()).toMatchObject([{ target: join(devDir, 'vdf') }]);
    expect(await pidsAtRest()).toEqual(pids);
    expect(await firstByte(disk.name)).toBe(0x33);
  });

  it('a broken file of somebody else keeps the whole server from starting: the reason is reported, and it recovers', async () => {
    const disk = target(1, await plug('vdb', 0x66));
    const foreign = join(nbd.configDir, 'broken.conf');
    await appendFile(foreign, '[broken\nexportname');
    await expect(server.publish(disk)).rejects.toMatchObject({ code: 'EXPORT_SERVER_UNHEALTHY' });
    await rm(foreign);
    await server.publish(disk);
    expect(await firstByte(disk.name)).toBe(0x66);
  });

  it('an export whose file somebody has removed is listed with the disk that its clients get to, so that it can be closed', async () => {
    const disk = target(1, await plug('vdb', 0x66));
    await server.publish(disk);
    await rm(join(nbd.configDir, `${disk.name}.conf`));
    expect(await firstByte(disk.name)).toBe(0x66);
    expect(await server.list()).toMatchObject([{ name: disk.name, target: disk.devicePath }]);
  });

  it('a withdraw that fails half way does not forget who is connected: the next one cuts them', async () => {
    const disk = target(1, await plug('vdb', 0x66));
    await server.publish(disk);
    const client = await LiveClient.open(nbd.port, disk.name);
    const file = join(nbd.configDir, `${disk.name}.conf`);
    await rm(file);
    await mkdir(file);
    await expect(server.withdraw(disk.name, { force: true })).rejects.toMatchObject({
      code: 'EXPORT_CONFIG_FAILED',
    });
    expect((await server.clients(disk.name)).connected).toHaveLength(1);
    await rm(file, { recursive: true });
    await server.withdraw(disk.name, { force: true });
    await expect(client.read(0, 512)).rejects.toThrow();
  });

  it('a publish that ends in a withdrawal does not forget who is connected', async () => {
    const disk = target(1, await plug('vdb', 0x66));
    await server.publish(disk);
    const client = await LiveClient.open(nbd.port, disk.name);
    await expect(server.publish({ ...disk, size: 8 * MIB })).rejects.toMatchObject({
      code: 'EXPORT_SERVER_UNHEALTHY',
    });
    expect(await server.list()).toEqual([]);
    expect((await server.clients(disk.name)).connected).toHaveLength(1);
    await client.close();
  });

  it('leftovers of a crash between temporary file and rename are removed; files of others are not touched', async () => {
    await writeFile(
      join(nbd.configDir, `${exportName('00000000-0000-4000-8000-000000000009')}.conf.tmp`),
      '[half',
    );
    await writeFile(join(nbd.configDir, 'theirs.conf'), '[theirs]\nexportname = /dev/null\n');
    await server.publish(target(1, await plug('vdb', 1)));
    expect((await readdir(nbd.configDir)).sort()).toEqual([
      `${exportName('00000000-0000-4000-8000-000000000001')}.conf`,
      'theirs.conf',
    ]);
    expect(await server.list()).toHaveLength(1);
  });

  it('a folder that cannot be written: a clear error, and nothing is half done', async () => {
    const away = join(dir, 'nbd', 'conf.d.away');
    await rm(nbd.configDir, { recursive: true });
    await writeFile(nbd.configDir, 'a file where the folder should be');
    await chmod(nbd.configDir, 0o400);
    await expect(server.publish(target(1, await plug('vdb', 1)))).rejects.toMatchObject({
      code: 'EXPORT_CONFIG_FAILED',
      message: expect.stringContaining(nbd.configDir),
    });
    await rm(away, { force: true });
  });
});
