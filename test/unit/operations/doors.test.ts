import { describe, expect, it } from 'vitest';
import { MemoryLedger } from '~/lab/ledger/memory-ledger';
import { LIMITS } from '~/server/core/limits';
import { expectedSerial } from '~/server/devices/serial';
import { exportName } from '~/server/model/export-name';
import type { NewExport, NewMapping, Operation } from '~/server/model/operation';
import { cleanup, GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';

describe('the appliance itself', () => {
  it.each([
    ['forced', { force_clean: true }],
    ['not forced', {}],
    ['to be deleted', { force_clean: true, delete_vm: true }],
  ])('as the test VM of a cleanup (%s): refused, nothing is sent', async (_story, more) => {
    for (const attached of [true, false]) {
      const rig = await Rig.start();
      const { id } = await rig.volume(attached ? { vmId: rig.here, mapped: true } : {});
      await expect(rig.run('cleanup', cleanup(rig, id, rig.here, more))).rejects.toMatchObject({
        code: 'VALIDATION_FAILED',
        details: { fields: [{ field: 'test_vm_id' }] },
      });
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

  it('a disk that somebody gave to it is not reverted, also before its daemon has a row, and where CloudStack calls it stopped', async () => {
    const { rig, vmId, epoch } = await taken('Stopped');
    const volume = await rig.volume({ hypervisor: 'KVM' });
    const { response } = await rig.run('snapshot', { volume_id: volume.id, name: 'before' });
    const request = { volume_id: volume.id, snapshot_id: String(response?.snapshot_id) };
    rig.plugInto(volume, vmId);
    rig.sent.length = 0;
    const refused = await rig.run('revert', request, MINUTE_MS);
    expect(refused).toMatchObject({ status: 'failed', errorCode: 'APPLIANCE_PROTECTED' });
    expect(rig.calls).toEqual([]);
    await rig.ledger.releaseLease(epoch);
    expect(await rig.run('revert', request, MINUTE_MS)).toMatchObject({ status: 'completed' });
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

  describe('and the clock of the database says that its lease has ended', () => {
    it('long ago, and it renews it on another node: its disks stay its own', async () => {
      const { rig, vmId, epoch } = await taken('Running');
      const { clock, random, store } = rig;
      const theirs = new MemoryLedger({ store, now: () => clock.now(), random });
      const ended = new AbortController();
      const renewing = (async () => {
        while (!ended.signal.aborted) {
          await theirs.renewLease(epoch);
          await clock.sleep(SECOND_MS, ended.signal);
        }
      })();
      rig.databaseAheadMs = MINUTE_MS;
      const { id } = await rig.volume({ vmId });
      const detach = await rig.run('detach', { volume_id: id, force: true });
      const attach = await rig.run('attach', { volume_id: (await rig.volume()).id, vm_id: vmId });
      for (const operation of [detach, attach])
        expect(operation).toMatchObject({ status: 'failed', errorCode: 'APPLIANCE_PROTECTED' });
      expect(rig.calls).toEqual([]);
      ended.abort();
      await renewing;
    });

    it('and nobody renews it: they are free once that was seen for as long as a lease lasts', async () => {
      const { rig, vmId } = await taken('Running');
      const { id } = await rig.volume({ vmId });
      await rig.pass(LIMITS.LEASE_MS);
      const begun = rig.clock.monotonic();
      const first = await rig.run('detach', { volume_id: id, force: true });
      expect(first.status).toBe('completed');
      expect(rig.clock.monotonic() - begun).toBeGreaterThanOrEqual(LIMITS.LEASE_MS);
      const again = rig.clock.monotonic();
      expect((await rig.run('attach', { volume_id: id, vm_id: vmId })).status).toBe('completed');
      expect(rig.clock.monotonic() - again).toBeLessThan(LIMITS.LEASE_MS);
    });

    it('and somebody moves the volume while that is watched: what was read before it is read again', async () => {
      const { rig, vmId } = await taken('Running');
      const volume = await rig.volume({ vmId });
      await rig.pass(LIMITS.LEASE_MS);
      const attach = await rig.request('attach', { volume_id: volume.id, vm_id: vmId });
      await rig.pass(SECOND_MS);
      rig.unplug(volume);
      expect(await rig.ended(attach)).toMatchObject({ status: 'completed' });
      expect([rig.calls, volume.vmId]).toEqual([['attachVolume'], vmId]);
    });

    it('and a restart comes while that is watched: it is watched again', async () => {
      const { rig, vmId } = await taken('Running');
      const { id } = await rig.volume({ vmId });
      await rig.pass(LIMITS.LEASE_MS);
      const operationId = await rig.request('detach', { volume_id: id, force: true });
      await rig.pass(SECOND_MS);
      await rig.restart();
      expect(await rig.operation(operationId)).toMatchObject({ status: 'executing' });
      expect((await rig.ended(operationId)).status).toBe('completed');
    });
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

    it('and somebody has moved: until its daemon has taken its row away it is not detached, deleted or exported here', async () => {
      const requests: ((rig: Rig, volumeId: string) => Promise<Operation>)[] = [
        (rig, volume_id) => rig.run('detach', { volume_id, force: true }),
        (rig, volume_id) => rig.run('delete', { volume_id, force: true }),
        (rig, volume_id) => rig.run('attach', { volume_id, vm_id: rig.here }),
      ];
      for (const request of requests) {
        const { rig, volume, before } = await mapped();
        rig.plugInto(volume, rig.here);
        await rig.guest.plug({ volumeId: volume.id, size: volume.size, serial: expectedSerial(volume.id) });
        const operation = await request(rig, volume.id);
        expect(operation).toMatchObject({ status: 'failed', errorCode: 'APPLIANCE_PROTECTED' });
        expect([rig.calls, volume.vmId, volume.removed]).toEqual([[], rig.here, false]);
        expect(await rig.ledger.readMapping(volume.id)).toEqual(before);
      }
    });

    it('and somebody has moved to a third VM: a detach from there leaves its row alone', async () => {
      const { rig, volume, before } = await mapped();
      const third = rig.vm('Running');
      rig.plugInto(volume, third);
      const operation = await rig.run('detach', { volume_id: volume.id });
      expect(operation).toMatchObject({ status: 'failed', errorCode: 'APPLIANCE_PROTECTED' });
      expect([rig.calls, volume.vmId, await rig.ledger.readMapping(volume.id)]).toEqual([[], third, before]);
    });

    it('whose call had found nothing to detach, because somebody detached it meanwhile: its row stays', async () => {
      const { rig, vmId, volume, before } = await mapped();
      const { ledger } = rig;
      const { append } = ledger;
      rig.plugInto(volume, vmId);
      ledger.append = async (epoch, id, change) => {
        const done = await append.call(ledger, epoch, id, change);
        if (change.entries.some(({ state }) => state === 'intent')) Object.assign(volume, { vmId: null });
        return done;
      };
      const operation = await rig.run('detach', { volume_id: volume.id, force: true });
      expect(operation).toMatchObject({ status: 'failed', errorCode: 'APPLIANCE_PROTECTED' });
      expect([rig.calls, await rig.ledger.readMapping(volume.id)]).toEqual([[], before]);
    });

    it('and whose daemon has stopped, and somebody has moved to the VM of a third one: an attach there ends', async () => {
      const { rig, epoch, volume } = await mapped();
      await rig.ledger.releaseLease(epoch);
      const third = rig.vm('Running');
      rig.plugInto(volume, third);
      const operation = await rig.run('attach', { volume_id: volume.id, vm_id: third });
      expect(operation).toMatchObject({ status: 'completed' });
      expect(await rig.ledger.readMapping(volume.id)).toMatchObject({ vmId: third });
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

  it('none runs where the row says, nor where the volume is by now: an attach there ends with its row', async () => {
    const rig = await Rig.start();
    const [was, is] = [rig.vm('Running'), rig.vm('Running')];
    const volume = await rig.volume({ vmId: was });
    expect(await rig.run('attach', { volume_id: volume.id, vm_id: was })).toMatchObject({
      status: 'completed',
    });
    rig.plugInto(volume, is);
    const { readOwner } = rig.ledger;
    let looks = 0;
    rig.ledger.readOwner = async (vmId) => {
      looks += 1;
      if (looks > 20) throw new Error('it looks without end');
      return readOwner.call(rig.ledger, vmId);
    };
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: is });
    expect(operation).toMatchObject({ status: 'completed' });
    expect([(await rig.ledger.readMapping(volume.id))?.vmId, rig.calls]).toEqual([is, []]);
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
      const [volume, vmId] = [await rig.volume(), rig.vm('Stopped')];
      await rig.run('attach', { volume_id: volume.id, vm_id: vmId });
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

describe('an export that is asked for while the row is older than what has become of the volume', () => {
  it.each([
    ['detached', 'DEVICE_IDENTITY_MISMATCH'],
    ['on another VM', 'VOLUME_ATTACHED_ELSEWHERE'],
  ])('%s, and its disk has stayed in the guest: it is not published', async (place, code) => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    const publish = () => rig.during(rig.domain.exports.publish(volume.id, {}));
    await rig.during(rig.domain.exports.withdraw(volume.id, { force: false }));
    if (place === 'detached') rig.unplug(volume);
    else rig.plugInto(volume, rig.vm('Running'));
    await expect(publish()).rejects.toMatchObject({ code });
    expect(rig.exported(volume.id)).toBe(false);
    rig.plugInto(volume, rig.here);
    await publish();
    expect(rig.exported(volume.id)).toBe(true);
  });
});
