import type { CloudSnapshot } from '../../cloudstack/cloud';
import { saysSnapshotDestroyed } from '../../cloudstack/errors';
import { snapshotPhase } from '../../cloudstack/snapshot-states';
import { LIMITS } from '../../core/limits';
import type { Absent, Seen } from '../../model/evidence';
import { type Action, type Done, done, giveUp } from '../action';
import type { Situation } from '../decision';
import { endFailed, openCall } from './failure';
import { lookAgain } from './look-again';
import { follow, intend, tryAgainOrGiveUp } from './mutation';
import { doubtTheRead } from './volume';

const STEP = 'delete-snapshot';
const DELETED = 'Snapshot deleted successfully';
const WAS_ABSENT = 'Snapshot was already absent from CloudStack';

/**
 * delete of a snapshot: read → its volume is taken, so that nothing else happens to it meanwhile → intent →
 * send → job → proven to be gone. Snapshots outlive their volumes, so the volume need not be there.
 */
export function decideDeleteSnapshot(s: Situation<'delete-snapshot'>): Action {
  const { snapshot_id: snapshotId } = s.operation.request;
  const { volumeId } = s.operation;
  const { failing } = s.journal;
  if (failing) return endFailed(failing, openCall(s, STEP));
  const call = s.journal.mutation(STEP);
  if (call.at === 'intended' || call.at === 'accepted')
    return follow(s, STEP, call, { name: 'deleteSnapshot', volumeId, snapshotId });
  const about = { volume_id: volumeId, snapshot_id: snapshotId };
  if (call.at === 'ended') {
    if (saysSnapshotDestroyed(call.text)) return deleted(s, DELETED);
    const { snapshot } = s.facts;
    if (!snapshot) return { do: 'read-snapshot', snapshotId };
    // CloudStack has said that our delete succeeded, and does not show the snapshot any more.
    if (snapshot.kind === 'absent' || (snapshot.kind === 'unknown' && call.outcome === 'ok'))
      return deleted(s, DELETED);
    // Sent again, its answer is the proof.
    return doubtTheRead(s, STEP, call) ?? tryAgainOrGiveUp(s, STEP, call, 'deletion of the snapshot', about);
  }
  const known = knownSnapshot(s, snapshotId);
  if (known.do !== 'done') return known;
  if (known.result.kind === 'absent') return deleted(s, WAS_ABSENT);
  const snapshot = known.result.value;
  if (volumeId === '') return s.operation.cancelRequested ? intend(s, STEP) : takeVolume(snapshot);
  return waitForSnapshot(s, snapshot) ?? intend(s, STEP, about);
}

/**
 * The snapshot as CloudStack shows it, or the proof that there is none. One that is merely not shown is
 * looked for again for a while.
 */
export function knownSnapshot(s: Situation, snapshotId: string): Action | Done<Seen<CloudSnapshot> | Absent> {
  const { snapshot } = s.facts;
  if (!snapshot) return { do: 'read-snapshot', snapshotId };
  if (snapshot.kind !== 'unknown') return done(snapshot);
  const { why } = snapshot;
  const message = `Snapshot ${snapshotId} is not visible to this key, so nothing was concluded and nothing changed: ${why}`;
  return (
    lookAgain(s, {
      name: 'snapshot-not-visible',
      step: 'read-snapshot',
      reason: why,
      forget: ['snapshot'],
    }) ?? giveUp('SNAPSHOT_NOT_VISIBLE', message, { snapshot_id: snapshotId })
  );
}

/** Waits while another operation executes on the volume. */
function takeVolume({ id, volumeId, name, state }: CloudSnapshot): Action {
  if (volumeId === null) {
    const message = `CloudStack does not say which volume snapshot ${id} is of, so it is not deleted`;
    return giveUp('SNAPSHOT_STATE', message, { snapshot_id: id, state });
  }
  return {
    do: 'record',
    step: 'check',
    state: 'done',
    data: { snapshot_id: id, volume_id: volumeId, name },
    volumeId,
    forget: ['snapshot'],
  };
}

/** null when CloudStack is not busy with it. */
export function waitForSnapshot(s: Situation, { id, state }: CloudSnapshot): Action | null {
  if (snapshotPhase(state) !== 'moving') return null;
  if (s.elapsed('snapshot-busy') > LIMITS.VOLUME_BUSY_DEADLINE_MS)
    return giveUp('SNAPSHOT_STATE', `Snapshot ${id} stays in state ${state} in CloudStack`, {
      snapshot_id: id,
      state,
    });
  return {
    do: 'pause',
    ms: LIMITS.JOB_POLL_MAX_MS,
    step: 'read-snapshot',
    reason: `CloudStack is busy with the snapshot (${state})`,
    forget: ['snapshot'],
  };
}

function deleted(s: Situation<'delete-snapshot'>, message: string): Action {
  return { do: 'complete', response: { snapshot_id: s.operation.request.snapshot_id, message } };
}
