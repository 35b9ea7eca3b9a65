import { describe, expect, it } from 'vitest';
import type { Snapshot, Volume } from '~/lab/cloudstack/records';
import type { Operation } from '~/server/model/operation';
import { decideSnapshot } from '~/server/operations/decide/snapshot';
import { GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';
import { seenVolume, situation, VOLUME } from './situations';

const NOBODY = '99999999-9999-4999-8999-999999999999';

interface World {
  readonly rig: Rig;
  readonly volume: Volume;
}

async function world(): Promise<World> {
  const rig = await Rig.start();
  return { rig, volume: await rig.volume({ hypervisor: 'KVM' }) };
}

function snapshots({ rig }: World): readonly Snapshot[] {
  return rig.model.inventory.snapshots;
}

async function taken(the: World): Promise<string> {
  const ended = await the.rig.run('snapshot', { volume_id: the.volume.id, name: 'before' });
  const id = ended.response?.snapshot_id;
  if (typeof id !== 'string') throw new Error(`no snapshot: ${ended.error}`);
  the.rig.sent.length = 0;
  return id;
}

describe('a snapshot', () => {
  it('is not one of another volume, nor one of a name that differs in its capitals', async () => {
    const the = await world();
    const { listSnapshots } = the.rig.cloud;
    const owner = { projectId: null, account: 'ours', domainId: null };
    const like = { state: 'BackedUp', size: GIB, created: null, owner };
    the.rig.cloud.listSnapshots = async (filter) => {
      const { name = '', volumeId = '' } = filter;
      return [
        { ...like, id: 'in-capitals', name: name.toUpperCase(), volumeId },
        { ...like, id: 'of-another', name, volumeId: NOBODY },
        ...(await listSnapshots.call(the.rig.cloud, filter)),
      ];
    };
    const ended = await the.rig.run('snapshot', { volume_id: the.volume.id, name: 'before' });
    expect(ended).toMatchObject({ status: 'completed', response: { snapshot_id: snapshots(the)[0]?.id } });
    expect(the.rig.calls).toEqual(['createSnapshot']);
  });

  it('is taken once, and its name says which operation has made it', async () => {
    const the = await world();
    const ended = await the.rig.run('snapshot', { volume_id: the.volume.id, name: 'before-failover' });
    const [snapshot] = snapshots(the);
    expect(ended).toMatchObject({
      status: 'completed',
      response: { snapshot_id: snapshot?.id, name: `before-failover-${ended.id}`, size: 5 * GIB },
    });
    expect([snapshot?.name, the.rig.model.effectsOf(the.volume.id, 'snapshot')]).toEqual([
      `before-failover-${ended.id}`,
      1,
    ]);
  });

  it('that stays in motion after its job has ended is given up, and no second one is taken', async () => {
    const the = await world();
    const { queryJob } = the.rig.cloud;
    the.rig.cloud.queryJob = async (jobId) => {
      const job = await queryJob.call(the.rig.cloud, jobId);
      if (job !== null && job.status !== 'pending') for (const one of snapshots(the)) one.state = 'BackingUp';
      return job;
    };
    const ended = await the.rig.run('snapshot', { volume_id: the.volume.id }, 40 * MINUTE_MS);
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'STEP_DEADLINE' });
    expect(ended.error).toContain(snapshots(the)[0]?.id);
    expect(the.rig.calls).toEqual(['createSnapshot']);
  });

  it('of an exported volume leaves attachment, mapping and export as they are', async () => {
    const the = await world();
    const { rig, volume } = the;
    await rig.run('attach', { volume_id: volume.id, vm_id: rig.here });
    const before = await rig.ledger.readMapping(volume.id);
    await taken(the);
    expect(await rig.ledger.readMapping(volume.id)).toEqual(before);
    expect([rig.exported(volume.id), volume.vmId]).toEqual([true, rig.here]);
  });

  it('of a volume without storage says why there is nothing to take', async () => {
    const the = await world();
    the.volume.state = 'Allocated';
    const ended = await the.rig.run('snapshot', { volume_id: the.volume.id });
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'VOLUME_STATE' });
    expect(ended.error).toContain('no storage yet');
    expect(the.rig.calls).toEqual([]);
  });

  it('whose answer is lost is found by its job; one whose job is lost, too, by its name', async () => {
    for (const kinds of [['drop-reply-after-effect'], ['drop-reply-after-effect', 'lose-job']] as const) {
      const the = await world();
      for (const kind of kinds) the.rig.model.faults.add({ command: 'createSnapshot', kind });
      const ended = await the.rig.run('snapshot', { volume_id: the.volume.id }, 5 * MINUTE_MS);
      expect([kinds, ended.status]).toEqual([kinds, 'completed']);
      expect(ended.response?.snapshot_id).toBe(snapshots(the)[0]?.id);
      expect(the.rig.model.effectsOf(the.volume.id, 'snapshot')).toBe(1);
    }
  });

  it('that something on the way has doubled is refused because of itself: its job is found all the same', async () => {
    const the = await world();
    the.rig.model.faults.add({ command: 'createSnapshot', kind: 'duplicate-request' });
    const ended = await the.rig.run('snapshot', { volume_id: the.volume.id });
    expect(ended.status).toBe('completed');
    expect(the.rig.model.effectsOf(the.volume.id, 'snapshot')).toBe(1);
  });

  it('of the same name by somebody else is not taken for ours', async () => {
    const the = await world();
    the.rig.model.inventory.addSnapshot(the.volume, 'before').state = 'BackedUp';
    the.rig.model.faults.add({ command: 'createSnapshot', kind: 'drop-reply-after-effect' });
    the.rig.model.faults.add({ command: 'createSnapshot', kind: 'lose-job' });
    const ended = await the.rig.run('snapshot', { volume_id: the.volume.id, name: 'before' }, 5 * MINUTE_MS);
    expect(ended.response?.snapshot_id).toBe(snapshots(the)[1]?.id);
    expect(ended.response).not.toHaveProperty('warnings');
  });

  it.each(['job-without-result-after-effect', 'job-fails-after-effect'] as const)(
    'whose row is not shown is not taken a second time (%s)',
    async (kind) => {
      const the = await world();
      the.rig.model.faults.add({ command: 'createSnapshot', kind });
      the.rig.onSend = ({ name }) => {
        if (name === 'createSnapshot') the.rig.cloud.listSnapshots = async () => [];
      };
      const ended = await the.rig.run('snapshot', { volume_id: the.volume.id }, 5 * MINUTE_MS);
      expect(ended).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' });
      expect(the.rig.calls).toEqual(['createSnapshot']);
    },
  );

  it('that CloudStack has marked as failed is taken again, and the failed row is nobody’s', async () => {
    const the = await world();
    the.rig.model.faults.add({ command: 'createSnapshot', kind: 'job-fails' });
    const ended = await the.rig.run('snapshot', { volume_id: the.volume.id });
    expect(snapshots(the).map(({ state }) => state)).toEqual(['Error', 'BackedUp']);
    expect(ended.response?.snapshot_id).toBe(snapshots(the)[1]?.id);
  });

  it('whose answer and job are lost, and that fails after it was seen, is taken again', async () => {
    const the = await world();
    the.rig.model.faults.add({ command: 'createSnapshot', kind: 'drop-reply-after-effect' });
    the.rig.model.faults.add({ command: 'createSnapshot', kind: 'lose-job' });
    const id = await the.rig.request('snapshot', { volume_id: the.volume.id });
    await the.rig.untilSent('createSnapshot');
    await the.rig.pass(500);
    const [first] = snapshots(the);
    if (first) first.state = 'BackingUp';
    const isSettled = async () => (await the.rig.journal(id)).some(({ data }) => data.settled === true);
    while (!(await isSettled())) await the.rig.pass(1_000);
    if (first) first.state = 'Error';
    const ended = await the.rig.ended(id);
    expect(ended).toMatchObject({ status: 'completed', response: { snapshot_id: snapshots(the)[1]?.id } });
    expect(the.rig.calls).toEqual(['createSnapshot', 'createSnapshot']);
  });

  it('that CloudStack calls taken and does not list is named, and is not called one whose end is unknown', async () => {
    const the = await world();
    const { rig, volume } = the;
    rig.cloud.listSnapshots = async () => [];
    const operation = await rig.run('snapshot', { volume_id: volume.id, name: 'before' });
    const [made] = snapshots(the);
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' });
    expect(operation.response).toMatchObject({ volume_id: volume.id, snapshot_id: made?.id });
    expect(operation.error).toContain('CloudStack says that it was taken');
    expect(rig.calls).toEqual(['createSnapshot']);
  });

  it.each([
    ['has succeeded', { outcome: 'ok' }],
    ['has an end that nobody knows', { outcome: 'unknown' }],
  ])(
    'whose job %s, without a name of what it made, and that is not listed is not sent again',
    (_end, data) => {
      const s = situation(
        'snapshot',
        { volume_id: VOLUME },
        {
          steps: [
            ['create-snapshot', 'intent', { job_id: 'j1' }],
            ['create-snapshot', 'accepted', { job_id: 'j1', found: true }],
            ['create-snapshot', 'finished', { job_id: 'j1', ...data }],
          ],
          facts: { ownSnapshots: [], volume: seenVolume() },
          elapsed: { 'contradiction:create-snapshot:1': 16_000, 'create-snapshot:1': 1 },
        },
      );
      expect(decideSnapshot(s)).toMatchObject({
        state: 'failing',
        data: { code: 'CLOUDSTACK_OUTCOME_UNKNOWN' },
      });
    },
  );

  it('whose job fails after its effect is not taken a second time', async () => {
    const the = await world();
    the.rig.model.faults.add({ command: 'createSnapshot', kind: 'job-fails-after-effect' });
    const ended = await the.rig.run('snapshot', { volume_id: the.volume.id });
    expect([ended.status, the.rig.model.effectsOf(the.volume.id, 'snapshot')]).toEqual(['completed', 1]);
  });

  it('survives a crash with one effect', async () => {
    const the = await world();
    const id = await the.rig.request('snapshot', { volume_id: the.volume.id });
    await the.rig.untilSent('createSnapshot');
    await the.rig.restart();
    expect(await the.rig.ended(id)).toMatchObject({ status: 'completed' });
    expect(the.rig.model.effectsOf(the.volume.id, 'snapshot')).toBe(1);
  });
});

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

describe('a revert', () => {
  const revert = ({ rig, volume }: World, snapshotId: string): Promise<Operation> =>
    rig.run('revert', { volume_id: volume.id, snapshot_id: snapshotId }, 5 * MINUTE_MS);

  it('of a detached volume brings content and size back, once', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    the.volume.size = 6 * GIB;
    expect(await revert(the, snapshotId)).toMatchObject({ status: 'completed', response: { size: 5 * GIB } });
    expect(the.rig.model.effectsOf(the.volume.id, 'revert')).toBe(1);
  });

  it('of a volume of a stopped VM works, and its mapping has the size of then', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    const vmId = the.rig.vm('Stopped');
    await the.rig.run('attach', { volume_id: the.volume.id, vm_id: vmId });
    the.volume.size = 6 * GIB;
    expect((await revert(the, snapshotId)).status).toBe('completed');
    expect(await the.rig.ledger.readMapping(the.volume.id)).toMatchObject({ vmId, size: 5 * GIB });
  });

  it('never happens to what is attached here, mapped here, or still in this guest', async () => {
    const attached = await world();
    const ofAttached = await taken(attached);
    await attached.rig.run('attach', { volume_id: attached.volume.id, vm_id: attached.rig.here });
    attached.rig.sent.length = 0;
    expect((await revert(attached, ofAttached)).errorCode).toBe('VOLUME_ATTACHED_HERE');
    // CloudStack says that it is detached; row, export and disk are still here.
    attached.rig.unplug(attached.volume);
    expect((await revert(attached, ofAttached)).errorCode).toBe('VOLUME_ATTACHED_HERE');
    expect(attached.rig.calls).toEqual([]);

    const ghost = await world();
    const ofGhost = await taken(ghost);
    await ghost.rig.model.makeGhost(ghost.volume.id);
    await ghost.rig.pass(3_000);
    expect((await revert(ghost, ofGhost)).errorCode).toBe('DEVICE_STILL_PRESENT');
    expect(ghost.rig.calls).toEqual([]);
  });

  it.each([true, false])(
    'never happens to the ghost of a disk that hangs, after a restart (serials: %s)',
    async (serials) => {
      const rig = await Rig.start({ guest: { serials } });
      const the = { rig, volume: await rig.volume({ hypervisor: 'KVM' }) };
      await rig.run('attach', { volume_id: the.volume.id, vm_id: rig.here });
      const snapshotId = await taken(the);
      rig.model.faults.add({ command: 'detachVolume', kind: 'ghost-disk' });
      await rig.run('detach', { volume_id: the.volume.id });
      await rig.restart();
      rig.guest.spoilSerial(the.volume.id);
      await rig.volume({ vmId: rig.here });
      rig.sent.length = 0;
      expect((await revert(the, snapshotId)).errorCode).toBe('DEVICE_STILL_PRESENT');
      expect(rig.calls).toEqual([]);
      await rig.guest.unplug(the.volume.id);
      expect((await revert(the, snapshotId)).status).toBe('completed');
    },
  );

  it('never happens under a running VM, also when it is started after the decision', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    const vmId = the.rig.vm('Running');
    the.rig.plugInto(the.volume, vmId);
    expect((await revert(the, snapshotId)).errorCode).toBe('VM_NOT_STOPPED');
    the.rig.setVmState(vmId, 'Stopped');
    the.rig.loseThen('revertSnapshot', () => the.rig.setVmState(vmId, 'Running'));
    expect((await revert(the, snapshotId)).errorCode).toBe('VM_NOT_STOPPED');
    expect(the.rig.model.effectsOf(the.volume.id, 'revert')).toBe(0);
  });

  it('never goes to a snapshot of another volume, nor to one that is not whole', async () => {
    const the = await world();
    const other = await the.rig.volume({ name: 'other' });
    const foreign = the.rig.model.inventory.addSnapshot(other, 'other');
    foreign.state = 'BackedUp';
    expect((await revert(the, foreign.id)).errorCode).toBe('SNAPSHOT_MISMATCH');
    const broken = the.rig.model.inventory.addSnapshot(the.volume, 'broken');
    broken.state = 'Error';
    expect((await revert(the, broken.id)).errorCode).toBe('SNAPSHOT_STATE');
    expect((await revert(the, NOBODY)).errorCode).toBe('SNAPSHOT_NOT_FOUND');
    expect(the.rig.calls).toEqual([]);
  });

  it.each(['job-fails-after-effect', 'job-without-result-after-effect', 'job-fails'] as const)(
    'is never sent again once it was accepted, whatever its job says: %s',
    async (kind) => {
      const the = await world();
      const snapshotId = await taken(the);
      the.rig.model.faults.add({ command: 'revertSnapshot', kind });
      const ended = await revert(the, snapshotId);
      expect(ended.status).toBe('failed');
      expect(ended.error).toContain('Nothing was sent again');
      expect(the.rig.calls).toEqual(['revertSnapshot']);
    },
  );

  it('whose volume is not shown for a moment once its job has ended is read again', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    const { queryJob } = the.rig.cloud;
    the.rig.cloud.queryJob = async (jobId) => {
      const job = await queryJob.call(the.rig.cloud, jobId);
      if (job !== null && job.status !== 'pending') the.rig.hide(the.volume.id, SECOND_MS);
      return job;
    };
    expect(await revert(the, snapshotId)).toMatchObject({ status: 'completed', response: { size: 5 * GIB } });
  });

  it('whose volume is not shown any more ends as its job did: what was replaced is not called unchanged', async () => {
    for (const [fault, ends] of [
      [null, { status: 'completed', response: { size: null, warnings: [expect.any(String)] } }],
      [{ kind: 'job-without-result' }, { status: 'failed', errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' }],
    ] as const) {
      const the = await world();
      const snapshotId = await taken(the);
      if (fault) the.rig.model.faults.add({ command: 'revertSnapshot', ...fault });
      const { queryJob } = the.rig.cloud;
      the.rig.cloud.queryJob = (jobId) => {
        the.rig.hide(the.volume.id);
        return queryJob.call(the.rig.cloud, jobId);
      };
      const ended = await revert(the, snapshotId);
      expect(ended).toMatchObject(ends);
      expect(`${ended.error}`).not.toContain('nothing changed');
    }
  });

  it.each([
    ['Snapshotting', null, { status: 'completed', response: { size: 5 * GIB } }],
    ['Destroy', null, { status: 'completed', response: { size: 5 * GIB } }],
    ['Destroy', 'job-without-result', { status: 'failed', errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' }],
  ] as const)(
    'whose volume somebody brings to %s once its job has ended (%s) ends as its job did',
    async (state, kind, ends) => {
      const the = await world();
      const snapshotId = await taken(the);
      if (kind) the.rig.model.faults.add({ command: 'revertSnapshot', kind });
      const { queryJob } = the.rig.cloud;
      the.rig.cloud.queryJob = async (jobId) => {
        const job = await queryJob.call(the.rig.cloud, jobId);
        if (job !== null && job.status !== 'pending') the.volume.state = state;
        return job;
      };
      expect(await revert(the, snapshotId)).toMatchObject(ends);
      expect(the.rig.calls).toEqual(['revertSnapshot']);
    },
  );

  it('whose answer is lost is found by its job; whose job is lost, too, reverts no second time', async () => {
    const found = await world();
    const one = await taken(found);
    found.rig.model.faults.add({ command: 'revertSnapshot', kind: 'drop-reply-after-effect' });
    expect((await revert(found, one)).status).toBe('completed');

    const lost = await world();
    const two = await taken(lost);
    lost.rig.model.faults.add({ command: 'revertSnapshot', kind: 'drop-reply-after-effect' });
    lost.rig.model.faults.add({ command: 'revertSnapshot', kind: 'lose-job' });
    expect((await revert(lost, two)).errorCode).toBe('CLOUDSTACK_OUTCOME_UNKNOWN');
    for (const the of [found, lost]) expect(the.rig.model.effectsOf(the.volume.id, 'revert')).toBe(1);
  });

  it('whose answer is lost is not sent again once CloudStack may have deleted its job', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    the.rig.model.faults.add({ command: 'revertSnapshot', kind: 'drop-reply-after-effect' });
    const request = { volume_id: the.volume.id, snapshot_id: snapshotId };
    const id = await the.rig.request('revert', request);
    await the.rig.untilSent('revertSnapshot');
    // Somebody uses the volume while the daemon is down, and has detached it by the time that it is back.
    await the.rig.restart(25 * 60 * MINUTE_MS);
    const ended = await the.rig.ended(id);
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' });
    expect(ended.error).toContain('may have deleted the job');
    expect(the.rig.model.effectsOf(the.volume.id, 'revert')).toBe(1);
  });

  it('nor where the guest has stood still meanwhile, and its clock with it: CloudStack’s tells how old the intent is', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    the.rig.model.faults.add({ command: 'revertSnapshot', kind: 'drop-reply-after-effect' });
    const request = { volume_id: the.volume.id, snapshot_id: snapshotId };
    const id = await the.rig.request('revert', request);
    await the.rig.untilSent('revertSnapshot');
    const pausedMs = 25 * 60 * MINUTE_MS;
    await the.rig.restart(pausedMs);
    the.rig.clock.set(-pausedMs);
    the.rig.cloud.skewMs = pausedMs;
    const ended = await the.rig.ended(id);
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' });
    expect(ended.error).toContain('may have deleted the job');
    expect(the.rig.model.effectsOf(the.volume.id, 'revert')).toBe(1);
  });

  it('nor where the clock was a day ahead when it was sent, and has been set since then: CloudStack’s goes on', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    const aheadMs = 25 * 60 * MINUTE_MS;
    the.rig.clock.set(aheadMs);
    the.rig.cloud.skewMs = -aheadMs;
    the.rig.model.faults.add({ command: 'revertSnapshot', kind: 'drop-reply-after-effect' });
    const request = { volume_id: the.volume.id, snapshot_id: snapshotId };
    const id = await the.rig.request('revert', request);
    await the.rig.untilSent('revertSnapshot');
    await the.rig.restart(aheadMs);
    the.rig.clock.set(-aheadMs);
    the.rig.cloud.skewMs = 0;
    const ended = await the.rig.ended(id);
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' });
    expect(the.rig.model.effectsOf(the.volume.id, 'revert')).toBe(1);
  });

  it('that is given up without an answer says that it may have happened', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    the.rig.model.faults.add({ command: 'revertSnapshot', kind: 'status', code: 503, times: 1_000 });
    const request = { volume_id: the.volume.id, snapshot_id: snapshotId };
    const ended = await the.rig.run('revert', request, 60 * MINUTE_MS);
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_UNAVAILABLE' });
    expect(ended.error).toContain('may have taken effect');
  });

  it('that was lost on its way is sent again after a restart', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    the.rig.model.faults.add({ command: 'revertSnapshot', kind: 'fail-before-effect' });
    const id = await the.rig.request('revert', { volume_id: the.volume.id, snapshot_id: snapshotId });
    await the.rig.untilSent('revertSnapshot');
    await the.rig.restart(MINUTE_MS);
    expect((await the.rig.ended(id)).status).toBe('completed');
    expect(the.rig.model.effectsOf(the.volume.id, 'revert')).toBe(1);
  });

  it('on another hypervisor than KVM ends with the words of CloudStack', async () => {
    const the = await world();
    const snapshotId = await taken(the);
    the.volume.hypervisor = 'VMware';
    expect((await revert(the, snapshotId)).error).toContain('supported only for KVM');
  });
});
