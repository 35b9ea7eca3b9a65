import { describe, expect, it } from 'vitest';
import { decideCreate } from '~/server/operations/decide/create';
import { OFFERING, type Step, situation, VOLUME, volume, ZONE } from './situations';

const GIB = 1024 ** 3;
const request = { name: 'disk', size: GIB + 1, disk_offering_id: OFFERING, zone_id: ZONE };
const zone = { id: ZONE, name: 'zone', allocationState: 'Enabled' };
const offering = { id: OFFERING, name: 'Custom', customized: true, sizeGiB: 0 };
const offer = { zone, offering, sameName: [], conflictingOperation: null };
const checked: Step = ['check', 'done', { size_gib: 2, zone_id: ZONE }];
const intent: Step = ['create-volume', 'intent', { job_id: 'j1' }];

describe('create decides', () => {
  it('checks zone, offering and name before the first intent, and names what is wrong', () => {
    expect(decideCreate(situation('create', request))).toEqual({ do: 'read-offer' });
    expect(
      decideCreate(situation('create', request, { facts: { offer: { ...offer, zone: null } } })),
    ).toMatchObject({ data: { code: 'ZONE_NOT_FOUND' } });
    expect(
      decideCreate(situation('create', request, { facts: { offer: { ...offer, offering: null } } })),
    ).toMatchObject({ data: { code: 'DISK_OFFERING_NOT_FOUND' } });
    expect(
      decideCreate(situation('create', request, { facts: { offer: { ...offer, sameName: [volume()] } } })),
    ).toMatchObject({ data: { code: 'VOLUME_NAME_EXISTS' } });
    expect(
      decideCreate(
        situation('create', request, {
          facts: { offer: { ...offer, sameName: [volume()] } },
          policy: { volumeNames: 'any' },
        }),
      ),
    ).toMatchObject({ step: 'check', state: 'done' });
  });

  it('waits for an earlier operation that is creating the same name', () => {
    expect(
      decideCreate(
        situation('create', request, { facts: { offer: { ...offer, conflictingOperation: 'other' } } }),
      ),
    ).toMatchObject({ do: 'pause', forget: ['offer'] });
  });

  it('rounds bytes up to whole GiB and refuses a fixed offering that is too small', () => {
    expect(decideCreate(situation('create', request, { facts: { offer } }))).toMatchObject({
      data: { size_gib: 2 },
    });
    const fixed = { ...offering, customized: false, sizeGiB: 1 };
    expect(
      decideCreate(situation('create', request, { facts: { offer: { ...offer, offering: fixed } } })),
    ).toMatchObject({ data: { code: 'CLOUDSTACK_REJECTED' } });
  });

  it('never sends createVolume again blindly: job, then volume by name, twice, and only then', () => {
    const steps = [checked, intent];
    const lost = { job: { jobId: 'j1', found: 'unknown' as const } };
    expect(decideCreate(situation('create', request, { steps }))).toEqual({ do: 'query-job', jobId: 'j1' });
    expect(decideCreate(situation('create', request, { steps, facts: lost }))).toMatchObject({
      do: 'find-created',
    });
    expect(
      decideCreate(
        situation('create', request, { steps, facts: { ...lost, created: { volumes: [], looks: 1 } } }),
      ),
    ).toMatchObject({ do: 'find-created', after: 2_000 });
    expect(
      decideCreate(
        situation('create', request, { steps, facts: { ...lost, created: { volumes: [], looks: 2 } } }),
      ),
    ).toMatchObject({ do: 'submit', jobId: 'j1' });
  });

  it('adopts the one volume that the lost call made, and never guesses between two', () => {
    const steps = [checked, intent];
    const lost = { job: { jobId: 'j1', found: 'unknown' as const } };
    expect(
      decideCreate(
        situation('create', request, {
          steps,
          facts: { ...lost, created: { volumes: [volume()], looks: 1 } },
        }),
      ),
    ).toMatchObject({ do: 'record', state: 'finished', volumeId: VOLUME, data: { adopted: true } });
    expect(
      decideCreate(
        situation('create', request, {
          steps,
          facts: { ...lost, created: { volumes: [volume(), volume({ id: 'x' })], looks: 1 } },
        }),
      ),
    ).toMatchObject({ data: { code: 'CLOUDSTACK_OUTCOME_UNKNOWN' } });
  });

  it('reports the real size, and takes a volume in place for success even when the job says failed', () => {
    const failed: Step = [
      'create-volume',
      'finished',
      { job_id: 'j1', volume_id: VOLUME, outcome: 'failed', code: 530, text: 'x' },
    ];
    const steps: Step[] = [
      checked,
      intent,
      ['create-volume', 'accepted', { job_id: 'j1', volume_id: VOLUME }],
      failed,
    ];
    const facts = { volume: volume({ state: 'Allocated', size: 2 * GIB }) };
    expect(decideCreate(situation('create', request, { steps, facts }))).toMatchObject({
      do: 'complete',
      response: { volume_id: VOLUME, size: 2 * GIB, size_requested: GIB + 1 },
    });
  });

  it('ends with the quota text of CloudStack when the quota is reached', () => {
    const refused: Step = [
      'create-volume',
      'refused',
      { job_id: 'j1', code: 535, text: 'Maximum amount of resources' },
    ];
    expect(decideCreate(situation('create', request, { steps: [checked, intent, refused] }))).toMatchObject({
      data: { code: 'CLOUDSTACK_QUOTA' },
    });
  });
});
