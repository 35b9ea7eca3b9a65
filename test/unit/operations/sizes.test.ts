import { beforeEach, describe, expect, it } from 'vitest';
import type { Volume } from '~/lab/cloudstack/records';
import { expectedSerial } from '~/server/devices/serial';
import type { SyncReport } from '~/server/sync/drift';
import { GIB, Rig, SECOND_MS } from './rig';

const told = ({ drifts }: SyncReport) => drifts.map(({ kind, action }) => `${kind} ${action}`);

describe('a volume that was enlarged in CloudStack and not in the guest', () => {
  let rig: Rig;
  let volume: Volume;
  beforeEach(async () => {
    rig = await Rig.start();
    volume = await rig.volume({ vmId: rig.here, mapped: true });
    volume.size = 6 * GIB;
    await rig.pass(60 * SECOND_MS);
  });
  const attach = () => rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
  const publish = () => rig.during(rig.domain.exports.publish(volume.id, {}));

  it('is a drift with a remedy, its export is closed, and nothing opens it again', async () => {
    expect(rig.exported(volume.id)).toBe(true);
    const report = await rig.sync();
    expect(told(report)).toEqual(['size-mismatch reported']);
    expect(report.drifts[0]?.remedy).toMatch(/detach the volume and attach it again, or stop and start/);
    expect(rig.exported(volume.id)).toBe(false);
    expect(told(await rig.sync())).toEqual(['size-mismatch reported']);
    expect(rig.exported(volume.id)).toBe(false);
  });

  it('a repeated attach ends with a code of its own, and leaves the volume attached', async () => {
    expect(await attach()).toMatchObject({ status: 'failed', errorCode: 'DEVICE_TOO_SMALL' });
    expect(rig.calls).toEqual([]);
    expect(volume.vmId).toBe(rig.here);
  });

  it('an attach that waits for the export server looks at the sizes again before it publishes', async () => {
    const other = await rig.volume();
    rig.server.portTaken = true;
    const id = await rig.request('attach', { volume_id: other.id, vm_id: rig.here });
    await rig.pass(5 * SECOND_MS);
    expect((await rig.operation(id)).waitReason).toMatch(/port .* is taken/);
    other.size = 6 * GIB;
    rig.server.portTaken = false;
    expect(await rig.ended(id)).toMatchObject({ status: 'failed', errorCode: 'DEVICE_TOO_SMALL' });
    expect(rig.exported(other.id)).toBe(false);
  });

  it('is closed also where nobody can see who uses the disk', async () => {
    rig.guest.hold(volume.id, [{ kind: 'unknown', detail: '/proc/445/fd' }]);
    expect(told(await rig.sync())).toEqual(['used-by-system reported', 'size-mismatch reported']);
    expect(rig.exported(volume.id)).toBe(false);
    expect(told(await rig.sync())).toEqual(['used-by-system reported', 'size-mismatch reported']);
  });

  it('POST /exports refuses it', async () => {
    await expect(publish()).rejects.toMatchObject({
      code: 'DEVICE_TOO_SMALL',
      details: { device_size: 5 * GIB, volume_size: 6 * GIB },
    });
  });

  it('POST /exports does not guess while CloudStack does not show the volume', async () => {
    rig.hide(volume.id);
    await expect(publish()).rejects.toMatchObject({ code: 'VOLUME_NOT_VISIBLE' });
  });

  it('POST /exports gives way to a detach that begins while CloudStack is asked for the size', async () => {
    volume.size = 5 * GIB;
    const { readVolume } = rig.cloud;
    rig.cloud.readVolume = async (id) => {
      rig.cloud.readVolume = readVolume;
      await rig.domain.operations.request('detach', { volume_id: id });
      await rig.clock.sleep(10);
      return readVolume.call(rig.cloud, id);
    };
    await expect(publish()).rejects.toMatchObject({ code: 'VOLUME_BUSY' });
  });

  it('a detach that fails does not publish it again', async () => {
    rig.model.faults.add({ command: 'detachVolume', kind: 'job-fails', code: 431, text: 'no' });
    const failed = await rig.run('detach', { volume_id: volume.id });
    expect(failed).toMatchObject({ status: 'failed' });
    expect(failed.error).toMatch(/could not be published again: .* bytes where CloudStack says/);
    expect(rig.exported(volume.id)).toBe(false);
  });

  it('once the guest shows the size, row and export follow, and a client of the feed is told', async () => {
    await rig.sync();
    const heard: unknown[] = [];
    rig.domain.events.onEntry(({ step, data }) => heard.push([step, data.repair]));
    await rig.guest.resize(volume.id, 6 * GIB);
    expect(told(await rig.sync())).toEqual(['resized repaired']);
    expect(await rig.ledger.readMapping(volume.id)).toMatchObject({ size: 6 * GIB });
    expect(rig.exported(volume.id)).toBe(true);
    expect(heard).toEqual([
      ['sync:resized', 'rows'],
      ['sync:resized', 'publish'],
    ]);
    expect(await attach()).toMatchObject({ status: 'completed' });
  });

  it('a guest that shows the size a moment later than CloudStack is waited for', async () => {
    const id = await rig.request('attach', { volume_id: volume.id, vm_id: rig.here });
    await rig.pass(SECOND_MS);
    await rig.guest.resize(volume.id, 6 * GIB);
    expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
  });
});

describe('a volume that somebody resizes in CloudStack while it is attached here', () => {
  it.each(['by its serial', 'by its size'])(
    'is waited for: the guest shows the size first (%s)',
    async (how) => {
      const rig = await Rig.start({ guest: { serials: how === 'by its serial' ? true : 'root' } });
      const volume = await rig.volume();
      const { queryJob } = rig.cloud;
      rig.cloud.queryJob = async (jobId) => {
        const job = await queryJob.call(rig.cloud, jobId);
        if (job?.status === 'succeeded') {
          volume.state = 'Resizing';
          await rig.guest.resize(volume.id, 15 * GIB);
        }
        return job;
      };
      const id = await rig.request('attach', { volume_id: volume.id, vm_id: rig.here });
      await rig.pass(90 * SECOND_MS);
      expect((await rig.operation(id)).waitReason).toContain('is being resized');
      Object.assign(volume, { state: 'Ready', size: 15 * GIB });
      expect(await rig.ended(id)).toMatchObject({ status: 'completed', response: { size: 15 * GIB } });
      expect(rig.calls).toEqual(['attachVolume']);
    },
  );

  it('between the last look at it and that at the guest: it is looked at again', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    const { readVolume } = rig.cloud;
    rig.cloud.readVolume = async (id) => {
      rig.cloud.readVolume = readVolume;
      const before = await readVolume.call(rig.cloud, id);
      volume.size = 15 * GIB;
      await rig.guest.resize(volume.id, 15 * GIB);
      return before;
    };
    const operation = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(operation).toMatchObject({ status: 'completed', response: { size: 15 * GIB } });
  });
});

describe('a volume that somebody moves while its disk is waited for', () => {
  it.each([
    ['elsewhere', 'VOLUME_ATTACHED_ELSEWHERE'],
    ['nowhere', 'DEVICE_NOT_DETECTED'],
  ])('%s is not attached again, and the failure says which', async (where, code) => {
    const rig = await Rig.start();
    const [volume, other] = [await rig.volume(), rig.vm('Running')];
    rig.model.faults.add({ command: 'attachVolume', kind: 'no-device' });
    const id = await rig.request('attach', { volume_id: volume.id, vm_id: rig.here });
    await rig.pass(2 * SECOND_MS);
    rig.unplug(volume);
    if (where === 'elsewhere') rig.plugInto(volume, other);
    expect(await rig.ended(id)).toMatchObject({ status: 'failed', errorCode: code });
    expect(rig.calls).toEqual(['attachVolume']);
  });
});

describe('a disk that is smaller than its volume', () => {
  it('an attach ends with the code, and exports nothing', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    const { plug } = rig.guest;
    rig.guest.plug = (disk) => plug.call(rig.guest, { ...disk, size: disk.size - 512 });
    const failed = await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    expect(failed).toMatchObject({ status: 'failed', errorCode: 'DEVICE_TOO_SMALL' });
    await rig.pass(60 * SECOND_MS);
    expect(told(await rig.sync())).toEqual(['size-mismatch reported']);
    expect(rig.exported(volume.id)).toBe(false);
  });

  it('attached by hand it is neither mapped nor exported, and reported with both sizes', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ size: 6 * GIB });
    rig.plugInto(volume, rig.here);
    await rig.guest.plug({ volumeId: volume.id, size: 5 * GIB, serial: expectedSerial(volume.id) });
    const { drifts } = await rig.sync();
    expect(drifts).toMatchObject([{ kind: 'size-mismatch', volumeId: volume.id, devicePath: '/dev/vdb' }]);
    expect(drifts[0]?.message).toBe(`/dev/vdb has ${5 * GIB} bytes where CloudStack says ${6 * GIB}`);
    expect(await rig.ledger.readMapping(volume.id)).toBeNull();
  });
});
