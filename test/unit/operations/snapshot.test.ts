import { describe, expect, it } from 'vitest';
import { decideSnapshot } from '~/server/operations/decide/snapshot';
import { GIB, MINUTE_MS } from './rig';
import { seenVolume, situation, VOLUME } from './situations';
import { snapshots, taken, world } from './snapshot-world';

const NOBODY = '99999999-9999-4999-8999-999999999999';

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
