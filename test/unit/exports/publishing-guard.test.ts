import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryExports, MemoryServer } from '~/lab/exports/memory-exports';
import { noTracing } from '~/server/core/tracing';
import type { ExportServer, ExportTarget } from '~/server/exports/export-server';
import { guardPublishing } from '~/server/exports/publishing-guard';
import { exportName } from '~/server/model/export-name';
import { ManualClock } from '../devices/manual-clock';
import { device } from '../operations/situations';

const VOLUME = '11111111-2222-4333-8444-555555555555';
const disk = device({ path: '/dev/vdb' });
const target: ExportTarget = {
  name: exportName(VOLUME),
  volumeId: VOLUME,
  devicePath: disk.path,
  size: disk.size,
  dev: disk.dev,
  diskseq: disk.diskseq,
};

describe('right before an export is changed it is asked who may', () => {
  let server: MemoryServer;
  let isOwner: boolean;
  /** An operation works on the volume. */
  let isTaken: boolean;
  /** Called while the users of the disk are looked at. */
  let meanwhile: () => void;
  let exports: ExportServer;
  beforeEach(() => {
    isOwner = true;
    isTaken = false;
    meanwhile = () => {};
    server = new MemoryServer({
      port: 10_809,
      devDir: '/dev',
      disk: async () => ({ size: disk.size, key: 'the disk' }),
    });
    exports = guardPublishing(new MemoryExports(server), {
      clock: new ManualClock(),
      tracing: noTracing,
      watcher: { scan: async () => ({ bootId: 'boot', devices: [disk], scanned: true, at: 0 }) },
      guest: {
        holders: async () => {
          meanwhile();
          return new Map([[disk.path, []]]);
        },
      },
      tenure: () => () => isOwner,
      isTaken: (volumeId) => volumeId === VOLUME && isTaken,
    });
  });

  it('the lease ends while it looks who uses the disk: nothing is published', async () => {
    meanwhile = () => {
      isOwner = false;
    };
    await expect(exports.publish(target)).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect(server.served.size).toBe(0);
  });

  it('an operation begins on the volume meanwhile: nothing is published, but what is wrong is closed', async () => {
    meanwhile = () => {
      isTaken = true;
    };
    await expect(exports.publish(target)).rejects.toMatchObject({ code: 'VOLUME_BUSY' });
    expect(server.served.size).toBe(0);
    server.served.set(target.name, { volumeId: VOLUME, path: '/dev/vdc', key: 'another', readOnly: false });
    await exports.withdraw(target.name);
    expect(server.served.size).toBe(0);
  });

  it('an export that the next owner has published is not closed, and its clients are not cut', async () => {
    await exports.publish(target);
    const client = await server.connect(target.name);
    isOwner = false;
    await expect(exports.withdraw(target.name, { force: true })).rejects.toMatchObject({
      code: 'LEASE_LOST',
    });
    expect([server.served.size, client.cut]).toEqual([1, false]);
  });
});
