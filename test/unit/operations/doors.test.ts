import { describe, expect, it } from 'vitest';
import type { Volume } from '~/lab/cloudstack/records';
import { LIMITS } from '~/server/core/limits';
import { expectedSerial } from '~/server/devices/serial';
import { exportName } from '~/server/model/export-name';
import type { NewExport, NewMapping, Operation, RequestOf } from '~/server/model/operation';
import { GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';

const cleanup = (rig: Rig, volumeId: string, testVmId: string, more: Partial<RequestOf['cleanup']> = {}) => ({
  volume_id: volumeId,
  test_vm_id: testVmId,
  oma_vm_id: rig.here,
  delete_vm: false,
  force_clean: false,
  ...more,
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

describe('the appliance of another daemon with this database', () => {
  const taken = async (state: string) => {
    const rig = await Rig.start();
    const vmId = rig.vm(state);
    const epoch = await rig.ledger.takeOver(vmId, 'their daemon');
    return { rig, vmId, epoch };
  };

  it('as the test VM of a cleanup: it is neither stopped nor destroyed', async () => {
    for (const state of ['Running', 'Stopped']) {
      const { rig, vmId } = await taken(state);
      const { id } = await rig.volume({ vmId });
      await rig.pass(MINUTE_MS);
      const more = { delete_vm: true, force_clean: true };
      const operation = await rig.run('cleanup', cleanup(rig, id, vmId, more));
      expect(JSON.stringify(operation)).toContain('their daemon');
      expect(rig.calls.filter((name) => name.includes('VirtualMachine'))).toEqual([]);
      expect(rig.model.inventory.vm('', '', vmId).state).toBe(state);
    }
  });

  it('its disks come and go by that daemon, which alone sees who uses them', async () => {
    const { rig, vmId } = await taken('Running');
    const [theirs, ours] = [await rig.volume({ vmId }), await rig.volume()];
    const detached = await rig.run('detach', { volume_id: theirs.id, force: true });
    expect(detached).toMatchObject({ status: 'failed', errorCode: 'APPLIANCE_PROTECTED' });
    const attached = await rig.run('attach', { volume_id: ours.id, vm_id: vmId });
    expect(attached).toMatchObject({ status: 'failed', errorCode: 'APPLIANCE_PROTECTED' });
    expect([rig.calls, theirs.vmId, ours.vmId]).toEqual([[], vmId, null]);
  });

  describe('which has mapped and exports a volume', () => {
    const mapped = async () => {
      const { rig, vmId, epoch } = await taken('Running');
      const volume = await rig.volume();
      const row: NewMapping = {
        volumeId: volume.id,
        vmId,
        devicePath: '/dev/vdb',
        cloudstackState: 'attached',
        linuxState: 'detected',
        size: volume.size,
        controller: 'virtio3',
        serial: expectedSerial(volume.id),
        diskseq: 7,
        bootId: null,
        matchedBy: 'serial',
        cloudstackDeviceId: 1,
      };
      await rig.ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: row }], {
        step: 'sync:unmapped-volume',
        state: 'note',
        data: {},
      });
      return { rig, vmId, epoch, volume, before: await rig.ledger.readMapping(volume.id) };
    };

    it('and CloudStack calls detached: its guest may still have the disk, so it is neither deleted nor given away', async () => {
      const requests: ((rig: Rig, volumeId: string) => Promise<Operation>)[] = [
        (rig, volume_id) => rig.run('detach', { volume_id }),
        (rig, volume_id) => rig.run('delete', { volume_id }),
        (rig, volume_id) => rig.run('attach', { volume_id, vm_id: rig.here }),
        (rig, volume_id) => rig.run('attach', { volume_id, vm_id: rig.vm('Running') }),
      ];
      for (const request of requests) {
        const { rig, volume, before } = await mapped();
        const operation = await request(rig, volume.id);
        expect(operation).toMatchObject({ status: 'failed', errorCode: 'APPLIANCE_PROTECTED' });
        expect([rig.calls, await rig.ledger.readMapping(volume.id)]).toEqual([[], before]);
      }
    });

    it('its export is closed there only, where it is known who is connected', async () => {
      const { rig, epoch, volume } = await mapped();
      const record: NewExport = {
        volumeId: volume.id,
        exportName: exportName(volume.id),
        devicePath: '/dev/vdb',
        port: 10_809,
        status: 'active',
        metadata: {},
      };
      await rig.ledger.auditedChange(epoch, [{ kind: 'put-export', record }], {
        step: 'sync:missing-export',
        state: 'note',
        data: {},
      });
      const before = await rig.ledger.readExport(volume.id);
      const answer = rig.during(rig.domain.exports.withdraw(volume.id, { force: false }));
      expect(await answer).toEqual({ existed: false });
      expect(await rig.ledger.readExport(volume.id)).toEqual(before);
    });

    it('and has attached: an attach there again leaves its row alone', async () => {
      const { rig, vmId, volume, before } = await mapped();
      rig.plugInto(volume, vmId);
      const operation = await rig.run('attach', { volume_id: volume.id, vm_id: vmId });
      expect(operation).toMatchObject({ status: 'failed', errorCode: 'APPLIANCE_PROTECTED' });
      expect(await rig.ledger.readMapping(volume.id)).toEqual(before);
    });

    it('which is made larger: the row follows what its guest shows', async () => {
      const { rig, vmId, volume, before } = await mapped();
      rig.plugInto(volume, vmId);
      const operation = await rig.run('resize', { volume_id: volume.id, size: 9 * GIB });
      expect(operation).toMatchObject({ status: 'completed' });
      expect([volume.size, await rig.ledger.readMapping(volume.id)]).toEqual([9 * GIB, before]);
    });
  });

  it('whose daemon has stopped for good gives its disks back', async () => {
    const { rig, vmId } = await taken('Running');
    const { id } = await rig.volume({ vmId });
    await rig.pass(MINUTE_MS);
    expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'completed' });
  });
});

describe('a disk that this guest still has', () => {
  it('because an attach has failed half-way: its end names both, the disk and what CloudStack said', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command: 'attachVolume', kind: 'ghost-disk' });
    const operation = await rig.run('attach', { volume_id: id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' });
    expect(operation.error).toContain('the agent was disconnected');
  });

  it('its volume is not given to another VM', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    rig.unplug(volume);
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: rig.vm('Running') });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' });
    expect([rig.calls, volume.vmId]).toEqual([[], null]);
  });

  it('is no longer exported once another VM is known to have its volume', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    const to = rig.vm('Running');
    rig.plugInto(volume, to);
    expect(rig.exported(volume.id)).toBe(true);
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: to });
    expect(operation).toMatchObject({ status: 'completed' });
    expect(rig.exported(volume.id)).toBe(false);
  });
});

describe('cleanup of a test VM', () => {
  describe('whose root disk is a migrated one', () => {
    /** The disk is migrated here, and later becomes the root disk of a VM that was made without one. */
    async function migrated() {
      const rig = await Rig.start();
      const root = await rig.volume({ vmId: rig.here, mapped: true });
      await rig.pass(10 * MINUTE_MS);
      const vmId = rig.vm('Stopped');
      const own = rig.model.volumes.find((one) => one.vmId === vmId);
      if (own) rig.unplug(own);
      await rig.run('detach', { volume_id: root.id });
      const clean = async () => {
        const data = await rig.volume({ vmId });
        return rig.run('cleanup', cleanup(rig, data.id, vmId, { delete_vm: true }));
      };
      return { rig, root, vmId, clean };
    }
    /** Every operation is forgotten, as after HISTORY_DAYS. */
    const forget = (rig: Rig) => rig.ledger.store.operations.clear();
    const becomeRoot = (root: Volume, vmId: string) =>
      Object.assign(root, { vmId, deviceId: 0, type: 'ROOT' });

    it.each(['remembered', 'forgotten'])('attached by us, %s: the VM is kept with it', async (history) => {
      const { rig, root, vmId, clean } = await migrated();
      await rig.run('attach', { volume_id: root.id, vm_id: vmId, device_id: 0 });
      expect(root).toMatchObject({ type: 'ROOT', vmId });
      if (history === 'forgotten') forget(rig);
      expect(await clean()).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
      expect(rig.calls).not.toContain('destroyVirtualMachine');
    });

    it('attached by hand, and nothing here has ever known it: the VM is kept with it', async () => {
      const { rig, root, vmId, clean } = await migrated();
      becomeRoot(root, vmId);
      await rig.sync();
      forget(rig);
      rig.ledger.store.mappings.clear();
      const operation = await clean();
      expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
      expect(String(operation.response?.message)).toContain(root.id);
      expect(rig.calls).not.toContain('destroyVirtualMachine');
    });
  });

  it('whose list of disks is that of another VM: it is kept', async () => {
    const rig = await Rig.start();
    const [vmId, other] = [rig.vm('Stopped'), rig.vm('Stopped')];
    const { id } = await rig.volume({ vmId });
    const listVolumes = rig.cloud.listVolumes.bind(rig.cloud);
    rig.cloud.listVolumes = (filter) =>
      listVolumes({ ...filter, ...('vmId' in filter ? { vmId: other } : {}) });
    const operation = await rig.run('cleanup', cleanup(rig, id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
    expect(rig.calls).not.toContain('destroyVirtualMachine');
  });

  it('the destroy was lost, and the VM got a disk back: it is not sent again', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const [volume, stranger] = [await rig.volume({ vmId }), await rig.volume()];
    rig.loseThen('destroyVirtualMachine', () => rig.plugInto(stranger, vmId));
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
    expect(String(operation.response?.message)).toContain('1 disk(s) that would go with it');
    expect(rig.calls).toEqual(['detachVolume', 'attachVolume', 'destroyVirtualMachine']);
    expect([stranger.vmId, rig.model.inventory.vm('', '', vmId).state]).toEqual([vmId, 'Stopped']);
  });

  it('the destroy was lost, and the VM runs by then', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    rig.loseThen('destroyVirtualMachine', () => rig.setVmState(vmId, 'Running'));
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
    expect(rig.calls.filter((name) => name === 'destroyVirtualMachine')).toHaveLength(1);
    expect(rig.model.inventory.vm('', '', vmId).state).toBe('Running');
  });

  it('the stop was lost, and the VM is Stopped by then: nothing is left to stop', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    rig.loseThen('stopVirtualMachine', () => rig.setVmState(vmId, 'Stopped'));
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { force_clean: true }));
    expect(operation.status).toBe('completed');
    expect(rig.calls).toEqual(['stopVirtualMachine', 'detachVolume', 'attachVolume']);
  });

  it('the appliance takes no more disks: nothing is stopped and nothing detached', async () => {
    const rig = await Rig.start({ guest: { slots: 0 } });
    const vmId = rig.vm('Running');
    const volume = await rig.volume({ vmId });
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { force_clean: true }));
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'NO_FREE_SLOT' });
    expect([rig.calls, volume.vmId]).toEqual([[], vmId]);
  });

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

  it('a VM to which another operation attaches a disk is kept, although no list shows that disk yet', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const [volume, other] = [await rig.volume({ vmId }), await rig.volume()];
    rig.model.faults.add({ command: 'attachVolume', kind: 'late-reply', ms: 5 * SECOND_MS, times: 1 });
    const attach = await rig.request('attach', { volume_id: other.id, vm_id: vmId });
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
    expect(String(operation.response?.message)).toContain(`operation ${attach}`);
    expect(await rig.ended(attach)).toMatchObject({ status: 'completed' });
    expect(other.vmId).toBe(vmId);
  });

  it('a VM to which a job may attach a disk whose operation has given up is kept', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 90 * MINUTE_MS } } });
    const vmId = rig.vm('Stopped');
    const [volume, other] = [await rig.volume(), await rig.volume()];
    const attach = await rig.run('attach', { volume_id: other.id, vm_id: vmId }, 80 * MINUTE_MS);
    expect([attach.status, other.vmId]).toEqual(['failed', null]);
    // From now on they are quick; the job that was given up on still runs.
    Object.assign(rig.model.latencies, { attach: { accept: 5, job: 150 } });
    const root = rig.model.volumes.find(({ vmId: of, type }) => of === vmId && type === 'ROOT');
    const kept = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    expect(kept).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
    expect(String(kept.response?.message)).toContain(`may still attach volume ${other.id}`);
    await rig.pass(40 * MINUTE_MS);
    expect([root?.removed, other.vmId]).toEqual([false, vmId]);
  });

  it.each(['job-without-result-after-effect', 'job-fails-after-effect', 'lose-job'] as const)(
    'that was expunged although its job does not say so (%s): it is not called kept',
    async (kind) => {
      const rig = await Rig.start();
      const vmId = rig.vm('Stopped');
      const volume = await rig.volume({ vmId });
      rig.model.faults.add({ command: 'destroyVirtualMachine', kind });
      const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
      expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
      expect(String(operation.response?.message)).toContain('not known whether the VM was deleted');
      expect(rig.model.inventory.vms.find(({ id }) => id === vmId)?.removed).toBe(true);
    },
  );

  it('that is destroyed although its job failed is reported as deleted, with what CloudStack said', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    rig.model.faults.add({ command: 'destroyVirtualMachine', kind: 'agent-fails', text: 'no agent' });
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: true } });
    expect(String(operation.response?.message)).toContain('the VM is gone (no agent)');
  });

  it('whose destroy does not end in time fails it, and the volume stays mapped and exported here', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    rig.model.faults.add({ command: 'destroyVirtualMachine', kind: 'agent-fails', ms: 90 * MINUTE_MS });
    const request = cleanup(rig, volume.id, vmId, { delete_vm: true });
    const operation = await rig.run('cleanup', request, 80 * MINUTE_MS);
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'STEP_DEADLINE' });
    expect(operation.error).toContain(`VM ${vmId} may still be deleted`);
    expect((await rig.ledger.readMapping(volume.id))?.vmId).toBe(rig.here);
    expect(rig.exported(volume.id)).toBe(true);
  });

  it('whose destroy cannot be sent fails it, and the volume stays mapped and exported here', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    const never = { command: 'destroyVirtualMachine', kind: 'status', code: 503, times: 1_000 } as const;
    rig.model.faults.add(never);
    const request = cleanup(rig, volume.id, vmId, { delete_vm: true });
    const operation = await rig.run('cleanup', request, 60 * MINUTE_MS);
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_UNAVAILABLE' });
    expect((await rig.ledger.readMapping(volume.id))?.vmId).toBe(rig.here);
    expect(rig.exported(volume.id)).toBe(true);
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
  it('an attach of what is attached, while the export server has failed: mapping and export are not taken away', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    const [mapping, record] = [
      await rig.ledger.readMapping(volume.id),
      await rig.ledger.readExport(volume.id),
    ];
    rig.server.portTaken = true;
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'EXPORT_SERVER_UNHEALTHY' });
    expect(await rig.ledger.readMapping(volume.id)).toMatchObject({ devicePath: mapping?.devicePath });
    expect(await rig.ledger.readExport(volume.id)).toEqual(record);
    rig.server.portTaken = false;
    await rig.sync();
    expect(rig.exported(volume.id)).toBe(true);
  });

  it('attach-root of a volume that is a data disk of that VM: not completed, and it says which device it is', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: vmId, device_id: 0 });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect(operation.error).toMatch(/as device 1 and not as device 0/);
    expect(rig.calls).toEqual([]);
  });

  it('attach-root of a volume whose device CloudStack does not name: waited for, and then not called device 0', async () => {
    for (const named of [null, 0]) {
      const rig = await Rig.start();
      const vmId = rig.vm('Stopped');
      const volume = await rig.volume({ vmId });
      volume.deviceId = null;
      const request = { volume_id: volume.id, vm_id: vmId, device_id: 0 };
      const operation = await rig.request('attach', request);
      await rig.pass(3 * SECOND_MS);
      expect((await rig.operation(operation)).waitReason).toContain('as which device');
      volume.deviceId = named;
      const ended = named === null ? 'CLOUDSTACK_OUTCOME_UNKNOWN' : null;
      expect(await rig.ended(operation)).toMatchObject({ errorCode: ended });
    }
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

  it.each(['Stopping', 'Migrating'])('detach from a VM that is %s waits for it', async (state) => {
    const rig = await Rig.start();
    const vmId = rig.vm(state);
    const volume = await rig.volume({ vmId });
    const operation = await rig.request('detach', { volume_id: volume.id });
    await rig.pass(MINUTE_MS);
    expect([rig.calls, (await rig.operation(operation)).waitReason]).toEqual([[], `VM ${vmId} is ${state}`]);
    rig.setVmState(vmId, 'Running');
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['detachVolume']);
  });

  it('while this appliance is migrated live, what attaches and detaches its disks waits', async () => {
    const rig = await Rig.start();
    const [comes, leaves] = [await rig.volume(), await rig.volume({ vmId: rig.here, mapped: true })];
    rig.setVmState(rig.here, 'Migrating');
    const operations = [
      await rig.request('attach', { volume_id: comes.id, vm_id: rig.here }),
      await rig.request('delete', { volume_id: leaves.id }),
    ];
    await rig.pass(5 * MINUTE_MS);
    rig.setVmState(rig.here, 'Running');
    for (const one of operations) expect(await rig.ended(one)).toMatchObject({ status: 'completed' });
    expect([comes.vmId, leaves.removed]).toEqual([rig.here, true]);
  });

  it.each(['Error', 'Unknown'])(
    'an appliance that CloudStack calls %s: nobody waits for that',
    async (state) => {
      const rig = await Rig.start();
      const [comes, leaves] = [await rig.volume(), await rig.volume({ vmId: rig.here, mapped: true })];
      rig.setVmState(rig.here, state);
      const attach = await rig.run('attach', { volume_id: comes.id, vm_id: rig.here });
      const detach = await rig.run('detach', { volume_id: leaves.id });
      for (const { status, errorCode } of [attach, detach])
        expect([status, errorCode]).toEqual(['failed', 'VM_STATE']);
      expect([rig.calls, rig.exported(leaves.id)]).toEqual([['attachVolume'], true]);
    },
  );

  it('an appliance that stays between two states: they end with a code, and the disk is exported again', async () => {
    const rig = await Rig.start();
    const [comes, leaves] = [await rig.volume(), await rig.volume({ vmId: rig.here, mapped: true })];
    rig.setVmState(rig.here, 'Migrating');
    const withinMs = LIMITS.RESOURCE_RETRY_DEADLINE_MS + 3 * MINUTE_MS;
    const attach = await rig.request('attach', { volume_id: comes.id, vm_id: rig.here });
    const detach = await rig.request('detach', { volume_id: leaves.id });
    expect(await rig.ended(attach, withinMs)).toMatchObject({ status: 'failed', errorCode: 'VM_STATE' });
    expect(await rig.ended(detach)).toMatchObject({ status: 'failed', errorCode: 'VM_STATE' });
    expect([rig.calls, rig.exported(leaves.id)]).toEqual([['attachVolume'], true]);
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
