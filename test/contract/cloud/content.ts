import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { CloudCommand } from '~/server/cloudstack/cloud';
import { GIB, NOBODY, type World } from './world';

/** Sizes and snapshots. `ready`: a volume with storage. */
export function content(the: () => World): void {
  const ready = async (name: string): Promise<string> => {
    const volumeId = await the().create(name);
    const volume = the().model.volumes.find(({ id }) => id === volumeId);
    if (volume) Object.assign(volume, { state: 'Ready', hypervisor: 'KVM' });
    return volumeId;
  };

  it('makes a volume larger, and never smaller', async () => {
    const { cloud } = the();
    const volumeId = await the().create('resized');
    const resize = (sizeGiB: number) => the().done({ name: 'resizeVolume', volumeId, sizeGiB });
    expect(await resize(3)).toMatchObject({ status: 'succeeded', volumeId });
    expect(await cloud.readVolume(volumeId)).toMatchObject({ value: { size: 3 * GIB } });
    expect(await resize(2)).toMatchObject({ status: 'failed', errorCode: 432 });
    expect(await cloud.readVolume(volumeId)).toMatchObject({ value: { size: 3 * GIB } });
  });

  it('takes a snapshot: answer, job, list and look-up name the same one', async () => {
    const { cloud } = the();
    const volumeId = await ready('snapped');
    const [jobId, snapshotName] = [randomUUID(), `before-${randomUUID()}`];
    const accepted = await cloud.submit({ name: 'createSnapshot', volumeId, snapshotName }, jobId);
    expect(accepted).toMatchObject({ jobId, volumeId: null, snapshotId: expect.any(String) });
    const id = accepted.snapshotId ?? '';
    expect(await the().ended(jobId)).toMatchObject({
      status: 'succeeded',
      volumeId: null,
      snapshotId: id,
    });
    const shown = { id, name: snapshotName, volumeId, state: 'BackedUp', size: GIB };
    expect(await cloud.listSnapshots({ volumeId, name: snapshotName })).toMatchObject([shown]);
    expect(await cloud.listSnapshots({ volumeId, name: 'another' })).toEqual([]);
    expect(await cloud.readSnapshot(id)).toMatchObject({ kind: 'seen', value: shown });
  });

  it('refuses a snapshot of a volume that has no storage yet, at once', async () => {
    const volumeId = await the().create('empty');
    const command: CloudCommand = { name: 'createSnapshot', volumeId, snapshotName: 'none' };
    // The same answer comes to a request that was doubled on its way, and whose first half was taken.
    await expect(the().cloud.submit(command, randomUUID())).rejects.toMatchObject({
      kind: 'parameter',
      outcome: 'unknown',
    });
  });

  it('reverts to a snapshot, size included; and says whose snapshot a job was about', async () => {
    const { cloud, model } = the();
    const volumeId = await ready('reverted');
    const taken = await the().done({ name: 'createSnapshot', volumeId, snapshotName: 'then' });
    const snapshotId = taken.snapshotId ?? '';
    await the().done({ name: 'resizeVolume', volumeId, sizeGiB: 4 });
    expect(await the().done({ name: 'revertSnapshot', volumeId, snapshotId })).toMatchObject({
      status: 'succeeded',
      snapshotId,
    });
    expect(await cloud.readVolume(volumeId)).toMatchObject({ value: { size: GIB, state: 'Ready' } });
    expect(model.effectsOf(volumeId, 'revert')).toBe(1);
  });

  it('what is deleted is not shown, which proves nothing; deleted again, its job says so; what never was is absent', async () => {
    const { cloud } = the();
    const volumeId = await ready('unsnapped');
    const taken = await the().done({ name: 'createSnapshot', volumeId, snapshotName: 'gone' });
    const snapshotId = taken.snapshotId ?? '';
    const remove: CloudCommand = { name: 'deleteSnapshot', volumeId, snapshotId };
    expect(await the().done(remove)).toMatchObject({ status: 'succeeded' });
    expect((await cloud.readSnapshot(snapshotId)).kind).toBe('unknown');
    expect(await cloud.listSnapshots({ volumeId })).toEqual([]);
    expect(await the().done(remove)).toMatchObject({
      status: 'failed',
      errorText: expect.stringContaining('is already destroyed'),
    });
    expect((await cloud.readSnapshot(NOBODY)).kind).toBe('absent');
  });
}
