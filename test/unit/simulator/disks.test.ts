import { describe, expect, it } from 'vitest';
import type { Volume } from '~/lab/cloudstack/records';
import { failureOf, makeWorld } from './world';

describe('attachVolume', () => {
  it('first attach: Creating, then Ready; later ones Attaching; the VM shows only when the hypervisor is done', async () => {
    const { model, clock, guest, attach, detach, settle, volume: make } = makeWorld();
    const volume = await make();
    const job = attach(volume);
    await clock.advance(50);
    expect(volume).toMatchObject({ state: 'Creating', vmId: null, jobId: job.id });
    expect(guest.plugged()).toEqual([]);
    await settle();
    expect(volume).toMatchObject({ state: 'Ready', vmId: model.applianceVmId, deviceId: 1, jobId: null });
    detach(volume);
    await settle();
    attach(volume);
    await clock.advance(50);
    expect(volume).toMatchObject({ state: 'Attaching', vmId: null });
  });

  it('the guest gets a disk whose serial is the first 20 characters of the id, and of its size', async () => {
    const { guest, attached } = makeWorld();
    const volume = await attached();
    const { devices } = await guest.look();
    expect(devices.find(({ name }) => name === 'vdb')).toMatchObject({
      serial: volume.id.replaceAll('-', '').slice(0, 20),
      size: volume.size,
    });
  });

  it('device ids: lowest free of 1, 2, 4, …; 0 is the root disk, 3 is never given', async () => {
    const { attach, detach, attached, settle, volume: make } = makeWorld();
    const volumes: Volume[] = [];
    for (let i = 0; i < 4; i += 1) volumes.push(await attached(`v${i}`));
    expect(volumes.map(({ deviceId }) => deviceId)).toEqual([1, 2, 4, 5]);
    const [, second] = volumes;
    if (second) detach(second);
    await settle();
    const next = await make();
    attach(next);
    await settle();
    expect(next.deviceId).toBe(2);
  });

  it('a device id of the caller: taken, 3, negative and too high ones fail', async () => {
    const { model, attach, attached, settle, volume: make } = makeWorld();
    await attached();
    const volume = await make();
    const vm = model.vms[0];
    for (const [deviceId, text] of [
      [1, `deviceId 1 is used by vm ${vm?.internalId}`],
      [3, 'deviceId should be 0,1,2,4-33'],
      [34, 'deviceId should be 0,1,2,4-33'],
      [-1, 'deviceId should be 0,1,2,4-33'],
    ] as const) {
      const job = attach(volume, { deviceId });
      await settle();
      expect(failureOf(job)).toEqual([530, text]);
    }
    const job = attach(volume, { deviceId: 33 });
    await settle();
    expect(job.status).toBe(1);
    expect(volume.deviceId).toBe(33);
  });

  it.each([
    ['KVM', 32],
    ['XenServer', 13],
    ['Simulator', 6],
    ['Hyperv', 6],
  ])('%s takes %i data disks and not one more', async (hypervisor, limit) => {
    const { model, attach, settle, volume: make } = makeWorld();
    const vmId = model.addVm({ name: 'full', hypervisor }).id;
    for (let i = 0; i < limit; i += 1) {
      const job = attach(await make(`v${i}`), { vmId });
      await settle();
      expect(job.status).toBe(1);
    }
    const job = attach(await make('too-much'), { vmId });
    await settle();
    expect(failureOf(job)).toEqual([
      431,
      `The specified VM already has the maximum number of data disks (${limit}) attached. Please specify another VM.`,
    ]);
  });

  it('mistakes are reported by the job, not by the call', async () => {
    const { model, attach, attached, settle, volume: make } = makeWorld();
    const elsewhere = model.inventory.addZone('zone-2').id;
    const vm = (fields: { state?: string; zoneId?: string }) => model.addVm({ name: 'vm', ...fields }).id;
    const cases: [Volume, string | undefined, [number, string]][] = [
      [await attached(), undefined, [431, 'Please specify a volume that is not attached to any VM.']],
      [
        Object.assign(await make(), { state: 'Snapshotting' }),
        undefined,
        [431, 'Volume state must be in Allocated, Ready or in Uploaded state'],
      ],
      [
        Object.assign(await make(), { state: 'Destroy' }),
        undefined,
        [431, 'Please specify a volume that is not destroyed.'],
      ],
      [
        await make(),
        vm({ state: 'Starting' }),
        [431, 'Please specify a VM that is either running or stopped.'],
      ],
      [
        await make(),
        vm({ zoneId: elsewhere }),
        [431, 'Please specify a VM that is in the same zone as the volume.'],
      ],
    ];
    for (const [volume, vmId, failure] of cases) {
      const job = attach(volume, vmId === undefined ? {} : { vmId });
      await settle();
      expect(failureOf(job)).toEqual(failure);
    }
  });

  it('one VM works off its queue one by one, another VM at the same time', async () => {
    const { model, clock, attach, volume: make } = makeWorld();
    const vmId = model.addVm({ name: 'other' }).id;
    const volumes = [await make('a'), await make('b'), await make('c')] as const;
    const first = attach(volumes[0]);
    const second = attach(volumes[1]);
    const other = attach(volumes[2], { vmId });
    const statuses = () => [first, second, other].map(({ status }) => status);
    await clock.advance(100);
    expect(statuses()).toEqual([1, 0, 1]);
    await clock.advance(100);
    expect(statuses()).toEqual([1, 1, 1]);
    const started = model.history
      .events()
      .filter(({ what, detail }) => what === 'job-started' && detail === 'attachVolume');
    expect(started.map(({ jobId }) => jobId)).toEqual([first.id, other.id, second.id]);
  });

  it('two attaches of one volume to two VMs: one wins, the other fails', async () => {
    const { model, attach, settle, volume: make } = makeWorld();
    const vmId = model.addVm({ name: 'other' }).id;
    const volume = await make();
    const [first, second] = [attach(volume), attach(volume, { vmId })];
    await settle();
    expect(first.status).toBe(1);
    expect(failureOf(second)).toEqual([
      530,
      'Volume: data is in Creating. It should be in Ready or Allocated state',
    ]);
    expect(model.effectsOf(volume.id, 'attach')).toBe(1);
  });

  it('the second attach in one queue finds it attached', async () => {
    const { attach, settle, volume: make } = makeWorld();
    const volume = await make();
    const [, second] = [attach(volume), attach(volume)];
    await settle();
    expect(failureOf(second)).toEqual([530, 'volume: data is already attached to a VM: appliance']);
  });

  it('as root disk: only on a stopped VM that has none', async () => {
    const { model, attach, settle, volume: make } = makeWorld();
    const vm = model.addVm({ name: 'migrated', state: 'Stopped' });
    const volume = await make();
    const taken = attach(volume, { vmId: vm.id, deviceId: 0 });
    await settle();
    expect(failureOf(taken)).toEqual([431, 'Vm already has root volume attached to it']);
    for (const root of model.inventory.attachedTo(vm)) Object.assign(root, { vmId: null, deviceId: null });
    attach(volume, { vmId: vm.id, deviceId: 0 });
    await settle();
    expect(volume).toMatchObject({ type: 'ROOT', deviceId: 0, vmId: vm.id });
    const running = attach(await make(), { deviceId: 0 });
    await settle();
    expect(failureOf(running)).toEqual([431, expect.stringContaining('Stopped or Destroyed')]);
  });
});

describe('detachVolume', () => {
  it('takes the disk from the guest, then from the VM', async () => {
    const { model, guest, detach, attached, settle } = makeWorld();
    const volume = await attached();
    const job = detach(volume);
    await settle();
    expect(job.result).toMatchObject({
      kind: 'volume',
      volume: { vmId: null, deviceId: null, state: 'Ready' },
    });
    expect(guest.plugged()).toEqual([]);
    expect(model.effectsOf(volume.id, 'detach')).toBe(1);
  });

  it('by VM and device id as well; with both, or neither, the job fails', async () => {
    const { model, attached, settle } = makeWorld();
    const volume = await attached();
    const both = model.detachVolume({ jobId: null });
    await settle();
    expect(failureOf(both)).toEqual([
      431,
      'Please provide either a volume id, or a tuple(device id, instance id)',
    ]);
    model.detachVolume({ vmId: model.applianceVmId, deviceId: 1, jobId: null });
    await settle();
    expect(volume.vmId).toBeNull();
  });

  it('twice at the same time: the second succeeds and finds nothing to do', async () => {
    const { model, detach, attached, settle } = makeWorld();
    const volume = await attached();
    const [first, second] = [detach(volume), detach(volume)];
    await settle();
    expect([first.status, second.status]).toEqual([1, 1]);
    expect(model.effectsOf(volume.id, 'detach')).toBe(1);
    const third = detach(volume);
    await settle();
    expect(failureOf(third)).toEqual([431, 'The specified volume is not attached to a VM.']);
  });

  it('the second of two leaves a delete alone that has begun between them', async () => {
    const { model, clock, detach, attached } = makeWorld();
    const volume = await attached();
    const first = detach(volume);
    await clock.advance(50);
    const second = detach(volume);
    await clock.advance(50);
    expect([first.status, second.status]).toEqual([1, 0]);
    await clock.advance(50);
    const deleted = model.deleteVolume(volume.id);
    await clock.advance(50);
    expect([second.status, volume.state]).toEqual([1, 'Expunging']);
    await clock.advance(100);
    await deleted;
    expect(volume).toMatchObject({ removed: true, state: 'Expunged' });
  });

  it('the second of two clears an attachment to another VM that was made between them', async () => {
    const { model, clock, guest, attach, detach, volume: make, settle } = makeWorld();
    const test = model.addVm({ name: 'test' });
    const [straggling, other] = [await make('straggling'), await make('other')];
    attach(straggling, { vmId: test.id });
    await settle();
    const first = detach(straggling);
    // Work of the same queue in between, so that there is time to attach it elsewhere.
    const between = attach(other, { vmId: test.id });
    const second = detach(straggling);
    await clock.advance(100);
    expect([first.status, between.status, second.status]).toEqual([1, 0, 0]);
    attach(straggling);
    await clock.advance(100);
    expect([straggling.vmId, second.status]).toEqual([model.applianceVmId, 0]);
    await settle();
    expect([straggling.vmId, second.status]).toEqual([null, 1]);
    // Nobody told the appliance's guest.
    expect(guest.plugged()).toEqual([straggling.id]);
  });
});

describe('virtual machines', () => {
  it('a stopped VM shows no disks; started again they are all there, in the order of their device ids', async () => {
    const { model, guest, attached, settle } = makeWorld();
    const volumes = [await attached('a'), await attached('b')];
    model.stopVm(model.applianceVmId, null);
    await settle();
    expect(guest.plugged()).toEqual([]);
    expect(volumes.map(({ vmId }) => vmId)).toEqual([model.applianceVmId, model.applianceVmId]);
    model.startVm(model.applianceVmId, null);
    await settle();
    expect(guest.plugged()).toEqual(volumes.map(({ id }) => id));
  });

  it('attaching to a stopped VM changes the database only', async () => {
    const { model, guest, attach, settle, volume: make } = makeWorld();
    model.stopVm(model.applianceVmId, null);
    await settle();
    const volume = await make();
    attach(volume);
    await settle();
    expect(volume.vmId).toBe(model.applianceVmId);
    expect(guest.plugged()).toEqual([]);
  });

  it('destroyed with expunge: gone from lists, root disk too, data disks are free', async () => {
    const { model, attach, settle, volume: make } = makeWorld();
    const vm = model.addVm({ name: 'test' });
    const volume = await make();
    attach(volume, { vmId: vm.id });
    await settle();
    const job = model.destroyVm(vm.id, true, null);
    await settle();
    expect(job.result).toEqual({ kind: 'expunged' });
    expect(volume).toMatchObject({ vmId: null, removed: false });
    expect(model.volumes.filter(({ name, removed }) => name.startsWith('ROOT-') && removed)).toHaveLength(1);
  });
});
