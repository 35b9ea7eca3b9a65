import { describe, expect, it } from 'vitest';
import { latenciesFrom } from '~/lab/cloudstack/latency';
import { LIMITS } from '~/server/core/limits';
import { MINUTE_MS, Rig, SECOND_MS } from './rig';

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
      // The system's disk promises serials: both are sent, each new disk may be either's, and both are undone.
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
