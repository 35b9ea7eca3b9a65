import { LIMITS } from '../../core/limits';
import { type Action, giveUp, type Situation } from '../decision';
import { type DetachGoal, detach, undoDetach } from './detach';
import { endFailed } from './failure';
import { intend, tryAgainOrGiveUp } from './mutation';
import { isLeaving, waitWhileBusy } from './volume-state';

const STEP = 'delete-volume';

/**
 * delete: attached to the appliance → the detach steps first; attached elsewhere → VOLUME_ATTACHED_ELSEWHERE; then delete, and
 * read back until CloudStack no longer lists it. An error code is never proof of absence (DESIGN section 4).
 */
export function decideDelete(s: Situation<'delete'>): Action {
  const goal: DetachGoal = {
    volumeId: s.operation.request.volume_id,
    force: s.operation.request.force === true,
    onlyFromVm: null,
  };
  const failing = s.journal.failing;
  if (failing) {
    const undone = undoDetach(s, goal);
    return undone.do === 'done' ? endFailed(failing, undone.result) : undone;
  }
  const call = s.journal.mutation(STEP);
  const volume = s.facts.volume;
  if (call.at === 'none' && s.journal.mutation('detach-volume').at === 'none') {
    if (!volume) return { do: 'read-volume', volumeId: goal.volumeId };
    if (volume !== 'absent' && volume.vmId !== null && volume.vmId !== s.policy.applianceVmId) {
      return giveUp(
        'VOLUME_ATTACHED_ELSEWHERE',
        `Volume ${volume.id} is attached to another VM, detach it first: ${volume.vmName ?? ''} (${volume.vmId})`,
        {
          volume_id: volume.id,
          vm_id: volume.vmId,
        },
      );
    }
  }
  if (call.at === 'none') {
    const released = detach(s, goal);
    if (released.do !== 'done') return released;
  }
  return deleteDetached(s, goal.volumeId);
}

function deleteDetached(s: Situation<'delete'>, volumeId: string): Action {
  const call = s.journal.mutation(STEP);
  const volume = s.facts.volume;
  if (call.at === 'intended') {
    // Sending again is harmless: the id is never given to another volume. What the last call did shows in the read-back.
    if (s.facts.unsent === call.jobId)
      return { do: 'delete-volume', step: STEP, jobId: call.jobId, volumeId };
    return {
      do: 'record',
      step: STEP,
      state: 'finished',
      data: { job_id: call.jobId, outcome: 'unknown', text: 'the answer was lost' },
    };
  }
  if (!volume) return { do: 'read-volume', volumeId };
  if (volume === 'absent') return deleted(s, volumeId, call.at !== 'none');
  if (isLeaving(volume) && call.at !== 'none') return waitUntilAbsent(s, volume.state, volumeId);
  if (call.at === 'ended') return tryAgainOrGiveUp(s, STEP, call, 'volume deletion');
  if (!isLeaving(volume)) {
    const busy = waitWhileBusy(s, volume);
    if (busy) return busy;
  }
  return intend(s, STEP);
}

/** A disk that was on its way may have come between the last look at the guest and the call. */
function deleted(s: Situation, volumeId: string, byUs: boolean): Action {
  if (byUs && s.facts.gone === undefined)
    return { do: 'await-gone', volumeId, timeout: LIMITS.DEVICE_GONE_DEADLINE_MS };
  if (byUs && !s.facts.gone)
    return giveUp(
      'DEVICE_STILL_PRESENT',
      `Volume ${volumeId} is deleted, but this guest still has its disk (ghost disk)`,
      { volume_id: volumeId },
    );
  const message = byUs ? 'Volume deleted successfully' : 'Volume was already absent from CloudStack';
  return { do: 'complete', response: { volume_id: volumeId, message } };
}

function waitUntilAbsent(s: Situation, state: string, volumeId: string): Action {
  if (s.elapsed('absent') > LIMITS.DELETE_DEADLINE_MS) {
    return giveUp('STEP_DEADLINE', `CloudStack still lists volume ${volumeId} in state ${state}`, {
      volume_id: volumeId,
      state,
    });
  }
  return {
    do: 'pause',
    ms: LIMITS.JOB_POLL_MAX_MS,
    step: STEP,
    reason: `CloudStack is removing the volume (${state})`,
    forget: ['volume'],
  };
}
