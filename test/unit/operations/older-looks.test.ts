import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { absent } from '~/server/model/evidence';
import { exportName } from '~/server/model/export-name';
import { cleanup, GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';
import { MOUNT } from './situations';

describe('a look that is older than what another operation has done a moment ago', () => {
  type Look = Awaited<ReturnType<Rig['cloud']['readVolume']>>;

  /** The next looks at the volume show it so. */
  function showOld(rig: Rig, id: string, old: Look, looks = 1): void {
    const { readVolume } = rig.cloud;
    let left = looks;
    rig.cloud.readVolume = async (asked) => {
      if (asked !== id || left === 0) return readVolume.call(rig.cloud, asked);
      left -= 1;
      return old;
    };
  }

  /** A volume that an operation has detached from this VM, and how it was shown before. */
  async function detachedFrom(rig: Rig, vmId: string): Promise<{ id: string; old: Look }> {
    const { id } = await rig.volume({ vmId, mapped: vmId === rig.here });
    const old = await rig.cloud.readVolume(id);
    await rig.run('detach', { volume_id: id });
    return { id, old };
  }

  it('attach to a VM from which it was detached: not called attached', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const { id, old } = await detachedFrom(rig, vmId);
    showOld(rig, id, old);
    expect(await rig.run('attach', { volume_id: id, vm_id: vmId })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume', 'attachVolume']);
  });

  it('detach: who uses a disk that came here is asked, also where looks show it on the VM before', async () => {
    const rig = await Rig.start();
    const { id, old } = await detachedFrom(rig, rig.vm('Running'));
    await rig.run('attach', { volume_id: id, vm_id: rig.here });
    rig.server.connect(exportName(id));
    showOld(rig, id, old, 2);
    const operation = await rig.run('detach', { volume_id: id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_IN_USE' });
    expect(rig.calls).toEqual(['detachVolume', 'attachVolume']);
    expect(rig.exported(id)).toBe(true);
  });

  it('detach: the plug that is ended is the one that the volume has, not an earlier one on the same VM', async () => {
    const rig = await Rig.start();
    const { id, old } = await detachedFrom(rig, rig.here);
    await rig.pass(SECOND_MS);
    await rig.run('attach', { volume_id: id, vm_id: rig.here });
    showOld(rig, id, old);
    expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'completed' });
  });

  it('cleanup: a disk that was given to another VM is not taken from there', async () => {
    const rig = await Rig.start();
    const [testVm, other] = [rig.vm('Stopped'), rig.vm('Running')];
    const { id, old } = await detachedFrom(rig, testVm);
    await rig.run('attach', { volume_id: id, vm_id: other });
    showOld(rig, id, old, 4);
    const operation = await rig.run('cleanup', cleanup(rig, id, testVm));
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect(rig.calls).toEqual(['detachVolume', 'attachVolume']);
  });

  it.each([0, 1])(
    'delete: a volume that was detached from another VM is deleted (restarts: %i)',
    async (restarts) => {
      const rig = await Rig.start();
      const { id, old } = await detachedFrom(rig, rig.vm('Running'));
      if (restarts > 0) await rig.restart();
      showOld(rig, id, old);
      expect(await rig.run('delete', { volume_id: id })).toMatchObject({ status: 'completed' });
      expect(rig.calls).toEqual(['detachVolume', 'deleteVolume']);
    },
  );

  it('delete: a volume that was just created, and that another management server does not know yet', async () => {
    const rig = await Rig.start();
    const [zone, [offering]] = [rig.model.inventory.firstZone(), rig.model.offerings];
    const request = { name: 'data', size: GIB, disk_offering_id: offering?.id ?? '', zone_id: zone.id };
    const { volumeId } = await rig.run('create', request);
    showOld(rig, volumeId, absent('entity does not exist', rig.clock.now(), 'cloudstack'));
    expect(await rig.run('delete', { volume_id: volumeId })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['createVolume', 'deleteVolume']);
  });

  it('the undo of an attach says that the volume stays attached, also where a look shows it as before', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    const old = await rig.cloud.readVolume(id);
    rig.guest.hold(id, [MOUNT]);
    rig.domain.events.onEntry(({ state }) => {
      if (state === 'failing') showOld(rig, id, old);
    });
    const operation = await rig.run('attach', { volume_id: id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_IN_USE' });
    expect(operation.error).toContain('so the volume stays attached');
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('the undo of an attach takes back what is shown as before again, though that was doubted once already', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    const old = await rig.cloud.readVolume(id);
    rig.model.faults.add({ command: 'attachVolume', kind: 'no-device' });
    rig.domain.events.onEntry(({ step, state }) => {
      const hasAttached = step === 'attach-volume' && state === 'finished';
      if (hasAttached || state === 'failing') showOld(rig, id, old, 1);
    });
    const operation = await rig.run('attach', { volume_id: id, vm_id: rig.here }, 20 * MINUTE_MS);
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_DETECTED' });
    expect(rig.calls).toEqual(['attachVolume', 'detachVolume']);
  });

  it('detach: its job does not say how it ended, and the volume is shown as before its attach', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    const old = await rig.cloud.readVolume(id);
    await rig.run('attach', { volume_id: id, vm_id: rig.here });
    const { submit } = rig.cloud;
    rig.model.faults.add({ command: 'detachVolume', kind: 'job-without-result' });
    rig.cloud.submit = async (...call) => {
      const accepted = await submit.apply(rig.cloud, call);
      // The guest has given the disk up, and CloudStack has noted nothing.
      await rig.guest.unplug(id);
      showOld(rig, id, old, 2);
      rig.cloud.submit = submit;
      return accepted;
    };
    expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume', 'detachVolume', 'detachVolume']);
  });

  it('resize: also where CloudStack has not said how the attach ended', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    const old = await rig.cloud.readVolume(id);
    rig.model.faults.add({ command: 'attachVolume', kind: 'job-without-result-after-effect' });
    await rig.run('attach', { volume_id: id, vm_id: rig.here });
    showOld(rig, id, old);
    expect(await rig.run('resize', { volume_id: id, size: 6 * GIB })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume', 'resizeVolume']);
  });

  it.each([0, 1])(
    'delete into the trash: the volume has been attached since it was shown without storage (restarts: %i)',
    async (restarts) => {
      const rig = await Rig.start({ policy: { deleteMode: 'trash' } });
      const volume = await rig.volume({ state: 'Allocated' });
      const old = await rig.cloud.readVolume(volume.id);
      await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
      await rig.run('detach', { volume_id: volume.id });
      if (restarts > 0) await rig.restart();
      showOld(rig, volume.id, old, 2);
      const operation = await rig.run('delete', { volume_id: volume.id });
      expect(operation).toMatchObject({ status: 'completed', response: { recoverable: true } });
      expect(volume).toMatchObject({ state: 'Destroy', removed: false });
    },
  );

  it('delete into the trash: also where it is the delete itself that has detached it', async () => {
    const rig = await Rig.start({ policy: { deleteMode: 'trash' } });
    const volume = await rig.volume({ state: 'Allocated' });
    const old = await rig.cloud.readVolume(volume.id);
    await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    const { readVolume } = rig.cloud;
    rig.cloud.readVolume = async (asked) => {
      const now = await readVolume.call(rig.cloud, asked);
      const isEarly = rig.clock.now() - volume.created < LIMITS.READ_SETTLE_MS;
      return isEarly && volume.vmId === null && volume.state === 'Ready' ? old : now;
    };
    const operation = await rig.run('delete', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'completed', response: { recoverable: true } });
    expect(volume).toMatchObject({ state: 'Destroy', removed: false });
  });

  it('delete into the trash: somebody has attached it for the first time, and detached it, since it was decided', async () => {
    const rig = await Rig.start({ policy: { deleteMode: 'trash' } });
    const volume = await rig.volume({ state: 'Allocated' });
    rig.domain.events.onEntry(({ step, state }) => {
      if (step === 'delete-volume' && state === 'intent' && volume.state === 'Allocated')
        volume.state = 'Ready';
    });
    const operation = await rig.run('delete', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'completed', response: { recoverable: true } });
    expect(rig.calls).toEqual(['destroyVolume']);
    expect(volume).toMatchObject({ state: 'Destroy', removed: false });
  });

  it.each(['attach', 'snapshot'] as const)('%s: a volume that was just recovered', async (type) => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ state: 'Destroy' });
    const old = await rig.cloud.readVolume(id);
    await rig.run('recover', { volume_id: id });
    showOld(rig, id, old);
    const operation = await rig.run(type, { volume_id: id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'completed' });
  });

  it('snapshot: a volume that was shown without storage before its first attach', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ state: 'Allocated' });
    const old = await rig.cloud.readVolume(id);
    await rig.run('attach', { volume_id: id, vm_id: rig.here });
    await rig.run('detach', { volume_id: id });
    showOld(rig, id, old);
    expect(await rig.run('snapshot', { volume_id: id })).toMatchObject({ status: 'completed' });
  });

  it('what stays so is believed: somebody has attached it by hand', async () => {
    const rig = await Rig.start();
    const { id } = await detachedFrom(rig, rig.vm('Running'));
    const volume = rig.model.inventory.volume('test', 'id', id);
    rig.plugInto(volume, rig.vm('Running'));
    const operation = await rig.run('delete', { volume_id: id }, LIMITS.READ_SETTLE_MS + 10 * SECOND_MS);
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect(rig.calls).toEqual(['detachVolume']);
  });

  it('what was done longer ago is not looked at again', async () => {
    const rig = await Rig.start();
    const { id } = await detachedFrom(rig, rig.vm('Running'));
    rig.plugInto(rig.model.inventory.volume('test', 'id', id), rig.vm('Running'));
    await rig.pass(LIMITS.READ_SETTLE_MS + SECOND_MS);
    const operation = await rig.run('delete', { volume_id: id }, SECOND_MS);
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
  });
});

describe('a management server that lags behind shows once more what a job of the operation has ended', () => {
  /** The first look that shows the volume detached is followed by one that is as old as the plug. */
  function flapAfterDetach(rig: Rig, id: string): void {
    const { readVolume } = rig.cloud;
    const shown: Awaited<ReturnType<typeof readVolume>>[] = [];
    let state: 'plugged' | 'detached' | 'over' = 'plugged';
    rig.cloud.readVolume = async (asked) => {
      const now = await readVolume.call(rig.cloud, asked);
      if (asked !== id || now.kind !== 'seen' || state === 'over') return now;
      if (now.value.vmId !== null) shown.push(now);
      else if (state === 'plugged') state = 'detached';
      else {
        state = 'over';
        return shown.at(-1) ?? now;
      }
      return now;
    };
  }

  it('delete: the volume that was detached from here is deleted', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    flapAfterDetach(rig, id);
    expect(await rig.run('delete', { volume_id: id })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume', 'deleteVolume']);
  });

  it('cleanup: the volume that was detached from the test VM is attached here', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const { id } = await rig.volume({ vmId });
    flapAfterDetach(rig, id);
    const operation = await rig.run('cleanup', cleanup(rig, id, vmId));
    expect(operation).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume', 'attachVolume']);
  });

  it('cleanup: the disk is taken from the test VM that was stopped for it', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const { id } = await rig.volume({ vmId });
    const { readVm } = rig.cloud;
    const running = await readVm.call(rig.cloud, vmId);
    let stopped = 0;
    rig.cloud.readVm = async (asked) => {
      const now = await readVm.call(rig.cloud, asked);
      if (asked !== vmId || now.kind !== 'seen' || now.value.state !== 'Stopped') return now;
      stopped += 1;
      return stopped === 2 ? running : now;
    };
    const operation = await rig.run('cleanup', cleanup(rig, id, vmId, { force_clean: true }));
    expect(operation).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['stopVirtualMachine', 'detachVolume', 'attachVolume']);
  });

  it('cleanup: nothing is taken from a test VM that somebody has started again', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    const { readVm } = rig.cloud;
    let stopped = 0;
    rig.cloud.readVm = async (asked) => {
      const now = await readVm.call(rig.cloud, asked);
      if (now.kind !== 'seen' || now.value.state !== 'Stopped') return now;
      stopped += 1;
      if (stopped === 1) rig.setVmState(vmId, 'Running');
      return now;
    };
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { force_clean: true }));
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VM_NOT_STOPPED' });
    expect([rig.calls, volume.vmId]).toEqual([['stopVirtualMachine'], vmId]);
  });

  it('cleanup: also where CloudStack calls the detach failed that has had its effect', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const { id } = await rig.volume({ vmId });
    rig.model.faults.add({
      command: 'detachVolume',
      kind: 'job-fails-after-effect',
      text: 'the agent is unreachable',
    });
    flapAfterDetach(rig, id);
    expect(await rig.run('cleanup', cleanup(rig, id, vmId))).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume', 'attachVolume']);
  });

  it('one that stays there is believed in the end', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    const { readVolume } = rig.cloud;
    const plugged = await readVolume.call(rig.cloud, id);
    let looks = 0;
    rig.cloud.readVolume = async (asked) => {
      const now = await readVolume.call(rig.cloud, asked);
      if (now.kind !== 'seen' || now.value.vmId !== null) return now;
      looks += 1;
      return looks === 1 ? now : plugged;
    };
    const operation = await rig.run('delete', { volume_id: id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect(rig.calls).toEqual(['detachVolume']);
  });
});

describe('what the last look before a call found settled, and is so no longer', () => {
  /** Somebody changes the volume right before the second look at it, and takes that back after it. */
  function duringTheLastLook(rig: Rig, id: string, change: () => void, back: () => void): void {
    const { readVolume } = rig.cloud;
    let looks = 0;
    rig.cloud.readVolume = async (asked) => {
      if (asked === id) looks += 1;
      const isLast = asked === id && looks === 2;
      if (isLast) change();
      const shown = await readVolume.call(rig.cloud, asked);
      if (isLast) back();
      return shown;
    };
  }

  it('attach: somebody attaches it by hand and takes it away again', async () => {
    const rig = await Rig.start();
    const [volume, vmId] = [await rig.volume(), rig.vm('Running')];
    duringTheLastLook(
      rig,
      volume.id,
      () => rig.plugInto(volume, vmId),
      () => rig.unplug(volume),
    );
    expect(await rig.run('attach', { volume_id: volume.id, vm_id: vmId })).toMatchObject({
      status: 'completed',
    });
    expect([rig.calls, volume.vmId]).toEqual([['attachVolume'], vmId]);
  });

  it('detach: one look shows it on no VM', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    const { deviceId, attached } = volume;
    duringTheLastLook(
      rig,
      volume.id,
      () => rig.unplug(volume),
      () => Object.assign(volume, { vmId, deviceId, attached }),
    );
    expect(await rig.run('detach', { volume_id: volume.id })).toMatchObject({ status: 'completed' });
    expect([rig.calls, volume.vmId]).toEqual([['detachVolume'], null]);
  });

  it('recover: somebody recovers it and deletes it again', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ state: 'Destroy' });
    duringTheLastLook(
      rig,
      volume.id,
      () => Object.assign(volume, { state: 'Ready' }),
      () => Object.assign(volume, { state: 'Destroy' }),
    );
    expect(await rig.run('recover', { volume_id: volume.id })).toMatchObject({ status: 'completed' });
    expect(volume.state).toBe('Ready');
  });

  it('delete into the trash: it stays a delete into the trash', async () => {
    const rig = await Rig.start({ policy: { deleteMode: 'trash' } });
    const volume = await rig.volume();
    const { readVolume } = rig.cloud;
    let looks = 0;
    rig.cloud.readVolume = async (asked) => {
      if (asked === volume.id) looks += 1;
      const shown = await readVolume.call(rig.cloud, asked);
      return asked === volume.id && looks === 2 ? absent('it was removed', 0, 'cloudstack') : shown;
    };
    expect(await rig.run('delete', { volume_id: volume.id })).toMatchObject({
      response: { recoverable: true },
    });
    expect(rig.calls).toEqual(['destroyVolume']);
  });

  it('what stays contradictory ends, and says so', async () => {
    const rig = await Rig.start();
    const [volume, vmId] = [await rig.volume(), rig.vm('Running')];
    const { readVm } = rig.cloud;
    // The guards of an attach are the only ones who read that VM.
    let isGuard = false;
    rig.cloud.readVm = async (id) => {
      isGuard ||= id === vmId;
      return readVm.call(rig.cloud, id);
    };
    const { readVolume } = rig.cloud;
    rig.cloud.readVolume = async (id) => {
      const shown = await readVolume.call(rig.cloud, id);
      if (!isGuard || shown.kind !== 'seen') return shown;
      isGuard = false;
      return { ...shown, value: { ...shown.value, vmId } };
    };
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: vmId });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' });
    expect(operation.error).toContain('attached there already');
    expect([rig.calls, volume.vmId]).toEqual([[], null]);
  });
});
