import type { CloudVolume } from '../../cloudstack/cloud';
import { type Action, giveUp } from '../action';
import type { Situation } from '../decision';
import type { EndedTry } from '../journal';
import { knownSnapshot, waitForSnapshot } from './delete-snapshot';
import { endFailed, openCall } from './failure';
import { followSize } from './follow-size';
import { plugData } from './intent';
import { failureCode, follow, intend, tryAgainOrGiveUp } from './mutation';
import { judgeRemoved, presentVolume, waitWhileBusy, whyUnseen } from './volume';

const STEP = 'revert-volume';

/**
 * revert: read volume and snapshot → intent → send → job → done. It replaces the content of the volume, so
 * its permit is the narrowest (./permit.ts): detached or on a stopped VM, no disk of it in this guest, no
 * mapping here. And nothing in CloudStack shows whether it has happened: once CloudStack has accepted it, it
 * is never sent again, because what was written since then would be lost.
 */
export function decideRevert(s: Situation<'revert'>): Action {
  const { volume_id: volumeId, snapshot_id: snapshotId } = s.operation.request;
  const { failing } = s.journal;
  if (failing) return endFailed(failing, openCall(s, STEP));
  const call = s.journal.mutation(STEP);
  if (call.at === 'intended' || call.at === 'accepted')
    return follow(s, STEP, call, { name: 'revertSnapshot', volumeId, snapshotId });
  if (call.at === 'ended' && call.outcome === 'refused' && !call.settled)
    return judgeRemoved(s, volumeId) ?? tryAgainOrGiveUp(s, STEP, call, 'revert');
  const unseen = call.at === 'ended' && !call.settled ? whyUnseen(s, volumeId) : null;
  if (call.at === 'ended' && unseen !== null) {
    if (call.outcome === 'ok') return completeUnseen(s, unseen);
    if (s.facts.volume?.kind === 'unknown') return notProven(volumeId, snapshotId, call);
  }
  const present = presentVolume(s, volumeId);
  if (present.do !== 'done') return present;
  const volume = present.result;
  if (call.at === 'ended' && !call.settled) return end(s, volume, call);
  const busy = waitWhileBusy(s, volume, 'revert');
  if (busy) return busy;
  const snapshot = knownSnapshot(s, snapshotId);
  if (snapshot.do !== 'done') return snapshot;
  if (snapshot.result.kind === 'absent') {
    const why = `Snapshot ${snapshotId} not found in CloudStack: ${snapshot.result.proof}`;
    return giveUp('SNAPSHOT_NOT_FOUND', why, { snapshot_id: snapshotId });
  }
  return (
    waitForSnapshot(s, snapshot.result.value) ??
    intend(s, STEP, { ...plugData(volume), snapshot_id: snapshotId })
  );
}

/** Its job is the proof; that the volume is not shown any more, or is gone, takes nothing from it. */
function completeUnseen({ operation: { request } }: Situation<'revert'>, why: string): Action {
  return {
    do: 'complete',
    response: {
      volume_id: request.volume_id,
      snapshot_id: request.snapshot_id,
      size: null,
      message: 'Volume reverted to the snapshot successfully',
      warnings: [`its size is not known: ${why}`],
    },
  };
}

function end(s: Situation<'revert'>, volume: CloudVolume, call: EndedTry): Action {
  const { snapshot_id: snapshotId } = s.operation.request;
  const isDone = call.outcome === 'ok';
  // What somebody else, or a snapshot policy, does with the volume afterwards takes nothing from a job
  // that has ended well.
  const busy = isDone && volume.state !== 'RevertSnapshotting' ? null : waitWhileBusy(s, volume, 'revert');
  if (busy && (isDone || busy.do === 'pause')) return busy;
  if (call.outcome !== 'ok') return notProven(volume.id, snapshotId, call);
  const followed = followSize(s, volume);
  if (followed.do !== 'done') return followed;
  return {
    do: 'complete',
    response: {
      volume_id: volume.id,
      snapshot_id: snapshotId,
      size: volume.size,
      message: 'Volume reverted to the snapshot successfully',
    },
    effects: [...followed.result.effects],
  };
}

function notProven(volumeId: string, snapshotId: string, call: EndedTry): Action {
  const said =
    call.text === null
      ? 'CloudStack did not say how it ended'
      : `CloudStack API error ${call.code ?? 530}: ${call.text}`;
  return giveUp(
    failureCode(call),
    `CloudStack revert failed (job ${call.jobId}): ${said}. Nothing was sent again; check the content of volume ${volumeId} before it is used`,
    {
      volume_id: volumeId,
      snapshot_id: snapshotId,
      cloudstack_code: call.code,
      cloudstack_text: call.text,
    },
  );
}
