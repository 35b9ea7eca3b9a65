import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExportReply, OperationReply } from '~/lab/client';
import { ensurePackages } from '~/lab/packages';
import { type StorageDaemon, startStorageDaemon } from '~/lab/storage-daemon';
import { Walk } from '../daemon/walk';

/**
 * The built daemon with NBD_BACKEND=qemu-storage-daemon, whose server has every exported disk open all the
 * time.
 */
const run = promisify(execFile);
const GIB = 1024 ** 3;
let dir: string;
let qsd: StorageDaemon;
let walk: Walk;

beforeAll(async () => {
  ensurePackages(['nbdcopy', 'nbdinfo']);
  dir = await mkdtemp(join(tmpdir(), 'volume-qsd-'));
  qsd = await startStorageDaemon({ dir });
  walk = await Walk.begin({
    env: {
      NBD_BACKEND: 'qemu-storage-daemon',
      NBD_QMP_SOCKET: qsd.qmpSocket,
      NBD_PORT: String(qsd.port),
      // The real one: the in-use guard must tell the server's own descriptor from a use of the disk.
      PROC_DIR: '/proc',
    },
  });
});
afterAll(async () => {
  await walk?.close();
  await qsd?.stop();
  await rm(dir, { recursive: true, force: true });
});

const uri = (volumeId: string) => `nbd://127.0.0.1:${qsd.port}/migration-vol-${volumeId}`;
const exported = (volumeId: string) => walk.api.get<ExportReply>(`/api/v1/exports/${volumeId}`);

async function sizeOf(volumeId: string): Promise<number | null> {
  return run('nbdinfo', ['--size', uri(volumeId)]).then(
    ({ stdout }) => Number(stdout),
    () => null,
  );
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('it did not happen');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** A client that stands still in the middle of a copy. */
async function connect(volumeId: string) {
  const client = spawn('nbdcopy', ['--connections=1', '--', uri(volumeId), '-'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  await once(client.stdout, 'readable');
  const ended = once(client, 'exit');
  return {
    finish: async () => {
      client.stdout.resume();
      return (await ended)[0];
    },
  };
}

async function refusedDetach(volumeId: string): Promise<OperationReply> {
  const accepted = await walk.api.post<OperationReply>(`/api/v1/volumes/${volumeId}/detach`);
  return walk.api.get<OperationReply>(`/api/v1/operations/${accepted.id}?wait=25s`);
}

describe('a daemon with qemu-storage-daemon', () => {
  it('what a client writes is on the volume, and detaching lets go of the disk', async () => {
    const volumeId = await walk.create('qsd-copy');
    await walk.attach(volumeId);
    expect(await exported(volumeId)).toMatchObject({ status: 'active', port: qsd.port });
    expect(await sizeOf(volumeId)).toBe(GIB);
    const source = join(dir, 'source');
    await writeFile(source, Buffer.alloc(1024 ** 2, 0x5a));
    await run('nbdcopy', ['--flush', '--', source, uri(volumeId)]);
    const backing = walk.lab.guest.backingFile(volumeId);
    const { stdout } = await run('head', ['-c', '1048576', backing], {
      encoding: 'buffer',
      maxBuffer: 2 * 1024 ** 2,
    });
    expect(stdout.equals(await readFile(source))).toBe(true);
    await walk.detach(volumeId);
    expect(await sizeOf(volumeId)).toBeNull();
    for (const pid of await qsd.pids())
      expect((await run('ls', ['-l', `/proc/${pid}/fd`])).stdout).not.toContain('/dev/vd');
  });

  it('a connected client is a reason to refuse a detach; another volume is not its business', async () => {
    const busy = await walk.create('qsd-busy');
    const idle = await walk.create('qsd-idle');
    await Promise.all([walk.attach(busy), walk.attach(idle)]);
    const client = await connect(busy);
    expect(await refusedDetach(busy)).toMatchObject({ status: 'failed', error_code: 'DEVICE_IN_USE' });
    await walk.detach(idle);
    expect(await exported(busy)).toMatchObject({ status: 'active' });
    expect(await client.finish()).toBe(0);
    await walk.detach(busy);
  });

  it('force cuts the client', async () => {
    const volumeId = await walk.create('qsd-force');
    await walk.attach(volumeId);
    const client = await connect(volumeId);
    await walk.detach(volumeId, { force: true });
    expect(await client.finish()).not.toBe(0);
  });

  it('a server that is restarted gets its exports back', async () => {
    const volumeId = await walk.create('qsd-restart');
    await walk.attach(volumeId);
    await qsd.stop();
    expect(await sizeOf(volumeId)).toBeNull();
    await until(async () => (await sizeOf(volumeId)) === GIB);
    const report = await walk.api.post<{ results: { volume_id: string }[] }>('/api/v1/exports/validate');
    expect(report.results.find((result) => result.volume_id === volumeId)).toMatchObject({ ok: true });
    await walk.detach(volumeId);
  });

  it('a daemon that is killed and started again finds them, and so does a server that died with it', async () => {
    const volumeId = await walk.create('qsd-kill');
    await walk.attach(volumeId);
    const client = await connect(volumeId);
    await walk.daemon.kill();
    await walk.restartDaemon();
    expect(await sizeOf(volumeId)).toBe(GIB);
    expect(await client.finish()).toBe(0);
    await walk.daemon.kill();
    await qsd.stop();
    await walk.restartDaemon();
    await until(async () => (await sizeOf(volumeId)) === GIB);
    await walk.detach(volumeId);
  });

  it('a disk that vanishes takes its export with it, whoever is connected', async () => {
    const volumeId = await walk.create('qsd-surprise');
    await walk.attach(volumeId);
    const client = await connect(volumeId);
    await walk.lab.guest.surpriseUnplug(volumeId);
    await until(async () => (await sizeOf(volumeId)) === null);
    await client.finish();
    const next = await walk.create('qsd-next');
    await walk.attach(next);
    expect(await sizeOf(volumeId)).toBeNull();
    expect(await sizeOf(next)).toBe(GIB);
  });
});
