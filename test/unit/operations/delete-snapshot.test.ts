import { describe, expect, it } from 'vitest';
import { MINUTE_MS } from './rig';
import { snapshots, taken, world } from './snapshot-world';

const NOBODY = '99999999-9999-4999-8999-999999999999';

describe('the delete of a snapshot', () => {
  it('deletes it once, and belongs to its volume from then on', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    const ended = await the.rig.run('delete-snapshot', { snapshot_id: snapshotId });
    expect(ended).toMatchObject({ status: 'completed', volumeId: the.volume.id });
    expect(the.rig.calls).toEqual(['deleteSnapshot']);
    expect(snapshots(the)[0]?.state).toBe('Destroyed');
  });

  it('of a volume that is gone works as well', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    await the.rig.run('delete', { volume_id: the.volume.id });
    expect(await the.rig.run('delete-snapshot', { snapshot_id: snapshotId })).toMatchObject({
      status: 'completed',
    });
  });

  it('waits for the operation that executes on its volume', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    const other = await the.rig.request('snapshot', { volume_id: the.volume.id });
    await the.rig.untilSent('createSnapshot');
    const id = await the.rig.request('delete-snapshot', { snapshot_id: snapshotId });
    await the.rig.pass(20);
    expect((await the.rig.operation(id)).waitReason).toContain('Another operation is executing on volume');
    expect((await the.rig.ended(id)).status).toBe('completed');
    expect((await the.rig.operation(other)).status).toBe('completed');
    expect(the.rig.calls).toEqual(['createSnapshot', 'deleteSnapshot']);
  });

  it('whose answer or whose job is lost ends as deleted, and deletes once', async () => {
    for (const kinds of [
      ['drop-reply-after-effect'],
      ['lose-job'],
      ['job-without-result-after-effect'],
    ] as const) {
      const the = await world();
      const snapshotId = await taken(the);
      for (const kind of kinds) the.rig.model.faults.add({ command: 'deleteSnapshot', kind });
      const ended = await the.rig.run('delete-snapshot', { snapshot_id: snapshotId }, 5 * MINUTE_MS);
      expect([kinds, ended.status]).toEqual([kinds, 'completed']);
      expect(the.rig.model.effectsOf(the.volume.id, 'delete-snapshot')).toBe(1);
    }
  });

  it('of one that is out of sight for a moment, twice, goes on', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    const [snapshot] = snapshots(the);
    if (snapshot) snapshot.state = 'BackingUp';
    the.rig.hide(snapshotId, 5_000);
    const id = await the.rig.request('delete-snapshot', { snapshot_id: snapshotId });
    await the.rig.pass(MINUTE_MS);
    the.rig.hide(snapshotId, 5_000);
    await the.rig.pass(MINUTE_MS);
    if (snapshot) snapshot.state = 'BackedUp';
    expect((await the.rig.ended(id)).status).toBe('completed');
  });

  it('is cancelled while the snapshot is read, which takes no volume then', async () => {
    const the = await world();
    const { rig } = the;
    const snapshotId = await taken(the);
    const { readSnapshot } = rig.cloud;
    rig.cloud.readSnapshot = async (id) => {
      rig.cloud.readSnapshot = readSnapshot;
      for (const one of rig.domain.ownership.engine?.running() ?? [])
        await rig.domain.operations.cancel(one.id);
      return readSnapshot.call(rig.cloud, id);
    };
    const ended = await rig.run('delete-snapshot', { snapshot_id: snapshotId });
    expect(ended).toMatchObject({ status: 'cancelled', volumeId: '' });
    expect([rig.calls, snapshots(the)[0]?.state]).toEqual([[], 'BackedUp']);
  });

  it('that CloudStack calls done and still shows is asked for again', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    the.rig.model.faults.add({ command: 'deleteSnapshot', kind: 'job-without-effect' });
    expect((await the.rig.run('delete-snapshot', { snapshot_id: snapshotId })).status).toBe('completed');
    expect(the.rig.calls).toEqual(['deleteSnapshot', 'deleteSnapshot']);
  });

  it('whose job has failed is not called deleted because the snapshot is not shown after it', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    the.rig.model.faults.add({ command: 'deleteSnapshot', kind: 'job-fails' });
    const id = await the.rig.request('delete-snapshot', { snapshot_id: snapshotId });
    await the.rig.untilSent('deleteSnapshot');
    the.rig.hide(snapshotId);
    expect((await the.rig.ended(id)).status).toBe('failed');
    expect(snapshots(the)).toMatchObject([{ id: snapshotId, state: 'BackedUp' }]);
  });

  it('that was done before is known by our own record: a second one, and a revert, find it gone', async () => {
    const the = await world();
    const [snapshotId, other] = [await taken(the), await taken(the)];
    await the.rig.run('delete-snapshot', { snapshot_id: snapshotId });
    const again = await the.rig.run('delete-snapshot', { snapshot_id: snapshotId });
    expect(again.response?.message).toContain('already absent');
    const revert = await the.rig.run('revert', { volume_id: the.volume.id, snapshot_id: snapshotId });
    expect(revert).toMatchObject({ errorCode: 'SNAPSHOT_NOT_FOUND' });
    the.rig.hide(other);
    expect(await the.rig.run('delete-snapshot', { snapshot_id: other })).toMatchObject({
      errorCode: 'SNAPSHOT_NOT_VISIBLE',
    });
    expect(the.rig.calls.filter((name) => name !== 'createSnapshot')).toEqual(['deleteSnapshot']);
  });

  it('of one that is not shown concludes nothing; one that never was is absent', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    the.rig.hide(snapshotId);
    const hidden = await the.rig.run('delete-snapshot', { snapshot_id: snapshotId });
    expect(hidden).toMatchObject({ status: 'failed', errorCode: 'SNAPSHOT_NOT_VISIBLE' });
    const never = await the.rig.run('delete-snapshot', { snapshot_id: NOBODY });
    expect(never.response?.message).toContain('already absent');
    expect(the.rig.calls).toEqual([]);
  });
});
