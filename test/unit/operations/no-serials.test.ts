import { describe, expect, it } from 'vitest';
import { latenciesFrom } from '~/lab/cloudstack/latency';
import { createMemoryInventory } from '~/lab/guest/memory-inventory';
import { LIMITS } from '~/server/core/limits';
import { silentLogger as logger } from '~/server/core/log/logger';
import { DeviceWatcher } from '~/server/devices/device-watcher';
import { explainCorrelation } from '~/server/diagnostics/correlation';
import { withLimits } from '../../support/with-limits';
import { cleanup, GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';

/** An attach whose disk does not come. */
async function awaited() {
  const rig = await Rig.start({ guest: { serials: false } });
  const { id, size } = await rig.volume();
  rig.model.faults.add({ command: 'attachVolume', kind: 'no-device' });
  const operation = await rig.request('attach', { volume_id: id, vm_id: rig.here });
  await rig.untilSent('attachVolume');
  await rig.pass(5 * SECOND_MS);
  return { rig, id, size, operation };
}

describe('a guest whose data disks show no serial', () => {
  it.each([false, 'root'] as const)(
    'two of one size attached at once, the first disk comes late: none gets the other’s (serials: %s)',
    async (serials) => {
      const rig = await Rig.start({ guest: { serials } });
      const volumes = [await rig.volume(), await rig.volume()];
      rig.model.faults.add({ command: 'attachVolume', kind: 'late-device', ms: 5 * SECOND_MS });
      const requests = volumes.map(({ id }) => rig.request('attach', { volume_id: id, vm_id: rig.here }));
      for (const id of await Promise.all(requests)) await rig.ended(id, 10 * MINUTE_MS);
      const mappings = await rig.ledger.listMappings(rig.here);
      // The system's disk promises serials: both are sent, each new disk may be either's, and both are
      // undone.
      expect(mappings).toHaveLength(serials === 'root' ? 0 : 2);
      for (const { volumeId, devicePath } of mappings)
        expect(devicePath, volumeId).toBe(rig.guest.devicePath(volumeId));
    },
  );

  it('a disk that somebody else attaches meanwhile is not taken for the one that does not come', async () => {
    const { rig, id, size, operation } = await awaited();
    const other = await rig.volume({ vmId: rig.here, size });
    await rig.pass(5 * SECOND_MS);
    expect((await rig.ledger.listMappings(rig.here)).map(({ volumeId }) => volumeId)).not.toContain(id);
    expect(await rig.ended(operation)).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_DETECTED' });
    expect(rig.exported(id)).toBe(false);
    expect(other.vmId).toBe(rig.here);
  });

  it('nor one that the guest shows a second before CloudStack does', async () => {
    const { rig, id, size, operation } = await awaited();
    const other = await rig.volume({ size });
    await rig.guest.plug({ volumeId: other.id, size, serial: '' });
    await rig.pass(SECOND_MS);
    rig.plugInto(other, rig.here);
    expect(await rig.ended(operation)).toMatchObject({ status: 'failed', errorCode: 'DEVICE_NOT_DETECTED' });
    expect(await rig.ledger.readMapping(id)).toBeNull();
  });

  it('two that began while a disk showed its serial do not wait for each other once it has left', async () => {
    const rig = await Rig.start({ guest: { slots: 2 }, policy: { slots: 'wait' } });
    const telling = await rig.volume({ vmId: rig.here });
    await rig.volume({ vmId: rig.here, serial: '' });
    const volumes = [await rig.volume(), await rig.volume()];
    const operations = [];
    for (const { id } of volumes)
      operations.push(await rig.request('attach', { volume_id: id, vm_id: rig.here }));
    // The VM is full: both have had their turn, and wait for a slot.
    await rig.pass(5 * SECOND_MS);
    rig.unplug(telling);
    await rig.guest.unplug(telling.id);
    const [first = ''] = operations;
    expect(await rig.ended(first, 10 * MINUTE_MS)).toMatchObject({ type: 'attach' });
    expect(rig.calls).toContain('attachVolume');
  });

  it('an explanation gives a new disk to no volume while another attach may have brought it, as an attach does', async () => {
    const { rig, id, size, operation } = await awaited();
    await rig.ended(operation);
    const { guest, clock, cloud, ledger, here: applianceVmId } = rig;
    const watcher = new DeviceWatcher({ guest, clock, logger, inventory: createMemoryInventory() });
    await watcher.scan();
    Object.assign(rig.model.latencies, latenciesFrom({ attach: MINUTE_MS }));
    const other = await rig.volume({ size });
    await rig.request('attach', { volume_id: other.id, vm_id: rig.here });
    await rig.untilSent('attachVolume', 2);
    // The guest shows the disk before CloudStack does.
    await guest.plug({ volumeId: other.id, size, serial: '' });
    await watcher.scan();
    const parts = { cloud, ledger, watcher, clock, applianceVmId, toleranceBytes: 3 * GIB };
    const attaching = () => rig.domain.ownership.engine?.attachingDisks() ?? [];
    const { answer } = await explainCorrelation({ ...parts, attaching }, id);
    expect(answer).toMatchObject({ kind: 'waiting', reason: expect.stringContaining(other.id) });
    const without = await explainCorrelation({ ...parts, attaching: () => [] }, id);
    expect(without.answer.kind).toBe('found');
  });

  it('the undo of an attach whose export has failed leaves the volume attached: its disk is here', async () => {
    const rig = await Rig.start({ guest: { serials: false } });
    const { id } = await rig.volume();
    rig.server.portTaken = true;
    const attach = await rig.run('attach', { volume_id: id, vm_id: rig.here });
    expect(attach).toMatchObject({ status: 'failed', errorCode: 'EXPORT_SERVER_UNHEALTHY' });
    expect(attach.error).toContain('the disk is present in the guest, so the volume stays attached');
    expect(attach.error).toContain('nothing maps it again: detach the volume and attach it again');
    expect(rig.calls).toEqual(['attachVolume']);
    rig.server.portTaken = false;
    await rig.sync();
    expect(await rig.ledger.readMapping(id)).toBeNull();
    for (const done of [
      await rig.run('detach', { volume_id: id }),
      await rig.run('attach', { volume_id: id, vm_id: rig.here }),
    ])
      expect(done).toMatchObject({ status: 'completed' });
    expect(rig.exported(id)).toBe(true);
  });

  describe('an attach that has failed and has plugged its disk all the same', () => {
    const still = { status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' };

    async function make() {
      const rig = await Rig.start({ guest: { serials: false } });
      const other = await rig.volume();
      await rig.run('attach', { volume_id: other.id, vm_id: rig.here });
      const { id } = await rig.volume();
      rig.model.faults.add({ command: 'attachVolume', kind: 'ghost-disk' });
      const attached = await rig.run('attach', { volume_id: id, vm_id: rig.here });
      expect(attached).toMatchObject({ status: 'failed' });
      expect(rig.guest.devicePath(id)).not.toBeNull();
      return { rig, id, other: other.id };
    }

    it('is no reason to call the volume detached, deleted or free for another VM while a disk may be its own', async () => {
      const { rig, id } = await make();
      expect(await rig.run('detach', { volume_id: id })).toMatchObject(still);
      await rig.restart();
      const sent = [...rig.calls];
      expect(await rig.run('delete', { volume_id: id })).toMatchObject(still);
      expect(await rig.run('attach', { volume_id: id, vm_id: rig.vm('Running') })).toMatchObject(still);
      expect(rig.calls).toEqual(sent);
    });

    it('may have plugged it late, where another disk was before', async () => {
      const rig = await Rig.start({ guest: { serials: false } });
      const [visitor, { id, size }] = [await rig.volume(), await rig.volume()];
      await rig.guest.plug({ volumeId: visitor.id, size, serial: '' });
      const letter = rig.guest.devicePath(visitor.id);
      rig.model.faults.add({ command: 'attachVolume', kind: 'no-device' });
      expect(await rig.run('attach', { volume_id: id, vm_id: rig.here })).toMatchObject({ status: 'failed' });
      await rig.guest.unplug(visitor.id);
      await rig.guest.plug({ volumeId: id, size, serial: '' });
      expect(rig.guest.devicePath(id)).toBe(letter);
      expect(await rig.run('detach', { volume_id: id })).toMatchObject(still);
    });

    it('was that of a cleanup', async () => {
      const rig = await Rig.start({ guest: { serials: false } });
      const vmId = rig.vm('Stopped');
      const { id } = await rig.volume({ vmId });
      rig.model.faults.add({ command: 'attachVolume', kind: 'ghost-disk' });
      expect(await rig.run('cleanup', cleanup(rig, id, vmId))).toMatchObject({ status: 'failed' });
      expect(rig.guest.devicePath(id)).not.toBeNull();
      expect(await rig.run('detach', { volume_id: id })).toMatchObject(still);
    });

    it('has not plugged the disk that was there before it', async () => {
      const rig = await Rig.start({ guest: { serials: false } });
      const [visitor, { id, size }] = [await rig.volume(), await rig.volume()];
      await rig.guest.plug({ volumeId: visitor.id, size, serial: '' });
      rig.model.faults.add({ command: 'attachVolume', kind: 'no-device' });
      expect(await rig.run('attach', { volume_id: id, vm_id: rig.here })).toMatchObject({ status: 'failed' });
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'completed' });
    });

    it('may have plugged it although the disk of an attach before it was seen to leave', async () => {
      const rig = await Rig.start({ guest: { serials: false } });
      const { id } = await rig.volume();
      await rig.run('attach', { volume_id: id, vm_id: rig.here });
      rig.model.faults.add({ command: 'detachVolume', kind: 'ghost-disk' });
      expect(await rig.run('detach', { volume_id: id })).toMatchObject(still);
      await rig.guest.unplug(id);
      rig.model.faults.add({ command: 'attachVolume', kind: 'ghost-disk' });
      expect(await rig.run('attach', { volume_id: id, vm_id: rig.here })).toMatchObject({ status: 'failed' });
      expect(await rig.run('detach', { volume_id: id })).toMatchObject(still);
      await rig.guest.unplug(id);
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'completed' });
    });

    it('ends that doubt with the disk, and other volumes are in none', async () => {
      const { rig, id, other } = await make();
      const done = { status: 'completed' };
      expect(await rig.run('detach', { volume_id: other })).toMatchObject(done);
      expect(await rig.run('detach', { volume_id: (await rig.volume()).id })).toMatchObject(done);
      await rig.guest.unplug(id);
      expect(await rig.run('detach', { volume_id: id })).toMatchObject(done);
    });

    it('is in doubt no longer once its disk was mapped, nor because of a disk that has come after that', async () => {
      const { rig, id } = await make();
      await rig.guest.unplug(id);
      const done = { status: 'completed' };
      expect(await rig.run('attach', { volume_id: id, vm_id: rig.here })).toMatchObject(done);
      expect(await rig.run('detach', { volume_id: id })).toMatchObject(done);
      const visitor = await rig.volume();
      await rig.guest.plug({ volumeId: visitor.id, size: visitor.size, serial: '' });
      expect(await rig.run('detach', { volume_id: id })).toMatchObject(done);
    });
  });

  it('a detach that begins anew after it has removed the row still knows which disk stays', async () => {
    const rig = await Rig.start({ guest: { serials: false } });
    const { id } = await rig.volume();
    await rig.run('attach', { volume_id: id, vm_id: rig.here });
    rig.model.faults.add({ command: 'detachVolume', kind: 'ghost-disk' });
    const { append } = rig.ledger;
    const unmapped = new Promise<void>((resolve) => {
      rig.ledger.append = async (epoch, operationId, change) => {
        const written = await append.call(rig.ledger, epoch, operationId, change);
        if (!change.entries.some(({ step }) => step === 'unmap')) return written;
        resolve();
        return new Promise(() => {});
      };
    });
    const detach = await rig.request('detach', { volume_id: id });
    const reached = await Promise.race([
      unmapped.then(() => true),
      rig.pass(MINUTE_MS * 30).then(() => false),
    ]);
    expect(reached).toBe(true);
    rig.ledger.append = append;
    await rig.restart();
    expect(await rig.ledger.readMapping(id)).toBeNull();
    expect(await rig.ended(detach)).toMatchObject({ status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' });
  });

  it('an attach whose row somebody deletes before its export has one still knows which disk it had', async () => {
    const rig = await Rig.start({ guest: { serials: false } });
    const { id } = await rig.volume();
    let isDeleted = false;
    rig.domain.events.onEntry(({ step, state }) => {
      if (isDeleted || step !== 'map' || state !== 'done') return;
      isDeleted = true;
      rig.store.mappings.clear();
    });
    const operation = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    await rig.pass(10 * SECOND_MS);
    const unmapped = (await rig.journal(operation)).find(({ step }) => step === 'unmap');
    expect(unmapped?.data).toMatchObject({
      device_path: rig.guest.devicePath(id),
      diskseq: expect.any(Number),
      reason: expect.stringContaining('deleted by somebody else'),
    });
  });

  it('the disk of another attach is not taken for one that a failed attach has left, once it is mapped', async () => {
    const rig = await Rig.start({ guest: { serials: false } });
    const [failed, next] = [await rig.volume(), await rig.volume()];
    rig.model.faults.add({ command: 'attachVolume', kind: 'ghost-disk' });
    await rig.run('attach', { volume_id: failed.id, vm_id: rig.here });
    await rig.guest.unplug(failed.id);
    rig.model.faults.add({ command: 'attachVolume', kind: 'late-device', ms: 5 * SECOND_MS });
    const attach = await rig.request('attach', { volume_id: next.id, vm_id: rig.here });
    while (rig.guest.devicePath(next.id) === null) await rig.pass(100);
    const detach = await rig.request('detach', { volume_id: failed.id });
    expect(await rig.ended(attach)).toMatchObject({ status: 'completed' });
    expect(await rig.ended(detach)).toMatchObject({ status: 'completed' });
    const waits = (await rig.journal(detach)).filter(({ state }) => state === 'waiting');
    expect(waits.map(({ data }) => data.reason)).toEqual([expect.stringContaining('that may be its own')]);
  });

  it('what was left is looked for also after an attach that has found the volume on another VM', async () => {
    const rig = await Rig.start({ guest: { serials: false } });
    const volume = await rig.volume();
    await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    rig.model.faults.add({ command: 'detachVolume', kind: 'ghost-disk' });
    await rig.run('detach', { volume_id: volume.id });
    const vmId = rig.vm('Running');
    rig.plugInto(volume, vmId);
    expect(await rig.run('attach', { volume_id: volume.id, vm_id: vmId })).toMatchObject({
      status: 'completed',
    });
    expect(await rig.run('detach', { volume_id: volume.id })).toMatchObject({
      errorCode: 'DEVICE_STILL_PRESENT',
    });
  });

  it('what was left before the volume was detached well is not looked for again', async () => {
    const rig = await Rig.start({ guest: { serials: false } });
    const { id } = await rig.volume();
    await rig.run('attach', { volume_id: id, vm_id: rig.here });
    rig.model.faults.add({ command: 'detachVolume', kind: 'ghost-disk' });
    for (let tries = 0; tries < 3; tries += 1)
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ errorCode: 'DEVICE_STILL_PRESENT' });
    await rig.guest.unplug(id);
    const { id: well } = await rig.run('detach', { volume_id: id });
    expect(await rig.operation(well)).toMatchObject({ status: 'completed' });
    await rig.guest.plug({ volumeId: 'by hand', size: GIB, serial: '' });
    await rig.pass(LIMITS.READ_SETTLE_MS);
    const read: string[] = [];
    const { readJournal } = rig.ledger;
    rig.ledger.readJournal = (operation) => {
      read.push(operation);
      return readJournal.call(rig.ledger, operation);
    };
    const { id: next } = await rig.run('detach', { volume_id: id });
    expect(await rig.operation(next)).toMatchObject({ status: 'completed' });
    expect(read.filter((operation) => operation !== next && operation !== well)).toEqual([]);
  });

  describe('of attaches that fail again and again', () => {
    async function make(tries: number) {
      const rig = await Rig.start({ guest: { serials: false } });
      const [visitor, { id }] = [await rig.volume(), await rig.volume()];
      await rig.guest.plug({ volumeId: visitor.id, size: visitor.size, serial: '' });
      const fail = async () => {
        rig.model.faults.add({ command: 'attachVolume', kind: 'no-device' });
        return (await rig.run('attach', { volume_id: id, vm_id: rig.here })).id;
      };
      const failed: string[] = [];
      while (failed.length < tries) failed.push(await fail());
      const read = new Set<string>();
      const { readJournal } = rig.ledger;
      rig.ledger.readJournal = (operation) => {
        read.add(operation);
        return readJournal.call(rig.ledger, operation);
      };
      const wereRead = () => failed.map((operation) => read.has(operation));
      return { rig, id, fail, wereRead };
    }

    it('those before the boot are not looked through: every disk is new since', async () => {
      const { rig, id, fail, wereRead } = await make(3);
      await rig.during(rig.guest.reboot());
      await fail();
      await rig.pass(LIMITS.READ_SETTLE_MS);
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'completed' });
      expect(wereRead()).toEqual([false, false, true]);
    });

    it('only so many are looked through: what one before them may have plugged is not known', async () => {
      const { rig, id, wereRead } = await make(3);
      await rig.pass(LIMITS.READ_SETTLE_MS);
      await withLimits({ OPERATIONS_LOOKED_THROUGH: 2 }, async () => {
        expect(await rig.run('detach', { volume_id: id })).toMatchObject({
          errorCode: 'DEVICE_STILL_PRESENT',
        });
      });
      expect(wereRead()).toEqual([false, true, true]);
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'completed' });
    });
  });

  describe('while the job of an attach that was given up is open', () => {
    async function make() {
      const attach = LIMITS.JOB_DEADLINE_MS + 10 * MINUTE_MS;
      const rig = await Rig.start({ guest: { serials: false }, model: { latencies: { attach } } });
      const [late, next] = [await rig.volume(), await rig.volume()];
      const given = await rig.run('attach', { volume_id: late.id, vm_id: rig.here }, attach);
      expect(given).toMatchObject({ status: 'failed', errorCode: 'STEP_DEADLINE' });
      // CloudStack does not show that it works on the volume.
      late.state = 'Ready';
      Object.assign(rig.model.latencies, latenciesFrom({ attach: 100 }));
      return { rig, late, next };
    }

    it('another volume of its size does not get its disk', async () => {
      const { rig, next } = await make();
      await rig.run('attach', { volume_id: next.id, vm_id: rig.here }, 20 * MINUTE_MS);
      for (const { volumeId, devicePath } of await rig.ledger.listMappings(rig.here))
        expect(devicePath, volumeId).toBe(rig.guest.devicePath(volumeId));
    });

    it.each([
      ['Attaching', 1],
      ['Ready', 0],
    ])('and CloudStack denies it, of a volume that is %s: open jobs %s', async (state, open) => {
      const { rig, late } = await make();
      // Nobody asks about it meanwhile.
      await rig.pass(15 * MINUTE_MS);
      rig.unplug(late);
      await rig.guest.unplug(late.id);
      const [job] = await rig.ledger.openJobs(late.id);
      const { queryJob } = rig.cloud;
      rig.cloud.queryJob = async (id) => (id === job?.jobId ? null : queryJob.call(rig.cloud, id));
      late.state = state;
      for (let attaches = 0; attaches < 3; attaches += 1) {
        const { id } = await rig.volume();
        await rig.run('attach', { volume_id: id, vm_id: rig.here }, 20 * MINUTE_MS);
        for (const { volumeId, devicePath } of await rig.ledger.listMappings(rig.here))
          expect(devicePath, volumeId).toBe(rig.guest.devicePath(volumeId));
      }
      expect(await rig.ledger.openJobs(late.id)).toHaveLength(open);
    });

    it('once that job has ended it stands in nobody’s way', async () => {
      const { rig, late, next } = await make();
      await rig.pass(15 * MINUTE_MS);
      rig.unplug(late);
      await rig.guest.unplug(late.id);
      expect(await rig.run('attach', { volume_id: next.id, vm_id: rig.here })).toMatchObject({
        status: 'completed',
      });
    });
  });
});
