import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { expectedSerial } from '~/server/devices/serial';
import { cleanup, MINUTE_MS, Rig, SECOND_MS } from './rig';

describe('cleanup of a test VM', () => {
  it('the stop was lost, and the VM is Stopped by then: nothing is left to stop', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    rig.loseThen('stopVirtualMachine', () => rig.setVmState(vmId, 'Stopped'));
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { force_clean: true }));
    expect(operation.status).toBe('completed');
    expect(rig.calls).toEqual(['stopVirtualMachine', 'detachVolume', 'attachVolume']);
  });

  it('the host of the VM does not answer: its guest may run on, so it keeps its disk', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    const text = `Unable to stop ${vmId}`;
    rig.model.faults.add({ command: 'stopVirtualMachine', kind: 'agent-fails', times: 100, text });
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { force_clean: true }));
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_JOB_FAILED' });
    expect(operation.error).toContain(text);
    expect([new Set(rig.calls), volume.vmId]).toEqual([new Set(['stopVirtualMachine']), vmId]);
  });

  it.each(['nowhere', 'on another VM'])(
    'the stop was lost, and somebody has taken the disk, which is %s by then: the VM goes on running',
    async (place) => {
      const rig = await Rig.start();
      const [vmId, other] = [rig.vm('Running'), rig.vm('Running')];
      const volume = await rig.volume({ vmId });
      rig.loseThen('stopVirtualMachine', () =>
        place === 'nowhere' ? rig.unplug(volume) : rig.plugInto(volume, other),
      );
      const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { force_clean: true }));
      expect(operation).toMatchObject(
        place === 'nowhere'
          ? { status: 'completed' }
          : { status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' },
      );
      expect(rig.calls.filter((name) => name === 'stopVirtualMachine')).toHaveLength(1);
      expect(rig.model.inventory.vm('', '', vmId).state).toBe('Running');
    },
  );

  it('the appliance takes no more disks: nothing is stopped and nothing detached', async () => {
    const rig = await Rig.start({ guest: { slots: 0 } });
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { force_clean: true }));
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'NO_FREE_SLOT' });
    expect([rig.calls, volume.vmId]).toEqual([[], vmId]);
  });

  it('this guest has a disk of the volume: nothing is stopped and nothing detached before it has left', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    await rig.guest.plug({ volumeId: volume.id, size: volume.size, serial: expectedSerial(volume.id) });
    const request = cleanup(rig, volume.id, vmId, { force_clean: true });
    expect(await rig.run('cleanup', request)).toMatchObject({
      ...{ status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' },
      error: expect.stringContaining(`is on VM ${vmId}`),
    });
    expect([rig.calls, volume.vmId]).toEqual([[], vmId]);
    const later = await rig.request('cleanup', request);
    await rig.pass(10 * SECOND_MS);
    rig.guest.surpriseUnplug(volume.id);
    expect(await rig.ended(later)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['stopVirtualMachine', 'detachVolume', 'attachVolume']);
  });

  it.each(['Error', 'Unknown'])(
    'a VM of which nobody knows whether it runs (%s) keeps its disk',
    async (state) => {
      const rig = await Rig.start();
      const vmId = rig.vm(state);
      const volume = await rig.volume({ vmId });
      for (const force_clean of [false, true])
        expect(await rig.run('cleanup', cleanup(rig, volume.id, vmId, { force_clean }))).toMatchObject({
          status: 'failed',
          errorCode: 'VM_STATE',
        });
      expect(rig.calls).toEqual([]);
    },
  );

  it('the appliance takes no more disks, SLOTS=wait: it begins when a slot is free', async () => {
    const rig = await Rig.start({ guest: { slots: 1 }, policy: { slots: 'wait' } });
    const vmId = rig.vm('Stopped');
    const [volume, first] = [await rig.volume({ vmId }), await rig.volume()];
    await rig.run('attach', { volume_id: first.id, vm_id: rig.here });
    const id = await rig.request('cleanup', cleanup(rig, volume.id, vmId));
    await rig.pass(MINUTE_MS);
    expect((await rig.operation(id)).status).toBe('executing');
    expect(rig.calls).toEqual(['attachVolume']);
    await rig.run('detach', { volume_id: first.id });
    await rig.pass(MINUTE_MS);
    expect(await rig.operation(id)).toMatchObject({ status: 'completed' });
    expect(volume.vmId).toBe(rig.here);
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

  it('whose VM goes out of sight right before it is deleted does not wait for it: the volume is here', async () => {
    const rig = await Rig.start();
    const from = rig.vm('Stopped');
    const { id } = await rig.volume({ vmId: from });
    rig.domain.events.onEntry(({ step, state }) => {
      if (step === 'destroy-vm' && state === 'intent') rig.hide(from);
    });
    const ended = await rig.run('cleanup', cleanup(rig, id, from, { delete_vm: true }), MINUTE_MS);
    expect(ended).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
    expect(ended.response?.message).toContain('is not visible to this key');
    expect([rig.calls, rig.exported(id)]).toEqual([['detachVolume', 'attachVolume'], true]);
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

  it.each([
    ['the management server is restarted', { kind: 'restart', ms: 5 * SECOND_MS }, true],
    ['CloudStack loses the result', { kind: 'job-without-result' }, true],
    ['the VM is between two states', { kind: 'vm-busy' }, true],
    [
      'CloudStack refuses for good',
      { kind: 'job-fails', code: 431, text: 'VM has delete protection enabled' },
      false,
    ],
  ] as const)('whose removal fails because %s', async (_story, fault, goesAgain) => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    rig.model.faults.add({ command: 'destroyVirtualMachine', ...fault });
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: goesAgain } });
    expect(rig.calls.filter((name) => name === 'destroyVirtualMachine')).toHaveLength(goesAgain ? 2 : 1);
  });

  it('whose removal never works is kept after a few tries, and a disk that it gets meanwhile keeps it', async () => {
    for (const getsDisk of [false, true]) {
      const rig = await Rig.start();
      const vmId = rig.vm('Stopped');
      const [volume, other] = [await rig.volume({ vmId }), await rig.volume()];
      rig.model.faults.add({ command: 'destroyVirtualMachine', kind: 'job-without-result', times: 10 });
      if (getsDisk)
        rig.onSend = ({ name }) => {
          if (name === 'destroyVirtualMachine') rig.plugInto(other, vmId);
        };
      const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
      expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
      const tries = rig.calls.filter((name) => name === 'destroyVirtualMachine').length;
      expect(tries).toBe(getsDisk ? 1 : LIMITS.MUTATION_TRIES);
    }
  });

  it.each([
    ['is being migrated', (rig: Rig) => rig.setVmState(rig.here, 'Migrating')],
    ['is not shown to the key', (rig: Rig) => rig.hide(rig.here)],
  ] as const)('keeps its disk while this appliance %s', async (_story, change) => {
    for (const passes of [true, false]) {
      const rig = await Rig.start();
      const vmId = rig.vm('Running');
      const volume = await rig.volume({ vmId });
      change(rig);
      const request = cleanup(rig, volume.id, vmId, { force_clean: true });
      const operation = await rig.request('cleanup', request);
      await rig.pass(MINUTE_MS);
      expect([rig.calls, volume.vmId]).toEqual([[], vmId]);
      if (passes) {
        rig.setVmState(rig.here, 'Running');
        rig.model.conditions.clear('hidden');
      }
      const ended = await rig.ended(operation, 20 * MINUTE_MS);
      expect([ended.status, volume.vmId]).toEqual(passes ? ['completed', rig.here] : ['failed', vmId]);
    }
  });

  it.each([
    ['hidden', 'VOLUME_NOT_VISIBLE'],
    ['expunged', 'VOLUME_NOT_FOUND'],
  ])(
    'whose volume is %s once its detach has ended well: the failure says that VM and disk are changed',
    async (then, errorCode) => {
      const rig = await Rig.start();
      const vmId = rig.vm('Running');
      const volume = await rig.volume({ vmId });
      rig.domain.events.onEntry(({ step, state }) => {
        if (step !== 'detach-volume' || state !== 'finished') return;
        if (then === 'hidden') rig.hide(volume.id);
        else rig.purge(volume.id);
      });
      const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { force_clean: true }));
      expect(operation).toMatchObject({
        status: 'failed',
        errorCode,
        response: { left: [`VM ${vmId} was stopped`, `volume ${volume.id} was detached from VM ${vmId}`] },
      });
    },
  );

  it('whose volume somebody has given to another account keeps it: CloudStack would not attach it here', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    Object.assign(volume, { accountId: rig.model.accounts.require('other').id });
    const request = cleanup(rig, volume.id, vmId, { force_clean: true });
    const operation = await rig.run('cleanup', request);
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_REJECTED' });
    expect(operation.error).toMatch(/belongs to account other .*, this appliance to account/);
    expect([rig.calls, volume.vmId]).toEqual([[], vmId]);
  });

  it('whose disk cannot be attached here: the failure says from where it was taken', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    rig.model.faults.add({
      ...{ command: 'attachVolume', kind: 'job-fails', code: 530 },
      text: 'they belong to different accounts',
    });
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId));
    expect(operation).toMatchObject({
      status: 'failed',
      response: { left: [`volume ${volume.id} was detached from VM ${vmId}`] },
    });
    expect([rig.calls, volume.vmId]).toEqual([['detachVolume', 'attachVolume'], null]);
  });

  it.each(['Running', 'Stopped'])(
    'whose volume is being snapshotted for long: the VM, %s, keeps it until then',
    async (state) => {
      const rig = await Rig.start();
      const vmId = rig.vm(state);
      const volume = await rig.volume({ vmId, state: 'Snapshotting' });
      const request = cleanup(rig, volume.id, vmId, { force_clean: true });
      const late = await rig.run('cleanup', request, 40 * MINUTE_MS);
      expect(late).toMatchObject({ status: 'failed', errorCode: 'VOLUME_BUSY' });
      expect([rig.calls, volume.vmId]).toEqual([[], vmId]);
      const again = await rig.request('cleanup', request);
      await rig.pass(MINUTE_MS);
      expect((await rig.operation(again)).waitReason).toContain('is being snapshotted');
      volume.state = 'Ready';
      expect(await rig.ended(again)).toMatchObject({ status: 'completed' });
      expect(volume.vmId).toBe(rig.here);
    },
  );

  it('whose detach was lost keeps the disk where it is, while a snapshot policy works on the volume by then', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    rig.loseThen('detachVolume', () => Object.assign(volume, { state: 'Snapshotting' }));
    const id = await rig.request('cleanup', cleanup(rig, volume.id, vmId));
    await rig.pass(5 * MINUTE_MS);
    expect((await rig.operation(id)).waitReason).toContain('is being snapshotted');
    expect([rig.calls, volume.vmId]).toEqual([['detachVolume'], vmId]);
    volume.state = 'Ready';
    expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
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
});
