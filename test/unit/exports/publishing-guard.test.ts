import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryExports, MemoryServer } from '~/lab/exports/memory-exports';
import { LIMITS } from '~/server/core/limits';
import { noTracing } from '~/server/core/tracing';
import type { Device, Holder } from '~/server/devices/device';
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
  let devices: Device[];
  let users: Holder[];
  let clock: ManualClock;
  /** Disks that the tools of the system are to leave alone. */
  let kept: string[];
  beforeEach(() => {
    isOwner = true;
    devices = [disk];
    users = [];
    clock = new ManualClock();
    isTaken = false;
    meanwhile = () => {};
    server = new MemoryServer({
      port: 10_809,
      devDir: '/dev',
      disk: async () => ({ size: disk.size, key: 'the disk' }),
    });
    kept = [];
    exports = guardPublishing(new MemoryExports(server), parts());
  });

  const parts = (): Parameters<typeof guardPublishing>[1] => ({
    clock,
    tracing: noTracing,
    watcher: { scan: async () => ({ bootId: 'boot', devices, scanned: true, at: 0 }) },
    guest: {
      holders: async () => {
        meanwhile();
        return new Map([[disk.path, users]]);
      },
    },
    tenure: () => () => isOwner,
    isTaken: (volumeId) => volumeId === VOLUME && isTaken,
    handsOff: { keep: ({ path }) => kept.push(path) },
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

  it('the system uses the disk: nothing is published, and it is said who; clients of the export are no users', async () => {
    const mount = { kind: 'mount', detail: '/data' } as const;
    users = [mount, { kind: 'nbd-client', detail: 'pid 7 (nbdkit)' }];
    await expect(exports.publish(target)).rejects.toMatchObject({
      code: 'DEVICE_IN_USE',
      message: expect.stringContaining('mount: /data'),
      details: { holders: [mount] },
    });
    expect(server.served.size).toBe(0);
    users = users.slice(1);
    devices = [device({ name: 'vda', path: '/dev/vda', diskseq: 1 }), disk];
    await exports.publish(target);
    expect([server.served.size, kept]).toEqual([1, [disk.path]]);
  });

  it('nobody has looked at the users of this disk: that counts as use', async () => {
    const guest = { holders: async () => new Map() };
    const publishing = guardPublishing(new MemoryExports(server), { ...parts(), guest }).publish(target);
    publishing.catch(() => {});
    await clock.advance(2 * LIMITS.HOLDER_PASSES_MS);
    await expect(publishing).rejects.toMatchObject({ code: 'DEVICE_IN_USE' });
    expect(server.served.size).toBe(0);
  });

  describe('another disk gets the device name while it looks who uses the disk', () => {
    const OTHER = device({ path: '/dev/vdb', serial: '99999999222243338444' });

    it('and the kernel does not number plugs: nothing is published', async () => {
      const old = { ...disk, diskseq: null };
      devices = [old];
      await exports.publish({ ...target, diskseq: null });
      expect(server.served.size).toBe(1);
      await exports.withdraw(target.name);
      meanwhile = () => {
        devices = [{ ...OTHER, diskseq: null }];
      };
      await expect(exports.publish({ ...target, diskseq: null })).rejects.toMatchObject({
        code: 'DEVICE_IDENTITY_MISMATCH',
      });
      meanwhile = () => {
        devices = [{ ...old, serial: null, serialState: 'pending' }];
      };
      devices = [old];
      await expect(exports.publish({ ...target, diskseq: null })).rejects.toMatchObject({
        code: 'DEVICE_IDENTITY_MISMATCH',
      });
      expect(server.served.size).toBe(0);
    });

    it('and it was gone before: nothing is published', async () => {
      devices = [{ ...OTHER, diskseq: null }];
      await expect(exports.publish({ ...target, diskseq: null })).rejects.toMatchObject({
        code: 'DEVICE_IDENTITY_MISMATCH',
      });
      expect(server.served.size).toBe(0);
    });

    it('and its plug has another number, whatever serial it shows: nothing is published', async () => {
      devices = [{ ...disk, diskseq: 99 }];
      await expect(exports.publish(target)).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
      // The one that has come is in use: that is said of another disk.
      devices = [disk];
      users = [{ kind: 'mount', detail: '/data' }];
      meanwhile = () => {
        devices = [{ ...disk, diskseq: 99 }];
      };
      await expect(exports.publish(target)).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
      expect(server.served.size).toBe(0);
    });

    it('is not said to be in use', async () => {
      users = [{ kind: 'unknown', detail: 'the disk was unplugged or replaced during the look' }];
      meanwhile = () => {
        devices = [];
      };
      const publishing = exports.publish(target);
      publishing.catch(() => {});
      await clock.advance(2 * LIMITS.HOLDER_PASSES_MS);
      await expect(publishing).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    });
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
