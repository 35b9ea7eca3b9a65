import { beforeEach, describe, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import type { DeviceSnapshot } from '~/server/devices/device';
import type { ExportClients } from '~/server/exports/export-server';
import { ExportService } from '~/server/exports/export-service';
import { exportName } from '~/server/model/export-name';
import { GIB, MemoryAppliance } from '../sync/appliance';

const OURS = '10000000-0000-4000-8000-000000000001';
const THEIRS = '20000000-0000-4000-8000-000000000002';

let a: MemoryAppliance;
let service: ExportService;
/** An operation works on the volume. */
let isBusy: boolean;
/** null: it is not known which VM this is. */
let vmId: string | null;
/** What those who follow were told of. */
let told: string[];
/** Called while CloudStack is asked for the volume. */
let meanwhile: () => Promise<void>;
/** What the daemon has last seen of the guest. */
let seen: DeviceSnapshot;
/** What CloudStack says of the volume. */
let shown: { vmId: string | null; size: number | null };
beforeEach(async () => {
  isBusy = false;
  told = [];
  meanwhile = async () => {};
  a = await MemoryAppliance.start();
  vmId = a.vmId;
  shown = { vmId, size: 5 * GIB };
  await a.plug(OURS);
  const disk = await a.diskOf(OURS);
  if (!disk) throw new Error('the disk is there');
  await a.putRow(await a.rightRow(OURS, disk));
  await a.putExport(OURS, disk.path, 'active');
  a.exports.links.set(exportName(OURS), disk.path);
  // Another appliance with the same database has mapped and exported this one.
  await a.ledger.takeOver(a.otherVm, 'other');
  await a.putRow({ ...a.remoteRow(THEIRS), devicePath: '/dev/vdb', linuxState: 'detected' });
  await a.putExport(THEIRS, '/dev/vdb', 'active');
  await look();
  service = new ExportService({
    ledger: () => a.ledger,
    server: a.exports,
    clock: a.clock,
    events: { publish: (entries) => void told.push(...entries.map(({ step }) => step)) },
    owner: () => ({ epoch: { applianceId: a.vmId, number: 1 }, applianceVmId: a.vmId }),
    applianceVmId: () => vmId,
    watcher: { scan: look, snapshot: () => seen },
    isBusyWith: () => isBusy,
    volume: async () => {
      await meanwhile();
      return shown;
    },
    sizeToleranceBytes: 0,
  });
});

async function look(): Promise<DeviceSnapshot> {
  seen = { ...(await a.guest.look()), at: 0, scanned: true };
  return seen;
}

describe('an export whose disk has left, before a sync has written that into its row', () => {
  const closed = { volumeId: OURS, status: 'failed', devicePath: `missing-${OURS}` };
  beforeEach(async () => {
    await a.guest.unplug(OURS);
    await look();
    expect(await a.ledger.readExport(OURS)).toMatchObject({ status: 'active', devicePath: '/dev/vdb' });
  });

  it('is not called active, nor does it tell a letter that the next disk gets', async () => {
    expect(await service.read(OURS)).toMatchObject(closed);
    expect(await service.list({ volumeId: OURS })).toMatchObject([closed]);
    const OTHER = '30000000-0000-4000-8000-000000000003';
    await a.plug(OTHER);
    await look();
    expect((await a.diskOf(OTHER))?.path).toBe('/dev/vdb');
    expect(await service.read(OURS)).toMatchObject(closed);
  });

  it('is found by what it is now, and by nothing else', async () => {
    const volumes = async (status: 'active' | 'failed') =>
      (await service.list({ status })).map(({ volumeId }) => volumeId);
    expect([await volumes('active'), await volumes('failed')]).toEqual([[THEIRS], [OURS]]);
  });

  it('its letter of the last boot is not told before the guest was read: 503', async () => {
    seen = { ...seen, scanned: false };
    const unread = { code: 'DEVICES_UNREADABLE' };
    await expect(service.read(OURS)).rejects.toMatchObject(unread);
    await expect(service.list({})).rejects.toMatchObject(unread);
  });
});

describe('the exports of another appliance with the same database', () => {
  it('are not withdrawn here: its own daemon would close them', async () => {
    const before = await a.ledger.readExport(THEIRS);
    expect(await service.withdraw(THEIRS, { force: false })).toEqual({ existed: false });
    expect(await a.ledger.readExport(THEIRS)).toEqual(before);
    expect(await service.withdraw(OURS, { force: false })).toEqual({ existed: true });
    expect(await a.ledger.readExport(OURS)).toMatchObject({ status: 'pending' });
  });

  it('are not counted here: its alerts are its own, and who is connected to them is not known here', async () => {
    expect((await service.list({})).map(({ volumeId }) => volumeId)).toEqual([OURS, THEIRS]);
    expect((await service.listHere()).map(({ volumeId }) => volumeId)).toEqual([OURS]);
    vmId = null;
    expect(await service.listHere(), 'whose they are is not known').toHaveLength(2);
  });

  it('are not validated here: no server of ours has them', async () => {
    expect((await service.validate()).map(({ volumeId }) => volumeId)).toEqual([OURS]);
  });
});

describe('the validation of an export', () => {
  it('finds one that can be written although somebody has made it read-only', async () => {
    expect(await service.validate()).toMatchObject([{ ok: true, message: 'answers with the right size' }]);
    await a.putExport(OURS, '/dev/vdb', 'active', { read_only: 'true' });
    expect(await service.validate()).toMatchObject([
      { ok: false, message: 'can be written, its row says otherwise' },
    ]);
  });

  it('asks nothing of one that somebody has withdrawn', async () => {
    await service.withdraw(OURS, { force: false });
    expect(await service.validate()).toEqual([]);
  });

  it('finds one that answers with another size, and one that does not answer', async () => {
    await a.guest.resize(OURS, GIB);
    expect(await service.validate()).toMatchObject([
      { ok: false, message: `answers with ${GIB} bytes instead of ${5 * GIB}` },
    ]);
    a.exports.sick.add(exportName(OURS));
    expect(await service.validate()).toMatchObject([{ ok: false, message: 'no such disk', size: null }]);
  });
});

describe('somebody publishes or withdraws an export', () => {
  const connect = (clients: Partial<ExportClients>) => {
    a.exports.clients = async () => ({ connected: [], leaving: [], ...clients });
  };
  const readOnly = { readOnly: true };

  it('not while an operation works on the volume, nor when one begins while CloudStack or a client is waited for', async () => {
    const before = [await a.ledger.readExport(OURS), [...a.exports.changes]];
    const begins = async () => {
      isBusy = true;
    };
    await begins();
    const busy = { code: 'VOLUME_BUSY' };
    await expect(service.publish(OURS, {})).rejects.toMatchObject(busy);
    await expect(service.withdraw(OURS, { force: true })).rejects.toMatchObject(busy);
    isBusy = false;
    meanwhile = begins;
    await expect(service.publish(OURS, {})).rejects.toMatchObject(busy);
    isBusy = false;
    a.exports.clients = async () => {
      await begins();
      return { connected: [], leaving: [] };
    };
    await expect(service.withdraw(OURS, { force: false })).rejects.toMatchObject(busy);
    expect([await a.ledger.readExport(OURS), [...a.exports.changes]]).toEqual(before);
  });

  it('not of a volume that is mapped elsewhere, or not any more once CloudStack was asked', async () => {
    const missing = { code: 'MAPPING_NOT_FOUND' };
    await expect(service.publish(THEIRS, {})).rejects.toMatchObject(missing);
    const note = { step: 'test', state: 'note', data: {} } as const;
    meanwhile = async () => {
      const unmapped = { kind: 'delete-mapping', volumeId: OURS, vmId: a.vmId } as const;
      await a.ledger.auditedChange(a.owned, [unmapped], note);
    };
    await expect(service.publish(OURS, {})).rejects.toMatchObject(missing);
    expect(a.exports.changes).toEqual([]);
  });

  it('who is connected is not cut off without force, and keeps the access that they have', async () => {
    connect({ connected: ['pid 7 (nbdkit)'] });
    const used = { code: 'DEVICE_IN_USE', message: expect.stringContaining('pid 7 (nbdkit)') };
    await expect(service.withdraw(OURS, { force: false })).rejects.toMatchObject(used);
    await expect(service.publish(OURS, {}, readOnly)).rejects.toMatchObject(used);
    expect([a.exports.changes, (await a.ledger.readExport(OURS))?.status]).toEqual([[], 'active']);
    await service.publish(OURS, {});
    await service.withdraw(OURS, { force: true });
    expect(a.exports.changes.map((change) => change.split(' ')[0])).toEqual(['publish', 'withdraw']);
    connect({});
    await service.publish(OURS, {}, readOnly);
    expect(await a.ledger.readExport(OURS)).toMatchObject({
      status: 'active',
      metadata: { read_only: 'true' },
    });
  });

  it('who leaves is waited for while nobody else is connected, and counts when they stay', async () => {
    connect({ leaving: ['pid 8, which has left'] });
    const withdrawn = service.withdraw(OURS, { force: false });
    withdrawn.catch(() => {});
    await a.clock.advance(2 * LIMITS.HOLDER_PASSES_MS);
    await expect(withdrawn).rejects.toMatchObject({ message: expect.stringContaining('pid 8') });
    connect({ connected: ['pid 7'], leaving: ['pid 8, which has left'] });
    await expect(service.withdraw(OURS, { force: false })).rejects.toMatchObject({
      message: expect.stringContaining('2 connected client(s): pid 7; pid 8, which has left'),
    });
    expect(a.exports.changes).toEqual([]);
  });

  it('what the export server refuses is not written down as done', async () => {
    const before = await a.ledger.readExport(OURS);
    const fails = () => Promise.reject(new Error('read-only file system'));
    Object.assign(a.exports, { publish: fails, withdraw: fails });
    await expect(service.publish(OURS, {}, readOnly)).rejects.toThrow('read-only file system');
    await expect(service.withdraw(OURS, { force: true })).rejects.toThrow('read-only file system');
    expect(await a.ledger.readExport(OURS)).toEqual(before);
  });

  it('nor is what the database does not take told as done', async () => {
    a.ledger.auditedChange = () => Promise.reject(new DaemonError('DATABASE_UNAVAILABLE', 'it is away'));
    const away = { code: 'DATABASE_UNAVAILABLE' };
    await expect(service.publish(OURS, {})).rejects.toMatchObject(away);
    await expect(service.withdraw(OURS, { force: true })).rejects.toMatchObject(away);
  });

  it.each([
    ['attached to another VM', { vmId: 'other' }, 'VOLUME_ATTACHED_ELSEWHERE'],
    ['detached', { vmId: null }, 'DEVICE_IDENTITY_MISMATCH'],
    ['larger than its disk', { size: 6 * GIB }, 'DEVICE_TOO_SMALL'],
    ['smaller than its disk', { size: 4 * GIB }, 'DEVICE_IDENTITY_MISMATCH'],
    ['of a size that is not told', { size: null }, 'DEVICE_IDENTITY_MISMATCH'],
  ])('not of a volume that CloudStack says is %s', async (_where, says, code) => {
    shown = { ...shown, ...says };
    await expect(service.publish(OURS, {})).rejects.toMatchObject({ code });
    expect(a.exports.changes).toEqual([]);
  });

  it('not of a disk that leaves while CloudStack is asked, whoever gets its letter', async () => {
    const uncertain = {
      code: 'DEVICE_IDENTITY_MISMATCH',
      message: expect.stringContaining('is not certain'),
    };
    meanwhile = () => a.guest.unplug(OURS);
    await expect(service.publish(OURS, {})).rejects.toMatchObject(uncertain);
    meanwhile = async () => {
      await a.plug('30000000-0000-4000-8000-000000000003');
    };
    await expect(service.publish(OURS, {})).rejects.toMatchObject(uncertain);
    expect(a.exports.changes).toEqual([]);
  });

  it('a second time: there is none any more, and nothing is written about it', async () => {
    expect(await service.withdraw(OURS, { force: false })).toEqual({ existed: true });
    const before = await a.ledger.readExport(OURS);
    await a.clock.advance(1000);
    expect(await service.withdraw(OURS, { force: false })).toEqual({ existed: false });
    expect(await a.ledger.readExport(OURS)).toEqual(before);
    expect((await service.list({})).map(({ volumeId }) => volumeId)).toEqual([THEIRS]);
    await expect(service.read(OURS)).rejects.toMatchObject({ code: 'EXPORT_NOT_FOUND' });
    await service.publish(OURS, {});
    expect(told).toEqual(['export:withdraw', 'export:publish']);
  });
});
