import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NBDKIT_DEFAULTS } from '~/lab/exports/backends';
import { LiveClient } from '~/lab/exports/live-client';
import { startNbdkit } from '~/lab/nbdkit';
import type { ExportTarget } from '~/server/exports/export-server';
import { NbdkitExports } from '~/server/exports/nbdkit/nbdkit-exports';
import { exportName } from '~/server/model/export-name';

/*
 * HOLDER_KILLS=50 npm test -- test/integration/exports/holder-kills
 */
const KILLS = Number(process.env.HOLDER_KILLS ?? 6);
const CLIENTS = 8;
const SIZE = 1024 ** 2;
const BLOCK = 64 * 1024;
/** At most one in so many connections may fail: the one that a dying holder had just accepted. */
const CONNECTIONS_PER_FAILURE = 500;

class Crowd {
  connections = 0;
  requests = 0;
  longestMs = 0;
  readonly failed: string[] = [];
  readonly cut: string[] = [];
  stopping = false;

  constructor(private readonly port: number) {}

  /** Reads and writes until the end; whatever fails is a copy that was cut. */
  async copy(client: LiveClient, index: number): Promise<void> {
    const data = Buffer.alloc(BLOCK, index);
    try {
      for (let at = 0; !this.stopping; at = (at + BLOCK) % SIZE) {
        await client.write(at, data);
        await client.read(at, BLOCK);
        this.requests += 2;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await client.close();
    } catch (error) {
      this.cut.push(String(error));
    }
  }

  /** The daemon's own handshake is a connection like any other; an operation tries again, and so do we. */
  async publish(daemon: NbdkitExports, target: ExportTarget): Promise<void> {
    for (;;) {
      this.connections += 1;
      try {
        await daemon.publish(target);
        return;
      } catch (error) {
        this.failed.push(String(error));
      }
    }
  }

  /** Connects, reads and leaves, again and again. */
  async connect(name: string): Promise<void> {
    while (!this.stopping) {
      this.connections += 1;
      const begun = performance.now();
      try {
        const client = await LiveClient.open(this.port, name);
        this.longestMs = Math.max(this.longestMs, performance.now() - begun);
        await client.read(0, 512);
        await client.close();
      } catch (error) {
        this.failed.push(String(error));
      }
    }
  }
}

async function disks(devDir: string): Promise<ExportTarget[]> {
  const all: ExportTarget[] = [];
  for (let index = 0; index < CLIENTS; index += 1) {
    const volumeId = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
    const devicePath = join(devDir, `vd${'bcdefghi'[index]}`);
    await writeFile(devicePath, Buffer.alloc(SIZE, index));
    all.push({ name: exportName(volumeId), volumeId, devicePath, size: SIZE, dev: null, diskseq: null });
  }
  return all;
}

describe('the holder of the exports is killed again and again', () => {
  it(
    `${KILLS} times, under ${CLIENTS} copying and ${CLIENTS} connecting clients, while daemons come and go`,
    async () => {
      const dir = await mkdtemp(join(tmpdir(), 'volume-holder-'));
      const devDir = join(dir, 'dev');
      await mkdir(devDir);
      const nbdkit = await startNbdkit({ runDir: join(dir, 'run') });
      const create = () => new NbdkitExports({ ...NBDKIT_DEFAULTS, ...nbdkit, devDir });
      try {
        const targets = await disks(devDir);
        let daemon = create();
        await Promise.all(targets.map((target) => daemon.publish(target)));
        const crowd = new Crowd(nbdkit.port);
        const copying = await Promise.all(targets.map(({ name }) => LiveClient.open(nbdkit.port, name)));
        const work = [
          ...copying.map((client, index) => crowd.copy(client, index)),
          ...targets.map(({ name }) => crowd.connect(name)),
        ];
        for (let round = 0; round < KILLS; round += 1) {
          process.kill(await nbdkit.oneOfThePair(round), 'SIGKILL');
          // A daemon that dies leaves nothing to do for the next one: it finds the holder and publishes
          // again.
          daemon = create();
          await Promise.all(targets.map((target) => crowd.publish(daemon, target)));
          for (const { name } of targets)
            expect((await daemon.clients(name)).connected.length).toBeGreaterThanOrEqual(1);
        }
        crowd.stopping = true;
        await Promise.all(work);
        console.log(
          `${KILLS} kills: ${crowd.cut.length} of ${CLIENTS} copies cut (${crowd.requests} requests), ` +
            `${crowd.failed.length} of ${crowd.connections} connections failed, the longest took ${Math.round(crowd.longestMs)} ms`,
        );
        expect(crowd.cut).toEqual([]);
        expect(crowd.failed.length).toBeLessThanOrEqual(
          Math.ceil(crowd.connections / CONNECTIONS_PER_FAILURE),
        );
      } finally {
        await nbdkit.stop();
        await rm(dir, { recursive: true, force: true });
      }
    },
    60_000 + KILLS * 10_000,
  );
});
