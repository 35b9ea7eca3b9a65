import { beforeEach, describe, expect, it } from 'vitest';
import { ExportService } from '~/server/exports/export-service';
import { exportName } from '~/server/model/export-name';
import { OperationEvents } from '~/server/model/operation-events';
import { GIB, MemoryAppliance } from '../sync/appliance';

const OURS = '10000000-0000-4000-8000-000000000001';
const THEIRS = '20000000-0000-4000-8000-000000000002';

let a: MemoryAppliance;
let service: ExportService;
beforeEach(async () => {
  a = await MemoryAppliance.start();
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
  service = new ExportService({
    ledger: () => a.ledger,
    server: a.exports,
    clock: a.clock,
    events: new OperationEvents(),
    owner: () => ({ epoch: { applianceId: a.vmId, number: 1 }, applianceVmId: a.vmId }),
    applianceVmId: () => a.vmId,
    watcher: { scan: async () => ({ ...(await a.guest.look()), at: 0, scanned: true }) },
    isBusyWith: () => false,
    volume: async () => ({ vmId: a.vmId, size: 5 * GIB }),
    sizeToleranceBytes: 0,
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
});
