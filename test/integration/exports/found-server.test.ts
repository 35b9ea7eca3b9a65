import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { NBDKIT_DEFAULTS } from '~/lab/exports/backends';
import { type NbdServer, startNbdServer } from '~/lab/nbd-server';
import { isListening } from '~/server/devices/sysfs/socket-table';
import { createExportServer } from '~/server/exports/create-export-server';
import type { ExportServer, ExportTarget } from '~/server/exports/export-server';
import { baseConfig } from '~/server/exports/nbd-server/nbd-config';
import { exportName } from '~/server/model/export-name';

/**
 * An nbd-server that somebody else has started, where systemd was to have the port of the exports for nbdkit.
 */
const run = promisify(execFile);
const MIB = 1024 ** 2;
const VOLUME = '00000000-0000-4000-8000-000000000001';
let dir: string;
let devDir: string;
let nbd: NbdServer;
let exports: ExportServer;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'volume-found-server-'));
  devDir = join(dir, 'dev');
  await mkdir(devDir);
  nbd = await startNbdServer({ dir: join(dir, 'nbd') });
  await writeFile(nbd.baseConfig, baseConfig(nbd));
  await run('nbd-server', ['-C', nbd.baseConfig, '-p', nbd.pidFile]);
  while (!isListening(nbd.port)) await new Promise((resolve) => setImmediate(resolve));
  exports = create('auto');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await exports.close();
  await nbd.stop();
  await rm(dir, { recursive: true, force: true });
});

function create(backend: 'auto' | 'nbdkit'): ExportServer {
  return createExportServer({
    ...NBDKIT_DEFAULTS,
    ...nbd,
    readOnlyPort: nbd.port + 1,
    holder: '/nowhere/nbd-holder.mjs',
    runDir: join(dir, 'run'),
    devDir,
    sysBlockDir: join(dir, 'sys'),
    backend,
    binary: null,
    manage: 'auto',
    unit: 'volume-daemon-nbd.socket',
    restartPolicy: 'preserve',
  });
}

async function plug(): Promise<ExportTarget> {
  const devicePath = join(devDir, 'vdb');
  await writeFile(devicePath, Buffer.alloc(4 * MIB, 0x11));
  return { name: exportName(VOLUME), volumeId: VOLUME, devicePath, size: 4 * MIB, dev: null, diskseq: null };
}

describe('an nbd-server that was here before the package', () => {
  it('is never replaced by one that the daemon starts in its own sandbox: what to do is said instead', async () => {
    const before = await nbd.pids();
    const target = await plug();
    await expect(exports.publish(target)).rejects.toMatchObject({
      code: 'EXPORT_SERVER_UNHEALTHY',
      message: expect.stringContaining('systemctl restart volume-daemon'),
    });
    await exports.clientProcesses();
    expect(await nbd.pids()).toEqual(before);
    expect(await exports.probe(target.name)).toMatchObject({ ok: false });
  });

  it('is not started again when it is stopped, so that the port is free for the socket of nbdkit', async () => {
    expect(exports.kind).toBe('nbd-server');
    await nbd.stop();
    expect(await exports.health()).toMatchObject({
      status: 'unhealthy',
      message: expect.stringContaining('volume-daemon-nbd.socket'),
    });
    // Every look says it: there is nothing to be tried again later.
    expect(await exports.health()).toMatchObject({
      message: expect.stringContaining('volume-daemon-nbd.socket'),
    });
    expect(await nbd.pids()).toEqual([]);
    expect(isListening(nbd.port)).toBe(false);
  });

  it('is not ended with its clients by the start of nbdkit’s socket, which systemd lets nobody share a port with', async () => {
    const calls = join(dir, 'systemctl-calls');
    await writeFile(join(dir, 'systemctl'), `#!/bin/sh\necho "$@" >>${calls}\n`);
    await chmod(join(dir, 'systemctl'), 0o755);
    vi.stubEnv('PATH', `${dir}:${process.env.PATH}`);
    const chosen = create('nbdkit');
    const target = await plug();
    const refusal = {
      code: 'EXPORT_SERVER_UNHEALTHY',
      message: expect.stringContaining('nbd-server has port'),
    };
    await expect(chosen.publish(target)).rejects.toMatchObject(refusal);
    expect(await chosen.health()).toMatchObject({ status: 'unhealthy', message: refusal.message });
    await expect(readFile(calls)).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
