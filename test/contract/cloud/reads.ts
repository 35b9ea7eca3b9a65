import { expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { NOBODY, ownerOf, refused, type World } from './world';

/** What is there, and what is not. */
export function reads(the: () => World): void {
  it('says its version and what the key may do', async () => {
    expect(await the().cloud.capabilities()).toEqual({
      version: '4.20.0.0',
      mayExpungeVms: true,
      mayExpungeVolumes: true,
      seesDestroyedVms: true,
    });
  });

  it("says how many data disks a VM may have by its hypervisor's limit, and not of a VM that it does not show", async () => {
    const { cloud, model } = the();
    expect(await cloud.dataDiskLimit(model.applianceVmId)).toMatchObject({ kind: 'seen', value: 32 });
    expect(await cloud.dataDiskLimit('00000000-0000-4000-8000-0000000000ff')).toMatchObject({
      kind: 'unknown',
    });
  });

  it('finds a zone by id in any case and by name; unknown ones are null', async () => {
    const { cloud, model } = the();
    const { id, name } = model.inventory.firstZone();
    const zone = { id, name, allocationState: 'Enabled' };
    expect(await cloud.listZones()).toEqual([zone]);
    expect([
      await cloud.readZone(id),
      await cloud.readZone(id.toUpperCase()),
      await cloud.readZone(name),
    ]).toEqual([zone, zone, zone]);
    expect([await cloud.readZone(NOBODY), await cloud.readZone('nowhere')]).toEqual([null, null]);
  });

  it('finds a disk offering by id; unknown ones are null', async () => {
    const { cloud, model } = the();
    const offerings = model.offerings.map((offering) => ({ ...offering }));
    expect(await cloud.listDiskOfferings()).toEqual(offerings);
    expect(await cloud.readDiskOffering(offerings[1]?.id.toUpperCase() ?? '')).toEqual(offerings[1]);
    expect(await cloud.readDiskOffering(NOBODY)).toBeNull();
  });

  it('finds a VM by id; one that never was is absent', async () => {
    const { cloud, model } = the();
    const id = model.applianceVmId;
    const vm = {
      id,
      name: 'appliance',
      state: 'Running',
      hypervisor: 'KVM',
      created: expect.any(String),
      owner: ownerOf(model.account),
    };
    const found = { kind: 'seen', value: vm, at: expect.any(Number), by: 'cloudstack' };
    expect([await cloud.readVm(id), await cloud.readVm(id.toUpperCase())]).toEqual([found, found]);
    expect(await cloud.readVm(NOBODY)).toMatchObject({ kind: 'absent', by: 'cloudstack' });
  });

  it('a VM and the root disk that it came with were made at the same time', async () => {
    const { cloud, model } = the();
    const vm = await cloud.readVm(model.applianceVmId);
    const [root] = await cloud.listVolumes({ vmId: model.applianceVmId });
    if (vm.kind !== 'seen') throw new Error('it is not seen');
    expect(root?.type).toBe('ROOT');
    const [made, madeWith] = [root?.created, vm.value.created].map((at) => Date.parse(at ?? ''));
    expect(Math.abs((made ?? 0) - (madeWith ?? 0))).toBeLessThanOrEqual(LIMITS.MADE_WITH_VM_MS);
  });

  it('a volume that never was is absent, a job that never was is denied', async () => {
    const { cloud } = the();
    expect(await cloud.readVolume(NOBODY)).toMatchObject({ kind: 'absent', by: 'cloudstack' });
    expect(await cloud.queryJob(NOBODY)).toBeNull();
  });

  it('what belongs to somebody who is out of sight is unknown, never absent', async () => {
    const world = the();
    const volumeId = await world.create('hidden');
    const vm = world.model.addVm({ name: 'hidden-vm' });
    for (const id of [volumeId, vm.id]) world.model.conditions.add({ kind: 'hidden', id });
    expect(await world.cloud.readVolume(volumeId)).toMatchObject({ kind: 'unknown', by: 'cloudstack' });
    expect(await world.cloud.readVm(vm.id)).toMatchObject({ kind: 'unknown', by: 'cloudstack' });
    expect((await world.cloud.listVolumes({})).map(({ id }) => id)).not.toContain(volumeId);
    world.model.conditions.clear();
    expect(await world.cloud.readVolume(volumeId)).toMatchObject({ kind: 'seen' });
  });

  it('lists volumes by name (as a whole, whatever its case), zone and VM', async () => {
    const world = the();
    const { cloud, model } = world;
    const ids = [await world.create('Listed'), await world.create('listed'), await world.create('listed-2')];
    const found = await cloud.listVolumes({ name: 'LISTED', zoneId: model.inventory.firstZone().id });
    expect(found.map(({ id }) => id).sort()).toEqual(ids.slice(0, 2).sort());
    await world.done(world.attach(ids[2] ?? ''));
    const attached = await cloud.listVolumes({ vmId: model.applianceVmId });
    expect(attached.map(({ id, type }) => [id, type])).toEqual([
      [expect.any(String), 'ROOT'],
      [ids[2], 'DATADISK'],
    ]);
    expect(await cloud.listVolumes({ name: 'unheard-of' })).toEqual([]);
    for (const filter of [{ vmId: NOBODY }, { zoneId: NOBODY }])
      expect(await refused(cloud.listVolumes(filter))).toMatchObject({
        kind: 'parameter',
        outcome: 'final',
        code: 431,
      });
    await world.done({ name: 'detachVolume', volumeId: ids[2] ?? '' });
  });
}
