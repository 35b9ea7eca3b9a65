import { type CloudVm, type CloudVolume, sameOwner } from '../../cloudstack/cloud';
import { ownerText } from '../../cloudstack/owner';
import { vmPhase } from '../../cloudstack/vm-states';
import { LIMITS } from '../../core/limits';
import type { Evidence } from '../../model/evidence';
import { type Action, type Done, done, giveUp } from '../action';
import { outlivesItsVm, type Situation } from '../decision';
import type { EndedTry, MutationState } from '../journal';
import { type AttachGoal, attach, waitForGhost, waitForObstacles } from './attach';
import { detach } from './detach';
import { detachedBefore, endFailed, hasEndedWell, openCall } from './failure';
import { lookAgain } from './look-again';
import { follow, intend, isTriedEnough, tryAgainOrGiveUp, verdictOf } from './mutation';
import { permitVm } from './permit-parts';
import { undoAttach } from './undo-attach';
import { doubtTheEffect, doubtTheRead, knownVolume, waitWhileBusy } from './volume';

/**
 * cleanup: detach from the test VM → attach to the appliance, as one durable operation (POST
 * /cleanup/test-failover). The VM is destroyed only on request, and only when the list of its disks shows its
 * root disk and nothing else.
 */
export function decideCleanup(s: Situation<'cleanup'>): Action {
  const { request } = s.operation;
  const goal: AttachGoal = { volumeId: request.volume_id, vmId: request.oma_vm_id, deviceId: null };
  const failing = s.journal.failing;
  if (failing) {
    const left = leftByRemoval(s);
    if (left) return left.do === 'done' ? endFailed(failing, left.result) : left;
    const undone = undoAttach(s, goal);
    return undone.do === 'done' ? endFailed(failing, [...takenFrom(s), ...undone.result]) : undone;
  }
  if (s.journal.mutation('attach-volume').at === 'none' && !s.journal.done('released')) {
    const released = release(s, goal);
    if (released.do !== 'done') return released;
    return {
      do: 'record',
      step: 'released',
      state: 'done',
      data: { vm_id: request.test_vm_id },
      forget: ['volume', 'mapping', 'obstacles'],
    };
  }
  const attached = attach(s, goal);
  if (attached.do !== 'done') return attached;
  const removed = request.delete_vm ? removeVm(s) : done({ deleted: false, note: '' });
  if (removed.do !== 'done') return removed;
  return {
    do: 'complete',
    response: {
      test_vm_id: request.test_vm_id,
      volume_id: request.volume_id,
      oma_vm_id: request.oma_vm_id,
      device_path: attached.result.devicePath,
      vm_deleted: removed.result.deleted,
      message: `Test failover cleaned up successfully${removed.result.note}`,
    },
  };
}

/** What was done to the VM before the part that failed, or may have been. */
function takenFrom(s: Situation<'cleanup'>): string[] {
  const stopped = hasEndedWell(s.journal, 'stop-vm')
    ? [`VM ${s.operation.request.test_vm_id} was stopped`]
    : openCall(s, 'stop-vm');
  const isReleased = s.journal.done('released') !== null;
  return [...stopped, ...detachedBefore(s, isReleased), ...openCall(s, 'detach-volume')];
}

/**
 * What stays when the removal of the VM cannot go on: by then the volume was attached and exported here, and
 * its users must not lose it. Somebody may have moved it since. null: it has not come so far.
 */
function leftByRemoval(s: Situation<'cleanup'>): Action | Done<string[]> | null {
  const removal = s.journal.mutation('destroy-vm');
  if (removal.at === 'none' && !s.journal.standing('publish', 'unmap')) return null;
  const { volume_id: volumeId, test_vm_id: vmId, oma_vm_id: here } = s.operation.request;
  const { volume } = s.facts;
  if (!volume) return { do: 'read-volume', volumeId };
  const isElsewhere = volume.kind === 'seen' && volume.value.vmId !== here;
  const old = isElsewhere ? doubtTheRead(s, 'attach-volume', s.journal.mutation('attach-volume')) : null;
  if (old) return old;
  const left = [whereLeft(volumeId, volume, here)];
  if (removal.at === 'intended' || removal.at === 'accepted') left.push(`VM ${vmId} may still be deleted`);
  if (removal.at === 'ended' && removal.outcome === 'ok') left.push(`VM ${vmId} was deleted`);
  return done(left);
}

function whereLeft(volumeId: string, volume: Evidence<CloudVolume>, here: string): string {
  if (volume.kind === 'unknown')
    return `whether volume ${volumeId} is still attached to this appliance is not known: ${volume.why}`;
  if (volume.kind === 'seen' && volume.value.vmId === here)
    return `volume ${volumeId} stays attached to this appliance`;
  return `volume ${volumeId} is not attached to this appliance any more`;
}

/** Detaches the volume from the test VM, which must be stopped, or is stopped with force_clean. */
function release(s: Situation<'cleanup'>, goal: AttachGoal): Action | Done<true> {
  const { request } = s.operation;
  if (s.journal.mutation('detach-volume').at === 'none') {
    const waiting = waitForRest(s) ?? reserveSlot(s, goal) ?? stopVm(s);
    if (waiting) return waiting;
  }
  const step = detach(s, { volumeId: request.volume_id, force: false, onlyFromVm: request.test_vm_id });
  return step.do === 'done' ? done(true) : step;
}

/**
 * CloudStack lets a disk go while it is snapshotted, and takes it nowhere before that has ended: meanwhile it
 * would be with nobody. null: it can be attached here at once, or the VM does not have it.
 */
function waitForRest(s: Situation<'cleanup'>): Action | null {
  const { at } = s.journal.mutation('stop-vm');
  if (at === 'intended' || at === 'accepted') return null;
  const { volume_id: volumeId, test_vm_id: vmId } = s.operation.request;
  const known = knownVolume(s, volumeId);
  if (known.do !== 'done') return known;
  if (known.result.kind === 'absent' || known.result.value.vmId !== vmId) return null;
  return waitWhileBusy(s, known.result.value, 'attach');
}

/**
 * Nothing is stopped or detached before this VM has a slot for the disk, which is held until the end, and
 * CloudStack shows it in a state in which it takes one, and no disk of the volume is left in this guest: it
 * would be left with nobody.
 */
function reserveSlot(s: Situation<'cleanup'>, goal: AttachGoal): Action | null {
  if (s.journal.mutation('stop-vm').at !== 'none') return null;
  const known = knownVolume(s, goal.volumeId);
  if (known.do !== 'done') return known;
  if (known.result.kind === 'absent' || known.result.value.vmId !== s.operation.request.test_vm_id)
    return null;
  return (
    waitForObstacles(s, goal, { needsSlot: true }) ??
    waitForAppliance(s, goal.vmId) ??
    refuseOtherOwner(s, known.result.value) ??
    waitForGhost(s, goal, `on VM ${known.result.value.vmId}`)
  );
}

/** CloudStack attaches only what the owner of the VM owns; somebody may have given one of the two away. */
function refuseOtherOwner(
  { facts: { appliance } }: Situation,
  { id, vmId, owner }: CloudVolume,
): Action | null {
  if (appliance?.kind !== 'seen' || sameOwner(owner, appliance.value.owner)) return null;
  const owners = `volume ${id} belongs to ${ownerText(owner)}, this appliance to ${ownerText(appliance.value.owner)}`;
  const message = `CloudStack would not attach it here: ${owners}; so it was not taken from VM ${vmId ?? ''}`;
  return giveUp('CLOUDSTACK_REJECTED', message, { volume_id: id, vm_id: vmId });
}

function waitForAppliance(s: Situation<'cleanup'>, vmId: string): Action | null {
  const { appliance } = s.facts;
  if (!appliance) return { do: 'read-appliance', vmId };
  const answer = permitVm(appliance, vmId, ['running', 'still']);
  switch (answer.verdict) {
    case 'refuse':
      return giveUp(answer.code, answer.message, answer.details);
    case 'wait':
      return s.elapsed('appliance') > LIMITS.VM_MOVING_DEADLINE_MS
        ? giveUp(answer.code, answer.reason, { vm_id: vmId })
        : { do: 'back-off', step: 'read-vm', reason: answer.reason, forget: ['appliance', 'volume'] };
    case 'settled':
    case 'go':
      return null;
    default:
      return answer satisfies never;
  }
}

function stopVm(s: Situation<'cleanup'>): Action | null {
  const vmId = s.operation.request.test_vm_id;
  const state = s.journal.mutation('stop-vm');
  if (state.at === 'intended' || state.at === 'accepted')
    return follow(s, 'stop-vm', state, { name: 'stopVirtualMachine', vmId });
  const known = knownVolume(s, s.operation.request.volume_id);
  if (known.do !== 'done') return known;
  // The VM has to be stopped only if it has the disk.
  if (known.result.kind === 'absent' || known.result.value.vmId !== vmId) return null;
  const { vm } = s.facts;
  if (!vm) return { do: 'read-vm', vmId };
  // A user's key does not see its destroyed VMs; the VM's state in the volume's answer counts as well.
  const vmState = vm.kind === 'seen' ? vm.value.state : known.result.value.vmState;
  if (vmState === null) {
    const why = vm.kind === 'seen' ? '' : vm.kind === 'absent' ? vm.proof : vm.why;
    return giveUp('VM_NOT_VISIBLE', `VM ${vmId} has the disk and is not visible to this key: ${why}`, {
      vm_id: vmId,
    });
  }
  return stopRunning(s, vmState, state);
}

/** What to do before the disk can be taken; null when no guest runs in this VM. */
function stopRunning(s: Situation<'cleanup'>, vmState: string, state: MutationState): Action | null {
  const { test_vm_id: vmId, force_clean: force } = s.operation.request;
  const phase = vmPhase(vmState);
  if (phase === 'gone' || phase === 'still') return doubtTheEffect(s, 'stop-vm');
  const details = { vm_id: vmId, state: vmState };
  if (phase === 'moving') {
    if (s.elapsed('vm-moving') > LIMITS.VM_MOVING_DEADLINE_MS)
      return giveUp('VM_STATE', `VM ${vmId} stays ${vmState}`, details);
    return {
      do: 'pause',
      ms: LIMITS.JOB_POLL_MAX_MS,
      step: 'read-vm',
      reason: `VM ${vmId} is ${vmState}`,
      forget: ['vm', 'volume'],
    };
  }
  if (phase === null) return giveUp('VM_STATE', `VM ${vmId} is ${vmState}`, details);
  if (!force)
    return giveUp('VM_NOT_STOPPED', `VM ${vmId} is ${vmState}; stop it first or set force_clean`, details);
  return state.at === 'ended'
    ? (doubtTheRead(s, 'stop-vm', state) ?? tryAgainOrGiveUp(s, 'stop-vm', state, 'VM stop', { vm_id: vmId }))
    : intend(s, 'stop-vm', { vm_id: vmId });
}

interface Removed {
  readonly deleted: boolean;
  readonly note: string;
}

/** Expunges the VM where the key may; else destroys it, and CloudStack's own cleanup expunges it later. */
function removeVm(s: Situation<'cleanup'>): Action | Done<Removed> {
  const vmId = s.operation.request.test_vm_id;
  const state = s.journal.mutation('destroy-vm');
  const expunge = s.journal.intent('destroy-vm')?.expunge !== false;
  if (state.at === 'ended') {
    if (state.outcome === 'ok')
      return done({
        deleted: true,
        note: expunge ? '' : '; the VM is destroyed, CloudStack expunges it later',
      });
    if (expunge && /permission for expunging/i.test(state.text ?? ''))
      return { do: 'intend', step: 'destroy-vm', data: { vm_id: vmId, expunge: false } };
    return judgeRemoval(s, vmId, state);
  }
  if (state.at === 'none') return beginRemoval(s, vmId);
  return follow(s, 'destroy-vm', state, { name: 'destroyVirtualMachine', vmId, expunge });
}

/** A VM is removed only while it is seen, and its disks too, and none of them would outlive it. */
function beginRemoval(s: Situation<'cleanup'>, vmId: string): Action | Done<Removed> {
  const { vm, vmVolumes } = s.facts;
  if (!vm) return { do: 'read-vm', vmId };
  if (vm.kind === 'absent' || isGone(vm)) return done({ deleted: true, note: '; the VM was already gone' });
  if (vm.kind === 'unknown') return kept(`the VM was kept, because it is not visible: ${vm.why}`);
  if (!vmVolumes) return { do: 'read-vm-volumes', vmId };
  if (vmVolumes.kind !== 'seen') {
    const why = vmVolumes.kind === 'unknown' ? vmVolumes.why : vmVolumes.proof;
    return kept(`the VM was kept, because it is not certain which disks it has: ${why}`);
  }
  const disks = vmVolumes.value.filter((disk) => outlivesItsVm(disk, vm.value)).map(({ id }) => id);
  const again = disks.includes(s.operation.request.volume_id)
    ? lookAgain(s, {
        name: 'came-back',
        step: 'read-vm-volumes',
        reason: `the list of the disks of VM ${vmId} shows the volume that was taken from it`,
        forget: ['volume', 'vmVolumes'],
      })
    : null;
  if (again) return again;
  if (disks.length > 0)
    return kept(
      `the VM was kept because ${disks.length} disk(s) are still attached to it that it did not come with: ${disks.join(', ')}`,
    );
  return { do: 'intend', step: 'destroy-vm', data: { vm_id: vmId } };
}

/** The call may have had its effect although it did not end well: what has become of the VM decides. */
function judgeRemoval(s: Situation<'cleanup'>, vmId: string, state: EndedTry): Action | Done<Removed> {
  const { vm } = s.facts;
  if (!vm) return { do: 'read-vm', vmId };
  const said = state.text ?? 'no answer';
  // A user's key does not see its destroyed VMs; the guards may have seen this one on its way out.
  if (isGone(vm) || (vm.kind === 'unknown' && state.settled))
    return done({ deleted: true, note: `; the VM is gone (${said})` });
  const pause = doubtTheRead(s, 'destroy-vm', state);
  if (pause) return pause;
  if (vm.kind === 'unknown' && state.outcome !== 'refused')
    return kept(`it is not known whether the VM was deleted (${said}): ${vm.why}`);
  return removeAgain(s, vmId, state) ?? kept(`the VM could not be deleted: ${said}`);
}

/** null: it would end the same way. The guards judge the VM and its disks anew. */
function removeAgain(s: Situation<'cleanup'>, vmId: string, state: EndedTry): Action | null {
  if (verdictOf(state) === 'final' || isTriedEnough(s, 'destroy-vm', state)) return null;
  if (s.elapsed(`destroy-vm:${state.tries}`) > 0) {
    const { expunge = true } = s.journal.intent('destroy-vm') ?? {};
    return { do: 'intend', step: 'destroy-vm', data: { vm_id: vmId, expunge } };
  }
  return {
    do: 'back-off',
    step: 'destroy-vm',
    reason: `the VM was not deleted: ${state.text ?? 'CloudStack did not say why'}`,
    forget: ['vm', 'vmVolumes'],
  };
}

function isGone(vm: Evidence<CloudVm>): boolean {
  return vm.kind === 'absent' || (vm.kind === 'seen' && vmPhase(vm.value.state) === 'gone');
}

function kept(why: string): Done<Removed> {
  return done({ deleted: false, note: `; ${why}` });
}
