import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { fails, ok } from './canned-server';
import { refused, useCannedServer, VM, VOLUME } from './use-canned-server';

const canned = useCannedServer();

describe('lists', () => {
  const volume = (index: number) => ({
    id: `${String(index).padStart(8, '0')}-0000-4000-8000-000000000000`,
    name: 'v',
  });

  it('an empty list is an empty object, a page past the end a count without a list', async () => {
    canned.say(ok('listVolumes', {}));
    expect(await canned.client.cloud.listVolumes({})).toEqual([]);
    canned.say(ok('listVolumes', { count: 12 }));
    expect(await canned.client.cloud.listVolumes({})).toEqual([]);
    expect(await canned.client.cloud.readVolume(VOLUME)).toMatchObject({ kind: 'unknown', by: 'cloudstack' });
  });

  it.each(['DATADISK', undefined])('what is at device 0 of a VM is its root disk: type %s', async (type) => {
    const at = { id: VOLUME, virtualmachineid: VM, deviceid: 0, type };
    canned.say(ok('listVolumes', { count: 1, volume: [at] }));
    expect(await canned.client.cloud.readVolume(VOLUME)).toMatchObject({ value: { type: 'ROOT' } });
    // The number outlives the plug in the state Destroy.
    canned.say(ok('listVolumes', { count: 1, volume: [{ ...at, virtualmachineid: undefined }] }));
    expect(await canned.client.cloud.readVolume(VOLUME)).toMatchObject({ value: { type: 'DATADISK' } });
  });

  it.each([-1, 0.5, '1e400', '-1073741824', '9223372036854775808', 'a lot'])(
    'a size of %j says nothing, nor is it a place on a bus',
    async (odd) => {
      canned.say(
        ok('listVolumes', {
          count: 1,
          volume: [{ ...volume(1), size: odd, virtualmachineid: VM, deviceid: odd }],
        }),
      );
      expect(await canned.client.cloud.listVolumes({})).toMatchObject([{ size: null, deviceId: null }]);
    },
  );

  it('a place on a bus that no bus has is not known', async () => {
    canned.say(
      ok('listVolumes', { count: 1, volume: [{ ...volume(1), virtualmachineid: VM, deviceid: 1e12 }] }),
    );
    expect(await canned.client.cloud.listVolumes({})).toMatchObject([{ vmId: VM, deviceId: null }]);
  });

  it('a size of 0 is that of a server that does not know it: no volume and no snapshot is empty', async () => {
    canned.say(ok('listVolumes', { count: 1, volume: [{ ...volume(1), size: 0 }] }));
    expect(await canned.client.cloud.listVolumes({})).toMatchObject([{ size: null }]);
    canned.say(
      ok('listSnapshots', { count: 1, snapshot: [{ ...volume(1), volumeid: VOLUME, virtualsize: 0 }] }),
    );
    expect(await canned.client.cloud.listSnapshots({ volumeId: VOLUME })).toMatchObject([{ size: null }]);
  });

  it('the limit of a VM whose hypervisor is not shown is not that of all hypervisors', async () => {
    canned.server.script = ({ parameters }) =>
      parameters.get('command') === 'listVirtualMachines'
        ? ok('listVirtualMachines', { count: 1, virtualmachine: [{ id: VM, name: 'appliance' }] })
        : ok('listHypervisorCapabilities', {
            count: 1,
            hypervisorCapabilities: [{ maxdatavolumeslimit: 64 }],
          });
    expect(await canned.client.cloud.dataDiskLimit(VM)).toMatchObject({ kind: 'unknown' });
  });

  describe('how many disks a VM may have', () => {
    const hypervisors = (...limits: readonly (number | undefined)[]) =>
      ok('listHypervisorCapabilities', {
        count: limits.length,
        hypervisorCapabilities: limits.map((limit) => ({ maxdatavolumeslimit: limit })),
      });
    const kvm = ok('listVirtualMachines', {
      count: 1,
      virtualmachine: [{ id: VM, name: 'appliance', hypervisor: 'KVM' }],
    });
    const limit = (answer: () => ReturnType<typeof ok>) => {
      canned.server.script = ({ parameters }) =>
        parameters.get('command') === 'listVirtualMachines' ? kvm : answer();
      return canned.client.cloud.dataDiskLimit(VM);
    };

    it('a limit of 0 is none that is set: CloudStack takes its default then', async () => {
      expect(await limit(() => hypervisors(0))).toMatchObject({ kind: 'unknown' });
    });

    it('beside one of another version it says nothing', async () => {
      expect(await limit(() => hypervisors(0, 32, undefined))).toMatchObject({ kind: 'seen', value: 32 });
    });

    it('what could not be asked for a moment is asked for again; what is refused is not', async () => {
      expect(await limit(() => ({ status: 502 }))).toMatchObject({ kind: 'unknown' });
      expect(await limit(() => hypervisors(32))).toMatchObject({ kind: 'seen', value: 32 });
    });

    it('a key that may not ask is not refused again for every attach', async () => {
      const refusal = fails('error', 432, 'The given command does not exist or it is not available for user');
      expect(await limit(() => refusal)).toMatchObject({ kind: 'unknown' });
      expect(await limit(() => hypervisors(32))).toMatchObject({ kind: 'unknown' });
    });
  });

  it('a list that has to be whole is none while CloudStack counts more than it shows', async () => {
    const { cloud } = canned.client;
    canned.server.script = ({ parameters }) =>
      ok('listVolumes', parameters.get('page') === '1' ? { count: 2, volume: [volume(1)] } : { count: 2 });
    expect(await cloud.listVolumes({ vmId: VM })).toHaveLength(1);
    await expect(cloud.listVolumes({ vmId: VM, isWhole: true })).rejects.toThrow('counts 2');
    canned.say(ok('listVolumes', { count: 2, volume: [volume(1), volume(2)] }));
    expect(await cloud.listVolumes({ vmId: VM, isWhole: true })).toHaveLength(2);
    canned.say(ok('listVolumes', {}));
    expect(await cloud.listVolumes({ vmId: VM, isWhole: true })).toEqual([]);
  });

  it('every page is read, and an exact multiple of the page size ends with a page past the end', async () => {
    const total = 2 * LIMITS.CLOUDSTACK_PAGE_SIZE;
    canned.server.script = ({ parameters }) => {
      const [page, size] = [Number(parameters.get('page')), Number(parameters.get('pagesize'))];
      const shown = Array.from({ length: total }, (_, index) => volume(index)).slice(
        (page - 1) * size,
        page * size,
      );
      return ok('listVolumes', shown.length === 0 ? { count: total } : { count: total, volume: shown });
    };
    expect(await canned.client.cloud.listVolumes({})).toHaveLength(total);
    expect(canned.server.requests).toHaveLength(3);
    expect(canned.server.requests.every(({ parameters }) => parameters.get('listall') === 'true')).toBe(true);
  });

  it('a row that moves to the next page while pages are read is listed once', async () => {
    const size = LIMITS.CLOUDSTACK_PAGE_SIZE;
    const pages = [
      Array.from({ length: size }, (_, index) => volume(index)),
      [volume(size - 1), volume(size)],
    ];
    canned.server.script = (_request, index) => ok('listVolumes', { count: size + 1, volume: pages[index] });
    expect(await canned.client.cloud.listVolumes({})).toHaveLength(size + 1);
  });

  it('a row that moves to a page that was read already is not left out', async () => {
    const size = LIMITS.CLOUDSTACK_PAGE_SIZE;
    const rows = Array.from({ length: size + 2 }, (_, index) => volume(index));
    canned.server.script = ({ parameters }, index) => {
      // Somebody deletes the first one after the first page was read.
      const now = index === 0 ? rows : rows.slice(1);
      const from = (Number(parameters.get('page')) - 1) * size;
      return ok('listVolumes', { count: now.length, volume: now.slice(from, from + size) });
    };
    const ids = (await canned.client.cloud.listVolumes({})).map(({ id }) => id);
    expect(ids).toEqual(rows.slice(1).map(({ id }) => id));
  });

  it('a count that shrinks with every page does not make it read without end', async () => {
    const size = LIMITS.CLOUDSTACK_PAGE_SIZE;
    const rows = Array.from({ length: size + 2 }, (_, index) => volume(index));
    canned.server.script = ({ parameters }) => {
      const from = (Number(parameters.get('page')) - 1) * size;
      const shown = rows.slice(from, from + size);
      return ok('listVolumes', { count: shown.length, volume: shown });
    };
    expect(await canned.client.cloud.listVolumes({})).toHaveLength(rows.length);
    expect(canned.server.requests).toHaveLength(2 * LIMITS.CLOUDSTACK_LIST_READS);
  });

  it('a server with a smaller page size is asked again with its own, and from then on', async () => {
    canned.server.script = ({ parameters }) =>
      Number(parameters.get('pagesize')) > 20
        ? fails('listVolumes', 431, "Page size can't exceed max allowed page size value: 20")
        : ok('listVolumes', { count: 1, volume: [volume(1)] });
    expect(await canned.client.cloud.listVolumes({})).toHaveLength(1);
    expect(await canned.client.cloud.listVolumes({})).toHaveLength(1);
    expect(canned.server.requests.map(({ parameters }) => parameters.get('pagesize'))).toEqual([
      '500',
      '20',
      '20',
    ]);
  });

  it.each([
    ['by the size that it gives', true],
    ['by the size that is asked for', false],
  ])('a server that cuts pages without a word and counts %s is read to the end', async (_how, byOwn) => {
    const rows = Array.from({ length: 45 }, (_, index) => volume(index));
    canned.server.script = ({ parameters }) => {
      const [page, asked] = [Number(parameters.get('page')), Number(parameters.get('pagesize'))];
      const from = (page - 1) * (byOwn ? Math.min(asked, 20) : asked);
      return ok('listVolumes', { count: rows.length, volume: rows.slice(from, from + Math.min(asked, 20)) });
    };
    expect(await canned.client.cloud.listVolumes({})).toHaveLength(rows.length);
  });

  it.each([
    ['the first of two', 2, 0],
    ['the first of a few', 10, 0],
    ['the last of a few', 10, 9],
    [
      'one of the second of three pages',
      2 * LIMITS.CLOUDSTACK_PAGE_SIZE + 100,
      LIMITS.CLOUDSTACK_PAGE_SIZE + 7,
    ],
  ])('%s that is counted and not shown hides no other one', async (_which, total, hidden) => {
    const rows = Array.from({ length: total }, (_, index) => volume(index));
    canned.server.script = ({ parameters }) => {
      const [page, size] = [Number(parameters.get('page')), Number(parameters.get('pagesize'))];
      const shown = rows.slice((page - 1) * size, page * size).filter((row) => row !== rows[hidden]);
      return ok('listVolumes', shown.length === 0 ? { count: total } : { count: total, volume: shown });
    };
    expect(await canned.client.cloud.listVolumes({})).toHaveLength(total - 1);
    expect(canned.server.requests.length).toBeLessThanOrEqual(3);
  });

  it('a count that is too large ends the list all the same', async () => {
    canned.server.script = ({ parameters }) =>
      ok('listVolumes', { count: 9, volume: parameters.get('page') === '1' ? [volume(1), volume(2)] : [] });
    expect(await canned.client.cloud.listVolumes({})).toHaveLength(2);
    expect(canned.server.requests).toHaveLength(3);
  });

  it('what was not asked for is not taken: an offering of another id, a snapshot of another volume', async () => {
    const other = { id: VM, name: 'other', iscustomized: true };
    canned.say(ok('listDiskOfferings', { count: 1, diskoffering: [other] }));
    expect(await canned.client.cloud.readDiskOffering(VOLUME)).toBeNull();
    expect(await canned.client.cloud.readDiskOffering(VM.toUpperCase())).toMatchObject({ name: 'other' });
    const snapshots = [VOLUME, VM, undefined].map((volumeid, index) => ({ id: `s-${index}`, volumeid }));
    canned.say(ok('listSnapshots', { count: 3, snapshot: snapshots }));
    const listed = await canned.client.cloud.listSnapshots({ volumeId: VOLUME.toUpperCase() });
    expect(listed.map(({ id }) => id)).toEqual(['s-0']);
  });

  it('a list that never ends is given up', async () => {
    const full = Array.from({ length: LIMITS.CLOUDSTACK_PAGE_SIZE }, (_, index) => volume(index));
    canned.say(ok('listZones', { count: 1e6, zone: full }));
    expect((await refused(canned.client.cloud.listZones())).message).toContain(
      `more than ${LIMITS.CLOUDSTACK_PAGES} pages`,
    );
    expect(canned.server.requests).toHaveLength(LIMITS.CLOUDSTACK_PAGES);
  });

  it('types that drift between versions are read, what is absent is null', async () => {
    canned.say(
      ok('listVolumes', {
        count: 1,
        volume: [
          {
            id: VOLUME.toUpperCase(),
            name: 7,
            size: '5368709120',
            state: 'Ready',
            created: '2024-11-04T09:00:00+0100',
            deviceid: 3,
            zoneid: 9,
            deleteprotection: 'true',
            surprise: {},
          },
        ],
      }),
    );
    const read = await canned.client.cloud.readVolume(VOLUME);
    expect(read.kind === 'seen' && read.value).toEqual({
      id: VOLUME,
      name: '7',
      type: 'DATADISK',
      state: 'Ready',
      size: 5368709120,
      zoneId: '9',
      zoneName: null,
      vmId: null,
      vmName: null,
      vmState: null,
      owner: { projectId: null, account: null, domainId: null },
      // A device id without a VM is a left-over.
      deviceId: null,
      created: '2024-11-04T08:00:00.000Z',
      attached: null,
      deleteProtection: true,
    });
  });

  it('an answer with a row without an id is refused', async () => {
    canned.say(ok('listVolumes', { count: 1, volume: [{ name: 'no id' }] }));
    const error = await refused(canned.client.cloud.listVolumes({}));
    expect([error.kind, error.outcome, error.message]).toEqual([
      'network',
      'unknown',
      expect.stringContaining('unexpected content'),
    ]);
  });

  it('a volume is gone only when the server says so of this very id', async () => {
    const text = (value: string) =>
      `Unable to execute API command listvolumes due to invalid value. Invalid parameter id value=${value} due to incorrect long value format, or entity does not exist or due to incorrect parameter annotation for the field in api cmd class.`;
    const kind = async () => (await canned.client.cloud.readVolume(VOLUME)).kind;
    canned.say(fails('listVolumes', 431, text(VOLUME), 9999));
    expect(await kind()).toBe('absent');
    canned.say(fails('listVolumes', 431, text(VM), 9999));
    expect((await refused(canned.client.cloud.readVolume(VOLUME))).code).toBe(431);
    canned.say(fails('listVolumes', 431, 'Unable to find volume', 9999));
    expect((await refused(canned.client.cloud.readVolume(VOLUME))).code).toBe(431);
    canned.say(ok('listVolumes', { count: 1, volume: [{ id: VOLUME, state: 'Expunged' }] }));
    expect(await kind()).toBe('absent');
    canned.say(ok('listVolumes', { count: 1, volume: [{ id: VM, state: 'Ready' }] }));
    expect(await kind(), 'another volume is no answer').toBe('unknown');
    canned.say(ok('listVolumes', {}));
    expect(await kind(), 'an empty list is no answer').toBe('unknown');
  });

  it('the same for a VM, which tells its state and its owner', async () => {
    const owner = { account: 'a', domainid: 'd' };
    canned.say(
      ok('listVirtualMachines', {
        count: 1,
        virtualmachine: [{ id: VM, name: 'vm', state: 'Stopping', ...owner }],
      }),
    );
    expect(await canned.client.cloud.readVm(VM)).toMatchObject({
      kind: 'seen',
      value: { id: VM, state: 'Stopping', owner: { projectId: null, account: 'a', domainId: 'd' } },
    });
    canned.say(ok('listVirtualMachines', {}));
    expect((await canned.client.cloud.readVm(VM)).kind).toBe('unknown');
  });

  it('a zone is found by its id or its name', async () => {
    canned.say(ok('listZones', { count: 1, zone: [{ id: VM, name: 'zone-1', allocationstate: 'Enabled' }] }));
    const zone = { id: VM, name: 'zone-1', allocationState: 'Enabled' };
    expect([
      await canned.client.cloud.readZone('zone-1'),
      await canned.client.cloud.readZone(VM.toUpperCase()),
    ]).toEqual([zone, zone]);
    expect(await canned.client.cloud.readZone('zone-2')).toBeNull();
  });

  it('a zone name is no id because it is as long as one', async () => {
    const name = 'frankfurt-2-production-availability-';
    expect(name).toHaveLength(VM.length);
    canned.server.script = ({ parameters }) =>
      parameters.has('id')
        ? fails('listZones', 431, 'entity does not exist')
        : ok('listZones', { count: 1, zone: [{ id: VM, name }] });
    expect(await canned.client.cloud.readZone(name)).toMatchObject({ id: VM, name });
  });
});

/**
 * What each error says about trying again and about the effect of a change (docs: facts of CloudStack 4.20).
 */
