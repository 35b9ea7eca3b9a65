import { describe, expect, it } from 'vitest';
import type { Cloud, Departure } from '~/server/cloudstack/cloud';
import { fencedCloud } from '~/server/daemon/fenced-cloud';

/** A CloudStack that notes which changes have left for it. */
function guarded(isOwner: () => boolean) {
  const left: string[] = [];
  const takes = (name: string, departs: Departure | undefined) => {
    departs?.();
    left.push(name);
  };
  const cloud: Partial<Cloud> = {
    submit: async ({ name }, jobId, departs) => {
      takes(name, departs);
      return { jobId, volumeId: null, snapshotId: null };
    },
    deleteVolume: async (_id, departs) => {
      takes('deleteVolume', departs);
      return 'deleted';
    },
    recoverVolume: async (_id, departs) => takes('recoverVolume', departs),
  };
  return { left, cloud: fencedCloud(cloud as Cloud, isOwner) };
}

describe.each<[string, (cloud: Cloud, departs?: Departure) => Promise<unknown>]>([
  ['detachVolume', (cloud, departs) => cloud.submit({ name: 'detachVolume', volumeId: 'v' }, 'job', departs)],
  ['deleteVolume', (cloud, departs) => cloud.deleteVolume('v', departs)],
  ['recoverVolume', (cloud, departs) => cloud.recoverVolume('v', departs)],
])('%s', (name, change) => {
  it('leaves while the lease is held, and whoever sends it knows that it has left', async () => {
    const { left, cloud } = guarded(() => true);
    let hasLeft = false;
    await change(cloud, () => {
      hasLeft = true;
    });
    expect([left, hasLeft]).toEqual([[name], true]);
  });

  it('does not leave once the lease has ended, and counts as not sent', async () => {
    const { left, cloud } = guarded(() => false);
    let hasLeft = false;
    const sent = change(cloud, () => {
      hasLeft = true;
    });
    await expect(sent).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect([left, hasLeft]).toEqual([[], false]);
    await expect(change(cloud)).rejects.toMatchObject({ code: 'LEASE_LOST' });
  });
});
