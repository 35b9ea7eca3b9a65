import { describe, expect, it } from 'vitest';
import type { Fault } from '~/lab/cloudstack/faults';
import { GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';

/** A create of 2 GiB named "data". */
async function create(rig: Rig) {
  const [zone, [offering]] = [rig.model.inventory.firstZone(), rig.model.offerings];
  return rig.request('create', {
    name: 'data',
    size: 2 * GIB,
    disk_offering_id: offering?.id ?? '',
    zone_id: zone.id,
  });
}

const LOST: readonly [story: string, fault: Omit<Fault, 'command'>, made: number][] = [
  ['its reply is lost after the volume was made', { kind: 'drop-reply-after-effect' }, 1],
  ['it never arrived', { kind: 'fail-before-effect' }, 1],
  ['a load balancer answers 502 after the volume was made', { kind: 'status-after-effect', code: 502 }, 1],
  ['its reply is cut in the middle', { kind: 'garbage' }, 1],
  ['its reply comes after the timeout', { kind: 'late-reply', ms: 40 * SECOND_MS }, 1],
];

describe('whose volume it is, when a create is lost beside a namesake of the same size, zone, offering and minute', () => {
  it.each(LOST)('%s', async (_story, fault, made) => {
    const rig = await Rig.start();
    const foreign = await rig.volume({ size: 2 * GIB, state: 'Allocated' });
    rig.model.faults.add({ command: 'createVolume', ...fault });
    const operation = await rig.ended(await create(rig));
    expect(operation.status).toBe('completed');
    expect(operation.volumeId).not.toBe(foreign.id);
    const job = (await rig.journal(operation.id)).find(({ state }) => state === 'intent')?.data.job_id;
    const ours = rig.model.jobs.get(String(job));
    expect(ours?.instanceId, 'the job of our own intent names it').toBe(operation.volumeId);
    expect(rig.model.effectsOf(operation.volumeId, 'create')).toBe(made);
    // What comes next acts on ours alone.
    expect((await rig.run('delete', { volume_id: operation.volumeId })).status).toBe('completed');
    expect(rig.model.inventory.volume('', '', foreign.id)).toMatchObject({
      removed: false,
      state: 'Allocated',
    });
  });

  it('reply and job are both lost: another one is made, and what was left behind is named, never adopted, never deleted', async () => {
    const rig = await Rig.start();
    const foreign = await rig.volume({ size: 2 * GIB, state: 'Allocated' });
    rig.model.faults.add({ command: 'createVolume', kind: 'drop-reply-after-effect' });
    rig.model.faults.add({ command: 'createVolume', kind: 'lose-job' });
    const operation = await rig.ended(await create(rig), 10 * MINUTE_MS);
    expect(operation.status).toBe('completed');
    const unclaimed = operation.response?.unclaimed;
    expect(operation.volumeId).not.toBe(foreign.id);
    expect(unclaimed).not.toContain(operation.volumeId);
    const alive = rig.model.volumes
      .filter(({ name, removed }) => name === 'data' && !removed)
      .map(({ id }) => id);
    expect(alive).toContain(foreign.id);
    expect(alive.filter((id) => id !== operation.volumeId).sort()).toEqual(
      [...(unclaimed as string[])].sort(),
    );
    const report = await rig.sync();
    expect(
      report.drifts
        .filter(({ kind }) => kind === 'unclaimed-volume')
        .map(({ volumeId }) => volumeId)
        .sort(),
    ).toEqual([...(unclaimed as string[])].sort());
    expect(rig.calls).not.toContain('deleteVolume');
  });

  it('a daemon that dies between the call and its answer finds the volume by its job, not by its name', async () => {
    const rig = await Rig.start();
    await rig.volume({ size: 2 * GIB, state: 'Allocated' });
    rig.model.faults.add({ command: 'createVolume', kind: 'late-reply', ms: 20 * SECOND_MS });
    const id = await create(rig);
    await rig.untilSent('createVolume');
    await rig.restart();
    const operation = await rig.ended(id);
    expect(operation).toMatchObject({ status: 'completed' });
    expect(rig.model.effectsOf(operation.volumeId, 'create')).toBe(1);
    expect(rig.calls).toEqual(['createVolume']);
  });
});
