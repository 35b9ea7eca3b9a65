import { describe, expect, it } from 'vitest';
import { ApiError } from '~/lab/cloudstack/records';
import { create, makeWorld } from './world';

const GIB = 1024 ** 3;
const ZERO = '00000000-0000-4000-8000-00000000dead';

function refusal(work: () => unknown): [number, number | null, string] | 'accepted' {
  try {
    work();
    return 'accepted';
  } catch (error) {
    if (error instanceof ApiError) return [error.code, error.csCode, error.message];
    throw error;
  }
}

describe('createVolume', () => {
  it('makes the row at once, Allocated; the job ends later with the volume as it was then', async () => {
    const { model, settle } = makeWorld();
    const { volume, job } = create(model, { name: 'a', sizeGiB: 3 });
    expect(model.volumes).toContain(volume);
    expect(volume).toMatchObject({ state: 'Allocated', size: 3 * GIB, vmId: null, jobId: job.id });
    expect(job).toMatchObject({ status: 0, result: null });
    await settle();
    expect(job).toMatchObject({ status: 1, instanceId: volume.id, result: { kind: 'volume' } });
    expect(volume.jobId).toBeNull();
    expect(model.effectsOf(volume.id, 'create')).toBe(1);
  });

  it('names are not unique', () => {
    const { model } = makeWorld();
    expect(create(model, { name: 'same' }).volume.id).not.toBe(create(model, { name: 'same' }).volume.id);
  });

  it('sizes belong to custom offerings only', () => {
    const { model } = makeWorld();
    const fixed = model.offerings[1]?.id ?? '';
    const custom = (sizeGiB: number | null) => refusal(() => create(model, { sizeGiB }));
    expect(create(model, { offeringId: fixed, sizeGiB: null }).volume.size).toBe(5 * GIB);
    expect(refusal(() => create(model, { offeringId: fixed, sizeGiB: 1 }))).toEqual([
      431,
      4350,
      'This disk offering does not allow custom size',
    ]);
    expect(custom(null)).toEqual([431, 4350, 'This disk offering requires a custom size specified']);
    expect(custom(1025)).toEqual([
      431,
      4350,
      'Volume size: 1025 GB is out of allowed range. Min: 1. Max: 1024',
    ]);
    expect(custom(1024)).toBe('accepted');
  });

  it('unknown zones and offerings: 431 with 9999, and no row', () => {
    const { model } = makeWorld();
    const before = model.volumes.length;
    for (const [fields, parameter] of [
      [{ zoneId: ZERO }, 'zoneid'],
      [{ offeringId: ZERO }, 'diskofferingid'],
    ] as const) {
      expect(refusal(() => create(model, fields))).toEqual([
        431,
        9999,
        expect.stringContaining(
          `createvolume due to invalid value. Invalid parameter ${parameter} value=${ZERO} `,
        ),
      ]);
    }
    expect(model.volumes).toHaveLength(before);
  });

  it('the quota error is 535, for the count and for the bytes', () => {
    const counted = makeWorld({ volumeLimit: 1 }).model;
    create(counted);
    expect(refusal(() => create(counted))).toEqual([535, 4370, expect.stringContaining("Type = 'volume'")]);
    const weighed = makeWorld({ storageLimit: 2 * GIB }).model;
    create(weighed, { sizeGiB: 2 });
    expect(refusal(() => create(weighed))).toEqual([535, 4370, expect.stringContaining("'primary_storage'")]);
  });

  it('a job id that is taken is noticed after the row exists: a blind resend leaks a volume', () => {
    const { model } = makeWorld();
    const jobId = 'abcdefab-0000-4000-8000-000000000000';
    expect(create(model, { jobId }).job.id).toBe(jobId);
    expect(refusal(() => create(model, { jobId }))).toEqual([
      431,
      4350,
      `UUID: ${jobId} already exists so can't create/update with custom id`,
    ]);
    expect(model.volumes.filter(({ name }) => name === 'data')).toHaveLength(2);
    expect(model.history.effectsOfJob(jobId)).toBe(2);
  });

  it('customid is for root administrators, and unique', () => {
    const customId = 'ABCDEFAB-0000-4000-8000-000000000001';
    const { model } = makeWorld();
    expect(create(model, { customId }).volume.id).toBe(customId.toLowerCase());
    expect(refusal(() => create(model, { customId }))).toEqual([
      431,
      4350,
      expect.stringContaining('already exists'),
    ]);
    const user = makeWorld({ account: 'plain' }).model;
    expect(refusal(() => create(user, { customId }))).toEqual([
      531,
      4365,
      'Please check your permissions, you are not allowed to create/update custom id',
    ]);
  });

  it('a disabled zone is closed to users, not to root administrators', () => {
    for (const rootAdmin of [true, false]) {
      const { model } = makeWorld({ account: rootAdmin ? 'admin' : 'plain' });
      const zoneId = model.inventory.addZone('closed', 'Disabled').id;
      const answer = refusal(() => create(model, { zoneId }));
      expect(answer === 'accepted' ? answer : answer[0]).toBe(rootAdmin ? 'accepted' : 531);
    }
  });
});

describe('deleteVolume', () => {
  const outcome = async (work: Promise<void>) =>
    work.then(
      () => 'deleted',
      (error: unknown) => (error instanceof ApiError ? [error.code, error.csCode, error.message] : error),
    );

  it('takes its time, then the volume is in no list but still found by its id', async () => {
    const { model, clock, volume: make } = makeWorld();
    const volume = await make();
    const deleted = outcome(model.deleteVolume(volume.id));
    expect(volume.state).toBe('Expunging');
    await clock.advance(100);
    expect(await deleted).toBe('deleted');
    expect(volume).toMatchObject({ removed: true, state: 'Expunged' });
    expect(await outcome(model.deleteVolume(volume.id))).toEqual([
      431,
      4350,
      `Unable to find UUID for id [${volume.internalId}] of type [Volume]`,
    ]);
    expect(model.effectsOf(volume.id, 'delete')).toBe(1);
  });

  it('an id that never existed is another error than a deleted volume', async () => {
    const { model } = makeWorld();
    expect(await outcome(model.deleteVolume(ZERO))).toEqual([
      431,
      9999,
      expect.stringContaining(`deletevolume due to invalid value. Invalid parameter id value=${ZERO} `),
    ]);
  });

  it('a second delete while the first works does not delete twice', async () => {
    const { model, clock, volume: make } = makeWorld();
    const volume = await make();
    const first = outcome(model.deleteVolume(volume.id));
    const second = outcome(model.deleteVolume(volume.id));
    await clock.advance(100);
    expect([await first, await second]).toEqual(['deleted', 'deleted']);
    expect(model.effectsOf(volume.id, 'delete')).toBe(1);
  });

  it.each([
    ['attached', { vmId: 'some-vm' }, 'Please specify a volume that is not attached to any VM.'],
    ['in a snapshot', { state: 'Snapshotting' }, 'There are snapshot operations in progress'],
    ['protected', { deleteProtection: true }, 'has delete protection enabled and cannot be deleted.'],
    ['uploading', { state: 'UploadInProgress' }, 'Please specify a volume that is not uploading'],
  ])('refused when it is %s, and the volume stays', async (_, fields, text) => {
    const { model, volume: make } = makeWorld();
    const volume = Object.assign(await make(), fields);
    expect(await outcome(model.deleteVolume(volume.id))).toEqual([431, 4350, expect.stringContaining(text)]);
    expect(volume.removed).toBe(false);
  });
});
