import { describe, expect, it } from 'vitest';
import { absent, seen, unknown } from '~/server/model/evidence';
import { permit } from '~/server/operations/decide/permit';
import { decideRecover } from '~/server/operations/decide/recover';
import type { Facts, Guards } from '~/server/operations/decision';
import { intent as intentOf } from './mutations';
import { type Step, situation, VOLUME, volume } from './situations';

const request = { volume_id: VOLUME };
const inState = (state: string) => seen(volume({ state }), 0, 'cloudstack');
const decided = (known: Facts, steps: Step[] = [], elapsed: Record<string, number> = {}) =>
  decideRecover(situation('recover', request, { facts: known, steps, elapsed }));

const intent: Step = ['recover-volume', 'intent', { job_id: 'j', volume_id: VOLUME }];
const ended = (data: Record<string, string | number>): Step[] => [
  intent,
  ['recover-volume', 'finished', { job_id: 'j', ...data }],
];

describe('recover decides', () => {
  it('looks first, and asks CloudStack only for what is in its trash', () => {
    expect(decided({})).toMatchObject({ do: 'read-volume' });
    expect(decided({ volume: inState('Destroy') })).toMatchObject({
      do: 'intend',
      step: 'recover-volume',
      data: { volume_id: VOLUME },
    });
  });

  it.each(['Ready', 'Allocated', 'Uploaded'])('leaves a volume that stays %s as it is', (state) => {
    expect(decided({ volume: inState(state) })).toMatchObject({ do: 'back-off', forget: ['volume'] });
    expect(decided({ volume: inState(state) }, [], { 'not-deleted': 16_000 })).toMatchObject({
      do: 'complete',
      response: { volume_id: VOLUME, message: expect.stringContaining('was not deleted') },
    });
  });

  it('says at once that what is being expunged does not come back, and waits for what is moving', () => {
    expect(decided({ volume: inState('Expunging') })).toMatchObject({
      state: 'failing',
      data: { code: 'VOLUME_STATE', message: expect.stringContaining('cannot be recovered') },
    });
    expect(decided({ volume: inState('Destroying') })).toMatchObject({ do: 'pause' });
  });

  it('VOLUME_NOT_FOUND with its proof; what is not visible is looked for again, and never called gone', () => {
    expect(decided({ volume: absent('CloudStack says that it is Expunged', 0, 'cloudstack') })).toMatchObject(
      { data: { code: 'VOLUME_NOT_FOUND', message: expect.stringContaining('Expunged') } },
    );
    const hidden = unknown('it is not shown', 0, 'cloudstack');
    expect(decided({ volume: hidden })).toMatchObject({ do: 'back-off' });
    expect(decided({ volume: hidden }, [], { 'not-visible': 60_000 })).toMatchObject({
      data: { code: 'VOLUME_NOT_VISIBLE' },
    });
  });

  it('after a crash between intent and answer the volume is read: it has no job to ask for', () => {
    expect(decided({}, [intent])).toMatchObject({
      do: 'record',
      state: 'finished',
      data: { job_id: 'j', outcome: 'unknown' },
    });
    const lost = ended({ outcome: 'unknown', text: 'the answer was lost' });
    expect(decided({}, lost)).toMatchObject({ do: 'read-volume' });
    expect(decided({ volume: inState('Ready') }, lost), 'perhaps as it was before').toMatchObject({
      do: 'back-off',
    });
    const settled = { 'unconfirmed:recover-volume:1': 16_000 };
    expect(decided({ volume: inState('Ready') }, lost, settled)).toMatchObject({
      do: 'complete',
      response: { message: 'Volume recovered' },
    });
    expect(decided({ volume: inState('Destroy') }, lost)).toMatchObject({ do: 'back-off' });
    expect(
      decided({ volume: inState('Destroy') }, lost, {
        'contradiction:recover-volume:1': 16_000,
        'recover-volume:1': 1,
      }),
    ).toMatchObject({
      do: 'intend',
    });
  });

  it('a success that does not show yet is doubted before it is tried again', () => {
    expect(decided({ volume: inState('Destroy') }, ended({ outcome: 'ok' }))).toMatchObject({
      do: 'back-off',
      reason: expect.stringContaining('does not show its effect'),
    });
  });

  it('a refusal ends it with the words of CloudStack', () => {
    const text = 'Recovering a volume can only be done by an Admin.';
    const refused: Step[] = [intent, ['recover-volume', 'refused', { job_id: 'j', code: 531, text }]];
    expect(decided({ volume: inState('Destroy') }, refused)).toMatchObject({
      data: { code: 'CLOUDSTACK_REJECTED', message: expect.stringContaining(text) },
    });
  });

  it('leaves through the gate that every mutation passes', () => {
    const unsent = { unsent: 'j', volume: inState('Destroy') };
    expect(decided(unsent, [intent])).toMatchObject({ do: 'read-guards', jobId: 'j' });
    expect(
      decided({ ...unsent, guards: { jobId: 'j', readAtMs: 0, ...guards('Destroy') } }, [intent]),
    ).toMatchObject({
      do: 'send',
      command: { name: 'recoverVolume', volumeId: VOLUME },
    });
  });
});

describe('the permit of a recover', () => {
  it.each([
    ['Destroy', 0, 'go'],
    ['Destroy', 1, 'wait'],
    ['Ready', 0, 'settled'],
    ['Destroying', 0, 'wait'],
    ['Expunging', 0, 'refuse'],
  ])('%s with %i open jobs: %s', (state, openJobs, verdict) => {
    expect(permitted({ ...guards(state), openJobs })).toBe(verdict);
  });

  it('what cannot be seen is waited for, what is gone is settled', () => {
    const none = guards('Destroy');
    expect(permitted({ ...none, volume: unknown('it is not shown', 0, 'cloudstack') })).toBe('wait');
    expect(permitted({ ...none, volume: absent('it was removed', 0, 'cloudstack') })).toBe('settled');
  });
});

function permitted(read: Guards): string {
  const { policy } = situation('recover', request);
  const about = intentOf({ vmId: null });
  return permit({ name: 'recoverVolume', volumeId: VOLUME }, about, read, policy).verdict;
}

function guards(state: string): Guards {
  return {
    volume: inState(state),
    vm: null,
    vmVolumes: null,
    snapshot: null,
    ownSnapshots: null,
    mapping: null,
    exported: null,
    ghost: null,
    openJobs: 0,
    use: null,
    neighbour: null,
  };
}
