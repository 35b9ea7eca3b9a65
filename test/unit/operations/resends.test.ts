import { describe, expect, it } from 'vitest';
import { expectedSerial } from '~/server/devices/serial';
import { absent, unknown } from '~/server/model/evidence';
import { MINUTE_MS, Rig, SECOND_MS } from './rig';

describe('a call that was lost is not sent again into another world', () => {
  async function onOtherVm() {
    const rig = await Rig.start();
    const [from, to] = [rig.vm('Running'), rig.vm('Running')];
    const volume = await rig.volume({ vmId: from });
    return { rig, volume, from, to };
  }

  it('detach: meanwhile the volume is on another VM', async () => {
    const { rig, volume, to } = await onOtherVm();
    rig.loseThen('detachVolume', () => rig.plugInto(volume, to));
    const operation = await rig.run('detach', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect([rig.calls, volume.vmId]).toEqual([['detachVolume'], to]);
  });

  it('detach from here: meanwhile another VM has it, and the disk is still in the guest: not exported again', async () => {
    const rig = await Rig.start();
    const to = rig.vm('Running');
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    expect(rig.exported(volume.id)).toBe(true);
    rig.loseThen('detachVolume', () => rig.plugInto(volume, to));
    const operation = await rig.run('detach', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect(rig.exported(volume.id)).toBe(false);
  });

  it('detach: meanwhile it was detached and attached to the same VM again, another plug', async () => {
    const { rig, volume, from } = await onOtherVm();
    rig.loseThen('detachVolume', () => {
      rig.plugInto(volume, from);
      volume.attached = rig.clock.now() + 5 * SECOND_MS;
    });
    const operation = await rig.run('detach', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect([rig.calls, volume.vmId]).toEqual([['detachVolume'], from]);
  });

  it('detach: meanwhile it is detached, so there is nothing to send', async () => {
    const { rig, volume } = await onOtherVm();
    rig.loseThen('detachVolume', () => rig.unplug(volume));
    expect(await rig.run('detach', { volume_id: volume.id })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume']);
  });

  it('detach: the job ended while CloudStack was away, and the volume is on another VM by then', async () => {
    const { rig, volume, to } = await onOtherVm();
    rig.model.faults.add({ command: 'queryAsyncJobResult', kind: 'html', times: 20 });
    rig.model.faults.add({ command: 'detachVolume', kind: 'job-fails', code: 530, text: 'an agent is away' });
    const operation = await rig.request('detach', { volume_id: volume.id });
    await rig.untilSent('detachVolume');
    await rig.pass(SECOND_MS);
    rig.plugInto(volume, to);
    expect(await rig.ended(operation, 30 * MINUTE_MS)).toMatchObject({
      status: 'failed',
      errorCode: 'VOLUME_ATTACHED_ELSEWHERE',
    });
    expect([rig.calls, volume.vmId]).toEqual([['detachVolume'], to]);
  });

  it('detach, across a restart of the daemon', async () => {
    const { rig, volume, to } = await onOtherVm();
    rig.loseThen('detachVolume', () => rig.plugInto(volume, to));
    const operation = await rig.request('detach', { volume_id: volume.id });
    await rig.untilSent('detachVolume');
    await rig.restart(10 * SECOND_MS);
    expect(await rig.ended(operation)).toMatchObject({ errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect([rig.calls, volume.vmId]).toEqual([['detachVolume'], to]);
  });

  it.each(['expunge', 'trash'] as const)('delete (%s): meanwhile a running VM has it', async (deleteMode) => {
    const rig = await Rig.start({ policy: { deleteMode } });
    const [volume, to] = [await rig.volume(), rig.vm('Running')];
    const command = deleteMode === 'trash' ? 'destroyVolume' : 'deleteVolume';
    rig.loseThen(command, () => rig.plugInto(volume, to));
    const operation = await rig.run('delete', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect([rig.calls, volume.vmId, volume.removed]).toEqual([[command], to, false]);
  });

  it('delete of an attached volume: its detach was lost, and another VM has it: neither is sent', async () => {
    const rig = await Rig.start();
    const [volume, to] = [await rig.volume({ vmId: rig.here, mapped: true }), rig.vm('Running')];
    rig.loseThen('detachVolume', () => rig.plugInto(volume, to));
    const operation = await rig.run('delete', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect([rig.calls, volume.vmId, volume.removed]).toEqual([['detachVolume'], to, false]);
  });

  it('delete: nothing was sent, because one odd answer called the volume gone, and now it is not shown: still nothing is', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    const { readVolume } = rig.cloud;
    let intended = false;
    let denied = false;
    rig.domain.events.onEntry(({ state }) => {
      intended ||= state === 'intent';
    });
    rig.cloud.readVolume = async (volumeId) => {
      if (!intended) return readVolume.call(rig.cloud, volumeId);
      const answer = denied ? unknown('it is not shown', 0, 'cloudstack') : absent('gone', 0, 'cloudstack');
      denied = true;
      return answer;
    };
    const operation = await rig.request('delete', { volume_id: id });
    const ended = await rig.ended(operation, 40 * MINUTE_MS);
    expect([ended.status, rig.calls]).toEqual(['failed', []]);
    expect(ended.errorCode).toBe('VOLUME_NOT_VISIBLE');
  });

  it('attach: meanwhile another VM has it', async () => {
    const rig = await Rig.start();
    const [volume, to] = [await rig.volume(), rig.vm('Running')];
    rig.loseThen('attachVolume', () => rig.plugInto(volume, to));
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect([rig.calls, volume.vmId]).toEqual([['attachVolume'], to]);
  });

  it.each([
    ['to another VM', false],
    ['to here', true],
  ])('attach %s: meanwhile somebody had it here, and this guest has kept its disk', async (_to, here) => {
    const rig = await Rig.start();
    const [volume, other] = [await rig.volume(), rig.vm('Running')];
    rig.loseThen('attachVolume', () => {
      const { id: volumeId, size } = volume;
      void rig.guest.plug({ volumeId, size, serial: expectedSerial(volumeId) });
    });
    const vmId = here ? rig.here : other;
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: vmId });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' });
    expect([rig.calls, volume.vmId]).toEqual([['attachVolume'], null]);
  });

  it('attach to another VM: the disk that this guest had kept leaves, and it is sent', async () => {
    const rig = await Rig.start();
    const [volume, other] = [await rig.volume(), rig.vm('Running')];
    rig.loseThen('attachVolume', () => {
      const { id: volumeId, size } = volume;
      void rig.guest.plug({ volumeId, size, serial: expectedSerial(volumeId) });
    });
    const operation = await rig.request('attach', { volume_id: volume.id, vm_id: other });
    await rig.untilSent('attachVolume');
    await rig.pass(MINUTE_MS);
    expect(rig.calls).toEqual(['attachVolume']);
    await rig.guest.unplug(volume.id);
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    expect([rig.calls, volume.vmId]).toEqual([['attachVolume', 'attachVolume'], other]);
  });

  it('attach to a VM that is destroyed meanwhile', async () => {
    const rig = await Rig.start();
    const [volume, to] = [await rig.volume(), rig.vm('Running')];
    rig.loseThen('attachVolume', () => rig.setVmState(to, 'Destroyed'));
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: to });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VM_STATE' });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('attach of a volume that goes out of sight meanwhile: it is not said that nothing has changed', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.loseThen('attachVolume', () => rig.hide(id));
    const operation = await rig.run('attach', { volume_id: id, vm_id: rig.vm('Running') });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_NOT_VISIBLE' });
    expect(operation.error).toContain('it is not known what the call has done whose answer was lost');
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('attach-root: meanwhile the VM was started', async () => {
    const rig = await Rig.start();
    const [volume, to] = [await rig.volume(), rig.vm('Stopped')];
    const root = rig.model.volumes.find(({ vmId, type }) => vmId === to && type === 'ROOT');
    if (root) rig.unplug(root);
    rig.loseThen('attachVolume', () => rig.setVmState(to, 'Running'));
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: to, device_id: 0 });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VM_NOT_STOPPED' });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('the undo of an attach: meanwhile another VM has it', async () => {
    const rig = await Rig.start();
    const [volume, to] = [await rig.volume(), rig.vm('Running')];
    rig.model.faults.add({ command: 'attachVolume', kind: 'no-device' });
    rig.loseThen('detachVolume', () => rig.plugInto(volume, to));
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_DETECTED' });
    expect([rig.calls, volume.vmId]).toEqual([['attachVolume', 'detachVolume'], to]);
  });

  it.each([0, 1])(
    'the undo of an attach: somebody has attached it here again, restarts: %s',
    async (restarts) => {
      const rig = await Rig.start();
      const volume = await rig.volume();
      rig.model.faults.add({ command: 'attachVolume', kind: 'no-device' });
      const operation = await rig.request('attach', { volume_id: volume.id, vm_id: rig.here });
      await rig.untilSent('attachVolume');
      await rig.pass(SECOND_MS);
      expect(volume.vmId).toBe(rig.here);
      rig.plugInto(volume, rig.here);
      if (restarts > 0) await rig.restart();
      expect(await rig.ended(operation)).toMatchObject({ errorCode: 'DEVICE_NOT_DETECTED' });
      expect([rig.calls, volume.vmId]).toEqual([['attachVolume'], rig.here]);
    },
  );
});

describe('a disk that cannot be read has come to this guest while the answer to an attach was lost', () => {
  async function lost(where: 'here' | 'elsewhere') {
    const rig = await Rig.start();
    const { id, size } = await rig.volume();
    const vmId = where === 'here' ? rig.here : rig.vm('Running');
    const hung = where === 'here' ? await rig.volume() : { id, size };
    let hangs = Promise.resolve();
    rig.loseThen('attachVolume', () => {
      hangs = rig.guest.plug({ volumeId: hung.id, size: hung.size, serial: expectedSerial(hung.id) });
      void hangs.then(() => rig.guest.spoilSerial(hung.id));
    });
    const operation = await rig.run('attach', { volume_id: id, vm_id: vmId });
    await hangs;
    return { rig, operation };
  }

  it('to another VM: it may be the volume’s own, so the attach is not sent again', async () => {
    const { rig, operation } = await lost('elsewhere');
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('to this VM: no disk of the volume is in anybody’s way here', async () => {
    const { rig, operation } = await lost('here');
    expect(operation).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume', 'attachVolume']);
  });
});

describe('the undo of an attach that another VM has taken', () => {
  it('is not called attached here because of one old look after that', async () => {
    const rig = await Rig.start();
    const [volume, to] = [await rig.volume(), rig.vm('Running')];
    rig.model.faults.add({ command: 'attachVolume', kind: 'no-device' });
    const { readVolume } = rig.cloud;
    let old: Awaited<ReturnType<typeof readVolume>> | null = null;
    let isOld = false;
    rig.cloud.readVolume = async (id) => {
      const shown = await readVolume.call(rig.cloud, id);
      if (shown.kind !== 'seen' || shown.value.vmId !== to) {
        if (shown.kind === 'seen' && shown.value.vmId === rig.here) old = shown;
        return shown;
      }
      isOld = !isOld;
      return isOld || old === null ? shown : old;
    };
    rig.loseThen('detachVolume', () => rig.plugInto(volume, to));
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_DETECTED' });
    expect(operation.error).not.toContain('still attached to this appliance');
    expect([rig.calls, volume.vmId]).toEqual([['attachVolume', 'detachVolume'], to]);
  });
});

describe('an attach whose disk did not come is undone', () => {
  it('the detach was lost, and the disk has come by then: it stays, and sync maps it', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    const plug = rig.guest.plug.bind(rig.guest);
    let late: Parameters<typeof plug>[0] | null = null;
    rig.guest.plug = async (disk) => {
      late = disk;
    };
    rig.loseThen('detachVolume', () => {
      if (late) void plug(late);
    });
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_DETECTED' });
    expect(operation.error).toContain('the disk is present in the guest, so the volume stays attached');
    expect(rig.calls).toEqual(['attachVolume', 'detachVolume']);
    expect(volume.vmId).toBe(rig.here);
    await rig.pass(MINUTE_MS);
    await rig.sync();
    expect(rig.exported(volume.id)).toBe(true);
  });
  it('somebody has attached it again meanwhile, and that disk does not come either: it is theirs', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    rig.model.faults.add({ command: 'attachVolume', kind: 'no-device' });
    const operation = await rig.request('attach', { volume_id: volume.id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    await rig.pass(10 * SECOND_MS);
    rig.unplug(volume);
    rig.plugInto(volume, rig.here);
    const ended = await rig.ended(operation);
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_DETECTED' });
    expect(ended.error).toContain('detached the volume and attached it again');
    expect([rig.calls, volume.vmId]).toEqual([['attachVolume'], rig.here]);
  });
});
