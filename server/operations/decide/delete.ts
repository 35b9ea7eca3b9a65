import { canBeRecovered, isLeaving } from '../../cloudstack/volume-states';
import { LIMITS } from '../../core/limits';
import type { JsonObject } from '../../model/operation';
import { type Action, giveUp, type Mutation } from '../action';
import type { Situation } from '../decision';
import type { EndedTry, MutationState } from '../journal';
import { type DetachGoal, detach, undoDetach } from './detach';
import { detachedBefore, endFailed, openCall } from './failure';
import { failureMessage, follow, intend, tryAgainOrGiveUp, verdictOf } from './mutation';
import { doubtTheRead, knownVolume, waitWhileBusy } from './volume';

const STEP = 'delete-volume';
const DELETED = 'Volume deleted successfully';
const WAS_ABSENT = 'Volume was already absent from CloudStack';

/**
 * delete: attached to the appliance → the detach steps first; attached elsewhere → VOLUME_ATTACHED_ELSEWHERE;
 * then delete, repeated while the volume stays in Destroy or Expunging, until it is proven to be gone. That a
 * list does not show it proves this only after CloudStack has said that our delete succeeded.
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
    // Also where CloudStack was busy with the volume afterwards, and the delete did not begin.
    const isTaken = s.journal.mutation(STEP).at !== 'none' || s.journal.standing('unmap', 'map');
    return undone.do === 'done'
      ? endFailed(failing, [...detachedBefore(s, isTaken), ...undone.result, ...openCall(s, STEP)])
      : undone;
  }
  const call = s.journal.mutation(STEP);
  if (call.at !== 'none') return deleteDetached(s, goal.volumeId, call);
  if (s.journal.mutation('detach-volume').at === 'none') {
    const refused = refuseAttached(s, goal.volumeId);
    if (refused) return refused;
  }
  const released = detach(s, goal);
  if (released.do !== 'done') return released;
  return deleteDetached(s, goal.volumeId, call);
}

function refuseAttached(s: Situation, volumeId: string): Action | null {
  const known = knownVolume(s, volumeId);
  if (known.do !== 'done') return known;
  if (known.result.kind === 'absent') return null;
  const { vmId, vmName, deleteProtection } = known.result.value;
  if (vmId === null) return null;
  if (vmId === s.policy.applianceVmId) return deleteProtection ? refuseProtected(volumeId) : null;
  return giveUp(
    'VOLUME_ATTACHED_ELSEWHERE',
    `Volume ${volumeId} is attached to another VM, detach it first: ${vmName ?? ''} (${vmId})`,
    { volume_id: volumeId, vm_id: vmId },
  );
}

/** CloudStack would refuse the delete after the disk had been taken from its users. */
function refuseProtected(volumeId: string): Action {
  const message = `Volume ${volumeId} has delete protection enabled in CloudStack and cannot be deleted, so it was not detached`;
  return giveUp('CLOUDSTACK_REJECTED', message, { volume_id: volumeId });
}

function deleteDetached(s: Situation<'delete'>, volumeId: string, call: MutationState): Action {
  const command = commandOf(s, volumeId);
  if (call.at === 'intended' || call.at === 'accepted') return follow(s, STEP, call, command);
  if (call.at === 'ended' && (call.text === GONE || s.journal.removalProof !== null))
    return deleted(s, volumeId, DELETED);
  const proven = call.at === 'ended' && call.outcome === 'ok';
  const { volume } = s.facts;
  if (!volume) return { do: 'read-volume', volumeId };
  // CloudStack has said that our delete succeeded, and does not list the volume any more.
  if (volume.kind === 'unknown' && proven)
    return command.name === 'destroyVolume' ? trashed(volumeId) : deleted(s, volumeId, DELETED);
  // The delete was sent and may have succeeded: CloudStack's answer to another one of the same id proves it.
  if (volume.kind === 'unknown' && call.at === 'ended') return again(s, volumeId, call, volume.why);
  const known = knownVolume(s, volumeId);
  if (known.do !== 'done') return known;
  if (known.result.kind === 'absent') return deleted(s, volumeId, call.at === 'none' ? WAS_ABSENT : DELETED);
  const found = known.result.value;
  if (call.at === 'none') {
    return waitWhileBusy(s, found, 'delete') ?? intend(s, STEP, about(s, volumeId));
  }
  if (command.name === 'destroyVolume' && proven && found.state === 'Destroy') return trashed(volumeId);
  if (isLeaving(found)) return again(s, volumeId, call, `CloudStack keeps it in state ${found.state}`);
  if (command.name === 'destroyVolume' && proven)
    return doubtTheRead(s, STEP, call) ?? broughtBack(volumeId, call.jobId, found.state);
  const verdict = verdictOf(call);
  // deleteVolume has no job: an error instead of its answer proves as little as no answer.
  if (verdict === 'unknown' || (verdict === 'retry' && call.outcome === 'unknown')) {
    const why = call.code === null ? 'the answer was lost' : 'CloudStack did not delete it';
    return again(s, volumeId, call, why);
  }
  const pause = doubtTheRead(s, STEP, call) ?? waitWhileBusy(s, found, 'delete');
  if (pause) return pause;
  return tryAgainOrGiveUp(s, STEP, call, 'volume deletion', about(s, volumeId));
}

/** What the intent records. */
function about(s: Situation, volumeId: string): JsonObject {
  const { volume } = s.facts;
  const kept = s.policy.deleteMode === 'trash' && (volume?.kind !== 'seen' || canBeRecovered(volume.value));
  return { volume_id: volumeId, expunge: !kept };
}

/** deleteVolume expunges; destroyVolume without expunge leaves a volume that can be recovered. */
function commandOf(s: Situation, volumeId: string): Mutation {
  return s.journal.intent(STEP)?.expunge === false
    ? { name: 'destroyVolume', volumeId, expunge: false }
    : { name: 'deleteVolume', volumeId };
}

/** CloudStack's answer to the delete of a volume that was removed before, as the journal keeps it. */
export const GONE = 'CloudStack says that the volume was removed before';

/**
 * Sends the delete again after a pause, for as long as a delete may take; then fails with CloudStack's last
 * text.
 */
function again(s: Situation, volumeId: string, call: EndedTry, why: string): Action {
  if (call.outcome === 'refused')
    return tryAgainOrGiveUp(s, STEP, call, 'volume deletion', about(s, volumeId));
  if (s.elapsed('deleting') > LIMITS.DELETE_DEADLINE_MS) {
    const words = call.text === null ? '' : `; its last answer: ${failureMessage(call, 'volume deletion')}`;
    return giveUp('STEP_DEADLINE', `Volume ${volumeId} is not proven to be deleted: ${why}${words}`, {
      volume_id: volumeId,
      cloudstack_code: call.code,
      cloudstack_text: call.text,
    });
  }
  if (s.elapsed(`delete-again:${call.jobId}`) === 0) {
    const words = call.outcome === 'ok' ? '' : `: ${call.text ?? 'no answer'}`;
    return {
      do: 'back-off',
      step: STEP,
      reason: `the volume is deleted again, ${why}${words}`,
      forget: ['volume'],
    };
  }
  return intend(s, STEP, about(s, volumeId));
}

/**
 * A disk may have appeared in the guest between its last scan and the call, so the guest is checked again.
 */
function deleted(s: Situation, volumeId: string, message: string): Action {
  if (s.facts.gone === undefined)
    return { do: 'await-gone', volumeId, timeoutMs: LIMITS.DEVICE_GONE_DEADLINE_MS, leaves: true };
  if (!s.facts.gone)
    return giveUp(
      'DEVICE_STILL_PRESENT',
      `Volume ${volumeId} is deleted, but this guest still has its disk, or one that may be it (ghost disk)`,
      { volume_id: volumeId },
    );
  return { do: 'complete', response: { volume_id: volumeId, message } };
}

/**
 * What was in the trash, and is not any more, somebody may have recovered: it is not taken
 * from them a second time.
 */
function broughtBack(volumeId: string, jobId: string, state: string): Action {
  const message = `CloudStack says that volume ${volumeId} was put into its trash (job ${jobId}), and shows it as ${state}: somebody may have recovered it, so it is not deleted again`;
  return giveUp('CLOUDSTACK_OUTCOME_UNKNOWN', message, { volume_id: volumeId, state });
}

function trashed(volumeId: string): Action {
  const message = `Volume deleted; it can be brought back with POST /api/v1/volumes/${volumeId}/recover until CloudStack expunges it`;
  return { do: 'complete', response: { volume_id: volumeId, recoverable: true, message } };
}
