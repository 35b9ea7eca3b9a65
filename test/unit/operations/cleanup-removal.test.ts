import { describe, expect, it } from 'vitest';
import type { Volume } from '~/lab/cloudstack/records';
import { IncompleteList } from '~/server/cloudstack/cloud';
import { cleanup, MINUTE_MS, Rig, SECOND_MS } from './rig';

describe('cleanup that deletes its test VM', () => {
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

  it('of whose disks CloudStack counts more than it shows: it is kept', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const { id } = await rig.volume({ vmId });
    const listVolumes = rig.cloud.listVolumes.bind(rig.cloud);
    rig.cloud.listVolumes = async (filter) => {
      if (filter.isWhole) throw new IncompleteList('listVolumes', 2, 1);
      return listVolumes(filter);
    };
    const operation = await rig.run('cleanup', cleanup(rig, id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
    expect(String(operation.response?.message)).toContain('counts 2');
    expect(rig.calls).not.toContain('destroyVirtualMachine');
  });

  it('keeps a VM that has a volume by its row which the list of its disks does not show: the list may be older', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const [volume, late] = [await rig.volume({ vmId }), await rig.volume()];
    await rig.run('attach', { volume_id: late.id, vm_id: vmId });
    const { listVolumes } = rig.cloud;
    rig.cloud.listVolumes = async (filter) =>
      (await listVolumes.call(rig.cloud, filter)).filter(({ id }) => id !== late.id);
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: false } });
    expect(String(operation.response?.message)).toContain(late.id);
    expect(rig.calls).not.toContain('destroyVirtualMachine');
    expect(late.vmId).toBe(vmId);
  });

  it.each([
    ['that VM', true, 1],
    ['that VM', true, 2],
    ['another VM', false, 1],
    ['another VM', false, 2],
  ])(
    'while its disks are listed somebody begins to attach one to %s (%s, list %i)',
    async (_which, isKept, nth) => {
      const rig = await Rig.start();
      const [vmId, other] = [rig.vm('Stopped'), rig.vm('Stopped')];
      const [volume, late] = [await rig.volume({ vmId }), await rig.volume()];
      const { listVolumes } = rig.cloud;
      let begun = '';
      let lists = 0;
      rig.cloud.listVolumes = async (filter) => {
        const listed = await listVolumes.call(rig.cloud, filter);
        const isOfVm = 'vmId' in filter && filter.vmId === vmId && rig.calls.includes('attachVolume');
        if (isOfVm) lists += 1;
        if (begun === '' && isOfVm && lists === nth) {
          begun = await rig.domain.operations
            .request('attach', { volume_id: late.id, vm_id: isKept ? vmId : other })
            .then(({ id }) => id);
          // Its call is on its way when the list arrives.
          await rig.clock.sleep(50);
        }
        return listed;
      };
      const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
      expect(operation).toMatchObject({ status: 'completed', response: { vm_deleted: !isKept } });
      if (isKept)
        expect(String(operation.response?.message)).toContain(`operation ${begun} may be attaching`);
      expect(rig.calls.includes('destroyVirtualMachine')).toBe(!isKept);
    },
  );

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

  it.each([
    ['was lost', 'fail-before-effect'],
    ['has failed', 'job-fails'],
  ] as const)('the detach %s, and the VM runs by then: it keeps its disk', async (_how, kind) => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    rig.model.faults.add({
      command: 'detachVolume',
      ...(kind === 'job-fails' ? { kind, code: 530, text: 'no' } : { kind }),
    });
    rig.onSend = () => rig.setVmState(vmId, 'Running');
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId));
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VM_NOT_STOPPED' });
    expect([rig.calls, volume.vmId]).toEqual([['detachVolume'], vmId]);
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

  it('whose volume somebody has given back to the VM right before its disks are listed has not ended well', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    const { listVolumes } = rig.cloud;
    rig.cloud.listVolumes = (filter) => {
      rig.cloud.listVolumes = listVolumes;
      rig.guest.surpriseUnplug(volume.id);
      rig.plugInto(volume, vmId);
      return listVolumes.call(rig.cloud, filter);
    };
    const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect(rig.calls).not.toContain('destroyVirtualMachine');
  });

  it('whose list of disks still shows the volume on the VM, because it is old, ends well', async () => {
    const rig = await Rig.start();
    const vmId = rig.vm('Stopped');
    const volume = await rig.volume({ vmId });
    const before = (await rig.cloud.listVolumes({ vmId })).filter(({ id }) => id === volume.id);
    const { listVolumes } = rig.cloud;
    rig.cloud.listVolumes = async (filter) => [...(await listVolumes.call(rig.cloud, filter)), ...before];
    const id = await rig.request('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
    await rig.pass(5 * SECOND_MS);
    expect((await rig.operation(id)).waitReason).toContain('shows the volume that was taken from it');
    rig.cloud.listVolumes = listVolumes;
    expect(await rig.ended(id)).toMatchObject({ status: 'completed', response: { vm_deleted: true } });
  });

  it.each(['moved to another VM', 'detached from here', 'put into the trash'])(
    'whose volume somebody has %s while the VM is destroyed does not say that it stays here',
    async (what) => {
      const rig = await Rig.start();
      const [vmId, other] = [rig.vm('Stopped'), rig.vm('Running')];
      const volume = await rig.volume({ vmId });
      rig.onSend = ({ name }) => {
        if (name !== 'destroyVirtualMachine') return;
        rig.guest.surpriseUnplug(volume.id);
        rig.unplug(volume);
        if (what === 'put into the trash') volume.state = 'Destroy';
        if (what === 'moved to another VM') rig.plugInto(volume, other);
      };
      const operation = await rig.run('cleanup', cleanup(rig, volume.id, vmId, { delete_vm: true }));
      const gone = `volume ${volume.id} is not attached to this appliance any more`;
      expect(operation).toMatchObject({
        status: 'failed',
        errorCode: 'VOLUME_ATTACHED_ELSEWHERE',
        response: { left: [gone, `VM ${vmId} was deleted`] },
      });
      expect(rig.calls.filter((name) => name === 'attachVolume')).toHaveLength(1);
    },
  );

  it('repeated after its VM was expunged says that it is deleted; one that was only destroyed may be back', async () => {
    for (const [account, isProven] of [
      ['root', true],
      ['plain', false],
    ] as const) {
      const rig = await Rig.start(account === 'plain' ? { model: { account } } : {});
      const vmId = rig.vm('Stopped', account === 'plain' ? { account } : {});
      const volume = await rig.volume({ vmId });
      const request = cleanup(rig, volume.id, vmId, { delete_vm: true });
      const first = await rig.run('cleanup', request);
      expect(first.response).toMatchObject({ vm_deleted: true });
      rig.hide(vmId);
      const again = await rig.run('cleanup', request);
      expect(again, account).toMatchObject({ status: 'completed', response: { vm_deleted: isProven } });
      expect(String(again.response?.message)).toContain(
        isProven ? 'the VM was already gone' : 'the VM was kept, because it is not visible',
      );
    }
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
