import { describe, expect, it } from 'vitest';
import type { Volume } from '~/lab/cloudstack/records';
import type { OperationType, RequestOf } from '~/server/model/operation';
import type { Mutation } from '~/server/operations/decision';
import { MINUTE_MS, Rig, SECOND_MS } from './rig';
import { CLIENT, MOUNT } from './situations';

/** The next call of this name is lost on its way, and then the world changes, long before it is sent again. */
function loseThen(rig: Rig, command: Mutation['name'], change: () => void): void {
  rig.model.faults.add({ command, kind: 'fail-before-effect' });
  rig.onSend = ({ name }) => {
    if (name !== command) return;
    change();
    rig.onSend = () => {};
  };
}

const cleanup = (rig: Rig, volumeId: string, testVmId: string, more: Partial<RequestOf['cleanup']> = {}) => ({
  volume_id: volumeId,
  test_vm_id: testVmId,
  oma_vm_id: rig.here,
  delete_vm: false,
  force_clean: false,
  ...more,
});

describe('a call that was lost is not sent again into another world', () => {
  async function onOtherVm() {
    const rig = await Rig.start();
    const [from, to] = [rig.vm('Running'), rig.vm('Running')];
    const volume = await rig.volume({ vmId: from });
    return { rig, volume, from, to };
  }

  it('detach: meanwhile the volume is on another VM', async () => {
    const { rig, volume, to } = await onOtherVm();
    loseThen(rig, 'detachVolume', () => rig.plugInto(volume, to));
    const operation = await rig.run('detach', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect([rig.calls, volume.vmId]).toEqual([['detachVolume'], to]);
  });

  it('detach: meanwhile it was detached and attached to the same VM again, another plug', async () => {
    const { rig, volume, from } = await onOtherVm();
    loseThen(rig, 'detachVolume', () => {
      rig.plugInto(volume, from);
      volume.attached = rig.clock.now() + 5 * SECOND_MS;
    });
    const operation = await rig.run('detach', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect([rig.calls, volume.vmId]).toEqual([['detachVolume'], from]);
  });

  it('detach: meanwhile it is detached, so there is nothing to send', async () => {
    const { rig, volume } = await onOtherVm();
    loseThen(rig, 'detachVolume', () => rig.unplug(volume));
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
    loseThen(rig, 'detachVolume', () => rig.plugInto(volume, to));
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
    loseThen(rig, command, () => rig.plugInto(volume, to));
    const operation = await rig.run('delete', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect([rig.calls, volume.vmId, volume.removed]).toEqual([[command], to, false]);
  });

  it('delete of an attached volume: its detach was lost, and another VM has it: neither is sent', async () => {
    const rig = await Rig.start();
    const [volume, to] = [await rig.volume({ vmId: rig.here, mapped: true }), rig.vm('Running')];
    loseThen(rig, 'detachVolume', () => rig.plugInto(volume, to));
    const operation = await rig.run('delete', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect([rig.calls, volume.vmId, volume.removed]).toEqual([['detachVolume'], to, false]);
  });

  it('attach: meanwhile another VM has it', async () => {
    const rig = await Rig.start();
    const [volume, to] = [await rig.volume(), rig.vm('Running')];
    loseThen(rig, 'attachVolume', () => rig.plugInto(volume, to));
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect([rig.calls, volume.vmId]).toEqual([['attachVolume'], to]);
  });

  it('attach to a VM that is destroyed meanwhile', async () => {
    const rig = await Rig.start();
    const [volume, to] = [await rig.volume(), rig.vm('Running')];
    loseThen(rig, 'attachVolume', () => rig.setVmState(to, 'Destroyed'));
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: to });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VM_STATE' });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('attach-root: meanwhile the VM was started', async () => {
    const rig = await Rig.start();
    const [volume, to] = [await rig.volume(), rig.vm('Stopped')];
    const root = rig.model.volumes.find(({ vmId, type }) => vmId === to && type === 'ROOT');
    if (root) rig.unplug(root);
    loseThen(rig, 'attachVolume', () => rig.setVmState(to, 'Running'));
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: to, device_id: 0 });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VM_NOT_STOPPED' });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it('the undo of an attach: meanwhile another VM has it', async () => {
    const rig = await Rig.start();
    const [volume, to] = [await rig.volume(), rig.vm('Running')];
    rig.model.faults.add({ command: 'attachVolume', kind: 'no-device' });
    loseThen(rig, 'detachVolume', () => rig.plugInto(volume, to));
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_DETECTED' });
    expect([rig.calls, volume.vmId]).toEqual([['attachVolume', 'detachVolume'], to]);
  });
});

describe('who uses the disk counts at the moment of the act', () => {
  it.each<[OperationType & ('detach' | 'delete'), string]>([
    ['detach', 'detachVolume'],
    ['delete', 'detachVolume'],
  ])('%s: mounted after its call was lost: not sent again, and the export is back', async (type, command) => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    loseThen(rig, 'detachVolume', () => rig.guest.hold(id, [MOUNT]));
    const operation = await rig.run(type, { volume_id: id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_IN_USE' });
    expect(operation.error).toContain(MOUNT.detail);
    expect(rig.calls).toEqual([command]);
    expect(rig.exported(id)).toBe(true);
  });

  it.each([
    ['a mount', MOUNT, false],
    ['a mount, and the request forces it', MOUNT, true],
  ])('%s is asked before the first send', async (_story, holder, force) => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    rig.guest.hold(id, [holder]);
    const operation = await rig.run('detach', { volume_id: id, force });
    expect(operation.status).toBe(force ? 'completed' : 'failed');
    expect(rig.calls).toEqual(force ? ['detachVolume'] : []);
  });

  it.each([
    ['refuse', []],
    ['disconnect', ['detachVolume']],
  ] as const)('a connected client with DETACH_CONNECTED=%s', async (detachConnected, calls) => {
    const rig = await Rig.start({ policy: { detachConnected } });
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    rig.guest.hold(id, [CLIENT]);
    await rig.run('detach', { volume_id: id });
    expect(rig.calls).toEqual([...calls]);
  });

  it('of a volume on another VM nobody is asked, whatever the guest says of its disks', async () => {
    const rig = await Rig.start();
    const [mine, theirs] = [
      await rig.volume({ vmId: rig.here, mapped: true }),
      await rig.volume({ vmId: rig.vm('Running') }),
    ];
    rig.guest.hold(mine.id, [MOUNT]);
    expect(await rig.run('detach', { volume_id: theirs.id })).toMatchObject({ status: 'completed' });
  });
});

describe('a disk that is not identified', () => {
  /** Two volumes attached by hand to a guest whose disks have no serial: no mapping says which is which. */
  async function make() {
    const rig = await Rig.start({ guest: { serials: false } });
    const volumes: Volume[] = [];
    for (let index = 0; index < 2; index += 1) volumes.push(await rig.volume({ vmId: rig.here }));
    const [one, other] = volumes;
    if (!one || !other) throw new Error('no volumes');
    return { rig, one, other };
  }

  for (const type of ['detach', 'delete'] as const) {
    it(`${type}: one that may be it is mounted, so it is refused, unless forced`, async () => {
      const { rig, one, other } = await make();
      rig.guest.hold(other.id, [MOUNT]);
      const operation = await rig.run(type, { volume_id: one.id });
      expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_IDENTIFIED' });
      expect(operation.error).toContain(MOUNT.detail);
      expect(rig.calls).toEqual([]);
      await rig.run(type, { volume_id: one.id, force: true });
      expect(rig.calls[0]).toBe('detachVolume');
    });

    it(`${type}: its serial cannot be read yet, and it is mounted`, async () => {
      const rig = await Rig.start({ guest: { holdSerials: true } });
      const { id } = await rig.volume({ vmId: rig.here });
      rig.guest.hold(id, [MOUNT]);
      expect(await rig.run(type, { volume_id: id })).toMatchObject({ errorCode: 'DEVICE_NOT_IDENTIFIED' });
      expect(rig.calls).toEqual([]);
    });
  }

  it('none that may be it is used: then it does not matter which one it is', async () => {
    const { rig, one } = await make();
    await rig.run('detach', { volume_id: one.id });
    expect(rig.calls).toEqual(['detachVolume']);
  });
});

describe('the appliance itself', () => {
  it.each([
    ['forced', { force_clean: true }],
    ['not forced', {}],
    ['to be deleted', { force_clean: true, delete_vm: true }],
  ])('as the test VM of a cleanup (%s): nothing is sent', async (_story, more) => {
    for (const attached of [true, false]) {
      const rig = await Rig.start();
      const { id } = await rig.volume(attached ? { vmId: rig.here, mapped: true } : {});
      await rig.run('cleanup', cleanup(rig, id, rig.here, more));
      expect(rig.calls.filter((name) => name.includes('VirtualMachine'))).toEqual([]);
      expect(rig.model.inventory.vm('', '', rig.here).state).toBe('Running');
    }
  });

  it.each(['detach', 'delete'] as const)('its root disk is never taken: %s, forced', async (type) => {
    const rig = await Rig.start();
    const root = rig.model.volumes.find(({ vmId }) => vmId === rig.here);
    const operation = await rig.run(type, { volume_id: root?.id ?? '', force: true });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'APPLIANCE_PROTECTED' });
    expect(rig.calls).toEqual([]);
  });

  it('nothing becomes its root disk', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    const operation = await rig.run('attach', { volume_id: id, vm_id: rig.here, device_id: 0 });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'APPLIANCE_PROTECTED' });
    expect(rig.calls).toEqual([]);
  });
});

describe('cleanup of a test VM', () => {
  it('the destroy was lost, and the VM got a disk back: it is not sent again', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const [volume, stranger] = [await rig.volume({ vmId }), await rig.volume()];
    loseThen(rig, 'destroyVirtualMachine', () => rig.plugInto(stranger, vmId));
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
    expect(String(operation.response?.message)).toContain('data disk');
    expect(rig.calls).toEqual(['detachVolume', 'attachVolume', 'destroyVirtualMachine']);
    expect([stranger.vmId, rig.model.inventory.vm('', '', vmId).state]).toEqual([vmId, 'Stopped']);
  });

  it('the destroy was lost, and the VM runs by then', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    loseThen(rig, 'destroyVirtualMachine', () => rig.setVmState(vmId, 'Running'));
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
    expect(rig.calls.filter((name) => name === 'destroyVirtualMachine')).toHaveLength(1);
    expect(rig.model.inventory.vm('', '', vmId).state).toBe('Running');
  });

  it('the stop was lost, and the VM is Stopped by then: nothing is left to stop', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    loseThen(rig, 'stopVirtualMachine', () => rig.setVmState(vmId, 'Stopped'));
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { force_clean: true }));
    expect(operation.status).toBe('completed');
    expect(rig.calls).toEqual(['stopVirtualMachine', 'detachVolume', 'attachVolume']);
  });

  it('a running VM keeps its disk unless it may be stopped', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId));
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VM_NOT_STOPPED' });
    expect(rig.calls).toEqual([]);
  });

  it('a VM that is not visible does not count as stopped', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    rig.hide(vmId);
    for (const force_clean of [false, true]) {
      const operation = await rig.run(
        'cleanup',
        cleanup(rig, volume.id, vmId, { force_clean, delete_vm: true }),
        20 * MINUTE_MS,
      );
      expect(operation.status).toBe('failed');
      expect(['VM_NOT_VISIBLE', 'VM_NOT_STOPPED']).toContain(operation.errorCode);
    }
    expect([rig.calls, volume.vmId]).toEqual([[], vmId]);
  });

  it('a VM whose disks are not listed is kept', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const [volume, other] = [await rig.volume({ vmId }), await rig.volume({ vmId })];
    rig.hide(other.id);
    const root = rig.model.volumes.find(({ vmId: of, type }) => of === vmId && type === 'ROOT');
    rig.hide(root?.id ?? '');
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
    expect(rig.calls).toEqual(['detachVolume', 'attachVolume']);
  });

  it.each(['Stopping', 'Migrating'])('a VM that is %s is waited for', async (state) => {
    const rig = await Rig.start();
    const vmId = rig.vm(state);
    const volume = await rig.volume({ vmId });
    const operation = await rig.request('cleanup', cleanup(rig, volume.id, vmId));
    await rig.pass(30 * SECOND_MS);
    expect(await rig.operation(operation)).toMatchObject({
      status: 'executing',
      waitReason: expect.stringContaining(state),
    });
    rig.setVmState(vmId, 'Stopped');
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
  });

  it('a VM that stays Stopping ends it with a code', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopping');
    const volume = await rig.volume({ vmId });
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId), 20 * MINUTE_MS);
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VM_STATE' });
    expect(rig.calls).toEqual([]);
  });

  it('a key that may not expunge destroys, and says so', async () => {
    const rig = await Rig.start({ model: { account: 'plain' } });
    const vmId = rig.vm('Stopped', { account: 'plain' });
    const volume = await rig.volume({ vmId });
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: true } });
    expect(String(operation.response?.message)).toContain('expunges it later');
    expect(rig.sent.slice(-2)).toMatchObject([{ expunge: true }, { expunge: false }]);
  });
});

describe('the wanted state is all of it', () => {
  it('attach-root of a volume that is a data disk of that VM: not completed, and it says which device it is', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: vmId, device_id: 0 });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect(operation.error).toMatch(/as device 1 and not as device 0/);
    expect(rig.calls).toEqual([]);
  });

  it.each(['Stopping', 'Starting', 'Migrating'])('attach to a VM that is %s waits for it', async (state) => {
    const rig = await Rig.start();
    const [volume, vmId] = [await rig.volume(), rig.vm(state)];
    const operation = await rig.request('attach', { volume_id: volume.id, vm_id: vmId });
    await rig.pass(20 * SECOND_MS);
    expect([rig.calls, (await rig.operation(operation)).waitReason]).toEqual([[], `VM ${vmId} is ${state}`]);
    rig.setVmState(vmId, 'Running');
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume']);
  });

  it.each([
    ['never was', (_rig: Rig) => '99999999-9999-4999-8999-999999999999', 'VM_NOT_FOUND'],
    ['is destroyed', (rig: Rig) => rig.vm('Destroyed'), 'VM_STATE'],
    [
      'cannot be seen',
      (rig: Rig) => {
        const id = rig.vm('Running');
        rig.hide(id);
        return id;
      },
      'VM_NOT_VISIBLE',
    ],
  ])('attach to a VM that %s ends with a code, and sends nothing', async (_story, vm, errorCode) => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    const operation = await rig.run('attach', { volume_id: id, vm_id: vm(rig) }, 20 * MINUTE_MS);
    expect(operation).toMatchObject({ status: 'failed', errorCode });
    expect(rig.calls).toEqual([]);
  });
});
