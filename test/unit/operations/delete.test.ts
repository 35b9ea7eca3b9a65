import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { decideDelete, GONE } from '~/server/operations/decide/delete';
import type { Facts } from '~/server/operations/decision';
import {
  APPLIANCE,
  gone,
  hidden,
  mapping,
  OTHER_VM,
  rowOf,
  type Step,
  seenVolume,
  situation,
  usedBy,
  VOLUME,
} from './situations';

const request = { volume_id: VOLUME };
const here = seenVolume({ vmId: APPLIANCE, deviceId: 1 });
const there = seenVolume({ vmId: OTHER_VM, deviceId: 1 });
const local = rowOf(mapping());
const noRow = rowOf(null);
describe('delete decides', () => {
  it('refuses a volume that another VM uses, and detaches from the appliance first', () => {
    expect(decideDelete(situation('delete', request, { facts: { volume: there } }))).toMatchObject({
      data: { code: 'VOLUME_ATTACHED_ELSEWHERE', message: expect.stringContaining('detach') },
    });
    expect(
      decideDelete(situation('delete', request, { facts: { volume: here, mapping: local, use: usedBy() } })),
    ).toMatchObject({ do: 'withdraw' });
  });

  it('completes only when CloudStack no longer lists it: an answer alone proves nothing', () => {
    const call: Step[] = [
      ['delete-volume', 'intent', { job_id: 'j' }],
      ['delete-volume', 'finished', { job_id: 'j', outcome: 'ok' }],
    ];
    const by = (known: object) => decideDelete(situation('delete', request, { steps: call, facts: known }));
    expect(by({})).toMatchObject({ do: 'read-volume' });
    expect(by({ volume: gone(), gone: true })).toMatchObject({ do: 'complete' });
    expect(by({ volume: hidden(), gone: true })).toMatchObject({ do: 'complete' });
    expect(by({ volume: seenVolume() })).toMatchObject({
      do: 'back-off',
      forget: expect.arrayContaining(['volume', 'vm']),
    });
  });

  it.each(['Destroy', 'Expunging'])('is sent again while the volume stays in %s', (state) => {
    const call: Step[] = [
      ['delete-volume', 'intent', { job_id: 'j' }],
      [
        'delete-volume',
        'finished',
        { job_id: 'j', outcome: 'unknown', code: 530, text: 'the agent is away' },
      ],
    ];
    const by = (elapsed: Record<string, number>) =>
      decideDelete(
        situation('delete', request, { steps: call, facts: { volume: seenVolume({ state }) }, elapsed }),
      );
    expect(by({})).toMatchObject({ do: 'back-off', reason: expect.stringContaining('the agent is away') });
    expect(by({ 'delete-again:j': 1 })).toMatchObject({ do: 'intend', step: 'delete-volume' });
    expect(by({ deleting: 16 * 60_000 })).toMatchObject({
      data: { code: 'STEP_DEADLINE', message: expect.stringContaining('the agent is away') },
    });
  });

  it.each(['Destroy', 'Expunging'])(
    'is sent again although CloudStack calls it done, while it stays in %s',
    (state) => {
      const call: Step[] = [
        ['delete-volume', 'intent', { job_id: 'j' }],
        ['delete-volume', 'finished', { job_id: 'j', outcome: 'ok' }],
      ];
      const by = (elapsed: Record<string, number>) =>
        decideDelete(
          situation('delete', request, { steps: call, facts: { volume: seenVolume({ state }) }, elapsed }),
        );
      expect(by({})).toMatchObject({ do: 'back-off', reason: expect.stringContaining(`in state ${state}`) });
      expect(by({ 'delete-again:j': 1 })).toMatchObject({ do: 'intend' });
    },
  );

  it('what was sent and is not listed any more is asked of CloudStack by another delete, never concluded', () => {
    const call: Step[] = [
      ['delete-volume', 'intent', { job_id: 'j' }],
      ['delete-volume', 'finished', { job_id: 'j', outcome: 'unknown', text: 'the answer was lost' }],
    ];
    const facts = { volume: hidden() };
    const s = (elapsed: Record<string, number>) =>
      situation('delete', request, { steps: call, facts, elapsed });
    expect(decideDelete(s({}))).toMatchObject({ do: 'back-off' });
    expect(decideDelete(s({ 'delete-again:j': 1 }))).toMatchObject({ do: 'intend' });
  });

  it('a volume that was never seen is not deleted, not "already absent", and no row changes', () => {
    const facts = { volume: hidden(), mapping: local };
    const by = (elapsed: Record<string, number>) =>
      decideDelete(situation('delete', request, { facts, elapsed }));
    expect(by({})).toMatchObject({ do: 'back-off', forget: ['volume'] });
    expect(by({ 'not-visible': 16_000 })).toMatchObject({ data: { code: 'VOLUME_NOT_VISIBLE' } });
  });

  it('looks at the guest once more before it says that it is done: a disk may have come meanwhile', () => {
    const call: Step[] = [
      ['delete-volume', 'intent', { job_id: 'j' }],
      ['delete-volume', 'finished', { job_id: 'j', outcome: 'ok' }],
    ];
    const facts = { volume: gone() };
    expect(decideDelete(situation('delete', request, { steps: call, facts }))).toMatchObject({
      do: 'await-gone',
    });
    expect(
      decideDelete(situation('delete', request, { steps: call, facts: { ...facts, gone: false } })),
    ).toMatchObject({ data: { code: 'DEVICE_STILL_PRESENT' } });
  });

  describe('CloudStack has answered the delete', () => {
    const following = (
      end: object,
      facts: Facts,
      intent: object = {},
      elapsed: Record<string, number> = {},
    ) =>
      decideDelete(
        situation('delete', request, {
          steps: [
            ['delete-volume', 'intent', { job_id: 'j', ...intent }],
            ['delete-volume', 'finished', { job_id: 'j', ...end }],
          ],
          facts,
          elapsed,
        }),
      );
    const ok = { outcome: 'ok' };
    const trash = { expunge: false };

    it.each([
      ['that it was removed before', { ...ok, text: GONE }],
      ['that it knows none', { outcome: 'failed', code: 431, text: 'Unable to find volume with ID: 23' }],
    ])('%s: nothing is asked again, and the guest is looked at', (_how, end) => {
      const disk = { do: 'await-gone', volumeId: VOLUME, timeoutMs: LIMITS.DEVICE_GONE_DEADLINE_MS };
      for (const facts of [{}, { volume: hidden() }, { volume: seenVolume() }]) {
        expect(following(end, facts)).toEqual({ ...disk, leaves: true });
        expect(following(end, { ...facts, gone: false })).toMatchObject({
          data: { code: 'DEVICE_STILL_PRESENT' },
        });
        expect(following(end, { ...facts, gone: true })).toMatchObject({ do: 'complete' });
      }
    });

    it('well, and does not list it: the guest is looked at all the same', () => {
      expect(following(ok, { volume: hidden() })).toMatchObject({ do: 'await-gone', leaves: true });
      expect(following(ok, { volume: hidden(), gone: false })).toMatchObject({
        data: { code: 'DEVICE_STILL_PRESENT' },
      });
    });

    it('and it is in the trash: it is there for certain when that was asked for, and done', () => {
      const inTrash = { volume: seenVolume({ state: 'Destroy' }) };
      expect(following(ok, inTrash, trash)).toMatchObject({
        do: 'complete',
        response: { recoverable: true },
      });
      expect(following({ outcome: 'unknown' }, inTrash, trash), 'nobody has said so').toMatchObject({
        do: 'back-off',
      });
      expect(following(ok, { volume: seenVolume() }, trash), 'it is not shown there').toMatchObject({
        do: 'back-off',
      });
    });

    it('in a way that says nothing: it is sent again while the volume stands', () => {
      const nothing = { outcome: 'failed', code: 530, text: null };
      const there = { volume: seenVolume() };
      expect(following(nothing, there)).toMatchObject({
        do: 'back-off',
        reason: expect.stringContaining('CloudStack did not delete it'),
      });
      expect(following({ outcome: 'unknown' }, there)).toMatchObject({
        do: 'back-off',
        reason: expect.stringContaining('the answer was lost'),
      });
      expect(following(nothing, there, {}, { 'delete-again:j': 1 })).toMatchObject({ do: 'intend' });
    });

    it('well, and the volume is busy where nobody expects it: it is waited for', () => {
      const busy = { volume: seenVolume({ state: 'Snapshotting' }) };
      const settled = { 'contradiction:delete-volume:1': LIMITS.READ_SETTLE_MS + 1, 'delete-volume:1': 1 };
      expect(following(ok, busy, {}, settled)).toMatchObject({ do: 'pause', step: 'read-volume' });
    });
  });

  it('an end says what was taken away before, and what may still happen', () => {
    const failing: Step = [
      'operation',
      'failing',
      { code: 'STEP_DEADLINE', message: 'too long', details: {}, cancelled: false },
    ];
    const taken: Step[] = [
      ['detach-volume', 'intent', { job_id: 'd', vm_id: APPLIANCE }],
      ['detach-volume', 'finished', { job_id: 'd', outcome: 'ok' }],
    ];
    const ends = (...steps: Step[]) =>
      decideDelete(situation('delete', request, { steps: [...steps, failing], facts: { mapping: noRow } }));
    expect(ends(...taken, ['delete-volume', 'intent', { job_id: 'j' }])).toMatchObject({
      do: 'fail',
      response: {
        left: [
          expect.stringContaining(`was detached from VM ${APPLIANCE}`),
          expect.stringContaining('delete-volume (job j) may have taken effect'),
        ],
      },
    });
    expect(ends(...taken)).toMatchObject({ do: 'fail', message: expect.stringContaining('was detached') });
    const lost: Step = ['detach-volume', 'finished', { job_id: 'd', outcome: 'unknown' }];
    expect(ends(...taken.slice(0, 1), lost)).toMatchObject({ do: 'fail', message: 'too long' });
  });

  it('does not take a refusal for success: "attached" and "snapshot in progress" are the same 431 as "not found"', () => {
    const refused: Step[] = [
      ['delete-volume', 'intent', { job_id: 'j' }],
      [
        'delete-volume',
        'refused',
        {
          job_id: 'j',
          code: 431,
          text: 'There are snapshot operations in progress on the volume, unable to delete it',
        },
      ],
    ];
    expect(
      decideDelete(situation('delete', request, { steps: refused, facts: { volume: seenVolume() } })),
    ).toMatchObject({
      data: { code: 'CLOUDSTACK_REJECTED', message: expect.stringContaining('snapshot operations') },
    });
  });

  it('asks the volume, not the call, after a lost answer', () => {
    const s = situation('delete', request, { steps: [['delete-volume', 'intent', { job_id: 'j' }]] });
    expect(decideDelete(s)).toMatchObject({ do: 'record', state: 'finished', data: { outcome: 'unknown' } });
  });

  it('is done for a volume that is already gone', () => {
    expect(
      decideDelete(situation('delete', request, { facts: { volume: gone(), mapping: noRow, gone: true } })),
    ).toMatchObject({ do: 'complete', response: { message: expect.stringContaining('already absent') } });
  });
});
