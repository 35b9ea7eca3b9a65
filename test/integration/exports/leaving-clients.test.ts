import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BACKENDS, type Backend, startBackend } from '~/lab/exports/backends';
import { LiveClient } from '~/lab/exports/live-client';
import { processIdentity } from '~/server/devices/sysfs/kernel-files';
import type { ExportServer, ExportTarget } from '~/server/exports/export-server';
import { exportName } from '~/server/model/export-name';

/*
 * The process that served a client ends some time after the client has gone. A busy machine is played by a
 * process that stands still.
 */
const SIZE = 4 * 1024 ** 2;
let dir: string;
let backend: Backend;
let server: ExportServer;
let stopped: number[];

async function start(kind: (typeof BACKENDS)[number]): Promise<ExportTarget> {
  dir = await mkdtemp(join(tmpdir(), 'volume-leaving-'));
  const devDir = join(dir, 'dev');
  await mkdir(devDir);
  backend = await startBackend(kind, { dir, devDir });
  server = backend.create();
  stopped = [];
  const volumeId = '00000000-0000-4000-8000-000000000001';
  const devicePath = join(devDir, 'vdb');
  await writeFile(devicePath, Buffer.alloc(SIZE, 1));
  return { name: exportName(volumeId), volumeId, devicePath, size: SIZE, dev: null, diskseq: null };
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** The one process that serves this export, from now on standing still. */
async function freeze({ name }: ExportTarget): Promise<number> {
  const { connected } = await server.clients(name);
  expect(connected).toHaveLength(1);
  const pid = Number(/^pid (\d+)/.exec(connected[0] ?? '')?.[1]);
  process.kill(pid, 'SIGSTOP');
  stopped.push(pid);
  return pid;
}

describe.each(BACKENDS)('%s: the process of a client', (kind) => {
  let disk: ExportTarget;
  beforeEach(async () => {
    disk = await start(kind);
    await server.publish(disk);
    await until(async () => (await server.clientProcesses()).size === 0);
  });
  afterEach(async () => {
    for (const pid of stopped) process.kill(pid, 'SIGKILL');
    await server.close();
    await backend.stop();
    await rm(dir, { recursive: true, force: true });
  });

  it('hears from the kernel that the machine of a silent client is gone: it is not held for ever', async () => {
    const client = await LiveClient.open(backend.port, disk.name);
    const port = `:${backend.port.toString(16).toUpperCase().padStart(4, '0')}`;
    const lines = readFileSync('/proc/net/tcp', 'latin1').split('\n');
    const fields = lines.map((line) => line.trim().split(/\s+/));
    const [ours] = fields.filter(([, local, , state]) => local?.endsWith(port) && state === '01');
    // The kind of the timer that runs: 02 is the one that asks a silent peer whether it is there.
    expect(ours?.[5]).toMatch(/^02:/);
    await client.close();
  });

  it('that stands still while its client is connected counts as a connected client', async () => {
    const client = await LiveClient.open(backend.port, disk.name);
    const pid = await freeze(disk);
    expect((await server.clients(disk.name)).connected).toHaveLength(1);
    expect(await server.clientProcesses()).toEqual(new Map([[processIdentity('/proc', pid), 'connected']]));
    client.vanish('closed');
  });

  it.each(['closed', 'reset'] as const)(
    'whose client has %s the connection is leaving, until it ends',
    async (how) => {
      const client = await LiveClient.open(backend.port, disk.name);
      const pid = await freeze(disk);
      client.vanish(how);
      await until(async () => (await server.clients(disk.name)).connected.length === 0);
      const { leaving } = await server.clients(disk.name);
      expect(leaving).toEqual([expect.stringMatching(new RegExp(`^pid ${pid} .*which has left$`))]);
      expect(await server.clientProcesses()).toEqual(new Map([[processIdentity('/proc', pid), 'leaving']]));
      // Another one who comes meanwhile is told apart.
      const other = await LiveClient.open(backend.port, disk.name);
      expect(await server.clients(disk.name)).toMatchObject({ connected: [expect.any(String)], leaving });
      await other.close();
      process.kill(pid, 'SIGCONT');
      await until(async () => (await server.clientProcesses()).size === 0);
      expect(await server.clients(disk.name)).toEqual({ connected: [], leaving: [] });
      stopped = [];
    },
  );
});
