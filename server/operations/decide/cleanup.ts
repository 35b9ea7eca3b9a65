import { LIMITS } from '../../core/limits';
import { type Action, type Done, done, giveUp, type Situation } from '../decision';
import { type AttachGoal, attach, undoAttach } from './attach';
import { detach } from './detach';
import { endFailed } from './failure';
import { mutate, tryAgainOrGiveUp } from './mutation';

/**
 * cleanup: detach from the test VM → attach to the appliance, as one durable operation (POST /cleanup/test-failover). The VM
 * goes only when asked and when no disk is left on it: another disk of a multi-disk VM would be expunged with it.
 */
export function decideCleanup(s: Situation<'cleanup'>): Action {
  const { request } = s.operation;
  const goal: AttachGoal = { volumeId: request.volume_id, vmId: request.oma_vm_id, deviceId: null };
  const failing = s.journal.failing;
  if (failing) {
    const undone = undoAttach(s, goal);
    return undone.do === 'done' ? endFailed(failing, undone.result) : undone;
  }
  if (s.journal.mutation('attach-volume').at === 'none' && !s.journal.done('released')) {
    const released = release(s);
    if (released.do !== 'done') return released;
    return {
      do: 'record',
      step: 'released',
      state: 'done',
      data: { vm_id: request.test_vm_id },
      forget: ['volume', 'mapping'],
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

/** The volume off the test VM; the VM must be stopped, or is stopped by force_clean. */
function release(s: Situation<'cleanup'>): Action | Done<true> {
  const { request } = s.operation;
  const begun = s.journal.mutation('detach-volume').at !== 'none';
  if (!begun) {
    const stopped = stopVm(s);
    if (stopped) return stopped;
  }
  const step = detach(s, { volumeId: request.volume_id, force: false, onlyFromVm: request.test_vm_id });
  return step.do === 'done' ? done(true) : step;
}

function stopVm(s: Situation<'cleanup'>): Action | null {
  const { request } = s.operation;
  const vmId = request.test_vm_id;
  const state = s.journal.mutation('stop-vm');
  if (state.at === 'intended' || state.at === 'accepted') {
    const step = mutate(s, 'stop-vm', { name: 'stopVirtualMachine', vmId, forced: true });
    return step.do === 'done' ? { do: 'read-vm', vmId } : step;
  }
  if (!s.facts.vm) return { do: 'read-vm', vmId };
  if (s.facts.vm === 'absent' || s.facts.vm.state === 'Stopped' || s.facts.vm.state === 'Destroyed')
    return null;
  if (!request.force_clean) {
    return giveUp('VM_NOT_STOPPED', `VM ${vmId} is ${s.facts.vm.state}; stop it first or set force_clean`, {
      vm_id: vmId,
      state: s.facts.vm.state,
    });
  }
  return state.at === 'ended'
    ? tryAgainOrGiveUp(s, 'stop-vm', state, 'VM stop')
    : { do: 'intend', step: 'stop-vm' };
}

function removeVm(s: Situation<'cleanup'>): Action | Done<{ deleted: boolean; note: string }> {
  const vmId = s.operation.request.test_vm_id;
  const command = { name: 'destroyVirtualMachine', vmId, expunge: true } as const;
  const state = s.journal.mutation('destroy-vm');
  if (state.at === 'ended') {
    const deleted = state.outcome === 'ok';
    return done({
      deleted,
      note: deleted ? '' : `; the VM could not be deleted: ${state.text ?? 'no answer'}`,
    });
  }
  if (state.at !== 'none') {
    const step = mutate(s, 'destroy-vm', command);
    return step.do === 'done' ? { do: 'read-vm', vmId } : step;
  }
  const volumes = s.facts.vmVolumes;
  if (!volumes) return { do: 'read-vm-volumes', vmId };
  if (volumes.length > 0)
    return done({
      deleted: false,
      note: `; the VM was kept because ${volumes.length} disk(s) are still attached to it`,
    });
  if (!s.facts.vm) return { do: 'read-vm', vmId };
  if (s.facts.vm === 'absent') return done({ deleted: true, note: '; the VM was already gone' });
  if (s.elapsed('remove-vm') > LIMITS.RESOURCE_RETRY_DEADLINE_MS)
    return done({ deleted: false, note: '; the VM was kept' });
  return { do: 'intend', step: 'destroy-vm' };
}
