import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { decideAttach } from '~/server/operations/decide/attach';
import type { Facts } from '~/server/operations/decision';
import {
  APPLIANCE,
  gone,
  hidden,
  mapped,
  OTHER_VM,
  type Step,
  seenVolume,
  situation,
  VOLUME,
} from './situations';

const here = { volume_id: VOLUME, vm_id: APPLIANCE };
const intent: Step = ['attach-volume', 'intent', { job_id: 'j1' }];
const accepted: Step = ['attach-volume', 'accepted', { job_id: 'j1' }];
const ok: Step = ['attach-volume', 'finished', { job_id: 'j1', outcome: 'ok' }];
const attached = seenVolume({ vmId: APPLIANCE, deviceId: 1 });
describe('an attach that cannot go on takes back what it did', () => {
  const failing: Step = [
    'operation',
    'failing',
    { code: 'DEVICE_NOT_DETECTED', message: 'nothing came', details: {}, cancelled: false },
  ];
  const steps = [intent, accepted, ok, failing];

  it('detaches only a volume that is attached here and whose disk the guest does not have', () => {
    expect(decideAttach(situation('attach', here, { steps }))).toMatchObject({ do: 'read-volume' });
    expect(decideAttach(situation('attach', here, { steps, facts: { volume: attached } }))).toMatchObject({
      do: 'await-gone',
      timeoutMs: 0,
    });
    expect(
      decideAttach(situation('attach', here, { steps, facts: { volume: attached, gone: true } })),
    ).toMatchObject({
      do: 'intend',
      step: 'undo-detach-volume',
      data: {
        volume_id: VOLUME,
        vm_id: APPLIANCE,
        device_id: 1,
        ignore_users: false,
        ignore_clients: false,
        missing_only: true,
      },
    });
  });

  it('looks again where it is shown otherwise than its own job has left it', () => {
    const made: Step = ['attach-volume', 'finished', { job_id: 'j1', outcome: 'ok', attached_at: 'at noon' }];
    const next = (volume: NonNullable<Facts['volume']>, elapsed = {}) =>
      decideAttach(
        situation('attach', here, {
          steps: [intent, accepted, made, failing],
          facts: { volume, gone: true },
          elapsed,
        }),
      );
    const settled = { 'contradiction:attach-volume:1': LIMITS.READ_SETTLE_MS + 1 };
    const others = [{}, { vmId: OTHER_VM }, { vmId: APPLIANCE, attached: 'in the morning' }];
    for (const shown of [...others.map((other) => seenVolume(other)), hidden()]) {
      expect(next(shown)).toMatchObject({ do: 'back-off' });
      expect(next(shown, settled)).toMatchObject({ do: 'fail', code: 'DEVICE_NOT_DETECTED' });
    }
    expect(next(seenVolume({ vmId: APPLIANCE, attached: 'at noon' }))).toMatchObject({ do: 'intend' });
  });

  it('never detaches what somebody else has attached: no call of ours was taken', () => {
    const facts = { volume: attached, gone: true };
    for (const [settled, message] of [
      [false, 'nothing came'],
      [true, 'not known who has attached'],
    ] as const) {
      const refused: Step = ['attach-volume', 'refused', { job_id: 'j1', text: 'not now', settled }];
      const action = decideAttach(situation('attach', here, { steps: [intent, refused, failing], facts }));
      expect(action).toMatchObject({ do: 'fail', message: expect.stringContaining(message) });
    }
  });

  it('never detaches anything from another VM', () => {
    const there = { volume_id: VOLUME, vm_id: OTHER_VM };
    const facts = { volume: seenVolume({ vmId: OTHER_VM, deviceId: 1 }), gone: true };
    expect(decideAttach(situation('attach', there, { steps, facts }))).toMatchObject({
      do: 'fail',
      code: 'DEVICE_NOT_DETECTED',
    });
  });

  it('leaves it attached when the guest has the disk after all, and says so', () => {
    expect(
      decideAttach(situation('attach', here, { steps, facts: { volume: attached, gone: false } })),
    ).toMatchObject({
      do: 'fail',
      code: 'DEVICE_NOT_DETECTED',
      message: expect.stringContaining('stays attached'),
    });
  });

  it('leaves it attached with ATTACH_ROLLBACK=keep', () => {
    expect(
      decideAttach(
        situation('attach', here, {
          steps,
          facts: { volume: attached, gone: true },
          policy: { attachRollback: 'keep' },
        }),
      ),
    ).toMatchObject({ do: 'fail', message: expect.stringContaining('ATTACH_ROLLBACK=keep') });
  });

  it('never detaches because a deadline passed: the job may still be at work', () => {
    const late: Step = [
      'operation',
      'failing',
      { code: 'STEP_DEADLINE', message: 'late', details: {}, cancelled: false },
    ];
    expect(
      decideAttach(
        situation('attach', here, {
          steps: [intent, accepted, late],
          facts: { volume: attached, gone: true },
        }),
      ),
    ).toMatchObject({ do: 'fail', code: 'STEP_DEADLINE' });
  });

  it('withdraws the export before the mapping goes', () => {
    const broken: Step = [
      'operation',
      'failing',
      { code: 'EXPORT_SERVER_UNHEALTHY', message: 'no answer', details: {}, cancelled: false },
    ];
    const before = [intent, accepted, ok, mapped, broken];
    expect(decideAttach(situation('attach', here, { steps: before }))).toMatchObject({ do: 'withdraw' });
    expect(
      decideAttach(situation('attach', here, { steps: [...before, ['withdraw', 'done']] })),
    ).toMatchObject({ do: 'record', step: 'unmap', effects: [{ kind: 'delete-mapping' }] });
  });

  it('lets clients finish when it withdraws: the disk is still attached', () => {
    expect(
      decideAttach(situation('attach', here, { steps: [intent, accepted, ok, mapped, failing] })),
    ).toEqual({
      do: 'withdraw',
      volumeId: VOLUME,
      force: false,
    });
  });

  it('takes nothing away that was here before, where only its export has failed', () => {
    const ended = (code: string) =>
      decideAttach(
        situation('attach', here, {
          steps: [mapped, ['operation', 'failing', { code, message: 'no', details: {}, cancelled: false }]],
        }),
      );
    for (const code of ['EXPORT_CONFIG_FAILED', 'EXPORT_SERVER_UNHEALTHY'])
      expect(ended(code)).toMatchObject({
        do: 'fail',
        message: expect.stringContaining('sync will publish'),
      });
    expect(ended('DEVICE_IN_USE')).toMatchObject({ do: 'withdraw' });
  });

  it.each([
    ['intent', 'may still end'],
    ['accepted', 'may still end'],
  ] as const)('detaches nothing while its own call is open (%s), and says so', (state, words) => {
    const open: Step[] = state === 'intent' ? [intent] : [intent, accepted];
    const facts = { volume: attached, gone: true };
    expect(decideAttach(situation('attach', here, { steps: [...open, failing], facts }))).toMatchObject({
      do: 'fail',
      message: expect.stringContaining(words),
    });
  });

  describe('by a detach of its own', () => {
    const UNDO = 'undo-detach-volume';
    const tried = (end: object, tries = 1): Step[] => [
      ...steps,
      ...Array.from({ length: tries }, (): Step => [UNDO, 'intent', { job_id: 'u', vm_id: APPLIANCE }]),
      [UNDO, 'outcome' in end ? 'finished' : 'refused', { job_id: 'u', ...end }],
    ];
    const failed = { outcome: 'failed', code: 530, text: 'the agent did not answer' };
    const next = (
      given: Step[],
      volume: NonNullable<Facts['volume']>,
      elapsed: Record<string, number> = {},
    ) => decideAttach(situation('attach', here, { steps: given, facts: { volume, gone: true }, elapsed }));

    it('which is tried a few times; what is left then is told', () => {
      expect(next(tried(failed), attached)).toMatchObject({ do: 'intend', step: UNDO });
      const left = { do: 'fail', message: expect.stringContaining('still attached to this appliance') };
      expect(next(tried(failed, LIMITS.MUTATION_TRIES), attached)).toMatchObject(left);
      const withheld = { text: 'in use', withheld: 'DEVICE_IN_USE' };
      expect(next(tried(withheld), attached), 'its guards forbid it').toMatchObject(left);
    });

    it('which was refused because the volume is elsewhere or gone: it is looked at again before it is called here', () => {
      for (const end of [
        { text: 'it is on another VM', withheld: 'VOLUME_ATTACHED_ELSEWHERE' },
        { code: 431, text: 'Unable to find UUID for id [7] of type [Volume]' },
      ]) {
        expect(next(tried(end), attached)).toMatchObject({ do: 'back-off', forget: ['volume'] });
        const settled = { 'elsewhere:u': LIMITS.READ_SETTLE_MS + 1 };
        expect(next(tried(end, LIMITS.MUTATION_TRIES), attached, settled)).toMatchObject({
          do: 'fail',
          message: expect.stringContaining('still attached to this appliance'),
        });
      }
    });

    it('which CloudStack does not show at once: it is looked at again', () => {
      const worked = tried({ outcome: 'ok' });
      expect(next(worked, attached)).toMatchObject({ do: 'back-off' });
      const settled = { 'contradiction:undo-detach-volume:1': LIMITS.READ_SETTLE_MS + 1 };
      expect(next(worked, attached, settled)).toMatchObject({ do: 'intend', step: UNDO });
      for (const volume of [seenVolume(), seenVolume({ vmId: OTHER_VM }), gone()])
        expect(next(worked, volume)).toMatchObject({ do: 'fail', message: 'nothing came' });
      expect(next(worked, hidden(), settled)).toMatchObject({
        do: 'fail',
        message: expect.stringContaining('is not known'),
      });
    });
  });
});
