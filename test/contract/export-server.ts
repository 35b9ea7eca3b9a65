import {
  link,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hasCode } from '~/server/core/has-code';
import type { ExportServer, ExportTarget } from '~/server/exports/export-server';
import { exportName } from '~/server/model/export-name';

const MIB = 1024 ** 2;

/** One export server in a folder of its own, and what the suite must be able to do behind its back. */
export interface ExportLab {
  /** A second one is the daemon after a restart: it knows nothing of the first. */
  create(): ExportServer;
  /** Processes of the real server. */
  pids(): Promise<number[]>;
  /** Ends the real server as a crash would. */
  kill(): Promise<void>;
  /** Somebody else listens on the server's port, until the returned function is called. */
  takePort(): Promise<() => Promise<void>>;
  /** An independent client. */
  readonly client: ExportClient;
  /** After everything. */
  close?(): Promise<void>;
}

export interface ExportClient {
  /** The first byte it reads, or its complaint. */
  firstByte(name: string): Promise<number | string>;
  size(name: string): Promise<number>;
  /** Overwrites all of it, flushes, and leaves. */
  write(name: string, content: Buffer): Promise<void>;
  /**
   * A client in the middle of a copy: it stands still until `finish` is called. Resolves when it may be
   * connected.
   */
  begin(name: string): Promise<{ finish(): Promise<{ bytes: number; complete: boolean }> }>;
}

export interface ExportLabOptions {
  /** Everything private lies below it. */
  readonly dir: string;
  /** Where the devices are; files here. */
  readonly devDir: string;
}

const PATIENCE_MS = 30_000;

/**
 * What every export server must do, whoever implements it; `real` ones are asked by independent clients too.
 */
export function exportServerContract(start: (options: ExportLabOptions) => Promise<ExportLab>): void {
  let dir: string;
  let devDir: string;
  let lab: ExportLab;
  let server: ExportServer;

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'volume-exports-'));
    devDir = join(dir, 'dev');
    await mkdir(devDir);
    lab = await start({ dir, devDir });
    server = lab.create();
  });
  afterEach(async () => {
    await lab.close?.();
    await server.close();
    await lab.kill();
    await rm(dir, { recursive: true, force: true });
  });

  /** A disk of one byte value, plugged as a letter. */
  async function plug(letter: string, fill: number, size = 4 * MIB): Promise<string> {
    const path = join(devDir, letter);
    await writeFile(path, Buffer.alloc(Math.min(size, MIB), fill));
    await truncate(path, size);
    return path;
  }

  function target(index: number, devicePath: string, size = 4 * MIB): ExportTarget {
    const volumeId = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
    return { name: exportName(volumeId), volumeId, devicePath, size, dev: null, diskseq: null };
  }

  const firstByte = (name: string) => lab.client.firstByte(name);

  async function until(condition: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (!(await condition())) {
      if (performance.now() > deadline) throw new Error('it did not happen');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async function connect(name: string) {
    const client = await lab.client.begin(name);
    await until(async () => (await server.clients(name)).connected.length > 0);
    return client;
  }

  describe('publish', () => {
    it('answers with the right size and flags to us and to an independent client', async () => {
      const disk = target(1, await plug('vdb', 0xab));
      await server.publish(disk);
      expect(await server.probe(disk.name)).toMatchObject({
        ok: true,
        size: disk.size,
        readOnly: false,
        flush: true,
        fua: true,
      });
      expect(await lab.client.size(disk.name)).toBe(disk.size);
      expect(await server.list()).toMatchObject([
        { name: disk.name, volumeId: disk.volumeId, target: disk.devicePath, published: { size: disk.size } },
      ]);
      expect(await server.health()).toMatchObject({ status: 'healthy' });
    });

    it('what a client writes and flushes is on the disk', async () => {
      const disk = target(1, await plug('vdb', 0x01));
      await server.publish(disk);
      await lab.client.write(disk.name, Buffer.alloc(disk.size, 0x5a));
      expect((await readFile(disk.devicePath)).equals(Buffer.alloc(disk.size, 0x5a))).toBe(true);
    });

    it('read-only: the handshake says so on the port that it names, and it is writable again when published so', async () => {
      const disk = target(1, await plug('vdb', 0x2c));
      for (const readOnly of [false, true, false]) {
        await server.publish({ ...disk, readOnly });
        expect(await server.probe(disk.name)).toMatchObject({ ok: true, size: disk.size, readOnly });
        expect(await server.list()).toMatchObject([{ target: disk.devicePath }]);
      }
      await server.publish({ ...disk, readOnly: true });
      await server.withdraw(disk.name);
      expect((await server.probe(disk.name)).ok).toBe(false);
      expect(await server.list()).toEqual([]);
    });

    it('twice is the same as once: nothing is restarted, and a client in between carries on', async () => {
      const disk = target(1, await plug('vdb', 0x12, 64 * MIB), 64 * MIB);
      await server.publish(disk);
      // Our own handshake has left.
      await server.clientProcesses();
      const pids = await lab.pids();
      const client = await connect(disk.name);
      await server.publish(disk);
      for (const pid of pids) expect(await lab.pids()).toContain(pid);
      expect(await client.finish()).toEqual({ bytes: disk.size, complete: true });
    });

    it('twice by a daemon that was restarted in between', async () => {
      const disk = target(1, await plug('vdb', 0x13, 64 * MIB), 64 * MIB);
      await server.publish(disk);
      const client = await connect(disk.name);
      await server.close();
      server = lab.create();
      expect(await server.list()).toMatchObject([{ name: disk.name, target: disk.devicePath }]);
      await server.publish(disk);
      expect(await client.finish()).toEqual({ bytes: disk.size, complete: true });
      expect(await firstByte(disk.name)).toBe(0x13);
    });

    it('eight at once, each with its own disk behind it', async () => {
      const disks = await Promise.all(
        [...'bcdefghi'].map(async (letter, index) => target(index, await plug(`vd${letter}`, index + 1))),
      );
      await Promise.all(disks.map((disk) => server.publish(disk)));
      for (const [index, disk] of disks.entries()) expect(await firstByte(disk.name)).toBe(index + 1);
      expect(await server.list()).toHaveLength(8);
    });

    it('a disk that has another letter now is served from there', async () => {
      const disk = target(1, await plug('vdb', 0x33));
      await server.publish(disk);
      await link(join(devDir, 'vdb'), join(devDir, 'vdf'));
      await rm(join(devDir, 'vdb'));
      await plug('vdb', 0x44);
      await server.publish({ ...disk, devicePath: join(devDir, 'vdf') });
      expect(await server.list()).toMatchObject([{ target: join(devDir, 'vdf') }]);
      expect(await firstByte(disk.name)).toBe(0x33);
    });

    it('a disk that was replaced under its letter is never served under the old name without being published', async () => {
      const first = target(1, await plug('vdb', 0x11));
      await server.publish(first);
      await server.withdraw(first.name);
      await rm(first.devicePath);
      const second = target(2, await plug('vdb', 0x22));
      expect(await firstByte(first.name)).toEqual(expect.any(String));
      await server.publish(second);
      expect(await firstByte(second.name)).toBe(0x22);
      expect(await firstByte(first.name)).toEqual(expect.any(String));
    });
  });

  describe('publish refuses', () => {
    it('a size that is not the size of the volume, and leaves nothing behind', async () => {
      const disk = target(1, await plug('vdb', 1), 8 * MIB);
      await expect(server.publish(disk)).rejects.toMatchObject({
        code: 'EXPORT_SERVER_UNHEALTHY',
        message: expect.stringContaining('instead of'),
      });
      expect((await server.probe(disk.name)).ok).toBe(false);
      expect(await firstByte(disk.name)).toEqual(expect.any(String));
      expect((await server.list()).filter((one) => one.target !== null)).toEqual([]);
    });

    it.each([
      ['outside the device folder', () => '/etc/hostname'],
      ['that climbs out of the device folder', () => `${devDir}/../outside`],
      ['that is not there', () => join(devDir, 'vdz')],
      ['in a folder below the device folder', () => join(devDir, 'disk/by-id/x')],
    ])('a device %s', async (_what, path) => {
      await writeFile(join(dir, 'outside'), Buffer.alloc(4 * MIB));
      await expect(server.publish(target(1, path()))).rejects.toMatchObject({
        code: 'DEVICE_IDENTITY_MISMATCH',
      });
      expect((await server.list()).filter((one) => one.target !== null)).toEqual([]);
    });

    it('a device that is a link, wherever it leads', async () => {
      await plug('vdb', 1);
      await symlink(join(devDir, 'vdb'), join(devDir, 'vdc'));
      await symlink('/etc/hostname', join(devDir, 'vdd'));
      for (const letter of ['vdc', 'vdd'])
        await expect(server.publish(target(1, join(devDir, letter)))).rejects.toMatchObject({
          code: 'DEVICE_IDENTITY_MISMATCH',
        });
    });

    it('a name that is not the name of a volume', async () => {
      const path = await plug('vdb', 1);
      for (const name of ['generic', '../x', 'migration-vol-1', 'migration-vol-a]\nprerun = reboot'])
        await expect(server.publish({ ...target(1, path), name })).rejects.toMatchObject({
          code: 'EXPORT_SERVER_UNHEALTHY',
        });
      expect(await server.list()).toEqual([]);
    });

    it('a port that somebody else has: reported clearly, and the same call works once it is free', async () => {
      const free = await lab.takePort();
      const disk = target(1, await plug('vdb', 0x21));
      await expect(server.publish(disk)).rejects.toMatchObject({
        code: 'EXPORT_SERVER_UNHEALTHY',
        message: expect.stringContaining(String(server.port)),
      });
      expect((await server.list()).filter((one) => one.target !== null)).toEqual([]);
      await free();
      await server.publish(disk);
      expect(await firstByte(disk.name)).toBe(0x21);
    });
  });

  describe('withdraw', () => {
    it('no client can connect once it has resolved; repeating it, or withdrawing what never existed, succeeds', async () => {
      const disk = target(1, await plug('vdb', 0x11));
      await server.publish(disk);
      await server.withdraw(disk.name);
      expect((await server.probe(disk.name)).ok).toBe(false);
      expect(await firstByte(disk.name)).toEqual(expect.any(String));
      expect(await server.list()).toEqual([]);
      await server.withdraw(disk.name);
      await server.withdraw(exportName('00000000-0000-4000-8000-0000000000ff'));
      await server.withdraw('somebody-elses');
    });

    it('of what was published before leaves alone what has been published since', async () => {
      const disk = target(1, await plug('vdb', 0x11));
      await server.publish(disk);
      const [before] = await server.list();
      const other = target(1, await plug('vdc', 0x22));
      await server.publish(other);
      await server.withdraw(disk.name, { published: before?.published ?? null });
      expect(await server.list()).toMatchObject([{ name: disk.name, target: other.devicePath }]);
      const [now] = await server.list();
      await server.withdraw(disk.name, { published: now?.published ?? null });
      expect(await server.list()).toEqual([]);
    });

    it('before any server was ever started', async () => {
      await server.withdraw(exportName('00000000-0000-4000-8000-000000000001'));
      expect(await server.list()).toEqual([]);
    });

    it('the server closes the disk: none of its processes has the file open afterwards', async () => {
      const disk = target(1, await plug('vdb', 0x11));
      await server.publish(disk);
      await server.withdraw(disk.name);
      // Our own handshake has left; nobody else waits for that.
      await server.clientProcesses();
      // Its process may end, and close a descriptor, while it is looked at.
      const gone = (error: unknown) => {
        if (!hasCode(error, 'ENOENT')) throw error;
      };
      for (const pid of await lab.pids())
        for (const descriptor of (await readdir(`/proc/${pid}/fd`).catch(gone)) ?? [])
          expect(await readlink(`/proc/${pid}/fd/${descriptor}`).catch(gone)).not.toBe(disk.devicePath);
    });

    it('a name that is published again after another disk had its place', async () => {
      const disk = target(1, await plug('vdb', 0x11));
      for (const round of [1, 2, 3]) {
        await writeFile(disk.devicePath, Buffer.alloc(disk.size, round));
        await server.publish(disk);
        expect(await firstByte(disk.name)).toBe(round);
        await server.withdraw(disk.name);
      }
    });

    it('publish and withdraw called together end in what was asked last', async () => {
      const disk = target(1, await plug('vdb', 0x11));
      await Promise.allSettled([server.publish(disk), server.withdraw(disk.name)]);
      expect((await server.list()).filter((one) => one.target !== null)).toEqual([]);
      await Promise.allSettled([server.publish(disk), server.withdraw(disk.name), server.publish(disk)]);
      expect(await firstByte(disk.name)).toBe(0x11);
    });
  });

  describe('clients', () => {
    it('are counted for their own export only, also after a restart of the daemon; our probes are not counted', async () => {
      const busy = target(1, await plug('vdb', 0x77, 64 * MIB), 64 * MIB);
      const idle = target(2, await plug('vdc', 0x78, 64 * MIB), 64 * MIB);
      await Promise.all([server.publish(busy), server.publish(idle)]);
      expect(await server.clients(busy.name)).toEqual({ connected: [], leaving: [] });
      const client = await connect(busy.name);
      server = lab.create();
      for (let round = 0; round < 5; round += 1) {
        const [, count] = await Promise.all([server.probe(idle.name), server.clients(idle.name)]);
        expect(count).toEqual({ connected: [], leaving: [] });
      }
      const seen = await server.clients(busy.name);
      expect(seen.connected).toHaveLength(1);
      expect((await server.probe(idle.name)).ok).toBe(true);
      expect(await client.finish()).toEqual({ bytes: busy.size, complete: true });
      await until(async () => (await server.clients(busy.name)).connected.length === 0);
    });

    it('carry on while other exports come and go', async () => {
      const busy = target(1, await plug('vdb', 0x44, 64 * MIB), 64 * MIB);
      await server.publish(busy);
      const client = await connect(busy.name);
      for (const [index, letter] of ['vdc', 'vdd', 'vde'].entries()) {
        const other = target(index + 2, await plug(letter, index));
        await server.publish(other);
        await server.withdraw(other.name);
      }
      expect(await client.finish()).toEqual({ bytes: busy.size, complete: true });
    });

    it('are disconnected by force only', async () => {
      const disk = target(1, await plug('vdb', 0x77, 64 * MIB), 64 * MIB);
      await server.publish(disk);
      const client = await connect(disk.name);
      await server.withdraw(disk.name, { force: true });
      expect((await client.finish()).complete).toBe(false);
      expect(await server.list()).toEqual([]);
    });

    it('without force they either carry on or cause a refusal; they are never disconnected', async () => {
      const disk = target(1, await plug('vdb', 0x79, 64 * MIB), 64 * MIB);
      await server.publish(disk);
      const client = await connect(disk.name);
      const refused = await server.withdraw(disk.name).then(
        () => false,
        (error: unknown) => {
          expect(error).toMatchObject({ code: 'EXPORT_SERVER_UNHEALTHY', message: /connected client/ });
          return true;
        },
      );
      // Refused: nothing has changed. Accepted: nobody new gets in.
      expect((await server.probe(disk.name)).ok).toBe(refused);
      expect(await client.finish()).toEqual({ bytes: disk.size, complete: true });
    });
  });

  describe('a server that dies', () => {
    it('is noticed within 2 s, comes back by itself, and serves what was published', async () => {
      const disk = target(1, await plug('vdb', 0x55));
      await server.publish(disk);
      expect((await server.health()).status).toBe('healthy');
      await lab.kill();
      expect((await server.probe(disk.name)).ok).toBe(false);
      await until(
        async () => (await server.health()).status === 'healthy' && (await server.probe(disk.name)).ok,
      );
      expect(await firstByte(disk.name)).toBe(0x55);
    });

    it('is reported when it cannot come back, and serves again when it can', async () => {
      const disk = target(1, await plug('vdb', 0x59));
      await server.publish(disk);
      await lab.kill();
      const free = await lab.takePort();
      await until(async () => (await server.health()).status === 'unhealthy');
      expect((await server.health()).message).toContain(String(server.port));
      await free();
      await until(
        async () => (await server.health()).status === 'healthy' && (await server.probe(disk.name)).ok,
      );
    });

    it('does not bring back what was withdrawn', async () => {
      const stays = target(1, await plug('vdb', 0x55));
      const goes = target(2, await plug('vdc', 0x56));
      await Promise.all([server.publish(stays), server.publish(goes)]);
      await server.withdraw(goes.name);
      await lab.kill();
      await until(
        async () => (await server.health()).status === 'healthy' && (await server.probe(stays.name)).ok,
      );
      expect((await server.probe(goes.name)).ok).toBe(false);
      expect(await server.list()).toMatchObject([{ name: stays.name }]);
    });

    it('does not come back with another disk that took the letter meanwhile', async () => {
      const disk = target(1, await plug('vdb', 0x57));
      await server.publish(disk);
      await lab.kill();
      await rm(disk.devicePath);
      await server.withdraw(disk.name);
      await plug('vdb', 0x58);
      await server.health();
      expect((await server.probe(disk.name)).ok).toBe(false);
    });
  });

  it('a probe tells whether the export is there, or unknown, and how long it took', async () => {
    const disk = target(1, await plug('vdb', 1));
    await server.publish(disk);
    expect(await server.probe('no-such-export')).toMatchObject({ ok: false, reason: 'unknown-export' });
    const seen = await server.probe(disk.name);
    expect(seen.ms).toBeGreaterThanOrEqual(0);
  });

  it('a disk that grew is published with its new size', async () => {
    const disk = target(1, await plug('vdb', 0x61));
    await server.publish(disk);
    const file = await open(disk.devicePath, 'r+');
    await file.truncate(8 * MIB);
    await file.close();
    await server.publish({ ...disk, size: 8 * MIB });
    expect(await server.probe(disk.name)).toMatchObject({ ok: true, size: 8 * MIB });
  });
}
