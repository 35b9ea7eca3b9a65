import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { decideDetach, detach } from '~/server/operations/decide/detach';
import type { Facts } from '~/server/operations/decision';
import {
  APPLIANCE,
  CLIENT,
  gone,
  hidden,
  MOUNT,
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
/** What the intent of a detach names. */
const plug = (fields: object) => ({
  volume_id: VOLUME,
  device_id: 1,
  attached_at: null,
  ignore_users: false,
  ignore_clients: false,
  ...fields,
});
const withdrawn: Step = ['withdraw', 'done'];
const local = rowOf(mapping());
const noRow = rowOf(null);
const remote = rowOf(
  mapping({ vmId: OTHER_VM, devicePath: `remote-vm-${OTHER_VM}-${VOLUME}`, linuxState: 'n/a' }),
);

describe('detach decides', () => {
  it('refuses a disk that is in use and names who holds it', () => {
    const facts = {
      volume: here,
      mapping: local,
      use: usedBy(MOUNT),
    };
    expect(decideDetach(situation('detach', request, { facts }))).toMatchObject({
      state: 'failing',
      data: { code: 'DEVICE_IN_USE', message: expect.stringContaining('/mnt/data') },
    });
  });

  it('refuses while an NBD client is connected unless DETACH_CONNECTED or force says otherwise; an override is journaled', () => {
    const facts = {
      volume: here,
      mapping: local,
      use: usedBy(CLIENT),
    };
    expect(decideDetach(situation('detach', request, { facts }))).toMatchObject({
      data: { code: 'DEVICE_IN_USE' },
    });
    expect(
      decideDetach(situation('detach', request, { facts, policy: { detachConnected: 'disconnect' } })),
    ).toMatchObject({ do: 'record', step: 'guard' });
    expect(decideDetach(situation('detach', { ...request, force: true }, { facts }))).toMatchObject({
      do: 'record',
      step: 'guard',
      data: { forced: true },
    });
  });

  it('withdraws the export before the intent, and looks at the holders once more after it', () => {
    const facts = { volume: here, mapping: local, use: usedBy() };
    expect(decideDetach(situation('detach', request, { facts }))).toMatchObject({ do: 'withdraw' });
    expect(
      decideDetach(
        situation('detach', request, { facts: { volume: here, mapping: local }, steps: [withdrawn] }),
      ),
    ).toMatchObject({ do: 'read-holders' });
    expect(decideDetach(situation('detach', request, { facts, steps: [withdrawn] }))).toEqual({
      do: 'intend',
      step: 'detach-volume',
      data: plug({ vm_id: APPLIANCE }),
    });
  });

  it('gives the export back when it fails after the withdraw', () => {
    const failing: Step = [
      'operation',
      'failing',
      { code: 'DEVICE_IN_USE', message: 'busy', details: {}, cancelled: false },
    ];
    const s = situation('detach', request, {
      facts: { volume: here, mapping: local },
      steps: [withdrawn, failing],
    });
    expect(decideDetach(s)).toEqual({ do: 'republish', volumeId: VOLUME });
    expect(
      decideDetach(situation('detach', request, { steps: [withdrawn, failing, ['republish', 'done']] })),
    ).toMatchObject({ do: 'fail', code: 'DEVICE_IN_USE' });
    const left = (facts: Facts, ...steps: Step[]) =>
      decideDetach(situation('detach', request, { facts, steps: [withdrawn, ...steps, failing] }));
    const open: Step = ['detach-volume', 'intent', { job_id: 'j' }];
    for (const sent of [[open], [open, ['detach-volume', 'accepted', { job_id: 'j' }] as Step]])
      expect(left({ volume: here, mapping: local }, ...sent), 'it may still be detached').toMatchObject({
        do: 'fail',
        message: expect.stringContaining('the detach may still happen'),
      });
    expect(left({ volume: hidden(), mapping: local })).toMatchObject({
      do: 'fail',
      message: expect.stringContaining('does not tell where the volume is'),
    });
    for (const facts of [
      { volume: gone(), mapping: local },
      { volume: there, mapping: local },
      { volume: here, mapping: noRow },
    ])
      expect(left(facts), 'nothing of it is here to be published').toMatchObject({
        do: 'fail',
        message: 'busy',
      });
  });

  it('v1.2.1: from another VM no export is withdrawn and no device is looked at, only the row goes', () => {
    expect(decideDetach(situation('detach', request, { facts: { volume: there, mapping: remote } }))).toEqual(
      { do: 'intend', step: 'detach-volume', data: plug({ vm_id: OTHER_VM }) },
    );
    const over = situation('detach', request, {
      facts: { volume: seenVolume(), mapping: remote },
      steps: [
        ['detach-volume', 'intent', { job_id: 'j' }],
        ['detach-volume', 'finished', { job_id: 'j', outcome: 'ok' }],
      ],
    });
    expect(decideDetach(over)).toMatchObject({
      do: 'record',
      step: 'unmap',
      effects: [{ kind: 'delete-mapping', vmId: OTHER_VM }],
    });
  });

  it('an export of the volume that was left here is withdrawn, whatever the rows say', () => {
    const obstacles = { openJobs: 0, conflictingOperation: null };
    const over = { volume: seenVolume(), mapping: noRow, gone: true, obstacles };
    const decided = (exported: boolean) =>
      decideDetach(situation('detach', request, { facts: { ...over, exported } }));
    expect(decided(true)).toMatchObject({ do: 'withdraw', force: true });
    expect(decided(false)).toMatchObject({ do: 'complete' });
  });

  it.each(['Snapshotting', 'RevertSnapshotting', 'Resizing', 'Restoring', 'Uploading'])(
    'a volume without a VM whose state is none of an attach (%s) is detached',
    (state) => {
      const obstacles = { openJobs: 0, conflictingOperation: null };
      const facts = { volume: seenVolume({ vmId: null, state }), mapping: noRow, gone: true, obstacles };
      expect(decideDetach(situation('detach', request, { facts }))).toMatchObject({ do: 'complete' });
    },
  );

  it.each(['Creating', 'Attaching', 'Copying', 'Migrating', 'UploadOp', 'Meditating'])(
    'waits while somebody attaches the volume, or may (%s): CloudStack names no VM before that has ended',
    (state) => {
      const facts = {
        volume: seenVolume({ vmId: null, state }),
        mapping: noRow,
        gone: true,
        obstacles: { openJobs: 0, conflictingOperation: null },
      };
      const decided = (elapsed: Record<string, number>) =>
        decideDetach(situation('detach', request, { facts, elapsed }));
      expect(decided({})).toMatchObject({
        do: 'pause',
        reason: expect.stringContaining(state),
        forget: ['volume'],
      });
      expect(decided({ 'volume-busy': LIMITS.VOLUME_BUSY_DEADLINE_MS + 1 })).toMatchObject({
        data: { code: 'VOLUME_BUSY' },
      });
      const ended: Step[] = [
        ['detach-volume', 'intent', { job_id: 'j' }],
        ['detach-volume', 'finished', { job_id: 'j', outcome: 'ok' }],
      ];
      expect(
        decideDetach(situation('detach', request, { facts, steps: ended })),
        'ours has ended: who attaches it now has it after us',
      ).toMatchObject({ do: 'complete' });
    },
  );

  it('is done when it is already detached: the rest is cleaned up, CloudStack is not asked again', () => {
    const detached = { volume: seenVolume(), mapping: local };
    expect(
      decideDetach(situation('detach', request, { facts: detached })),
      'does the guest say so, too?',
    ).toMatchObject({ do: 'await-gone', timeoutMs: 0 });
    expect(decideDetach(situation('detach', request, { facts: { ...detached, gone: true } }))).toMatchObject({
      do: 'withdraw',
    });
    const still = situation('detach', request, { facts: { ...detached, gone: false } });
    expect(decideDetach(still)).toMatchObject({ do: 'back-off', forget: ['volume', 'mapping', 'gone'] });
    expect(decideDetach(situation('detach', request, { facts: detached, steps: [withdrawn] }))).toMatchObject(
      {
        do: 'await-gone',
      },
    );
    expect(
      decideDetach(situation('detach', request, { facts: { ...detached, gone: true }, steps: [withdrawn] })),
    ).toMatchObject({ do: 'record', step: 'unmap' });
    const unmapped: Step = ['unmap', 'done', { device_path: '/dev/vdb' }];
    const then = (openJobs?: number) =>
      decideDetach(
        situation('detach', request, {
          facts: {
            ...{ volume: seenVolume(), mapping: noRow, gone: true },
            ...(openJobs === undefined ? {} : { obstacles: { openJobs, conflictingOperation: null } }),
          },
          steps: [withdrawn, unmapped],
        }),
      );
    expect(then()).toMatchObject({ do: 'read-obstacles' });
    expect(then(1), 'a job may still attach it').toMatchObject({
      do: 'pause',
      forget: ['obstacles', 'volume'],
    });
    expect(then(0)).toMatchObject({ do: 'complete', response: { device_path: '/dev/vdb' } });
  });

  it('never completes while the guest still has the disk', () => {
    const s = situation('detach', request, {
      facts: { volume: seenVolume(), mapping: noRow, gone: false },
      steps: [withdrawn, ['unmap', 'done', {}]],
    });
    expect(decideDetach(s)).toMatchObject({ state: 'failing', data: { code: 'DEVICE_STILL_PRESENT' } });
  });

  it('reports an unknown volume as not existing', () => {
    expect(
      decideDetach(situation('detach', request, { facts: { volume: gone(), mapping: noRow, gone: true } })),
    ).toMatchObject({ data: { code: 'VOLUME_NOT_FOUND' } });
  });

  it('a volume that is gone by now was found, once something of it was taken away or asked for', () => {
    const facts = { volume: gone(), mapping: noRow, gone: true };
    const following = (...steps: Step[]) => decideDetach(situation('detach', request, { facts, steps }));
    expect(following(['unmap', 'done', { device_path: '/dev/vdb' }])).toMatchObject({
      do: 'complete',
      response: { device_path: '/dev/vdb' },
    });
    expect(following(['unmap', 'done', {}]), 'as an earlier version wrote it').toMatchObject({
      do: 'complete',
    });
    const lost: Step[] = [
      ['detach-volume', 'intent', { job_id: 'j', vm_id: APPLIANCE }],
      ['detach-volume', 'finished', { job_id: 'j', outcome: 'unknown' }],
    ];
    expect(following(...lost)).toMatchObject({ do: 'complete' });
  });

  describe('a try has ended, and the volume is attached', () => {
    const failed: Step = [
      'detach-volume',
      'finished',
      { job_id: 'j', outcome: 'failed', code: 530, text: 'no' },
    ];
    const following = (about: object, volume: ReturnType<typeof seenVolume>) =>
      decideDetach(
        situation('detach', request, {
          facts: { volume, mapping: local, use: usedBy() },
          steps: [withdrawn, ['detach-volume', 'intent', { job_id: 'j', ...about }], failed],
        }),
      );
    const first = { vm_id: APPLIANCE, device_id: 1, attached_at: '2026-01-01T00:00:00.000Z' };
    const at = (vmId: string, deviceId: number | null, attached: string | null) =>
      seenVolume({ vmId, deviceId, attached });
    const another = { data: { code: 'VOLUME_ATTACHED_ELSEWHERE', details: { volume_id: VOLUME } } };

    it.each([
      ['to another VM', at(OTHER_VM, 1, first.attached_at)],
      ['anew', at(APPLIANCE, 1, '2026-01-01T00:00:05.000Z')],
      ['in another place', at(APPLIANCE, 2, first.attached_at)],
    ])('%s: that plug is not ours to end', (_how, volume) => {
      expect(following(first, volume)).toMatchObject(another);
    });

    it('where it was, or where an older intent says: it is tried again', () => {
      expect(following(first, at(APPLIANCE, 1, first.attached_at))).toMatchObject({ do: 'back-off' });
      const old = { vm_id: APPLIANCE };
      expect(following(old, at(APPLIANCE, 2, first.attached_at))).toMatchObject({ do: 'back-off' });
      expect(following(old, at(OTHER_VM, 1, null))).toMatchObject(another);
    });

    it('a refusal of CloudStack is told before anybody looks at the disk again', () => {
      const refused: Step = ['detach-volume', 'refused', { job_id: 'j', code: 531, text: 'not yours' }];
      const s = situation('detach', request, {
        facts: { volume: here, mapping: local, use: usedBy(MOUNT) },
        steps: [withdrawn, ['detach-volume', 'intent', { job_id: 'j', ...first }], refused],
      });
      expect(decideDetach(s)).toMatchObject({ data: { message: expect.stringContaining('not yours') } });
    });
  });

  describe('the volume is not attached where it is to be detached, and its row says where it was', () => {
    const shown = { volume: seenVolume(), mapping: remote, neighbours: new Map([[OTHER_VM, null]]) };
    const unasked = (ms: number) =>
      decideDetach(situation('detach', request, { facts: shown, elapsed: { 'detached-unasked': ms } }));

    it('on another VM: the row goes only when CloudStack goes on saying so', () => {
      expect(unasked(0)).toMatchObject({ do: 'back-off', forget: ['volume', 'mapping', 'gone'] });
      expect(unasked(LIMITS.READ_SETTLE_MS + 1)).toMatchObject({ do: 'record', step: 'unmap' });
    });

    it('and it is gone: nothing has to be doubted', () => {
      const facts = { ...shown, volume: gone() };
      expect(decideDetach(situation('detach', request, { facts }))).toMatchObject({
        do: 'record',
        step: 'unmap',
      });
    });

    it('on a third VM, which a cleanup was not asked about: its row stays', () => {
      const goal = { volumeId: VOLUME, force: false, onlyFromVm: 'test-vm' };
      const of = (onlyFromVm: string) =>
        detach(situation('detach', request, { facts: shown, elapsed: { 'detached-unasked': 60_000 } }), {
          ...goal,
          onlyFromVm,
        });
      expect(of('test-vm')).toMatchObject({ do: 'done' });
      expect(of(OTHER_VM)).toMatchObject({ do: 'record', step: 'unmap' });
    });
  });

  it('a disk that hides whose it is keeps a detached volume here: it may be its', () => {
    const facts = { volume: seenVolume(), mapping: local };
    const waits = { do: 'await-gone', volumeId: VOLUME, leaves: true };
    expect(decideDetach(situation('detach', request, { facts }))).toEqual({ ...waits, timeoutMs: 0 });
    expect(decideDetach(situation('detach', request, { facts: { ...facts, mapping: noRow } }))).toEqual({
      ...waits,
      timeoutMs: LIMITS.DEVICE_GONE_DEADLINE_MS,
    });
  });

  it('takes the disk of a cleanup only while its VM stands still, that of a request also while it runs', () => {
    const of = (onlyFromVm: string | null) =>
      detach(situation('detach', request, { facts: { volume: there, mapping: remote } }), {
        ...{ volumeId: VOLUME, force: false },
        onlyFromVm,
      });
    expect(of(OTHER_VM)).toMatchObject({ do: 'intend', data: { still_only: true } });
    expect(of(null)).not.toHaveProperty('data.still_only');
  });

  it('DETACH_IN_USE=force ignores who uses the disk, and says so', () => {
    const decided = (detachInUse: 'force' | 'refuse') =>
      decideDetach(
        situation('detach', request, {
          facts: { volume: here, mapping: local, use: usedBy(MOUNT) },
          policy: { detachInUse },
        }),
      );
    expect(decided('force')).toMatchObject({ do: 'record', step: 'guard', data: { forced: true } });
    expect(decided('refuse')).toMatchObject({ data: { code: 'DEVICE_IN_USE' } });
  });

  it('cuts connected clients only where they are ignored whatever they do', () => {
    const withdraws = (force: boolean, detachConnected: 'disconnect' | 'refuse' | 'when-idle') =>
      decideDetach(
        situation(
          'detach',
          { ...request, force },
          { facts: { volume: here, mapping: local, use: usedBy() }, policy: { detachConnected } },
        ),
      );
    expect(withdraws(false, 'disconnect')).toMatchObject({ do: 'withdraw', force: true });
    expect(withdraws(true, 'refuse')).toMatchObject({ do: 'withdraw', force: true });
    for (const kept of ['refuse', 'when-idle'] as const)
      expect(withdraws(false, kept)).toMatchObject({ do: 'withdraw', force: false });
  });

  it('tries a detach again that the guest did not answer in time (apache/cloudstack#7316)', () => {
    const slow: Step = [
      'detach-volume',
      'finished',
      {
        job_id: 'j',
        outcome: 'failed',
        code: 530,
        text: 'Could not detach volume after sending the command and waiting for [10000] milliseconds',
      },
    ];
    const steps: Step[] = [withdrawn, ['detach-volume', 'intent', { job_id: 'j' }], slow];
    const facts = { volume: here, mapping: local, use: usedBy() };
    expect(decideDetach(situation('detach', request, { facts, steps }))).toMatchObject({ do: 'back-off' });
    expect(
      decideDetach(situation('detach', request, { facts, steps, elapsed: { 'detach-volume:1': 1 } })),
    ).toMatchObject({ do: 'intend' });
  });
});
