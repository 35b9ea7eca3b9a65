import { describe, expect, it } from 'vitest';
import {
  type CloudVm,
  type CloudVolume,
  IncompleteList,
  type VolumeListFilter,
} from '~/server/cloudstack/cloud';
import { ClockSteps } from '~/server/core/clock-steps';
import { LIMITS } from '~/server/core/limits';
import { withUnmapped } from '~/server/daemon/volumes/volumes-of-vm';
import { absent, type Evidence, seen, unknown } from '~/server/model/evidence';
import type { Mapping, Operation } from '~/server/model/operation';
import { mapping } from '../../contract/ledger/fixtures';

const VM = 'c0000000-0000-4000-8000-00000000000c';
const MAPPED = 'a0000000-0000-4000-8000-000000000001';
const LEFT = 'a0000000-0000-4000-8000-000000000002';
const NOW = 1_000_000;

const shown = (id: string, fields: Partial<CloudVolume> = {}) =>
  ({ id, type: 'DATADISK', vmId: VM, size: 7, attached: null, created: null, ...fields }) as CloudVolume;
const root = shown('root', { type: 'ROOT' });
const row: Mapping = { ...mapping(MAPPED, { vmId: VM }), id: 'm', lastSync: 0, createdAt: 0, updatedAt: 0 };

/** The row as it is answered while nothing speaks against it. */
const told = { ...row, doubt: null };

interface World {
  readonly last?: Pick<Operation, 'status' | 'updatedAt'> &
    Partial<Pick<Operation, 'type' | 'request' | 'applianceId'>>;
  readonly own?: string;
  readonly vm?: Evidence<CloudVm>;
  readonly appliance?: Evidence<CloudVm>;
  readonly mapped?: readonly Mapping[];
  /** What is said of the volume with the row when it is asked for by its id; on the VM by default. */
  readonly byId?: Evidence<CloudVolume> | Error | Promise<never>;
  /** The clock was not set by default. */
  readonly clockSteps?: ClockSteps;
}

const clock = { now: () => NOW, monotonic: () => NOW };
const steady = new ClockSteps(clock);

/** Of a daemon whose clock was set by an hour between the process before it and its start. */
function justSet(): ClockSteps {
  const note = { offsetMs: NOW - 3_600_000, steppedAtMs: null };
  return new ClockSteps(clock, undefined, { uptime: () => 0, load: () => note, save: () => {} });
}

const here = seen({} as CloudVm, NOW, 'cloudstack');

const onVm = seen(shown(MAPPED), NOW, 'cloudstack');

function ask(
  volumes: (filter: VolumeListFilter) => Promise<CloudVolume[]>,
  { last, own, vm = here, appliance = here, mapped = [row], byId = onVm, clockSteps = steady }: World = {},
) {
  const parts = {
    cloud: {
      listVolumes: volumes,
      readVolume: async () => (byId instanceof Error ? Promise.reject(byId) : byId),
      readVm: async (id: string) => (id === VM ? vm : appliance),
    },
    ledger: {
      listOperations: async () => (last ? [{ applianceId: 'appliance', ...last } as Operation] : []),
      ownVolumes: async (ids: readonly string[]) => new Set(ids.filter((id) => id === own)),
    },
    applianceVmId: () => 'appliance',
    clockSteps,
    // Waiting takes no time here.
    clock: {
      ...clock,
      sleep: () => new Promise<void>((end) => setImmediate(end)),
    },
  };
  return withUnmapped(parts, VM, mapped);
}

describe('the volumes of another VM', () => {
  it('are those with a mapping, and data volumes that CloudStack shows there without one', async () => {
    const { volumes, incomplete } = await ask(async () => [
      shown(MAPPED),
      shown(LEFT),
      root,
      shown('elsewhere', { vmId: 'other' }),
    ]);
    expect(volumes.map(({ volumeId }) => volumeId)).toEqual([MAPPED, LEFT]);
    expect(volumes[1]).toMatchObject({ devicePath: `remote-vm-${VM}-${LEFT}`, size: 7 });
    expect(incomplete).toBeNull();
  });

  it.each([
    ['in flight', { status: 'executing', updatedAt: 0 }, 1],
    ['that has just ended', { status: 'completed', updatedAt: NOW - 1 }, 1],
    ['of long ago', { status: 'completed', updatedAt: NOW - LIMITS.READ_SETTLE_MS }, 2],
  ] as const)(
    'with an operation %s: the list of CloudStack may be older than that',
    async (_, last, count) => {
      const { volumes, incomplete } = await ask(async () => [shown(LEFT), root], { last });
      expect(volumes).toHaveLength(count);
      expect(incomplete).toEqual(count === 2 ? null : expect.stringContaining(LEFT));
    },
  );

  it.each([
    ['of another appliance', { applianceId: 'other' }, steady],
    ['that is old only by a clock that was set right before the start', {}, justSet()],
  ])('with an operation %s: how long ago it ended is not known', async (_, whose, clockSteps) => {
    const last = { status: 'completed', updatedAt: NOW - LIMITS.READ_SETTLE_MS, ...whose } as const;
    const { volumes, incomplete } = await ask(async () => [shown(LEFT), root], { last, clockSteps });
    expect(volumes).toHaveLength(1);
    expect(incomplete).toContain(LEFT);
  });

  it.each([
    ['attach', 'executing', VM, true],
    ['attach', 'failed', VM, true],
    ['attach', 'executing', 'other', false],
    ['detach', 'failed', VM, true],
    ['detach', 'executing', VM, false],
    ['detach', 'completed', VM, false],
  ] as const)(
    'after a young %s (%s) to %s: what stands there still, or already, is lost with the VM where it is left out',
    async (type, status, to, isListed) => {
      const last = { type, status, request: { volume_id: LEFT, vm_id: to }, updatedAt: NOW - 1 };
      const asked = ask(async () => [shown(LEFT), root], { last, mapped: [] });
      // An empty list would be taken for "none" while the disk may still be there.
      if (!isListed)
        return expect(asked).rejects.toMatchObject({
          code: 'VOLUME_BUSY',
          message: expect.stringContaining(LEFT),
        });
      const { volumes, incomplete } = await asked;
      expect(volumes.map(({ volumeId }) => volumeId)).toEqual([LEFT]);
      expect(incomplete).toBeNull();
    },
  );

  it('have the root disk that is proven to be ours: it would go with the VM', async () => {
    const migrated = shown(LEFT, { type: 'ROOT' });
    expect(
      (await ask(async () => [migrated], { own: LEFT })).volumes.map(({ volumeId }) => volumeId),
    ).toEqual([MAPPED, LEFT]);
    expect((await ask(async () => [migrated])).volumes).toEqual([told]);
  });

  it('are said to be incomplete when not even its root disk is shown: others may be left out as well', async () => {
    for (const list of [[], [shown(LEFT)], [shown('root', { type: 'ROOT', vmId: 'other' })]])
      expect((await ask(async () => list)).incomplete).toContain('does not show the root disk');
    expect((await ask(async () => [root])).incomplete).toBeNull();
  });

  it('are said to be incomplete when the VM is not shown: its list is empty, whatever it has', async () => {
    const hidden = unknown('it is in a project that this key does not see', NOW, 'cloudstack');
    const nothing = async () => [];
    expect(await ask(nothing, { vm: hidden })).toEqual({ volumes: [told], incomplete: hidden.why });
    const gone = absent('this id names nothing', NOW, 'cloudstack');
    expect(await ask(nothing, { vm: gone })).toMatchObject({ volumes: [row], incomplete: null });
    // A key that does not see the appliance either proves nothing.
    const { incomplete } = await ask(nothing, { vm: gone, appliance: hidden });
    expect(incomplete).toContain('nothing is concluded');
  });

  it.each([
    ['on another VM', seen(shown(MAPPED, { vmId: 'other' }), NOW, 'cloudstack'), 'shows it on VM other'],
    ['detached', seen(shown(MAPPED, { vmId: null }), NOW, 'cloudstack'), 'shows it detached'],
    ['as gone', absent('this id names nothing', NOW, 'cloudstack'), 'it is gone: this id names nothing'],
    ['not at all', unknown('it is in a project', NOW, 'cloudstack'), 'does not show it: it is in a project'],
  ] as const)(
    'are listed by their row where CloudStack shows them %s, which is said',
    async (_, byId, doubt) => {
      const { volumes, incomplete } = await ask(async () => [root], { byId });
      expect(volumes).toEqual([{ ...row, doubt: expect.stringContaining(doubt) }]);
      expect(incomplete).toBeNull();
      const last = { status: 'completed', updatedAt: NOW - 1 } as const;
      const [young] = (await ask(async () => [root], { byId, last })).volumes;
      expect(young?.doubt).toContain('has just ended: ask again');
    },
  );

  it('are not doubted because a list leaves them out that shows them by their id, but with a VM that is gone', async () => {
    expect((await ask(async () => [root])).volumes).toEqual([told]);
    const gone = absent('this id names nothing', NOW, 'cloudstack');
    const [left] = (await ask(async () => [], { vm: gone })).volumes;
    expect(left?.doubt).toBe(`VM ${VM} is gone: this id names nothing`);
  });

  it('are all listed where one of them cannot be asked about, which is said of that one', async () => {
    const byId = new Error('too many requests');
    const { volumes, incomplete } = await ask(async () => [root, shown(LEFT)], { byId });
    expect(volumes.map(({ volumeId }) => volumeId)).toEqual([MAPPED, LEFT]);
    expect(volumes[0]?.doubt).toContain('could not be asked about: too many requests');
    expect([volumes[1]?.doubt, incomplete]).toEqual([null, null]);
  });

  it('are all listed where one of them is not answered about in time: whoever destroys the VM must see the others', async () => {
    const byId = new Promise<never>(() => {});
    const { volumes, incomplete } = await ask(async () => [root, shown(LEFT)], { byId });
    expect(volumes.map(({ volumeId }) => volumeId)).toEqual([MAPPED, LEFT]);
    expect(volumes[0]?.doubt).toContain('could not be asked about: CloudStack has not answered in time');
    expect([volumes[1]?.doubt, incomplete]).toEqual([null, null]);
  });

  it.each([
    ['refuses', () => Promise.reject(new Error('no right to list')), 'no right to list'],
    ['does not answer', () => new Promise<never>(() => {}), 'CloudStack has not answered in time'],
  ])('are said to be incomplete when CloudStack %s', async (_, volumes, why) => {
    expect(await ask(volumes)).toEqual({ volumes: [told], incomplete: why });
    // Whoever destroys a VM without volumes takes an empty list for that, and need not know of any header.
    await expect(ask(volumes, { mapped: [] })).rejects.toThrow(why);
  });

  it('are said to be incomplete when CloudStack counts more than it shows, and are no empty list then', async () => {
    const volumes = async ({ isWhole = false }: VolumeListFilter) => {
      if (isWhole) throw new IncompleteList('listVolumes', 3, 1);
      return [root];
    };
    const { volumes: listed, incomplete } = await ask(volumes);
    expect([listed, incomplete]).toEqual([[told], expect.stringContaining('counts 3')]);
    await expect(ask(volumes, { mapped: [] })).rejects.toThrow('counts 3');
  });

  it('are none where nothing is mapped or shown on a VM whose root disk a failover has taken away', async () => {
    const { volumes, incomplete } = await ask(async () => [], { mapped: [] });
    expect([volumes, incomplete]).toEqual([[], expect.stringContaining('root disk')]);
  });

  it('are none where CloudStack has answered, and nothing is mapped', async () => {
    expect(await ask(async () => [root], { mapped: [] })).toEqual({ volumes: [], incomplete: null });
    const gone = absent('this id names nothing', NOW, 'cloudstack');
    expect(await ask(async () => [], { vm: gone, mapped: [] })).toEqual({ volumes: [], incomplete: null });
  });
});
