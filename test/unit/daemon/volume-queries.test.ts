import { beforeEach, describe, expect, it } from 'vitest';
import { ClockSteps } from '~/server/core/clock-steps';
import { DaemonError } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import { VolumeQueries } from '~/server/daemon/volumes/volume-queries';
import type { DeviceSnapshot } from '~/server/devices/device';
import { absent, seen } from '~/server/model/evidence';
import type { Mapping } from '~/server/model/operation';
import { APPLIANCE, exportRecord, mapping, NOW, OTHER_VM, snapshot, VOLUME } from '~/test/support/canned';

/** What callers are told of a disk before the guest was read for the first time after a start. */
let guest: DeviceSnapshot;
let row: Mapping;
beforeEach(() => {
  guest = snapshot();
  row = mapping(VOLUME, APPLIANCE);
});

const ledger = {
  readMapping: async () => row,
  readMappingByDevice: async () => row,
  listMappings: async () => [row],
  pageOfMappings: async () => [row],
};
const parts = { ledger: () => ledger, watcher: { snapshot: () => guest }, devDir: '/dev' };
const queries = new VolumeQueries({
  ...parts,
  applianceVmId: () => APPLIANCE,
} as unknown as ConstructorParameters<typeof VolumeQueries>[0]);

describe.each([
  ['of a volume', async () => [await queries.mapping(VOLUME)]],
  ['of a device', async () => [await queries.mappingByDevice('vdb')]],
  ['in the list', async () => (await queries.devices(10, null)).mappings],
  ['of the VM', async () => (await queries.ofVm(APPLIANCE)).volumes],
])('the mapping %s', (_, ask) => {
  it('is told when the guest shows that disk', async () => {
    expect(await ask()).toMatchObject([{ devicePath: '/dev/vdb', linuxState: 'detected' }]);
  });

  it('is not told by the letter of the last boot: 503, not 404', async () => {
    guest = { ...snapshot(), scanned: false };
    await expect(ask()).rejects.toMatchObject({ code: 'DEVICES_UNREADABLE' });
  });

  it('is not called missing while the serial of the disk is being read after a boot: 503, not 404', async () => {
    const [disk] = guest.devices;
    const pending = { ...(disk ?? expect.unreachable()), serial: null, serialState: 'pending' as const };
    guest = { ...guest, bootId: 'the next', devices: [pending] };
    await expect(ask()).rejects.toMatchObject({ code: 'DEVICES_UNREADABLE' });
    const besides = { ...pending, name: 'vdc', path: '/dev/vdc' };
    guest = { ...guest, devices: [{ ...pending, serial: 'another', serialState: 'read' }, besides] };
    const told = await ask().catch((error: unknown) => error);
    expect(told).toEqual(
      told instanceof DaemonError
        ? expect.objectContaining({ code: 'MAPPING_NOT_FOUND' })
        : [expect.objectContaining({ linuxState: 'missing' })],
    );
  });
});

it('the last page of the list is followed by none', async () => {
  expect((await queries.devices(1, null)).next).toBeNull();
});

it('a device that no volume is mapped to is not found', async () => {
  const none = new VolumeQueries({
    ...parts,
    applianceVmId: () => APPLIANCE,
    ledger: () => ({ readMappingByDevice: async () => null }),
  } as unknown as ConstructorParameters<typeof VolumeQueries>[0]);
  for (const path of ['vdz', `remote-vm-${OTHER_VM}-${VOLUME}`])
    await expect(none.mappingByDevice(path)).rejects.toMatchObject({ code: 'MAPPING_NOT_FOUND' });
});

it('the export of a disk that is gone is closed in the list of volumes too, before a sync has written that down', async () => {
  const record = exportRecord(VOLUME);
  const listing = new VolumeQueries({
    ...parts,
    applianceVmId: () => APPLIANCE,
    catalogue: { current: async () => ({ volumes: [{ id: VOLUME, volume: seen({}, NOW, 'cloudstack') }] }) },
    ledger: () => ({
      readVolumeRows: async () => new Map([[VOLUME, { mapping: row, export: record, lastOperation: null }]]),
    }),
  } as unknown as ConstructorParameters<typeof VolumeQueries>[0]);
  const told = async () => (await listing.list({ limit: 10 })).volumes[0]?.rows.export;
  expect(await told()).toMatchObject({ status: 'active', devicePath: '/dev/vdb' });
  guest = { ...guest, devices: [] };
  expect(await told()).toMatchObject({ status: 'failed', devicePath: `missing-${VOLUME}` });
});

it('a mapping to another VM needs no look at this guest', async () => {
  guest = { ...snapshot(), scanned: false };
  row = mapping(VOLUME, OTHER_VM);
  expect(await queries.mapping(VOLUME)).toEqual(row);
});

it.each([
  ['its snapshots', (about: VolumeQueries) => about.snapshots(VOLUME)],
  ['what its id means', (about: VolumeQueries) => about.resolve(VOLUME)],
])(
  '%s: a volume that was made right now, and that another management server denies, is not known',
  async (_, ask) => {
    const made = { id: 'op', type: 'create', status: 'completed', updatedAt: NOW, applianceId: APPLIANCE };
    let agoMs = 0;
    const clock = { now: () => NOW + agoMs, monotonic: () => agoMs };
    const about = new VolumeQueries({
      ...parts,
      clock,
      clockSteps: new ClockSteps(clock),
      applianceVmId: () => APPLIANCE,
      ledger: () => ({ ...ledger, listOperations: async () => [made] }),
      cloud: {
        listSnapshots: async () => [],
        readVolume: async () => absent('this id names nothing', NOW, 'cloudstack'),
        readVm: async () => seen({}, NOW, 'cloudstack'),
      },
    } as unknown as ConstructorParameters<typeof VolumeQueries>[0]);
    await expect(ask(about)).rejects.toMatchObject({ code: 'VOLUME_NOT_VISIBLE' });
    agoMs = LIMITS.READ_SETTLE_MS;
    await expect(ask(about)).rejects.toMatchObject({ code: 'VOLUME_NOT_FOUND' });
  },
);
