import { describe, expect, it } from 'vitest';
import type { Operation } from '~/server/model/operation';
import { GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';
import { taken, type World, world } from './snapshot-world';

const NOBODY = '99999999-9999-4999-8999-999999999999';

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
