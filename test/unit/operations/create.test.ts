import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import type { JsonObject } from '~/server/model/operation';
import { decideCreate } from '~/server/operations/decide/create';
import type { Facts } from '~/server/operations/decision';
import { MINUTE_MS, Rig } from './rig';
import {
  gone,
  guards,
  hidden,
  OFFERING,
  type Step,
  seenVolume,
  situation,
  VOLUME,
  volume,
  ZONE,
} from './situations';

const GIB = 1024 ** 3;
const request = { name: 'disk', size: GIB + 1, disk_offering_id: OFFERING, zone_id: ZONE };
const zone = { id: ZONE, name: 'zone', allocationState: 'Enabled' };
const offering = { id: OFFERING, name: 'Custom', customized: true, sizeGiB: 0 };
const offer = { zone, offering, owner: null, sameName: [], conflictingOperation: null };
const checked: Step = ['check', 'done', { size_gib: 2, zone_id: ZONE }];
const intent: Step = ['create-volume', 'intent', { job_id: 'j1' }];

describe('a create while this appliance, for whose owner it is made, is not shown', () => {
  async function created(hiddenMs?: number) {
    const rig = await Rig.start();
    const owners: unknown[] = [];
    rig.cloud.newVolumeOwner = async (appliance) => {
      owners.push(appliance?.account ?? null);
      return appliance;
    };
    rig.hide(rig.here, hiddenMs);
    const operation = await rig.run('create', {
      name: 'data',
      size: 5 * GIB,
      zone_id: rig.model.inventory.firstZone().id,
      disk_offering_id: rig.model.offerings[0]?.id ?? '',
    });
    return { rig, owners, operation };
  }

  it('waits for a moment, and names the owner', async () => {
    const { rig, owners, operation } = await created(3_000);
    expect(operation).toMatchObject({ status: 'completed' });
    expect(operation.response).not.toHaveProperty('warnings');
    expect(owners.at(-1)).not.toBeNull();
    expect(rig.sent).toMatchObject([{ name: 'createVolume', owner: { account: owners.at(-1) } }]);
  });

  it('is not held up for ever, and says whose the volume is then', async () => {
    const { rig, operation } = await created();
    expect(operation).toMatchObject({
      status: 'completed',
      response: { warnings: [expect.stringContaining('for the account of the key')] },
    });
    expect(rig.sent).toMatchObject([{ name: 'createVolume', owner: null }]);
  });
});

describe('a create whose volume is not shown to the key', () => {
  it.each([
    ['says so when it was made', null, 'VOLUME_NOT_VISIBLE', 'the creation has succeeded'],
    [
      'ends with the words of CloudStack when it was not',
      { kind: 'job-fails', code: 535, text: 'Maximum number of volumes' },
      'CLOUDSTACK_QUOTA',
      'Maximum number of volumes',
    ],
    [
      'ends as unknown when nobody knows',
      { kind: 'job-without-result' },
      'CLOUDSTACK_OUTCOME_UNKNOWN',
      'did not say how',
    ],
  ] as const)('%s, names it, and makes no other', async (_story, fault, errorCode, words) => {
    const rig = await Rig.start();
    if (fault) rig.model.faults.add({ command: 'createVolume', ...fault });
    const { readVolume } = rig.cloud;
    rig.cloud.readVolume = (id) => {
      rig.hide(id);
      return readVolume.call(rig.cloud, id);
    };
    const operation = await rig.run('create', {
      name: 'data',
      size: 5 * GIB,
      zone_id: rig.model.inventory.firstZone().id,
      disk_offering_id: rig.model.offerings[0]?.id ?? '',
    });
    expect(operation).toMatchObject({ status: 'failed', errorCode });
    expect(operation.error).toContain(words);
    expect(operation.error).toContain(operation.volumeId);
    expect(rig.calls).toEqual(['createVolume']);
  });
});

describe('a create whose answer is lost, and that is cancelled before it is sent again', () => {
  it('names the volume that the lost try may have made', async () => {
    const rig = await Rig.start();
    rig.model.faults.add({ command: 'createVolume', kind: 'fail-before-effect' });
    const operation = await rig.request('create', {
      name: 'data',
      size: 5 * GIB,
      zone_id: rig.model.inventory.firstZone().id,
      disk_offering_id: rig.model.offerings[0]?.id ?? '',
    });
    await rig.untilSent('createVolume');
    const { id: stray } = await rig.volume({ name: 'data' });
    await rig.during(rig.domain.operations.cancel(operation));
    const ended = await rig.ended(operation, 10 * MINUTE_MS);
    expect(ended).toMatchObject({ status: 'cancelled', error: expect.stringContaining(stray) });
    expect(rig.calls).toEqual(['createVolume']);
  });
});

describe('create decides', () => {
  it('checks zone, offering and name before the first intent, and names what is wrong', () => {
    expect(decideCreate(situation('create', request))).toEqual({ do: 'read-offer' });
    expect(
      decideCreate(situation('create', request, { facts: { offer: { ...offer, zone: null } } })),
    ).toMatchObject({ data: { code: 'ZONE_NOT_FOUND' } });
    expect(
      decideCreate(situation('create', request, { facts: { offer: { ...offer, offering: null } } })),
    ).toMatchObject({ data: { code: 'DISK_OFFERING_NOT_FOUND' } });
  });

  it('VOLUME_NAMES: a taken name is a warning, a refusal or nothing', () => {
    const facts = { offer: { ...offer, sameName: [volume()] } };
    const by = (volumeNames: 'warn' | 'unique' | 'any') =>
      decideCreate(situation('create', request, { facts, policy: { volumeNames } }));
    expect(by('unique')).toMatchObject({
      data: { code: 'VOLUME_NAME_EXISTS', details: { volume_id: VOLUME } },
    });
    expect(by('warn')).toMatchObject({ do: 'intend', checked: { same_name: [VOLUME] } });
    expect(by('any')).toMatchObject({ do: 'intend', checked: { same_name: [VOLUME] } });
    const ended: Step = ['create-volume', 'finished', { job_id: 'j1', volume_id: 'new', outcome: 'ok' }];
    const before: Step = ['check', 'done', { size_gib: 2, zone_id: ZONE, same_name: [VOLUME] }];
    const told = (volumeNames: 'warn' | 'any') =>
      decideCreate(
        situation('create', request, {
          steps: [before, intent, ended],
          facts: { volume: seenVolume({ id: 'new' }) },
          policy: { volumeNames },
        }),
      );
    expect(told('warn')).toMatchObject({ response: { warnings: [expect.stringContaining(VOLUME)] } });
    expect(told('any')).not.toHaveProperty('response.warnings');
  });

  it('waits for an earlier operation that is creating the same name only where names are unique', () => {
    const facts = { offer: { ...offer, conflictingOperation: 'other' } };
    const by = (volumeNames: 'warn' | 'unique' | 'any') =>
      decideCreate(situation('create', request, { facts, policy: { volumeNames } }));
    expect(by('unique')).toMatchObject({ do: 'pause', forget: ['offer'] });
    for (const names of ['warn', 'any'] as const)
      expect(by(names)).toMatchObject({ do: 'intend', checked: { zone_id: ZONE } });
  });

  it('rounds bytes up to whole GiB and refuses a fixed offering that is too small', () => {
    expect(decideCreate(situation('create', request, { facts: { offer } }))).toMatchObject({
      checked: { size_gib: 2 },
    });
    const fixed = { ...offering, customized: false, sizeGiB: 1 };
    expect(
      decideCreate(situation('create', request, { facts: { offer: { ...offer, offering: fixed } } })),
    ).toMatchObject({ data: { code: 'CLOUDSTACK_REJECTED' } });
    for (const sizeGiB of [2, 3]) {
      const enough = { ...fixed, sizeGiB };
      expect(
        decideCreate(situation('create', request, { facts: { offer: { ...offer, offering: enough } } })),
        `${sizeGiB} GiB, which the call does not name`,
      ).toMatchObject({ do: 'intend', checked: { size_gib: null } });
    }
  });

  it('a create that is cancelled while it waits to begin intends nothing', () => {
    expect(
      decideCreate(situation('create', request, { facts: { offer }, cancelRequested: true })),
    ).toMatchObject({ do: 'record', state: 'failing', data: { code: 'CANCELLED' } });
  });

  it('journals for whom the volume is made, and every try names that owner', () => {
    const owner = { projectId: null, account: 'migration', domainId: 'd1' };
    const data = { account: 'migration', domain_id: 'd1', project_id: null };
    expect(
      decideCreate(situation('create', request, { facts: { offer: { ...offer, owner } } })),
    ).toMatchObject({ do: 'intend', checked: { owner: data } });
    const ofCheck: Step = ['check', 'done', { size_gib: 2, zone_id: ZONE, owner: data }];
    const by = (check: Step) =>
      decideCreate(
        situation('create', request, {
          steps: [check, intent],
          facts: { job: { jobId: 'j1', found: 'absent' }, guards: guards() },
        }),
      );
    expect(by(ofCheck)).toMatchObject({ do: 'send', command: { name: 'createVolume', owner } });
    expect(by(checked)).toMatchObject({ do: 'send', command: { owner: null } });
  });

  it('never sends createVolume again blindly: only when the denial of its job is believed', () => {
    const steps = [checked, intent];
    const by = (found: 'denied' | 'absent') => ({
      steps,
      facts: { job: { jobId: 'j1', found }, guards: guards() },
    });
    expect(decideCreate(situation('create', request, { steps }))).toEqual({ do: 'query-job', jobId: 'j1' });
    expect(decideCreate(situation('create', request, by('denied')))).toMatchObject({ do: 'back-off' });
    expect(decideCreate(situation('create', request, by('absent')))).toMatchObject({
      do: 'send',
      jobId: 'j1',
      resent: true,
    });
  });

  it('takes the volume that its job names, and no other', () => {
    const found = {
      jobId: 'j1',
      status: 'pending' as const,
      errorCode: null,
      errorText: null,
      volumeId: VOLUME,
      snapshotId: null,
      plug: null,
    };
    const s = situation('create', request, {
      steps: [checked, intent],
      facts: { job: { jobId: 'j1', found } },
    });
    expect(decideCreate(s)).toMatchObject({
      do: 'record',
      state: 'accepted',
      data: { volume_id: VOLUME },
      volumeId: VOLUME,
    });
  });

  it.each([
    ['the answer was lost, and the volume of its job has another name', { found: true }, 'other', false],
    ['the answer was lost, and the volume of its job has the name', { found: true }, 'disk', true],
    ['the answer named the volume, and somebody has renamed it', {}, 'other', true],
  ])('%s', (_story, data, name, isOurs) => {
    const steps: Step[] = [
      checked,
      intent,
      ['create-volume', 'accepted', { job_id: 'j1', volume_id: VOLUME, ...data }],
      ['create-volume', 'finished', { job_id: 'j1', volume_id: VOLUME, outcome: 'ok' }],
    ];
    const facts = { volume: seenVolume({ name, size: 2 * GIB }), unclaimed: [] };
    const ended = decideCreate(situation('create', request, { steps, facts }));
    if (isOurs) expect(ended).toMatchObject({ do: 'complete', response: { volume_id: VOLUME, name } });
    else
      expect(ended).toMatchObject({
        state: 'failing',
        data: { code: 'CLOUDSTACK_OUTCOME_UNKNOWN', details: { unclaimed: [VOLUME] } },
      });
  });

  it('a success that names no volume is no reason to make another one: what it may be is named', () => {
    const nameless: Step[] = [
      ['create-volume', 'accepted', { job_id: 'j1' }],
      ['create-volume', 'finished', { job_id: 'j1', outcome: 'ok' }],
    ];
    const gaveUp = { data: { code: 'CLOUDSTACK_OUTCOME_UNKNOWN', details: { unclaimed: ['stray'] } } };
    const steps = [checked, intent, ...nameless];
    const first = situation('create', request, { steps });
    expect(decideCreate(first)).toMatchObject({ do: 'find-unclaimed' });
    const seen = situation('create', request, { steps, facts: { unclaimed: ['stray'] } });
    expect(decideCreate(seen)).toMatchObject(gaveUp);

    // The volume of an earlier try, known to be gone, is not the one that this try has made.
    const earlier: Step = ['create-volume', 'finished', { job_id: 'j0', volume_id: VOLUME, outcome: 'ok' }];
    const again = situation('create', request, {
      steps: [checked, intent, earlier, intent, ...nameless],
      facts: { volume: gone(), unclaimed: ['stray'] },
      elapsed: { 'contradiction:create-volume:2': 16_000, 'create-volume:2': 1 },
    });
    const named = { ...again, operation: { ...again.operation, volumeId: VOLUME } };
    expect(decideCreate(named)).toMatchObject(gaveUp);
  });

  it('an end without a volume says what a try whose answer was lost may have left behind', () => {
    const refused = { job_id: 'j1', code: 535, text: 'Maximum number of volumes' };
    const decided = (cancelRequested: boolean, data: JsonObject, facts: Facts = {}) => {
      const s = situation('create', request, {
        steps: [checked, intent, ['create-volume', 'refused', data]],
        facts,
      });
      return decideCreate({ ...s, operation: { ...s.operation, cancelRequested } });
    };
    const ends = (code: string, message: string) => ({
      data: { code, message: expect.stringMatching(message) },
    });
    const resent = { ...refused, resent: true };
    expect(decided(false, resent)).toMatchObject({ do: 'find-unclaimed' });
    const found = decided(false, resent, { unclaimed: ['stray'] });
    expect(found).toMatchObject(ends('CLOUDSTACK_QUOTA', 'Maximum .*it may be stray'));
    expect(found).toMatchObject({ data: { details: { cloudstack_code: 535, unclaimed: ['stray'] } } });

    expect(decided(true, resent)).toMatchObject({ do: 'find-unclaimed' });
    expect(decided(true, resent, { unclaimed: [] })).toMatchObject(
      ends('CANCELLED', '^Cancelled on request; the answer .* was lost.*none is seen'),
    );
    expect(decided(true, refused)).toMatchObject(ends('CANCELLED', 'before anything was changed'));
  });

  it('a repeated send that is given up is remembered as one', () => {
    const facts = { job: { jobId: 'j1', found: 'absent' as const } };
    const s = situation('create', request, { steps: [checked, intent], facts });
    const cancelled = { ...s, operation: { ...s.operation, cancelRequested: true } };
    expect(decideCreate(cancelled)).toMatchObject({
      state: 'refused',
      data: { job_id: 'j1', text: 'cancelled before it was sent again', resent: true },
    });
  });

  it('names what an earlier try may have left behind, and owns none of it', () => {
    const resent: Step = ['create-volume', 'accepted', { job_id: 'j1', volume_id: VOLUME, resent: true }];
    const ended: Step = ['create-volume', 'finished', { job_id: 'j1', volume_id: VOLUME, outcome: 'ok' }];
    const steps = [checked, intent, resent, ended];
    const facts = { volume: seenVolume({ size: 2 * GIB }) };
    expect(decideCreate(situation('create', request, { steps, facts }))).toMatchObject({
      do: 'find-unclaimed',
      volumeId: VOLUME,
    });
    const named = { ...facts, unclaimed: ['stray'] };
    expect(decideCreate(situation('create', request, { steps, facts: named }))).toMatchObject({
      do: 'complete',
      response: { volume_id: VOLUME, unclaimed: ['stray'], warnings: [expect.stringContaining('stray')] },
    });
    const once = [
      checked,
      intent,
      ['create-volume', 'accepted', { job_id: 'j1', volume_id: VOLUME }] as Step,
      ended,
    ];
    const plain = decideCreate(situation('create', request, { steps: once, facts }));
    expect(plain).toMatchObject({ do: 'complete' });
    expect(plain).not.toHaveProperty('response.warnings');
  });

  it('a volume that its own job made and that is provably gone is made again, a bounded number of times', () => {
    const ended: Step = ['create-volume', 'finished', { job_id: 'j1', volume_id: VOLUME, outcome: 'ok' }];
    const s = situation('create', request, {
      steps: [checked, intent, ended],
      facts: { volume: gone() },
      elapsed: { 'contradiction:create-volume:1': 16_000, 'create-volume:1': 1 },
    });
    expect(decideCreate(s)).toMatchObject({ do: 'intend', step: 'create-volume' });
    const atOnce = { ...s, doubted: () => 0 };
    expect(decideCreate(atOnce), 'it is looked at again before that').toMatchObject({
      do: 'back-off',
      step: 'create-volume',
      forget: expect.arrayContaining(['volume']),
    });
  });

  it('a volume whose creation has failed and that is not shown is looked for once more before that is told', () => {
    const failed = { job_id: 'j1', volume_id: VOLUME, outcome: 'failed', code: 535, text: 'full' };
    const following = (ms: number) =>
      decideCreate(
        situation('create', request, {
          steps: [checked, intent, ['create-volume', 'finished', failed]],
          facts: { volume: hidden() },
          elapsed: { 'not-visible': ms },
        }),
      );
    expect(following(LIMITS.READ_SETTLE_MS)).toMatchObject({ do: 'back-off', forget: ['volume'] });
    expect(following(LIMITS.READ_SETTLE_MS + 1)).toMatchObject({ data: { code: 'CLOUDSTACK_QUOTA' } });
  });

  it('reports the real size, and takes a volume that stays in place for success even when the job says failed', () => {
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
    const facts = { volume: seenVolume({ state: 'Allocated', size: 2 * GIB }) };
    const looked = (ms: number, seen: Facts = facts) =>
      decideCreate(
        situation('create', request, {
          steps,
          facts: seen,
          elapsed: { 'unconfirmed:create-volume:1': ms },
        }),
      );
    // CloudStack destroys the row after the job has failed.
    expect(looked(0)).toMatchObject({ do: 'back-off', forget: expect.arrayContaining(['volume']) });
    expect(looked(LIMITS.READ_SETTLE_MS + 1)).toMatchObject({
      do: 'complete',
      response: { volume_id: VOLUME, size: 2 * GIB, size_requested: GIB + 1 },
    });
    expect(looked(LIMITS.READ_SETTLE_MS + 1, { volume: seenVolume({ state: 'Destroy' }) })).toMatchObject({
      data: { code: 'CLOUDSTACK_JOB_FAILED', message: expect.stringContaining('API error 530: x') },
    });
  });

  it('a volume that is smaller than asked for is no success: what is copied to it would not fit', () => {
    const made: Step = ['create-volume', 'finished', { job_id: 'j1', volume_id: VOLUME, outcome: 'ok' }];
    const of = (size: number | null) =>
      decideCreate(
        situation('create', request, {
          steps: [checked, intent, made],
          facts: { volume: seenVolume({ size }) },
        }),
      );
    expect(of(GIB)).toMatchObject({
      data: { code: 'VOLUME_STATE', details: { volume_id: VOLUME, size: GIB } },
    });
    for (const size of [2 * GIB, 5 * GIB, null]) expect(of(size)).toMatchObject({ do: 'complete' });
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
