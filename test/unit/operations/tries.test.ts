import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import type { Action, Mutation } from '~/server/operations/action';
import { cancelled, failureMessage, follow, tryAgainOrGiveUp } from '~/server/operations/decide/mutation';
import { doubtOldPlug, doubtOldRun, doubtTheRead, knownVolume } from '~/server/operations/decide/volume';
import type { Guards, Situation } from '~/server/operations/decision';
import type { MutationState, MutationStep } from '~/server/operations/journal';
import { ATTACHED_AT, create, detach, LATER, revert } from './mutations';
import { MINUTE_MS, Rig } from './rig';
import {
  APPLIANCE,
  gone,
  guards,
  hidden,
  OTHER_VM,
  type Step,
  seenVm,
  seenVolume,
  situation,
  VOLUME,
  volume,
} from './situations';

const request = { volume_id: VOLUME };
const STEP: MutationStep = 'detach-volume';
const first = { job_id: 'j', vm_id: OTHER_VM, device_id: 1, attached_at: ATTACHED_AT };
const SETTLED = LIMITS.READ_SETTLE_MS + 1;

type Given = NonNullable<Parameters<typeof situation>[2]>;

/** After these entries of a detach, or of another step. */
function situated(steps: readonly Step[], given: Omit<Given, 'steps'> = {}) {
  return situation('detach', request, { ...given, steps });
}

/** What is done next of a try of this step that has not ended. */
function resume(s: Situation, step: MutationStep, command: Mutation): Action {
  const state = s.journal.mutation(step);
  if (state.at === 'none' || state.at === 'ended') throw new Error(`the try is at ${state.at}`);
  return follow(s, step, state, command);
}

/** `tries` tries of this step, of which the last has ended so. */
function tried(end: object, tries = 1, step = STEP): Step[] {
  return [
    ...Array.from({ length: tries }, (): Step => [step, 'intent', first]),
    [step, 'outcome' in end ? 'finished' : 'refused', { job_id: 'j', ...end }],
  ];
}

const WORKED = { outcome: 'ok' };
const FAILED = { outcome: 'failed', code: 530, text: 'the agent did not answer' };
const REFUSED = { code: 431, text: 'no' };

function ended(state: MutationState) {
  if (state.at !== 'ended') throw new Error('the try has not ended');
  return state;
}

describe('after a try that has ended without its effect', () => {
  const next = (end: object, tries = 1, elapsed: Record<string, number> = {}) => {
    const s = situated(tried(end, tries), { elapsed });
    return tryAgainOrGiveUp(s, STEP, ended(s.journal.mutation(STEP)), 'volume detach', { vm_id: OTHER_VM });
  };

  it('everything that it depends on is read again, and after the pause it is tried again, three times in all', () => {
    expect(next(FAILED)).toMatchObject({
      do: 'back-off',
      forget: expect.arrayContaining(['volume', 'vm', 'snapshot', 'ownSnapshots', 'job', 'use']),
    });
    expect(next(FAILED, 2, { 'detach-volume:2': 1 })).toEqual({
      do: 'intend',
      step: STEP,
      data: { vm_id: OTHER_VM },
    });
    expect(next(FAILED, LIMITS.MUTATION_TRIES)).toMatchObject({
      data: {
        code: 'CLOUDSTACK_JOB_FAILED',
        details: { tries: LIMITS.MUTATION_TRIES, cloudstack_code: 530 },
      },
    });
    expect(next(REFUSED)).toMatchObject({ data: { code: 'CLOUDSTACK_REJECTED' } });
  });

  it.each([
    ...(['attach-volume', 'recover-volume', 'delete-volume', 'stop-vm'] as const).map(
      (step) => [step, false] as const,
    ),
    ['detach-volume', true],
    ['resize-volume', true],
  ] as const)(
    'that its job called done, %s: what somebody may have undone is not done again (again: %s)',
    (step, isAgain) => {
      const s = situated(tried(WORKED, 1, step), { elapsed: { [`${step}:1`]: 1 } });
      const next = tryAgainOrGiveUp(s, step, ended(s.journal.mutation(step)), 'call');
      expect(next).toMatchObject(
        isAgain
          ? { do: 'intend', step }
          : { data: { code: 'CLOUDSTACK_OUTCOME_UNKNOWN', details: { tries: 1 } } },
      );
    },
  );

  it('because there was nothing left to do, as it seemed: it is looked at again for a while, then asked anew', () => {
    const settled = { text: 'the volume is detached already', settled: true };
    for (const ms of [0, LIMITS.READ_SETTLE_MS])
      expect(next(settled, 1, { 'settled:detach-volume:1': ms })).toMatchObject({
        do: 'back-off',
        forget: expect.arrayContaining(['volume', 'vm', 'use', 'gone']),
      });
    expect(next(settled, 1, { 'settled:detach-volume:1': SETTLED })).toMatchObject({ do: 'intend' });
    expect(next(settled, 3, { 'settled:detach-volume:3': SETTLED })).toMatchObject({
      data: { code: 'CLOUDSTACK_OUTCOME_UNKNOWN', details: { tries: 3 } },
    });
  });

  it('because its guards forbade it: the operation ends with what they said', () => {
    const forbidden = { text: 'it is in use', withheld: 'DEVICE_IN_USE', details: { clients: 1 } };
    expect(next(forbidden)).toMatchObject({
      data: { code: 'DEVICE_IN_USE', message: 'it is in use', details: { clients: 1 } },
    });
  });

  const noSuch = (command: string, parameter: string) =>
    `Unable to execute API command ${command} due to invalid value. Invalid parameter ${parameter} value=${VOLUME} due to incorrect long value format, or entity does not exist or due to incorrect parameter annotation for the field in api cmd class.`;
  it.each([
    [noSuch('createvolume', 'zoneid'), 'ZONE_NOT_FOUND'],
    ['Unable to find zone by id null', 'ZONE_NOT_FOUND'],
    [noSuch('createvolume', 'diskofferingid'), 'DISK_OFFERING_NOT_FOUND'],
    ['Please specify a valid disk offering.', 'DISK_OFFERING_NOT_FOUND'],
    [noSuch('attachvolume', 'virtualmachineid'), 'VM_NOT_FOUND'],
    [noSuch('stopvirtualmachine', 'id'), 'VM_NOT_FOUND'],
    ['Unable to find UUID for id [7] of type [VirtualMachine]', 'VM_NOT_FOUND'],
    ['Please specify a valid User VM.', 'VM_NOT_FOUND'],
    [noSuch('deletesnapshot', 'id'), 'SNAPSHOT_NOT_FOUND'],
    ['Unable to find UUID for id [7] of type [Snapshot]', 'SNAPSHOT_NOT_FOUND'],
    // Of a volume only a look at it tells.
    [noSuch('detachvolume', 'id'), 'CLOUDSTACK_REJECTED'],
    ['Unable to find UUID for id [7] of type [Volume]', 'CLOUDSTACK_REJECTED'],
    // A name that somebody has chosen is in it.
    ['volume: Please specify a valid User VM. is already attached to a VM', 'CLOUDSTACK_REJECTED'],
  ])('%s: the operation ends with %s', (text, code) => {
    expect(next({ code: 431, text })).toMatchObject({ data: { code, details: { cloudstack_text: text } } });
  });

  it('the words tell how it has ended, and the number that CloudStack gave', () => {
    const said = (end: object) =>
      failureMessage(ended(situated(tried(end)).journal.mutation(STEP)), 'volume detach');
    expect(said(WORKED)).toBe(
      'CloudStack says that the volume detach has succeeded (job j), and does not show its effect',
    );
    expect(said({ outcome: 'unknown', text: 'lost' })).toMatch(/did not say how .* \(job j\).*: lost$/);
    expect(said({ outcome: 'failed' })).toMatch(/did not say how .*, and does not show its effect$/);
    expect(said({ outcome: 'failed', code: 533 })).toBe(
      'CloudStack volume detach failed: CloudStack API error 533: no text',
    );
    expect(said(FAILED)).toContain('CloudStack API error 530: the agent did not answer');
  });
});

describe('the answer of a call is lost', () => {
  const resumed = (found: 'absent' | 'forgotten' | 'denied', command = detach) =>
    resume(situated([[STEP, 'intent', first]], { facts: { job: { jobId: 'j', found } } }), STEP, command);

  it('and CloudStack has no such job: it is sent again, after its guards', () => {
    expect(resumed('denied')).toMatchObject({ do: 'back-off', forget: ['job'] });
    for (const found of ['absent', 'forgotten'] as const)
      expect(resumed(found)).toMatchObject({ do: 'read-guards', jobId: 'j' });
  });

  it.each([
    // What was written after it would be lost.
    ['a revert', revert],
    // There would be two volumes.
    ['a create', create],
  ])('of %s, and CloudStack may have deleted the job since: it is not sent again', (_what, command) => {
    expect(resumed('absent', command)).toMatchObject({ do: 'read-guards' });
    expect(resumed('forgotten', command)).toMatchObject({ do: 'record', data: { outcome: 'unknown' } });
  });
});

describe('while its guards say "not now"', () => {
  const next = (looked: Partial<Guards>, elapsed: Record<string, number> = {}) =>
    resume(
      situated([[STEP, 'intent', first]], {
        facts: { unsent: 'j', guards: { ...guards(looked), jobId: 'j' } },
        elapsed,
      }),
      STEP,
      detach,
    );

  it('all that may change it is read again, and in the end it is given up unsent', () => {
    expect(next({ volume: hidden() })).toMatchObject({ do: 'back-off', forget: ['guards', 'volume', 'vm'] });
    const late = { 'not-now:j': LIMITS.RESOURCE_RETRY_DEADLINE_MS + 1, 'not-shown:j': LIMITS.READ_SETTLE_MS };
    const busy = { volume: seenVolume({ vmId: OTHER_VM, state: 'Migrating' }) };
    expect(next(busy)).toMatchObject({ do: 'back-off' });
    const text = expect.stringContaining('nothing was sent within 15 minutes');
    expect(next(busy, late)).toMatchObject({ do: 'record', data: { withheld: 'VOLUME_BUSY', text } });
    expect(next({ volume: hidden() }, late), 'of a volume that is busy').toMatchObject({ do: 'back-off' });
  });

  it('a volume that goes out of sight between decision and guards is looked for as long as by a decision', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    rig.domain.events.onEntry(({ step, state }) => {
      if (step === 'detach-volume' && state === 'intent') rig.hide(id);
    });
    const detach = await rig.run('detach', { volume_id: id }, MINUTE_MS);
    expect(detach).toMatchObject({ status: 'failed', errorCode: 'VOLUME_NOT_VISIBLE' });
    expect([rig.calls, rig.exported(id)]).toEqual([[], false]);
  });

  it('a look that does not show the volume begins anew after one that does, however long the call has to wait', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    const vmId = rig.vm('Running');
    const { readVolume } = rig.cloud;
    let looks = 0;
    rig.domain.events.onEntry(({ step, state }) => {
      if (step !== 'attach-volume' || state !== 'intent') return;
      rig.setVmState(vmId, 'Migrating');
      rig.cloud.readVolume = async (volumeId) => {
        looks += 1;
        return looks % 2 === 0 ? readVolume.call(rig.cloud, volumeId) : hidden();
      };
    });
    const attach = await rig.request('attach', { volume_id: id, vm_id: vmId });
    await rig.pass(2 * MINUTE_MS);
    expect([(await rig.operation(attach)).status, rig.calls]).toEqual(['executing', []]);
    expect(looks).toBeGreaterThan(4);
    rig.cloud.readVolume = readVolume;
    rig.setVmState(vmId, 'Running');
    expect(await rig.ended(attach)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume']);
  });
});

describe('a look that contradicts what this operation has done', () => {
  const at = (vmId: string | null, deviceId: number | null, attached: string | null) =>
    volume({ vmId, deviceId, attached });
  const old = at(OTHER_VM, 1, ATTACHED_AT);

  it('shows the volume in the very plug that it has ended: it is looked at again, for a while', () => {
    for (const end of [WORKED, FAILED])
      expect(doubtOldPlug(situated(tried(end)), old)).toMatchObject({
        do: 'back-off',
        forget: ['guards', 'volume', 'vm'],
      });
    const elapsed = { 'old-plug:j': SETTLED };
    expect(doubtOldPlug(situated(tried(WORKED), { elapsed }), old)).toBeNull();
  });

  it.each([
    ['on another VM', at(APPLIANCE, 1, ATTACHED_AT)],
    ['in another place', at(OTHER_VM, 2, ATTACHED_AT)],
    ['plugged in later', at(OTHER_VM, 1, LATER)],
    ['detached', at(null, null, null)],
  ])('shows it %s: that is no older look', (_where, shown) => {
    expect(doubtOldPlug(situated(tried(WORKED)), shown)).toBeNull();
  });

  it('is not doubted where nothing was done, or the intent names no plug', () => {
    expect(doubtOldPlug(situated([]), old)).toBeNull();
    expect(doubtOldPlug(situated([[STEP, 'intent', first]]), old)).toBeNull();
    expect(doubtOldPlug(situated(tried(REFUSED)), old)).toBeNull();
    const unnamed: Step[] = [
      [STEP, 'intent', { job_id: 'j', vm_id: OTHER_VM }],
      [STEP, 'finished', { job_id: 'j', outcome: 'ok' }],
    ];
    expect(doubtOldPlug(situated(unnamed), old)).toBeNull();
  });

  it('shows the VM running that it has stopped: that is doubted for its disk, not for its removal', () => {
    const stopped = (end: object) => tried(end, 1, 'stop-vm');
    expect(doubtOldRun(situated(stopped(WORKED)), STEP)).toMatchObject({
      do: 'back-off',
      forget: ['guards', 'volume', 'vm'],
    });
    expect(doubtOldRun(situated(stopped(WORKED)), 'destroy-vm')).toBeNull();
    for (const steps of [[], [['stop-vm', 'intent', first] as Step], stopped(FAILED), stopped(REFUSED)])
      expect(doubtOldRun(situated(steps), STEP)).toBeNull();
    expect(doubtOldRun(situated(stopped(WORKED), { elapsed: { 'old-run:j': SETTLED } }), STEP)).toBeNull();
  });

  it('and the VM that is to be destroyed runs: it is kept, whatever a later look shows', () => {
    const steps: Step[] = [...tried(WORKED, 1, 'stop-vm'), ['destroy-vm', 'intent', first]];
    const running = guards({ vm: seenVm({ state: 'Running' }) });
    const s = situated(steps, { facts: { unsent: 'j', guards: { ...running, jobId: 'j' } } });
    const destroy = { name: 'destroyVirtualMachine', vmId: OTHER_VM, expunge: true } as const;
    expect(resume(s, 'destroy-vm', destroy)).toMatchObject({
      do: 'record',
      state: 'refused',
      data: { withheld: 'VM_NOT_STOPPED' },
    });
  });

  it('does not show the effect of a job that may have worked: it is looked at again, for a while', () => {
    const doubted = (end: object, elapsed: Record<string, number> = {}) => {
      const s = situated(tried(end), { elapsed });
      return doubtTheRead(s, STEP, s.journal.mutation(STEP));
    };
    const again = { do: 'back-off', forget: ['volume', 'vm', 'snapshot', 'ownSnapshots'] };
    expect(doubted(WORKED)).toMatchObject({ ...again, reason: expect.stringContaining('ended well') });
    expect(doubted({ outcome: 'unknown' })).toMatchObject({
      ...again,
      reason: expect.not.stringContaining('well'),
    });
    expect(doubted({ ...FAILED, text: 'volume is not attached to a VM' })).toMatchObject(again);
    expect(doubted(WORKED, { 'contradiction:detach-volume:1': SETTLED })).toBeNull();
    expect(doubted(FAILED)).toBeNull();
    expect(doubted({ code: null, text: null }), 'it was refused').toBeNull();
    expect(doubtTheRead(situated([]), STEP, { at: 'none' })).toBeNull();
  });
});

describe('a volume that is not shown', () => {
  const shown = (steps: readonly Step[], ms: number) =>
    knownVolume(situated(steps, { facts: { volume: hidden() }, elapsed: { 'not-visible': ms } }), VOLUME);

  it('is looked for again, and never called gone: the end says whether a call may have changed it', () => {
    expect(shown([], LIMITS.READ_SETTLE_MS)).toMatchObject({ do: 'back-off', forget: ['volume'] });
    expect(shown([], SETTLED)).toMatchObject({
      data: { code: 'VOLUME_NOT_VISIBLE', message: expect.stringContaining('nothing changed') },
    });
    expect(shown(tried(FAILED), SETTLED)).toMatchObject({
      data: { code: 'VOLUME_NOT_VISIBLE', message: expect.stringContaining('not known what the calls') },
    });
  });

  it('is gone where CloudStack has said so to a call', () => {
    const proof = 'Unable to find volume with ID: 23';
    expect(shown(tried({ code: 431, text: proof }), 0)).toMatchObject({
      do: 'done',
      result: { kind: 'absent', proof },
    });
    expect(knownVolume(situated([], { facts: { volume: gone() } }), VOLUME)).toMatchObject({
      do: 'done',
      result: { kind: 'absent' },
    });
  });
});

it('a cancel ends what has changed nothing, and nothing else', () => {
  const asked = (steps: readonly Step[], cancelRequested = true) =>
    cancelled(situated(steps, { cancelRequested }));
  expect(asked([])).toMatchObject({ data: { code: 'CANCELLED', cancelled: true } });
  expect(asked([], false)).toBeNull();
  for (const steps of [
    [['map', 'done'] as Step],
    [['unmap', 'done'] as Step],
    [[STEP, 'intent', first] as Step],
    [[STEP, 'accepted', first] as Step],
    tried(FAILED),
    [['operation', 'failing', { code: 'VOLUME_BUSY', message: '', details: {} }] as Step],
  ])
    expect(asked(steps), JSON.stringify(steps)).toBeNull();
  expect(asked(tried(REFUSED)), 'it was not taken').toMatchObject({ data: { code: 'CANCELLED' } });
});
