import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import type { CloudCommand } from '~/server/cloudstack/cloud';
import { GIB, NOBODY, ownerOf, refused, shown, type World } from './world';

/** The life of a volume. */
export function volumes(the: () => World): void {
  it('creates under our job id, and shows the volume as it is', async () => {
    const world = the();
    const jobId = randomUUID();
    const { jobId: accepted, volumeId } = await world.cloud.submit(world.createCommand('created', 3), jobId);
    expect(accepted).toBe(jobId);
    expect(await world.ended(jobId)).toEqual({
      jobId,
      status: 'succeeded',
      errorCode: null,
      errorText: null,
      volumeId,
      snapshotId: null,
      plug: null,
    });
    const truth = world.model.volumes.find(({ id }) => id === volumeId);
    expect(truth?.diskOfferingId).toBe(world.model.offerings[0]?.id);
    expect(shown(await world.cloud.readVolume(volumeId?.toUpperCase() ?? ''))).toEqual({
      id: volumeId,
      name: 'created',
      type: 'DATADISK',
      state: 'Allocated',
      size: 3 * GIB,
      zoneId: world.model.inventory.firstZone().id,
      zoneName: 'zone-1',
      vmId: null,
      vmName: null,
      vmState: null,
      deviceId: null,
      owner: ownerOf(world.model.account),
      created: new Date(Math.floor((truth?.created ?? 0) / 1000) * 1000).toISOString(),
      attached: null,
      deleteProtection: false,
    });
  });

  it.each<[why: string, change: Partial<Extract<CloudCommand, { name: 'createVolume' }>>, text: string]>([
    ['a zone that is not there', { zoneId: NOBODY }, 'Invalid parameter zoneid'],
    ['an offering that is not there', { diskOfferingId: NOBODY }, 'Invalid parameter diskofferingid'],
    ['no size where one is needed', { sizeGiB: null }, 'requires a custom size'],
    ['a size out of range', { sizeGiB: 5_000 }, 'is out of allowed range'],
  ])('refuses to create with %s', async (_why, change, text) => {
    const world = the();
    const command = { ...world.createCommand('refused'), ...change } as CloudCommand;
    const error = await refused(world.cloud.submit(command, randomUUID()));
    expect([error.kind, error.outcome, error.code, error.transient]).toEqual([
      'parameter',
      'final',
      431,
      false,
    ]);
    expect(error.message).toContain(text);
    expect(world.model.volumes.filter(({ name }) => name === 'refused')).toEqual([]);
  });

  it('a create whose job id is taken is reported as sent before, and leaks a volume as the real one does', async () => {
    const world = the();
    const jobId = randomUUID();
    await world.cloud.submit(world.createCommand('twice'), jobId);
    const error = await refused(world.cloud.submit(world.createCommand('twice'), jobId));
    expect([error.kind, error.outcome]).toEqual(['internal', 'taken']);
    expect(world.model.volumes.filter(({ name }) => name === 'twice')).toHaveLength(2);
    await world.ended(jobId);
  });

  it('a job id whose job has ended: 530, of which nobody may conclude that nothing happened', async () => {
    const world = the();
    const jobId = randomUUID();
    await world.done(world.createCommand('again'), jobId);
    const error = await refused(world.cloud.submit(world.createCommand('again'), jobId));
    expect([error.kind, error.code, error.text]).toEqual(['internal', 530, 'Entity already exists']);
    expect(['unknown', 'taken']).toContain(error.outcome);
    expect(world.model.volumes.filter(({ name }) => name === 'again')).toHaveLength(2);
  });

  it('an attach whose job id is taken is reported as sent before, and happens once', async () => {
    const world = the();
    const volumeId = await world.create('attached-twice');
    const jobId = randomUUID();
    await world.cloud.submit(world.attach(volumeId), jobId);
    expect(await refused(world.cloud.submit(world.attach(volumeId), jobId))).toMatchObject({
      outcome: 'taken',
    });
    await world.ended(jobId);
    expect(world.model.effectsOf(volumeId, 'attach')).toBe(1);
    await world.done({ name: 'detachVolume', volumeId });
  });

  it('attaches, shows where, detaches', async () => {
    const world = the();
    const volumeId = await world.create('moved');
    const job = await world.done(world.attach(volumeId));
    expect(job).toMatchObject({ status: 'succeeded', volumeId });
    const volume = shown(await world.cloud.readVolume(volumeId));
    expect(job.plug).toEqual({ deviceId: volume?.deviceId, attached: volume?.attached });
    expect(volume).toMatchObject({
      vmId: world.model.applianceVmId,
      vmName: 'appliance',
      vmState: 'Running',
      deviceId: expect.any(Number),
      state: 'Ready',
      attached: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z$/),
    });
    const detached = await world.done({ name: 'detachVolume', volumeId });
    expect(detached).toMatchObject({ status: 'succeeded', plug: null });
    expect(shown(await world.cloud.readVolume(volumeId))).toMatchObject({
      vmId: null,
      vmState: null,
      vmName: null,
      deviceId: null,
    });
  });

  it('what cannot be attached or detached fails inside the job, with the text of CloudStack', async () => {
    const world = the();
    const volumeId = await world.create('stubborn');
    const detach: CloudCommand = { name: 'detachVolume', volumeId };
    const failure = { status: 'failed', errorCode: 431, volumeId };
    expect(await world.done(detach)).toMatchObject({
      ...failure,
      errorText: 'The specified volume is not attached to a VM.',
    });
    await world.done(world.attach(volumeId));
    expect(await world.done(world.attach(volumeId))).toMatchObject({
      ...failure,
      errorText: 'Please specify a volume that is not attached to any VM.',
    });
    await world.done(detach);
  });

  it('refuses to attach what does not exist at once', async () => {
    const world = the();
    const volumeId = await world.create('lonely');
    for (const command of [world.attach(NOBODY), world.attach(volumeId, NOBODY)])
      expect(await refused(world.cloud.submit(command, randomUUID()))).toMatchObject({
        kind: 'parameter',
        outcome: 'final',
      });
  });

  it('deletes, and only what is not attached', async () => {
    const world = the();
    const volumeId = await world.create('short-lived');
    await world.done(world.attach(volumeId));
    const error = await refused(world.cloud.deleteVolume(volumeId));
    expect([error.code, error.outcome, error.text]).toEqual([
      431,
      'final',
      'Please specify a volume that is not attached to any VM.',
    ]);
    await world.done({ name: 'detachVolume', volumeId });
    expect(await world.cloud.deleteVolume(volumeId)).toBe('deleted');
    expect(await world.cloud.readVolume(volumeId), 'a list proves nothing').toMatchObject({
      kind: 'unknown',
    });
    expect((await world.cloud.listVolumes({ name: 'short-lived' })).length).toBe(0);
    expect(await world.cloud.deleteVolume(volumeId), 'CloudStack says of this id that it was removed').toBe(
      'gone',
    );
    const detach = await refused(world.cloud.submit({ name: 'detachVolume', volumeId }, randomUUID()));
    expect(detach.text).toMatch(/^Unable to find UUID for id \[\d+\] of type \[Volume\]/);
    expect((await refused(world.cloud.deleteVolume(NOBODY))).code).toBe(431);
    expect(world.model.effectsOf(volumeId, 'delete')).toBe(1);
  });

  it('recovers what was destroyed and not expunged, and only that', async () => {
    const world = the();
    const volumeId = await world.create('thrown-away');
    await world.done(world.attach(volumeId));
    await world.done({ name: 'detachVolume', volumeId });
    const error = await refused(world.cloud.recoverVolume(volumeId));
    expect([error.code, error.outcome, error.text]).toEqual([
      431,
      'final',
      'Please specify a volume in Destroy state.',
    ]);
    await world.done({ name: 'destroyVolume', volumeId, expunge: false });
    expect(await world.cloud.readVolume(volumeId)).toMatchObject({ value: { state: 'Destroy' } });
    await world.cloud.recoverVolume(volumeId);
    expect(await world.cloud.readVolume(volumeId)).toMatchObject({ value: { state: 'Ready', vmId: null } });
    expect(world.model.effectsOf(volumeId, 'recover')).toBe(1);
    await world.cloud.deleteVolume(volumeId);
    expect((await refused(world.cloud.recoverVolume(volumeId))).text).toMatch(/^Unable to find UUID for id/);
  });
}
