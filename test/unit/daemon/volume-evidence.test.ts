import { describe, expect, it } from 'vitest';
import type { CloudVm, CloudVolume } from '~/server/cloudstack/cloud';
import { ClockSteps } from '~/server/core/clock-steps';
import { LIMITS } from '~/server/core/limits';
import { Unknowns } from '~/server/daemon/unknowns';
import { gatherEvidence } from '~/server/daemon/volumes/volume-evidence';
import type { DeviceSnapshot } from '~/server/devices/device';
import { expectedSerial } from '~/server/devices/serial';
import { absent, type Evidence, seen, unknown } from '~/server/model/evidence';
import type { Ledger, OperationFilter } from '~/server/model/ledger';
import type { JsonObject, Operation, OperationType } from '~/server/model/operation';
import { APPLIANCE, mapping, NOW, snapshot, VOLUME, volumeDescription } from '~/test/support/canned';
import { FakeDaemon } from '~/test/support/fake-daemon';

const { volume } = volumeDescription(null);
const hidden = unknown('CloudStack does not show it', NOW, 'cloudstack');
const away = new Error('ECONNREFUSED');

interface World {
  cloud?: Evidence<CloudVolume> | Error;
  database?: Error;
  /** Does the key see this VM? */
  seesAppliance?: boolean;
  /** Response of a completed delete. */
  deleted?: JsonObject;
  exports?: Error;
  guest?: DeviceSnapshot;
  /** The last operation on the volume, and how long ago it ended. */
  ended?: { type: OperationType; agoMs: number; status?: 'completed' | 'failed' };
  /** The row that has the path of the disk. */
  mapped?: string;
  /** What CloudStack lists on this appliance. */
  listed?: () => Promise<CloudVolume[]>;
}

async function gather({
  cloud = seen(volume, NOW, 'cloudstack'),
  database,
  deleted,
  ended,
  seesAppliance = false,
  exports,
  guest = snapshot(),
  mapped = VOLUME,
  listed = async () => [volume],
}: World) {
  const last = await new FakeDaemon().operations.request('delete', { volume_id: VOLUME });
  const read = async <T>(value: T): Promise<T> => {
    if (database) throw database;
    return value;
  };
  const clock = { now: () => NOW, monotonic: () => 0, sleep: async () => undefined };
  const ledger = {
    readMapping: () => read(mapped === VOLUME ? mapping(VOLUME, APPLIANCE) : null),
    readMappingByDevice: () => read(mapping(mapped, APPLIANCE)),
    readExport: () => read(null),
    listOperations: ({ type, status: wanted }: OperationFilter) => {
      if (type === undefined && ended) {
        const { status = 'completed', agoMs } = ended;
        if (wanted !== undefined && wanted !== status) return read([]);
        return read([
          { ...last, type: ended.type, status, updatedAt: NOW - agoMs, applianceId: APPLIANCE } as Operation,
        ]);
      }
      return read(
        type === 'delete' && deleted ? [{ ...last, status: 'completed' as const, response: deleted }] : [],
      );
    },
  };
  return gatherEvidence(
    {
      // Only what is asked for here.
      ledger: () => ledger as unknown as Ledger,
      cloud: {
        readVolume: async () => {
          if (cloud instanceof Error) throw cloud;
          return cloud;
        },
        listVolumes: listed,
        readVm: async () =>
          seesAppliance
            ? seen({} as CloudVm, NOW, 'cloudstack')
            : unknown('not asked for', NOW, 'cloudstack'),
      },
      watcher: { snapshot: () => guest },
      guest: { holders: async () => new Map() },
      exports: {
        kind: 'nbd-server',
        list: async () => {
          if (exports) throw exports;
          return [];
        },
        clients: async () => ({ connected: [], leaving: [] }),
      },
      clock,
      clockSteps: new ClockSteps(clock),
      unknowns: new Unknowns(),
      applianceVmId: () => APPLIANCE,
    },
    VOLUME,
  );
}

const kinds = async (world: World) => {
  const { cloudstack, guest, database, exportServer } = await gather(world);
  return [cloudstack, guest, database, exportServer].map(({ kind }) => kind);
};

describe('what the witnesses say of a volume', () => {
  it('each for itself', async () => {
    expect(await kinds({})).toEqual(['seen', 'seen', 'seen', 'absent']);
    const made = { type: 'create', agoMs: 0 } as const;
    expect(await kinds({ ended: made }), 'just made, and shown').toEqual(['seen', 'seen', 'seen', 'absent']);
  });

  it('one that cannot be asked is unknown, in its own words, and the others still say theirs', async () => {
    expect(await kinds({ cloud: away })).toEqual(['unknown', 'seen', 'seen', 'absent']);
    expect(await kinds({ database: away })).toEqual(['seen', 'seen', 'unknown', 'absent']);
    expect(await kinds({ exports: away })).toEqual(['seen', 'seen', 'seen', 'unknown']);
    expect(await kinds({ guest: { ...snapshot(), scanned: false } })).toEqual([
      'seen',
      'unknown',
      'seen',
      'absent',
    ]);
    expect(await gather({ cloud: away })).toMatchObject({
      cloudstack: { why: 'ECONNREFUSED' },
      unknownSince: { cloudstack: NOW },
    });
  });

  it('a disk on a bus on which no volume is served is its disk, too', async () => {
    const { devices, ...rest } = snapshot();
    const others = devices.map((disk) => ({ ...disk, bus: 'nvme' }));
    expect(await kinds({ guest: { ...rest, devices: [], others } })).toEqual([
      'seen',
      'seen',
      'seen',
      'absent',
    ]);
  });

  it.each([null, 'QM00003'])(
    'a disk on such a bus with serial %s may be its disk: nothing is proven',
    async (serial) => {
      const { devices, ...rest } = snapshot();
      const others = devices.map((disk) => ({ ...disk, path: '/dev/sda', serial, bus: 'sata or ide' }));
      const { guest } = await gather({ guest: { ...rest, devices: [], others } });
      expect(guest).toMatchObject({ kind: 'unknown', why: expect.stringContaining('/dev/sda') });
    },
  );

  it('a disk with its serial that is mapped to another volume, whose id begins alike, proves nothing', async () => {
    const twin = `${VOLUME.slice(0, 24)}${'0'.repeat(12)}`;
    const { guest: disks, database } = await gather({ mapped: twin });
    expect(disks).toMatchObject({
      kind: 'unknown',
      why: expect.stringContaining(`mapped to volume ${twin}`),
    });
    expect(database.kind, 'neither mapping nor export').toBe('absent');
    // The row is not about this disk.
    const { devices, ...rest } = snapshot();
    const other = devices.map((disk) => ({ ...disk, diskseq: 8 }));
    const guest = { ...rest, bootId: 'another', devices: other };
    expect((await gather({ mapped: '00000000-0000-4000-8000-000000000000', guest })).guest.kind).toBe('seen');
  });

  it('nor does one that no row proves, while such a volume is attached here without a row', async () => {
    const twin = `${VOLUME.slice(0, 24)}${'0'.repeat(12)}`;
    const listed = async () => [volume, { ...volume, id: twin }];
    const { devices, ...rest } = snapshot();
    const guest = { ...rest, bootId: 'another', devices: devices.map((disk) => ({ ...disk, diskseq: 8 })) };
    const mapped = '00000000-0000-4000-8000-000000000000';
    expect((await gather({ mapped, guest, listed })).guest).toMatchObject({
      kind: 'unknown',
      why: expect.stringContaining(`volume ${twin}, which is attached here`),
    });
    // Its own row proves the plug, whoever else is here.
    expect((await gather({ listed })).guest.kind).toBe('seen');
    const refused = async () => Promise.reject(away);
    expect((await gather({ mapped, guest, listed: refused })).guest.kind).toBe('seen');
  });

  it('the disk of the system itself is another one, whatever it tells', async () => {
    const { devices, ...rest } = snapshot();
    const system = devices.map((disk) => ({ ...disk, path: '/dev/vda', serial: null, root: true }));
    expect((await gather({ guest: { ...rest, devices: system } })).guest.kind).toBe('absent');
  });

  it('a disk with the serial of no volume that is attached here may be its disk, where its id was replaced', async () => {
    const other = '99999999-0000-4000-8000-000000000000';
    const { devices, ...rest } = snapshot();
    const guest = { ...rest, devices: devices.map((disk) => ({ ...disk, serial: expectedSerial(other) })) };
    const here = { ...volume, vmId: APPLIANCE };
    const cloud = seen(here, NOW, 'cloudstack');
    const told = async (world: World) => (await gather({ cloud, guest, mapped: other, ...world })).guest;
    expect(await told({})).toMatchObject({ kind: 'unknown', why: expect.stringContaining('/dev/vdb') });
    expect((await told({ listed: async () => [here, { ...here, id: other }] })).kind).toBe('absent');
    const elsewhere = seen({ ...volume, vmId: null }, NOW, 'cloudstack');
    expect((await told({ cloud: elsewhere })).kind).toBe('absent');
  });

  it('all away: four times unknown, and no error', async () => {
    const guest = { ...snapshot(), scanned: false };
    expect(await kinds({ cloud: away, database: away, exports: away, guest })).toEqual(
      Array(4).fill('unknown'),
    );
  });

  it.each([
    ['create', 1, 'completed', 'unknown'],
    ['attach', LIMITS.READ_SETTLE_MS - 1, 'completed', 'unknown'],
    ['create', LIMITS.READ_SETTLE_MS, 'completed', 'absent'],
    ['create', 1, 'failed', 'absent'],
    ['delete', 1, 'completed', 'absent'],
    ['detach', 1, 'completed', 'absent'],
  ] as const)(
    'denied by CloudStack after a %s that ended %i ms ago (%s), it is %s',
    async (type, agoMs, status, kind) => {
      const cloud = absent('this id names nothing', NOW, 'cloudstack');
      const { cloudstack } = await gather({ cloud, ended: { type, agoMs, status }, seesAppliance: true });
      expect(cloudstack.kind).toBe(kind);
      if (cloudstack.kind === 'unknown') expect(cloudstack.why).toContain('ask again');
    },
  );

  it('what CloudStack does not show is unknown, unless a delete of ours has proven that it is gone', async () => {
    expect((await gather({ cloud: hidden })).cloudstack.kind).toBe('unknown');
    expect((await gather({ cloud: hidden, deleted: {} })).cloudstack).toMatchObject({
      kind: 'absent',
      proof: expect.stringContaining('has deleted it'),
    });
    expect((await gather({ cloud: hidden, deleted: { recoverable: true } })).cloudstack.kind).toBe('unknown');
    expect((await gather({ cloud: away, deleted: {} })).cloudstack.kind).toBe('unknown');
  });

  it('a denial counts only from a key that sees this appliance', async () => {
    const denied = absent('CloudStack says that this id names nothing', NOW, 'cloudstack');
    expect((await gather({ cloud: denied })).cloudstack.kind).toBe('unknown');
  });
});
