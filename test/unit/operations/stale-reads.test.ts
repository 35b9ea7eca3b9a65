import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { GIB, Rig, SECOND_MS } from './rig';

const STALE_MS = 8 * SECOND_MS;

describe('the first reads after a finished job are old', () => {
  it('attach: mapped and exported, attached once, never taken for a ghost', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command: 'attachVolume', kind: 'stale-read', ms: STALE_MS });
    expect(await rig.run('attach', { volume_id: id, vm_id: rig.here })).toMatchObject({
      status: 'completed',
    });
    expect(rig.calls).toEqual(['attachVolume']);
    expect([(await rig.ledger.readMapping(id))?.vmId, rig.exported(id)]).toEqual([rig.here, true]);
  });

  it('attach to another VM', async () => {
    const rig = await Rig.start();
    const [{ id }, vmId] = [await rig.volume(), rig.vm('Running')];
    rig.model.faults.add({ command: 'attachVolume', kind: 'stale-read', ms: STALE_MS });
    expect(await rig.run('attach', { volume_id: id, vm_id: vmId })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('detach: one detach, no mapping is left', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    rig.model.faults.add({ command: 'detachVolume', kind: 'stale-read', ms: STALE_MS });
    expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume']);
    expect(await rig.ledger.readMapping(id)).toBeNull();
  });

  it('create: made once', async () => {
    const rig = await Rig.start();
    const [zone, [offering]] = [rig.model.inventory.firstZone(), rig.model.offerings];
    rig.model.faults.add({ command: 'createVolume', kind: 'stale-read', ms: STALE_MS });
    const request = { name: 'data', size: GIB, disk_offering_id: offering?.id ?? '', zone_id: zone.id };
    expect(await rig.run('create', request)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['createVolume']);
  });

  it('delete: deleted once', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command: 'deleteVolume', kind: 'stale-read', ms: STALE_MS });
    expect(await rig.run('delete', { volume_id: id })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['deleteVolume']);
  });

  it('cleanup: the attach sees the volume detached although the list still has it on the test VM', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const { id } = await rig.volume({ vmId });
    rig.model.faults.add({ command: 'detachVolume', kind: 'stale-read', ms: STALE_MS });
    const request = {
      volume_id: id,
      test_vm_id: vmId,
      oma_vm_id: rig.here,
      delete_vm: false,
      force_clean: false,
    };
    expect(await rig.run('cleanup', request)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume', 'attachVolume']);
  });

  it.each(['detach', 'delete'] as const)(
    '%s: what was read before a minute of waiting for the disk is not believed: somebody has attached the volume again',
    async (type) => {
      const rig = await Rig.start();
      const volume = await rig.volume({ vmId: rig.here, mapped: true });
      const { id } = volume;
      // Its disk has stayed in the guest.
      Object.assign(volume, { vmId: null, deviceId: null, attached: null });
      const operation = await rig.request(type, { volume_id: id, force: true });
      await rig.pass(10 * SECOND_MS);
      rig.plugInto(volume, rig.here);
      expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
      expect(rig.calls).toEqual(type === 'detach' ? ['detachVolume'] : ['detachVolume', 'deleteVolume']);
      expect(await rig.ledger.readMapping(id)).toBeNull();
    },
  );

  it('detach: a disk that leaves later than the look is believed is waited for, however slow the database is', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    rig.unplug(volume);
    const { readMapping } = rig.ledger;
    // The doubt ends while it is looked whether the disk is still here.
    rig.ledger.readMapping = async (id) => {
      await rig.clock.sleep(5 * SECOND_MS);
      return readMapping.call(rig.ledger, id);
    };
    const operation = await rig.request('detach', { volume_id: volume.id });
    await rig.pass(40 * SECOND_MS);
    await rig.guest.unplug(volume.id);
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual([]);
  });

  it('attach: while its disk was waited for, somebody has moved the volume to another VM: what comes late is not exported', async () => {
    const rig = await Rig.start();
    const [volume, other] = [await rig.volume(), rig.vm('Running')];
    const plug = rig.guest.plug.bind(rig.guest);
    const late: Parameters<typeof plug>[0][] = [];
    rig.guest.plug = async (disk) => void late.push(disk);
    const operation = await rig.request('attach', { volume_id: volume.id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    await rig.pass(3 * SECOND_MS);
    rig.plugInto(volume, other);
    for (const disk of late) await plug(disk);
    expect(await rig.ended(operation)).toMatchObject({
      status: 'failed',
      errorCode: 'VOLUME_ATTACHED_ELSEWHERE',
    });
    expect([late.length, volume.vmId, rig.exported(volume.id)]).toEqual([1, other, false]);
    expect(await rig.ledger.readMapping(volume.id)).toBeNull();
  });

  it('a read that stays old is believed in the end, and ends the operation with a code', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    rig.model.faults.add({ command: 'detachVolume', kind: 'job-fails', code: 530, text: 'no', times: 10 });
    const operation = await rig.run('detach', { volume_id: id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_JOB_FAILED' });
    expect(rig.calls).toHaveLength(LIMITS.MUTATION_TRIES);
    expect(rig.exported(id), 'it is attached, so its export is back').toBe(true);
  });
});

describe('a management server that lags behind shows what was before our last operation', () => {
  it('detach: a volume that was attached to another VM a moment ago is not called detached', async () => {
    const rig = await Rig.start();
    const [volume, vmId] = [await rig.volume(), rig.vm('Running')];
    const { readVolume } = rig.cloud;
    const before = await readVolume.call(rig.cloud, volume.id);
    expect(await rig.run('attach', { volume_id: volume.id, vm_id: vmId })).toMatchObject({
      status: 'completed',
    });
    let looks = 0;
    rig.cloud.readVolume = async (id) => {
      looks += 1;
      return looks === 1 ? before : readVolume.call(rig.cloud, id);
    };
    expect(await rig.run('detach', { volume_id: volume.id })).toMatchObject({ status: 'completed' });
    expect([rig.calls, volume.vmId]).toEqual([['attachVolume', 'detachVolume'], null]);
    expect(await rig.ledger.readMapping(volume.id)).toBeNull();
  });

  it('detach: whoever uses a disk that came here a moment ago is not cut off', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    const { readVolume } = rig.cloud;
    const before = await readVolume.call(rig.cloud, volume.id);
    await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    rig.guest.hold(volume.id, [{ kind: 'mount', detail: '/mnt' }]);
    let looks = 0;
    rig.cloud.readVolume = async (id) => {
      looks += 1;
      return looks === 1 ? before : readVolume.call(rig.cloud, id);
    };
    const operation = await rig.run('detach', { volume_id: volume.id });
    expect(operation).toMatchObject({ errorCode: 'DEVICE_IN_USE' });
    expect((await rig.journal(operation.id)).map(({ step }) => step)).not.toContain('withdraw');
    expect([rig.exported(volume.id), rig.calls]).toEqual([true, ['attachVolume']]);
  });

  it.each([
    ['another VM', false],
    ['here', true],
  ])(
    'attach to %s: a volume that was detached from there a moment ago is not called attached',
    async (_to, here) => {
      const rig = await Rig.start();
      const vmId = here ? rig.here : rig.vm('Running');
      const volume = await rig.volume({ vmId, mapped: here });
      const { readVolume } = rig.cloud;
      const before = await readVolume.call(rig.cloud, volume.id);
      await rig.run('detach', { volume_id: volume.id });
      let looks = 0;
      rig.cloud.readVolume = async (id) => {
        looks += 1;
        return looks === 1 ? before : readVolume.call(rig.cloud, id);
      };
      const operation = await rig.run('attach', { volume_id: volume.id, vm_id: vmId });
      expect(operation).toMatchObject({ status: 'completed' });
      expect([rig.calls, volume.vmId]).toEqual([['detachVolume', 'attachVolume'], vmId]);
      expect(rig.exported(volume.id)).toBe(here);
    },
  );

  it.each([
    ['another VM', false],
    ['here', true],
  ])('attach to %s: what stays so is believed: somebody has attached it by hand', async (_to, here) => {
    const rig = await Rig.start();
    const vmId = here ? rig.here : rig.vm('Running');
    const { id } = await rig.volume({ vmId });
    expect(await rig.run('attach', { volume_id: id, vm_id: vmId })).toMatchObject({ status: 'completed' });
    expect([rig.calls, (await rig.ledger.readMapping(id))?.vmId]).toEqual([[], vmId]);
  });

  it('recover: a volume that was deleted a moment ago is brought back, and not called undeleted', async () => {
    const rig = await Rig.start({ policy: { deleteMode: 'trash' } });
    const volume = await rig.volume();
    const { readVolume } = rig.cloud;
    const before = await readVolume.call(rig.cloud, volume.id);
    await rig.run('delete', { volume_id: volume.id });
    expect(volume.state).toBe('Destroy');
    let looks = 0;
    rig.cloud.readVolume = async (id) => {
      looks += 1;
      return looks === 1 ? before : readVolume.call(rig.cloud, id);
    };
    expect(await rig.run('recover', { volume_id: volume.id })).toMatchObject({ status: 'completed' });
    expect(volume.state).toBe('Ready');
  });

  it('detach of a volume that somebody has deleted right before: done, and not refused', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    const old = await rig.cloud.readVolume(volume.id);
    const { readVolume } = rig.cloud;
    let looks = 0;
    rig.onSend = () => {
      rig.unplug(volume);
      Object.assign(volume, { removed: true, state: 'Expunged' });
      rig.guest.surpriseUnplug(volume.id);
      rig.cloud.readVolume = async (id) => {
        looks += 1;
        return looks <= 2 ? old : readVolume.call(rig.cloud, id);
      };
    };
    expect(await rig.run('detach', { volume_id: volume.id })).toMatchObject({ status: 'completed' });
    expect(looks).toBeGreaterThan(2);
    expect([rig.calls, await rig.ledger.readMapping(volume.id)]).toEqual([['detachVolume'], null]);
  });

  it('detach: what stays so is believed: somebody has detached it by hand', async () => {
    const rig = await Rig.start();
    const [volume, vmId] = [await rig.volume(), rig.vm('Running')];
    await rig.run('attach', { volume_id: volume.id, vm_id: vmId });
    rig.unplug(volume);
    expect(await rig.run('detach', { volume_id: volume.id })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume']);
    expect(await rig.ledger.readMapping(volume.id)).toBeNull();
  });
});

describe('sync beside a read that is old', () => {
  it.each([
    ['an attach has just ended', false],
    ['a detach has just ended', true],
  ])('repairs nothing: %s', async (_story, attached) => {
    const rig = await Rig.start();
    const volume = await rig.volume(attached ? { vmId: rig.here, mapped: true } : {});
    const command = attached ? 'detachVolume' : 'attachVolume';
    if (attached) await rig.run('detach', { volume_id: volume.id });
    else await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    // The list says what was before the job, and the look by id as well.
    const before = {
      ...volume,
      ...(attached ? { vmId: rig.here, deviceId: 1 } : { vmId: null, deviceId: null }),
    };
    volume.stale = { until: rig.clock.monotonic() + 10 * SECOND_MS, shown: { ...before, stale: null } };
    const row = await rig.ledger.readMapping(volume.id);
    const report = await rig.sync();
    expect(report.drifts, `after ${command}`).toEqual([]);
    expect(await rig.ledger.readMapping(volume.id)).toEqual(row);
    expect(rig.exported(volume.id)).toBe(!attached);
  });

  it('a list that is older than the look by id is not believed', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    await rig.pass(60 * SECOND_MS);
    const { listVolumes } = rig.cloud;
    rig.cloud.listVolumes = async (filter) =>
      (await listVolumes.call(rig.cloud, filter)).map((one) =>
        one.id === id ? { ...one, vmId: null } : one,
      );
    const report = await rig.sync();
    expect([report.drifts, report.skippedVolumes]).toEqual([[], 1]);
    expect(await rig.ledger.readMapping(id)).not.toBeNull();
    expect(rig.exported(id)).toBe(true);
  });
});

describe('a VM that was stopped, and is still shown as running', () => {
  it('is not stopped again: what contradicts the job is read again first', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const { id } = await rig.volume({ vmId });
    const readVm = rig.cloud.readVm.bind(rig.cloud);
    let until: number | null = null;
    rig.onSend = ({ name }) => {
      if (name === 'stopVirtualMachine') until ??= rig.clock.monotonic() + 10 * SECOND_MS;
    };
    rig.cloud.readVm = async (of) => {
      const shown = await readVm(of);
      const isOld = of === vmId && until !== null && rig.clock.monotonic() < until;
      return isOld && shown.kind === 'seen'
        ? { ...shown, value: { ...shown.value, state: 'Running' } }
        : shown;
    };
    const request = { volume_id: id, test_vm_id: vmId, oma_vm_id: rig.here, delete_vm: false };
    const operation = await rig.run('cleanup', { ...request, force_clean: true });
    expect(operation).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['stopVirtualMachine', 'detachVolume', 'attachVolume']);
  });
});
