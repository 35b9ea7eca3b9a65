import { describe, expect, it } from 'vitest';
import type { LatencyOptions } from '~/lab/cloudstack/latency';
import type { Volume } from '~/lab/cloudstack/records';
import { DaemonError } from '~/server/core/errors';
import { aboutRequest } from '~/server/operations/new-request';
import { MINUTE_MS, Rig, SECOND_MS } from './rig';

const NOBODY = '99999999-9999-4999-8999-999999999999';

interface World {
  readonly rig: Rig;
  readonly vmId: string;
  readonly volumes: readonly Volume[];
}

async function world(latencies: LatencyOptions = {}): Promise<World> {
  const rig = await Rig.start({ model: { latencies } });
  const vmId = rig.vm('Running');
  const volumes = [await rig.volume({ vmId }), await rig.volume({ vmId }), await rig.volume({ vmId })];
  return { rig, vmId, volumes };
}

const request = ({ vmId, volumes }: World) => ({
  vm_id: vmId,
  volume_ids: volumes.map(({ id }) => id),
  name: 'before',
});
const states = ({ rig }: World) => rig.model.inventory.snapshots.map(({ state }) => state).sort();

describe('a snapshot of several volumes', () => {
  it('takes one of each, and names them', async () => {
    const the = await world();
    const ended = await the.rig.run('snapshot-group', request(the));
    expect(states(the)).toEqual(['BackedUp', 'BackedUp', 'BackedUp']);
    const { snapshots } = the.rig.model.inventory;
    expect(ended).toMatchObject({
      status: 'completed',
      vmId: the.vmId,
      response: { snapshots: the.volumes.map(({ id }) => ({ volume_id: id })) },
    });
    for (const { id } of snapshots) expect(JSON.stringify(ended.response)).toContain(id);
  });

  it('begins nothing unless all of them are on that VM', async () => {
    const the = await world();
    const stranger = await the.rig.volume();
    const ids = [...request(the).volume_ids, stranger.id];
    const ended = await the.rig.run('snapshot-group', { ...request(the), volume_ids: ids });
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect(ended.error).toContain(stranger.id);
    const nowhere = await the.rig.run('snapshot-group', { ...request(the), vm_id: NOBODY });
    expect(nowhere.status).toBe('failed');
    expect(the.rig.calls).toEqual([]);
  });

  it('takes none while it is not certain what the VM has, and says so in the end', async () => {
    const the = await world();
    const { rig, vmId } = the;
    const root = rig.model.inventory.volumes.find((one) => one.vmId === vmId && one.type === 'ROOT');
    if (!root) throw new Error('the VM has no root disk');
    rig.hide(root.id, MINUTE_MS);
    expect(await rig.run('snapshot-group', request(the))).toMatchObject({ status: 'completed' });
    rig.sent.length = 0;
    rig.hide(root.id);
    const ended = await rig.run('snapshot-group', request(the), 20 * MINUTE_MS);
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'VM_NOT_VISIBLE' });
    expect(ended.error).toContain('does not show its root disk');
    expect(rig.calls).toEqual([]);
  });

  it('goes on with parts that the version before has begun, which did not say which VM their volume must be on', async () => {
    const the = await world();
    const { rig } = the;
    const { accept } = rig.ledger;
    let parts = 0;
    rig.ledger.accept = (epoch, input) => {
      const { request: asked } = input;
      if (!('on_vm' in asked && 'group' in asked)) return accept.call(rig.ledger, epoch, input);
      parts += 1;
      if (parts > 1) throw new DaemonError('QUEUE_FULL', 'too many operations wait');
      const before = { volume_id: input.volumeId, name: 'before', group: String(asked.group) };
      return accept.call(rig.ledger, epoch, { ...input, ...aboutRequest('snapshot', before) });
    };
    const id = await rig.request('snapshot-group', request(the));
    await rig.pass(SECOND_MS);
    rig.ledger.accept = accept;
    await rig.restart();
    expect(await rig.ended(id)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['createSnapshot', 'createSnapshot', 'createSnapshot']);
  });

  it('looks again for a volume that the list of the disks leaves out, and does not call it detached', async () => {
    const the = await world();
    const { rig, volumes } = the;
    const id = volumes[0]?.id ?? '';
    rig.hide(id, 5 * SECOND_MS);
    expect(await rig.run('snapshot-group', request(the))).toMatchObject({ status: 'completed' });
    rig.hide(id);
    const ended = await rig.run('snapshot-group', request(the));
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect(ended.error).toBe(`CloudStack does not show on VM ${the.vmId}: ${id}`);
  });

  it('does not mind what else has a row there and is not shown', async () => {
    const the = await world();
    const { rig, vmId } = the;
    const hidden = await rig.volume();
    await rig.run('attach', { volume_id: hidden.id, vm_id: vmId });
    rig.hide(hidden.id);
    expect(await rig.run('snapshot-group', request(the))).toMatchObject({ status: 'completed' });
  });

  it('takes none of a volume that has left the VM before its turn', async () => {
    const the = await world({ detach: 3 * SECOND_MS });
    const { rig } = the;
    const [moving] = the.volumes;
    const other = rig.vm('Running');
    // Accepted before the group, which sees the volume where it still is.
    const earlier = [
      await rig.request('detach', { volume_id: moving?.id ?? '' }),
      await rig.request('attach', { volume_id: moving?.id ?? '', vm_id: other }),
    ];
    const ended = await rig.run('snapshot-group', request(the));
    for (const id of earlier) expect(await rig.operation(id)).toMatchObject({ status: 'completed' });
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
    expect(ended.error).toContain(`it is attached to VM ${other}`);
    expect(new Set(states(the))).toEqual(new Set(['Destroyed']));
  });

  it('takes none of a volume that leaves the VM while its call is lost', async () => {
    const the = await world();
    const { rig } = the;
    rig.loseThen('createSnapshot', () => {
      for (const one of the.volumes) rig.unplug(one);
    });
    const ended = await rig.run('snapshot-group', request(the));
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'VOLUME_ATTACHED_ELSEWHERE' });
  });

  it('names those whose calls were given up without an answer, because they may have been taken', async () => {
    const the = await world();
    the.rig.model.faults.add({ command: 'createSnapshot', kind: 'status', code: 503, times: 1_000 });
    const ended = await the.rig.run('snapshot-group', request(the), 60 * MINUTE_MS);
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_UNAVAILABLE' });
    for (const { id } of the.volumes) expect(ended.error).toContain(`volume ${id} may have a snapshot`);
  });

  it('leaves none when one cannot be taken, and says why', async () => {
    const the = await world();
    the.rig.model.faults.add({ command: 'createSnapshot', kind: 'status', code: 431, text: 'Not this one' });
    const ended = await the.rig.run('snapshot-group', request(the));
    expect(ended).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_REJECTED' });
    expect(ended.error).toContain('1 of 3 snapshots');
    expect(ended.error).toContain('Not this one');
    expect(states(the)).toEqual(['Destroyed', 'Destroyed']);
    expect(ended.response).not.toHaveProperty('left');
  });

  it('says what it could not take back, and what it does not know', async () => {
    const the = await world();
    const [volume] = the.volumes;
    the.rig.model.faults.add({ command: 'createSnapshot', kind: 'status', code: 431, text: 'Not this one' });
    the.rig.model.faults.add({
      command: 'deleteSnapshot',
      kind: 'status',
      code: 531,
      text: 'You may not',
      times: 1,
    });
    const ended = await the.rig.run('snapshot-group', request(the));
    expect(ended.response).toMatchObject({ left: [expect.stringContaining('You may not')] });
    expect(states(the)).toEqual(['BackedUp', 'Destroyed']);
    expect(volume?.vmId).toBe(the.vmId);
  });

  it('waits for its turn on each volume', async () => {
    const the = await world();
    const [volume] = the.volumes;
    await the.rig.request('resize', { volume_id: volume?.id ?? '', size: 6 * 1024 ** 3 });
    await the.rig.untilSent('resizeVolume');
    const ended = await the.rig.run('snapshot-group', request(the));
    expect(ended.status).toBe('completed');
    const first = the.rig.model.inventory.snapshots.find(({ volumeId }) => volumeId === volume?.id);
    expect(first?.size).toBe(6 * 1024 ** 3);
  });

  it('goes on after a crash at any of its steps with the same parts', async () => {
    for (let ms = 0; ms < 400; ms += 40) {
      const the = await world();
      const id = await the.rig.request('snapshot-group', request(the));
      await the.rig.pass(ms);
      await the.rig.restart();
      expect([ms, (await the.rig.ended(id, 5 * MINUTE_MS)).status]).toEqual([ms, 'completed']);
      expect(states(the)).toEqual(['BackedUp', 'BackedUp', 'BackedUp']);
    }
  });

  it('is cancelled while it looks what the VM has, which goes on no more then', async () => {
    const the = await world();
    const { rig } = the;
    const { listVolumes } = rig.cloud;
    rig.cloud.listVolumes = async (filter) => {
      rig.cloud.listVolumes = listVolumes;
      for (const { id } of rig.domain.ownership.engine?.running() ?? [])
        await rig.domain.operations.cancel(id);
      return listVolumes.call(rig.cloud, filter);
    };
    expect(await rig.run('snapshot-group', request(the))).toMatchObject({ status: 'cancelled' });
    expect([rig.calls, states(the)]).toEqual([[], []]);
  });

  it('is not cancelled once its parts have begun', async () => {
    const the = await world();
    const id = await the.rig.request('snapshot-group', request(the));
    await the.rig.untilSent('createSnapshot');
    await expect(the.rig.during(the.rig.domain.operations.cancel(id))).rejects.toMatchObject({
      code: 'TOO_LATE_TO_CANCEL',
    });
    expect((await the.rig.ended(id)).status).toBe('completed');
  });
});
