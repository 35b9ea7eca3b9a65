import { describe, expect, it } from 'vitest';
import { vmPhase } from '~/server/cloudstack/vm-states';
import { isAtRest, isLeaving, stateOf, VOLUME_STATES } from '~/server/cloudstack/volume-states';
import { LIMITS } from '~/server/core/limits';
import { decideAttach } from '~/server/operations/decide/attach';
import { decideDelete } from '~/server/operations/decide/delete';
import { decideDetach } from '~/server/operations/decide/detach';
import { cleanup, GIB, MINUTE_MS, Rig, SECOND_MS } from './rig';
import { APPLIANCE, OTHER_VM, rowOf, seenVolume, situation, VOLUME } from './situations';

type Verdict = 'act' | 'wait' | 'refuse';

/** What CloudStack 4.20 takes, and what it never will. */
const TABLE: readonly [state: string, attach: Verdict, detach: Verdict, remove: Verdict][] = [
  ['Allocated', 'act', 'act', 'act'],
  ['Ready', 'act', 'act', 'act'],
  ['Uploaded', 'act', 'act', 'act'],
  ['Creating', 'wait', 'wait', 'wait'],
  ['Attaching', 'wait', 'wait', 'wait'],
  ['Migrating', 'wait', 'wait', 'wait'],
  ['Snapshotting', 'wait', 'act', 'wait'],
  ['RevertSnapshotting', 'wait', 'wait', 'wait'],
  ['Resizing', 'wait', 'wait', 'wait'],
  ['Copying', 'wait', 'wait', 'wait'],
  ['Restoring', 'wait', 'wait', 'wait'],
  ['UploadOp', 'wait', 'wait', 'wait'],
  ['UploadInProgress', 'refuse', 'wait', 'wait'],
  ['Uploading', 'refuse', 'wait', 'wait'],
  ['NotUploaded', 'refuse', 'refuse', 'act'],
  ['UploadNotStarted', 'refuse', 'refuse', 'act'],
  ['UploadError', 'refuse', 'refuse', 'act'],
  ['UploadAbandoned', 'refuse', 'refuse', 'act'],
  ['Destroy', 'refuse', 'refuse', 'act'],
  ['Destroying', 'refuse', 'refuse', 'wait'],
  ['Expunging', 'refuse', 'refuse', 'act'],
  ['Expunged', 'refuse', 'refuse', 'refuse'],
  // Of a newer CloudStack: waited for, and in the end refused by name.
  ['Meditating', 'wait', 'wait', 'wait'],
];

const request = { volume_id: VOLUME };
const clear = { openJobs: 0, conflictingOperation: null };

function decided(what: 'attach' | 'detach' | 'delete', state: string, elapsed: Record<string, number> = {}) {
  const attachedTo = what === 'detach' ? { vmId: OTHER_VM, deviceId: 1 } : {};
  const facts = {
    volume: seenVolume({ state, ...attachedTo }),
    mapping: rowOf(null),
    obstacles: clear,
    gone: true,
  };
  switch (what) {
    case 'attach':
      return decideAttach(situation('attach', { ...request, vm_id: APPLIANCE }, { facts, elapsed }));
    case 'detach':
      return decideDetach(situation('detach', request, { facts, elapsed }));
    case 'delete':
      return decideDelete(situation('delete', request, { facts, elapsed }));
    default:
      return what satisfies never;
  }
}

describe('the table of volume states', () => {
  it('is complete', () => {
    expect(
      TABLE.slice(0, -1)
        .map(([state]) => state)
        .sort(),
    ).toEqual([...VOLUME_STATES].sort());
  });

  const ROWS = TABLE.flatMap(([state, ...verdicts]) =>
    (['attach', 'detach', 'delete'] as const).map(
      (what, index) => [what, state, verdicts[index] ?? 'act'] as const,
    ),
  );

  it.each(ROWS)('%s in state %s: %s', (what, state, verdict) => {
    expect(stateOf({ state })[what]).toBe(verdict);
    const action = decided(what, state);
    if (verdict === 'act') expect(action).toMatchObject({ do: 'intend', step: `${what}-volume` });
    if (verdict === 'wait') {
      expect(action).toMatchObject({
        do: 'pause',
        reason: expect.stringContaining(state),
        forget: ['volume'],
      });
      const late = { 'volume-busy': LIMITS.VOLUME_BUSY_DEADLINE_MS + 1 };
      expect(decided(what, state, late)).toMatchObject({
        data: { code: 'VOLUME_BUSY', message: expect.stringContaining(state) },
      });
    }
    if (verdict === 'refuse') {
      expect(action).toMatchObject({
        state: 'failing',
        data: { code: 'VOLUME_STATE', message: expect.stringContaining(stateOf({ state }).means) },
      });
    }
  });

  it('nothing counts as at rest that is being changed or is leaving', () => {
    for (const [state] of TABLE) {
      const { phase } = stateOf({ state });
      expect(isAtRest({ state })).toBe(phase === 'rest' || phase === 'upload');
      expect(isLeaving({ state })).toBe(phase === 'leaving');
    }
    expect(
      ['Creating', 'Attaching', 'Expunging', 'Meditating'].filter((state) => isAtRest({ state })),
    ).toEqual([]);
  });
});

describe('the table of VM states', () => {
  it.each([
    ['Running', 'running'],
    ['Stopped', 'still'],
    ['Shutdown', 'still'],
    ['Starting', 'moving'],
    ['Stopping', 'moving'],
    ['Migrating', 'moving'],
    ['Restoring', 'moving'],
    ['Destroyed', 'gone'],
    ['Expunging', 'gone'],
    ['Error', null],
    ['Unknown', null],
    ['Meditating', null],
  ])('%s: %s', (state, phase) => {
    expect(vmPhase(state)).toBe(phase);
  });
});

describe('a delete that CloudStack does not finish', () => {
  it('fails in the agent, stays in Destroy: said, sent again, and gone', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    rig.model.faults.add({ command: 'deleteVolume', kind: 'agent-fails', text: 'the agent is on holiday' });
    const operation = await rig.request('delete', { volume_id: volume.id });
    await rig.untilSent('deleteVolume');
    await rig.pass(200);
    expect(volume.state).toBe('Destroy');
    expect((await rig.operation(operation)).waitReason).toContain('the agent is on holiday');
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
    expect([rig.calls, volume.removed]).toEqual([['deleteVolume', 'deleteVolume'], true]);
  });

  it('never works: it ends after its time, with the words of CloudStack', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    rig.model.faults.add({
      command: 'deleteVolume',
      kind: 'agent-fails',
      text: 'the agent is on holiday',
      times: 1_000,
    });
    const operation = await rig.run(
      'delete',
      { volume_id: volume.id },
      LIMITS.DELETE_DEADLINE_MS + 3 * MINUTE_MS,
    );
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'STEP_DEADLINE' });
    expect(operation.error).toContain('the agent is on holiday');
    expect(rig.calls.length).toBeLessThan(60);
    expect((await rig.journal(operation.id)).filter(({ state }) => state === 'waiting')).toHaveLength(1);
  });

  it('dies with the management server, stays in Expunging: sent again', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    rig.model.faults.add({ command: 'deleteVolume', kind: 'restart', ms: 5 * SECOND_MS });
    expect(await rig.run('delete', { volume_id: volume.id })).toMatchObject({ status: 'completed' });
    expect(volume.removed).toBe(true);
  });

  it.each(['UploadError', 'UploadAbandoned', 'NotUploaded', 'Destroy', 'Expunging'])(
    'finds the volume in %s: deleted',
    async (state) => {
      const rig = await Rig.start();
      const volume = await rig.volume({ state });
      expect(await rig.run('delete', { volume_id: volume.id })).toMatchObject({ status: 'completed' });
      expect([rig.calls, volume.removed]).toEqual([['deleteVolume'], true]);
    },
  );

  it('is refused because of a snapshot that runs: tried again until it is over', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    rig.model.faults.add({
      ...{ command: 'deleteVolume', kind: 'status', code: 431, times: 3 },
      text: 'There are snapshot operations in progress on the volume, unable to delete it',
    });
    expect(await rig.run('delete', { volume_id: volume.id })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toHaveLength(4);
  });

  it('is protected: final, in the words of CloudStack', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ deleteProtection: true });
    const operation = await rig.run('delete', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_REJECTED' });
    expect(operation.error).toContain('delete protection');
  });

  it('is refused after its disk was detached: the failure says so', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    rig.onSend = ({ name }) => {
      if (name === 'deleteVolume') volume.deleteProtection = true;
    };
    const operation = await rig.run('delete', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_REJECTED' });
    expect(operation.error).toContain(`volume ${volume.id} was detached from VM ${rig.here}`);
  });

  it('is protected and attached here: nothing is detached, and its export stays', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true, deleteProtection: true });
    const operation = await rig.run('delete', { volume_id: volume.id, force: true });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_REJECTED' });
    expect(operation.error).toContain('delete protection');
    expect([rig.calls, volume.vmId, rig.exported(volume.id)]).toEqual([[], rig.here, true]);
  });
});

describe('DELETE_MODE=trash', () => {
  it('destroys without expunging, and says how it comes back', async () => {
    const rig = await Rig.start({ policy: { deleteMode: 'trash' } });
    const volume = await rig.volume();
    const operation = await rig.run('delete', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'completed', response: { recoverable: true } });
    expect([volume.state, volume.removed, rig.sent]).toMatchObject(['Destroy', false, [{ expunge: false }]]);
  });

  it('a volume that is shown no more once it is in the trash is not taken for gone', async () => {
    const rig = await Rig.start({ policy: { deleteMode: 'trash' } });
    const volume = await rig.volume();
    const { queryJob } = rig.cloud;
    rig.cloud.queryJob = (jobId) => {
      rig.hide(volume.id);
      return queryJob.call(rig.cloud, jobId);
    };
    const operation = await rig.run('delete', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'completed', response: { recoverable: true } });
    // Somebody brings it back, and a VM uses it.
    Object.assign(volume, { state: 'Ready' });
    rig.plugInto(volume, rig.vm('Running'));
    const again = await rig.run('delete', { volume_id: volume.id });
    expect(again).toMatchObject({ status: 'failed', errorCode: 'VOLUME_NOT_VISIBLE' });
  });

  it('a volume that somebody recovers as soon as it is in the trash is not deleted a second time', async () => {
    const rig = await Rig.start({ policy: { deleteMode: 'trash' } });
    const volume = await rig.volume();
    const { queryJob } = rig.cloud;
    rig.cloud.queryJob = async (jobId) => {
      const job = await queryJob.call(rig.cloud, jobId);
      if (job?.status === 'succeeded') volume.state = 'Ready';
      return job;
    };
    const operation = await rig.run('delete', { volume_id: volume.id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN' });
    expect(operation.error).toContain('somebody may have recovered it');
    expect([volume.state, rig.calls]).toEqual(['Ready', ['destroyVolume']]);
  });

  it.each(['Allocated', 'Uploaded', 'Expunging', 'UploadError', 'UploadAbandoned', 'NotUploaded'])(
    'a volume in %s has nothing to recover: expunged',
    async (state) => {
      const rig = await Rig.start({ policy: { deleteMode: 'trash' } });
      const volume = await rig.volume({ state });
      const operation = await rig.run('delete', { volume_id: volume.id });
      expect(operation).toMatchObject({ status: 'completed' });
      expect(operation.response).not.toHaveProperty('recoverable');
      expect([volume.removed, rig.calls]).toEqual([true, ['deleteVolume']]);
    },
  );
});

describe('a deleted volume whose VM CloudStack hides, because it is still attached', () => {
  it.each([
    ['detach', 'expunge'],
    ['delete', 'expunge'],
    ['delete', 'trash'],
  ] as const)(
    '%s (DELETE_MODE=%s): not said to be detached, and nothing is sent',
    async (type, deleteMode) => {
      const rig = await Rig.start({ policy: { deleteMode } });
      const volume = await rig.volume({ vmId: rig.vm('Stopped'), state: 'Destroy' });
      const operation = await rig.run(type, { volume_id: volume.id });
      expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_STATE' });
      expect(operation.error).toContain('still attached to a VM that CloudStack does not name');
      expect(rig.calls).toEqual([]);
    },
  );
});

describe('waits', () => {
  it('a volume that migrates is waited for, with the reason, and the attach goes on', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ state: 'Migrating' });
    const operation = await rig.request('attach', { volume_id: volume.id, vm_id: rig.here });
    await rig.pass(MINUTE_MS);
    expect((await rig.operation(operation)).waitReason).toContain('is being moved to another storage');
    expect((await rig.journal(operation)).filter(({ state }) => state === 'waiting')).toHaveLength(1);
    volume.state = 'Ready';
    expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
  });

  it.each([
    ['attach', 'attachVolume', 'Volume state must be in Allocated, Ready or in Uploaded state'],
    [
      'resize',
      'resizeVolume',
      'Volume should be in ready or allocated state before attempting a resize. Volume 1f1c is in state Snapshotting.',
    ],
  ] as const)(
    '%s: a snapshot policy begins between the last look and the job: tried again once it is over',
    async (type, command, text) => {
      const rig = await Rig.start();
      const volume = await rig.volume();
      rig.model.faults.add({ command, kind: 'job-fails', code: 431, text });
      rig.onSend = () => {
        volume.state = 'Snapshotting';
        rig.onSend = () => {};
      };
      const request = { volume_id: volume.id, vm_id: rig.here, size: 8 * GIB };
      const operation = await rig.request(type, request);
      await rig.pass(MINUTE_MS);
      expect((await rig.operation(operation)).waitReason).toContain('is being snapshotted');
      volume.state = 'Ready';
      expect(await rig.ended(operation)).toMatchObject({ status: 'completed' });
      expect(rig.calls).toEqual([command, command]);
    },
  );

  it('a cleanup that CloudStack refuses to attach for a minute, while no look shows why, goes on trying', async () => {
    const rig = await Rig.start();
    const from = rig.vm('Stopped');
    const volume = await rig.volume({ vmId: from });
    const text = 'Volume state must be in Allocated, Ready or in Uploaded state';
    rig.model.faults.add({ command: 'attachVolume', kind: 'job-fails', code: 431, text, times: 5 });
    const ended = await rig.run('cleanup', cleanup(rig, volume.id, from), 10 * MINUTE_MS);
    expect([ended.status, volume.vmId]).toEqual(['completed', rig.here]);
    expect(rig.calls.filter((name) => name === 'attachVolume')).toHaveLength(6);
  });

  it.each([
    ['attach', 'Migrating'],
    ['detach', 'Migrating'],
    ['delete', 'Migrating'],
    ['recover', 'Destroying'],
    ['resize', 'Migrating'],
    ['snapshot', 'Migrating'],
  ] as const)('%s of a volume in %s that is cancelled ends at once', async (type, state) => {
    const rig = await Rig.start();
    const isHere = type === 'detach';
    const volume = await rig.volume(isHere ? { vmId: rig.here, mapped: true } : {});
    volume.state = state;
    const request = { volume_id: volume.id, vm_id: rig.here, size: 8 * GIB };
    const operation = await rig.request(type, request);
    await rig.pass(10 * SECOND_MS);
    await rig.during(rig.domain.operations.cancel(operation));
    expect(await rig.ended(operation, SECOND_MS)).toMatchObject({ status: 'cancelled' });
    expect([rig.calls, rig.exported(volume.id)]).toEqual([[], isHere]);
  });

  it.each([
    ['attach', 'attachVolume', /^the attach job .* may still end/],
    ['detach', 'detachVolume', /^detach-volume \(job .*\) may have taken effect/],
    ['cleanup', 'detachVolume', /^detach-volume \(job .*\) may have taken effect/],
    ['cleanup', 'stopVirtualMachine', /^stop-vm \(job .*\) may have taken effect/],
  ] as const)(
    '%s: a job about another VM whose end cannot be waited for is told as one (%s)',
    async (type, command, left) => {
      const rig = await Rig.start();
      const vmId = rig.vm(command === 'detachVolume' ? 'Stopped' : 'Running');
      const volume = await rig.volume(type === 'attach' ? {} : { vmId });
      rig.model.faults.add({ command, kind: 'agent-fails', ms: 90 * MINUTE_MS });
      const request = { ...cleanup(rig, volume.id, vmId, { force_clean: true }), vm_id: vmId };
      const ended = await rig.run(type, request, 70 * MINUTE_MS);
      expect(ended).toMatchObject({
        errorCode: 'STEP_DEADLINE',
        response: { left: [expect.stringMatching(left)] },
      });
    },
  );

  it('a delete that CloudStack is too busy for says that the disk was taken', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    const { queryJob } = rig.cloud;
    rig.cloud.queryJob = async (jobId) => {
      const job = await queryJob.call(rig.cloud, jobId);
      if (job?.status === 'succeeded') volume.state = 'Snapshotting';
      return job;
    };
    const ended = await rig.run('delete', { volume_id: volume.id }, 40 * MINUTE_MS);
    expect(ended).toMatchObject({
      errorCode: 'VOLUME_BUSY',
      response: { left: [`volume ${volume.id} was detached from VM ${rig.here}`] },
    });
  });

  it('so does one whose volume goes out of sight once its detach has ended well', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    rig.domain.events.onEntry(({ step, state }) => {
      if (step === 'detach-volume' && state === 'finished') rig.hide(volume.id);
    });
    const { errorCode, response } = await rig.run('delete', { volume_id: volume.id });
    expect(errorCode).toBe('VOLUME_NOT_VISIBLE');
    expect(response?.left).toContain(`volume ${volume.id} was detached from VM ${rig.here}`);
  });

  it('a detach whose disk stays in the guest says what it waits for, and ends with a code', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    rig.model.faults.add({ command: 'detachVolume', kind: 'ghost-disk' });
    const operation = await rig.request('detach', { volume_id: id });
    await rig.pass(20 * SECOND_MS);
    expect((await rig.operation(operation)).waitReason).toContain('this guest still has its disk');
    expect(await rig.ended(operation)).toMatchObject({ status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' });
    expect(rig.exported(id)).toBe(false);
  });

  it('no other VM gets a volume whose ghost is still exported here, though somebody has deleted its row', async () => {
    const rig = await Rig.start({ guest: { serials: false } });
    const { id } = await rig.volume();
    await rig.run('attach', { volume_id: id, vm_id: rig.here });
    rig.store.mappings.delete(id);
    Object.assign(rig.model.inventory.volume('', '', id), { vmId: null, deviceId: null });
    const moved = await rig.run('attach', { volume_id: id, vm_id: rig.vm('Running') });
    expect(moved).toMatchObject({ status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' });
  });

  it.each([true, false])(
    'and so does every detach after it, until the disk has left (serials: %s)',
    async (serials) => {
      const rig = await Rig.start({ guest: { serials } });
      const { id } = await rig.volume();
      await rig.run('attach', { volume_id: id, vm_id: rig.here });
      rig.model.faults.add({ command: 'detachVolume', kind: 'ghost-disk' });
      const still = { status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' };
      for (let time = 0; time < LIMITS.RECENT_OPERATIONS + 2; time += 1)
        expect(await rig.run('detach', { volume_id: id }), `time ${time}`).toMatchObject(still);
      await rig.guest.unplug(id);
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'completed' });
    },
  );

  it.each([
    [true, 'unreadable'],
    [false, 'unreadable'],
    [true, 'absent'],
  ] as const)(
    'nor does a ghost that hangs or fails leave by a restart of the daemon (serials: %s, then %s)',
    async (serials, becomes) => {
      const rig = await Rig.start({ guest: { serials } });
      const { id } = await rig.volume();
      await rig.run('attach', { volume_id: id, vm_id: rig.here });
      rig.model.faults.add({ command: 'detachVolume', kind: 'ghost-disk' });
      const still = { status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' };
      expect(await rig.run('detach', { volume_id: id })).toMatchObject(still);
      await rig.restart();
      rig.guest.spoilSerial(id, becomes);
      await rig.volume({ vmId: rig.here });
      expect(await rig.run('detach', { volume_id: id })).toMatchObject(still);
      const sent = [...rig.calls];
      expect(await rig.run('attach', { volume_id: id, vm_id: rig.vm('Running') })).toMatchObject(still);
      expect(rig.calls).toEqual(sent);
      await rig.guest.unplug(id);
      expect(await rig.run('detach', { volume_id: id })).toMatchObject({ status: 'completed' });
    },
  );
});

describe('a disk whose serial cannot be read', () => {
  async function make() {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here });
    rig.guest.spoilSerial(volume.id);
    return { rig, hung: volume };
  }

  it('may be the ghost of a volume that nothing is known of: it goes to no other VM', async () => {
    const { rig, hung } = await make();
    rig.unplug(hung);
    const moved = await rig.run('attach', { volume_id: hung.id, vm_id: rig.vm('Running') });
    expect(moved).toMatchObject({ status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' });
    expect(rig.calls).toEqual([]);
  });

  it.each([true, false])(
    'nor does it while the serial is still being read: what that tells decides (its own: %s)',
    async (isOwn) => {
      const rig = await Rig.start({ guest: { holdSerials: true } });
      const left = await rig.volume({ vmId: rig.here });
      rig.unplug(left);
      const { id } = isOwn ? left : await rig.volume();
      const moved = await rig.request('attach', { volume_id: id, vm_id: rig.vm('Running') });
      await rig.pass(SECOND_MS);
      expect(rig.calls).toEqual([]);
      rig.guest.releaseSerial(left.id);
      expect(await rig.ended(moved)).toMatchObject(
        isOwn ? { status: 'failed', errorCode: 'DEVICE_STILL_PRESENT' } : { status: 'completed' },
      );
    },
  );

  it('is nobody else’s once its mapping proves whose it is', async () => {
    const rig = await Rig.start();
    const mapped = await rig.volume({ vmId: rig.here, mapped: true });
    rig.guest.spoilSerial(mapped.id);
    const { id } = await rig.volume();
    expect(await rig.run('attach', { volume_id: id, vm_id: rig.vm('Running') })).toMatchObject({
      status: 'completed',
    });
  });

  it('keeps no other volume from being attached here, and none whose own disk has left', async () => {
    const { rig } = await make();
    const { id } = await rig.volume();
    const done = { status: 'completed' };
    expect(await rig.run('attach', { volume_id: id, vm_id: rig.here })).toMatchObject(done);
    expect(await rig.run('detach', { volume_id: id })).toMatchObject(done);
  });
});
