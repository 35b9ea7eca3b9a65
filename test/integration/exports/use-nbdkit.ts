import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach } from 'vitest';
import { NBDKIT_DEFAULTS } from '~/lab/exports/backends';
import { LiveClient } from '~/lab/exports/live-client';
import { type Nbdkit, startNbdkit } from '~/lab/nbdkit';
import type { ExportTarget } from '~/server/exports/export-server';
import { NbdkitExports, type NbdkitOptions } from '~/server/exports/nbdkit/nbdkit-exports';
import { exportName } from '~/server/model/export-name';

const run = promisify(execFile);
export const SIZE = 1024 ** 2;

/** A port, a folder of exports and a folder of disks for each test of a file. */
export function useNbdkit() {
  let dir: string;
  let devDir: string;
  let nbdkit: Nbdkit;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'volume-nbdkit-'));
    devDir = join(dir, 'dev');
    await mkdir(devDir);
    nbdkit = await startNbdkit({ runDir: join(dir, 'run') });
  });
  afterEach(async () => {
    await nbdkit.stop();
    await rm(dir, { recursive: true, force: true });
  });
  return {
    get dir() {
      return dir;
    },
    get nbdkit() {
      return nbdkit;
    },
    create: (options: Partial<NbdkitOptions> = {}) =>
      new NbdkitExports({ ...NBDKIT_DEFAULTS, ...nbdkit, devDir, ...options }),
    async disk(index: number): Promise<ExportTarget> {
      const volumeId = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
      const devicePath = join(devDir, `vd${'bcd'[index]}`);
      await writeFile(devicePath, Buffer.alloc(SIZE, index + 1));
      return { name: exportName(volumeId), volumeId, devicePath, size: SIZE, dev: null, diskseq: null };
    },
    /** Tried again while the holder counts one that has left, of whose end it has not heard yet. */
    async open({ name }: ExportTarget, port = nbdkit.port): Promise<LiveClient> {
      for (;;) {
        try {
          return await LiveClient.open(port, name);
        } catch (error) {
          if (!String(error).includes('80000002')) throw error;
        }
      }
    },
    /** What an independent client complains about, '' when it is let in. */
    complaintOf: ({ name }: ExportTarget) =>
      run('nbdinfo', ['--size', `nbd://127.0.0.1:${nbdkit.port}/${name}`]).then(
        () => '',
        (error: unknown) =>
          error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error),
      ),
  };
}

export async function firstByteOf(client: LiveClient): Promise<number | undefined> {
  return (await client.read(0, 512))[0];
}

export async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}
