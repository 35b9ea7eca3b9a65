import { describe, expect, it } from 'vitest';
import type { Volume } from '~/lab/cloudstack/records';
import { IncompleteList } from '~/server/cloudstack/cloud';
import { LIMITS } from '~/server/core/limits';
import { expectedSerial } from '~/server/devices/serial';
import { decideCleanup } from '~/server/operations/decide/cleanup';
import type { Facts } from '~/server/operations/decision';
import { cleanup, MINUTE_MS, Rig, SECOND_MS } from './rig';
import {
  APPLIANCE,
  found,
  gone,
  hidden,
  mapped,
  OTHER_VM,
  rowOf,
  type Step,
  seenVm,
  seenVolume,
  situation,
  usedBy,
  VOLUME,
} from './situations';

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

describe('a cleanup decides', () => {
  const request = {
    ...{ volume_id: VOLUME, test_vm_id: OTHER_VM, oma_vm_id: APPLIANCE },
    ...{ delete_vm: true, force_clean: false },
  };
  const clear = { openJobs: 0, conflictingOperation: null };
  const here = seenVolume({ vmId: APPLIANCE, deviceId: 1 });
  const attached: Step[] = [
    ['detach-volume', 'intent', { job_id: 'd', vm_id: OTHER_VM }],
    ['detach-volume', 'finished', { job_id: 'd', outcome: 'ok' }],
    ['released', 'done', { vm_id: OTHER_VM }],
    ['attach-volume', 'intent', { job_id: 'a', vm_id: APPLIANCE }],
    ['attach-volume', 'finished', { job_id: 'a', outcome: 'ok' }],
    mapped,
    ['publish', 'done'],
  ];
  const served: Facts = { volume: here, device: found, use: usedBy(), published: true };
  const removal = (end: object, facts: Facts, elapsed: Record<string, number> = {}, intent: object = {}) =>
    decideCleanup(
      situation('cleanup', request, {
        steps: [
          ...attached,
          ['destroy-vm', 'intent', { job_id: 'r', vm_id: OTHER_VM, ...intent }],
          ['destroy-vm', 'outcome' in end ? 'finished' : 'refused', { job_id: 'r', ...end }],
        ],
        facts: { ...served, ...facts },
        elapsed,
      }),
    );
  const failed = { outcome: 'failed', code: 530, text: 'the agent did not answer' };
  const kept = { do: 'complete', response: { vm_deleted: false } };
  const deleted = { do: 'complete', response: { vm_deleted: true } };
  const paused = { 'destroy-vm:1': 1 };

  it('that a removal that failed is tried again after VM and disks were looked at, in the way it was asked for', () => {
    expect(removal(failed, { vm: seenVm() })).toMatchObject({ do: 'back-off', forget: ['vm', 'vmVolumes'] });
    expect(removal(failed, { vm: seenVm() }, paused)).toMatchObject({
      do: 'intend',
      step: 'destroy-vm',
      data: { vm_id: OTHER_VM, expunge: true },
    });
    expect(removal(failed, { vm: seenVm() }, paused, { expunge: false })).toMatchObject({
      do: 'intend',
      data: { expunge: false },
    });
    expect(removal({ code: 431, text: 'no' }, { vm: seenVm() }, paused), 'it would end alike').toMatchObject(
      kept,
    );
  });

  it('that a VM is deleted where it is gone, or was seen to leave; what is not known is told so', () => {
    for (const vm of [gone(), seenVm({ state: 'Destroyed' }), seenVm({ state: 'Expunging' })])
      expect(removal(failed, { vm })).toMatchObject(deleted);
    const settled = { text: 'the VM is destroyed already', settled: true };
    expect(removal(settled, { vm: hidden() })).toMatchObject(deleted);
    const lost = { outcome: 'unknown', text: 'the answer was lost' };
    expect(removal(lost, { vm: hidden() })).toMatchObject({ do: 'back-off' });
    const doubted = { 'contradiction:destroy-vm:1': LIMITS.READ_SETTLE_MS + 1 };
    expect(removal(lost, { vm: hidden() }, doubted)).toMatchObject({
      response: {
        vm_deleted: false,
        message: expect.stringContaining('not known whether the VM was deleted'),
      },
    });
    expect(removal({ code: 431, text: 'no' }, { vm: hidden() }), 'it was refused').toMatchObject({
      response: { vm_deleted: false, message: expect.stringContaining('could not be deleted: no') },
    });
  });

  it.each(['Stopped', 'Destroyed'])(
    'that one look at a VM which is %s proves no stop whose end CloudStack has not told',
    (state) => {
      const stopped = (elapsed: Record<string, number>) =>
        decideCleanup(
          situation(
            'cleanup',
            { ...request, force_clean: true },
            {
              steps: [
                ['stop-vm', 'intent', { job_id: 's', vm_id: OTHER_VM }],
                ['stop-vm', 'finished', { job_id: 's', outcome: 'unknown' }],
              ],
              facts: {
                volume: seenVolume({ vmId: OTHER_VM, deviceId: 1 }),
                mapping: rowOf(null),
                vm: seenVm({ state }),
              },
              elapsed,
            },
          ),
        );
      expect(stopped({})).toMatchObject({ do: 'back-off', step: 'stop-vm' });
      expect(stopped({ 'unconfirmed:stop-vm:1': LIMITS.READ_SETTLE_MS + 1 })).toMatchObject({
        do: 'intend',
        step: 'detach-volume',
      });
    },
  );

  it('that a key which may not expunge destroys, once', () => {
    const denied = { code: 531, text: 'You have no permission for expunging of VMs' };
    expect(removal(denied, { vm: seenVm() })).toMatchObject({ do: 'intend', data: { expunge: false } });
    expect(removal(denied, { vm: seenVm() }, {}, { expunge: false })).toMatchObject(kept);
  });

  it('that its users keep a disk which is served, whatever becomes of the VM, and says what may still happen', () => {
    const failing: Step = [
      'operation',
      'failing',
      { code: 'STEP_DEADLINE', message: 'late', details: {}, cancelled: false },
    ];
    const shown = (volume: Facts['volume'], steps: Step[], elapsed = {}) =>
      decideCleanup(
        situation('cleanup', request, {
          steps: [...attached, ...steps, failing],
          facts: { ...(volume && { volume }) },
          elapsed,
        }),
      );
    const ends = (...steps: Step[]) => shown(seenVolume({ vmId: APPLIANCE, deviceId: 2 }), steps);
    const open: Step = ['destroy-vm', 'intent', { job_id: 'r' }];
    const stays = expect.stringContaining('stays attached');
    for (const steps of [[open], [open, ['destroy-vm', 'accepted', { job_id: 'r' }] as Step]])
      expect(ends(...steps)).toMatchObject({
        do: 'fail',
        response: { left: [stays, expect.stringContaining('may still be deleted')] },
      });
    expect(ends(open, ['destroy-vm', 'refused', { job_id: 'r', text: 'no' }])).toMatchObject({
      do: 'fail',
      response: { left: [stays] },
    });
    expect(ends()).toMatchObject({ do: 'fail', response: { left: [stays] } });
    expect(shown(seenVolume(), []), 'the look may be older than the attach').toMatchObject({
      do: 'back-off',
      forget: expect.arrayContaining(['volume']),
    });
    expect(
      shown(seenVolume(), [], { 'contradiction:attach-volume:1': LIMITS.READ_SETTLE_MS + 1 }),
    ).toMatchObject({
      do: 'fail',
      response: { left: [expect.stringContaining('is not attached to this appliance any more')] },
    });
  });

  it('nothing about the VM before the appliance is seen in a state in which it takes the disk', () => {
    const facts = { volume: seenVolume({ vmId: OTHER_VM, deviceId: 1 }), obstacles: clear };
    const next = (appliance: Facts['appliance'], elapsed: Record<string, number> = {}) =>
      decideCleanup(
        situation('cleanup', request, { facts: { ...facts, ...(appliance && { appliance }) }, elapsed }),
      );
    expect(next(undefined)).toEqual({ do: 'read-appliance', vmId: APPLIANCE });
    expect(next(seenVm({ id: APPLIANCE, state: 'Migrating' }))).toMatchObject({
      do: 'back-off',
      forget: ['appliance', 'volume'],
    });
    const late = { appliance: LIMITS.VM_MOVING_DEADLINE_MS + 1 };
    expect(next(seenVm({ id: APPLIANCE, state: 'Migrating' }), late)).toMatchObject({
      data: { code: 'VM_STATE' },
    });
    expect(next(seenVm({ id: APPLIANCE, state: 'Error' }))).toMatchObject({ data: { code: 'VM_STATE' } });
    for (const state of ['Running', 'Stopped'])
      expect(next(seenVm({ id: APPLIANCE, state }))).toMatchObject({ do: 'await-gone', volumeId: VOLUME });
    const appliance = seenVm({ id: APPLIANCE });
    expect(
      decideCleanup(situation('cleanup', request, { facts: { ...facts, appliance, gone: true } })),
    ).toMatchObject({ do: 'read-vm', vmId: OTHER_VM });
  });

  it('by what is seen after the disk was taken: nothing of what was read before it counts', () => {
    const s = situation('cleanup', request, {
      steps: attached.slice(0, 2),
      facts: { volume: seenVolume(), mapping: rowOf(null), obstacles: clear, gone: true },
    });
    expect(decideCleanup(s)).toMatchObject({
      do: 'record',
      step: 'released',
      forget: ['volume', 'mapping', 'obstacles'],
    });
  });
});
