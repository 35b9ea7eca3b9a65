import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { decideCleanup } from '~/server/operations/decide/cleanup';
import type { Facts } from '~/server/operations/decision';
import {
  APPLIANCE,
  found,
  gone,
  hidden,
  mapped,
  OTHER_VM,
  rowOf,
  type Step,
  seenVm,
  seenVolume,
  situation,
  usedBy,
  VOLUME,
} from './situations';

describe('a cleanup decides', () => {
  const request = {
    ...{ volume_id: VOLUME, test_vm_id: OTHER_VM, oma_vm_id: APPLIANCE },
    ...{ delete_vm: true, force_clean: false },
  };
  const clear = { openJobs: 0, conflictingOperation: null };
  const here = seenVolume({ vmId: APPLIANCE, deviceId: 1 });
  const attached: Step[] = [
    ['detach-volume', 'intent', { job_id: 'd', vm_id: OTHER_VM }],
    ['detach-volume', 'finished', { job_id: 'd', outcome: 'ok' }],
    ['released', 'done', { vm_id: OTHER_VM }],
    ['attach-volume', 'intent', { job_id: 'a', vm_id: APPLIANCE }],
    ['attach-volume', 'finished', { job_id: 'a', outcome: 'ok' }],
    mapped,
    ['publish', 'done'],
  ];
  const served: Facts = { volume: here, device: found, use: usedBy(), published: true };
  const removal = (end: object, facts: Facts, elapsed: Record<string, number> = {}, intent: object = {}) =>
    decideCleanup(
      situation('cleanup', request, {
        steps: [
          ...attached,
          ['destroy-vm', 'intent', { job_id: 'r', vm_id: OTHER_VM, ...intent }],
          ['destroy-vm', 'outcome' in end ? 'finished' : 'refused', { job_id: 'r', ...end }],
        ],
        facts: { ...served, ...facts },
        elapsed,
      }),
    );
  const failed = { outcome: 'failed', code: 530, text: 'the agent did not answer' };
  const kept = { do: 'complete', response: { vm_deleted: false } };
  const deleted = { do: 'complete', response: { vm_deleted: true } };
  const paused = { 'destroy-vm:1': 1 };

  it('that a removal that failed is tried again after VM and disks were looked at, in the way it was asked for', () => {
    expect(removal(failed, { vm: seenVm() })).toMatchObject({ do: 'back-off', forget: ['vm', 'vmVolumes'] });
    expect(removal(failed, { vm: seenVm() }, paused)).toMatchObject({
      do: 'intend',
      step: 'destroy-vm',
      data: { vm_id: OTHER_VM, expunge: true },
    });
    expect(removal(failed, { vm: seenVm() }, paused, { expunge: false })).toMatchObject({
      do: 'intend',
      data: { expunge: false },
    });
    expect(removal({ code: 431, text: 'no' }, { vm: seenVm() }, paused), 'it would end alike').toMatchObject(
      kept,
    );
  });

  it('that a VM is deleted where it is gone, or was seen to leave; what is not known is told so', () => {
    for (const vm of [gone(), seenVm({ state: 'Destroyed' }), seenVm({ state: 'Expunging' })])
      expect(removal(failed, { vm })).toMatchObject(deleted);
    const settled = { text: 'the VM is destroyed already', settled: true };
    expect(removal(settled, { vm: hidden() })).toMatchObject(deleted);
    const lost = { outcome: 'unknown', text: 'the answer was lost' };
    expect(removal(lost, { vm: hidden() })).toMatchObject({ do: 'back-off' });
    const doubted = { 'contradiction:destroy-vm:1': LIMITS.READ_SETTLE_MS + 1 };
    expect(removal(lost, { vm: hidden() }, doubted)).toMatchObject({
      response: {
        vm_deleted: false,
        message: expect.stringContaining('not known whether the VM was deleted'),
      },
    });
    expect(removal({ code: 431, text: 'no' }, { vm: hidden() }), 'it was refused').toMatchObject({
      response: { vm_deleted: false, message: expect.stringContaining('could not be deleted: no') },
    });
  });

  it.each(['Stopped', 'Destroyed'])(
    'that one look at a VM which is %s proves no stop whose end CloudStack has not told',
    (state) => {
      const stopped = (elapsed: Record<string, number>) =>
        decideCleanup(
          situation(
            'cleanup',
            { ...request, force_clean: true },
            {
              steps: [
                ['stop-vm', 'intent', { job_id: 's', vm_id: OTHER_VM }],
                ['stop-vm', 'finished', { job_id: 's', outcome: 'unknown' }],
              ],
              facts: {
                volume: seenVolume({ vmId: OTHER_VM, deviceId: 1 }),
                mapping: rowOf(null),
                vm: seenVm({ state }),
              },
              elapsed,
            },
          ),
        );
      expect(stopped({})).toMatchObject({ do: 'back-off', step: 'stop-vm' });
      expect(stopped({ 'unconfirmed:stop-vm:1': LIMITS.READ_SETTLE_MS + 1 })).toMatchObject({
        do: 'intend',
        step: 'detach-volume',
      });
    },
  );

  it('that a key which may not expunge destroys, once', () => {
    const denied = { code: 531, text: 'You have no permission for expunging of VMs' };
    expect(removal(denied, { vm: seenVm() })).toMatchObject({ do: 'intend', data: { expunge: false } });
    expect(removal(denied, { vm: seenVm() }, {}, { expunge: false })).toMatchObject(kept);
  });

  it('that its users keep a disk which is served, whatever becomes of the VM, and says what may still happen', () => {
    const failing: Step = [
      'operation',
      'failing',
      { code: 'STEP_DEADLINE', message: 'late', details: {}, cancelled: false },
    ];
    const shown = (volume: Facts['volume'], steps: Step[], elapsed = {}) =>
      decideCleanup(
        situation('cleanup', request, {
          steps: [...attached, ...steps, failing],
          facts: { ...(volume && { volume }) },
          elapsed,
        }),
      );
    const ends = (...steps: Step[]) => shown(seenVolume({ vmId: APPLIANCE, deviceId: 2 }), steps);
    const open: Step = ['destroy-vm', 'intent', { job_id: 'r' }];
    const stays = expect.stringContaining('stays attached');
    for (const steps of [[open], [open, ['destroy-vm', 'accepted', { job_id: 'r' }] as Step]])
      expect(ends(...steps)).toMatchObject({
        do: 'fail',
        response: { left: [stays, expect.stringContaining('may still be deleted')] },
      });
    expect(ends(open, ['destroy-vm', 'refused', { job_id: 'r', text: 'no' }])).toMatchObject({
      do: 'fail',
      response: { left: [stays] },
    });
    expect(ends()).toMatchObject({ do: 'fail', response: { left: [stays] } });
    expect(shown(seenVolume(), []), 'the look may be older than the attach').toMatchObject({
      do: 'back-off',
      forget: expect.arrayContaining(['volume']),
    });
    expect(
      shown(seenVolume(), [], { 'contradiction:attach-volume:1': LIMITS.READ_SETTLE_MS + 1 }),
    ).toMatchObject({
      do: 'fail',
      response: { left: [expect.stringContaining('is not attached to this appliance any more')] },
    });
  });

  it('nothing about the VM before the appliance is seen in a state in which it takes the disk', () => {
    const facts = { volume: seenVolume({ vmId: OTHER_VM, deviceId: 1 }), obstacles: clear };
    const next = (appliance: Facts['appliance'], elapsed: Record<string, number> = {}) =>
      decideCleanup(
        situation('cleanup', request, { facts: { ...facts, ...(appliance && { appliance }) }, elapsed }),
      );
    expect(next(undefined)).toEqual({ do: 'read-appliance', vmId: APPLIANCE });
    expect(next(seenVm({ id: APPLIANCE, state: 'Migrating' }))).toMatchObject({
      do: 'back-off',
      forget: ['appliance', 'volume'],
    });
    const late = { appliance: LIMITS.VM_MOVING_DEADLINE_MS + 1 };
    expect(next(seenVm({ id: APPLIANCE, state: 'Migrating' }), late)).toMatchObject({
      data: { code: 'VM_STATE' },
    });
    expect(next(seenVm({ id: APPLIANCE, state: 'Error' }))).toMatchObject({ data: { code: 'VM_STATE' } });
    for (const state of ['Running', 'Stopped'])
      expect(next(seenVm({ id: APPLIANCE, state }))).toMatchObject({ do: 'await-gone', volumeId: VOLUME });
    const appliance = seenVm({ id: APPLIANCE });
    expect(
      decideCleanup(situation('cleanup', request, { facts: { ...facts, appliance, gone: true } })),
    ).toMatchObject({ do: 'read-vm', vmId: OTHER_VM });
  });

  it('by what is seen after the disk was taken: nothing of what was read before it counts', () => {
    const s = situation('cleanup', request, {
      steps: attached.slice(0, 2),
      facts: { volume: seenVolume(), mapping: rowOf(null), obstacles: clear, gone: true },
    });
    expect(decideCleanup(s)).toMatchObject({
      do: 'record',
      step: 'released',
      forget: ['volume', 'mapping', 'obstacles'],
    });
  });
});
