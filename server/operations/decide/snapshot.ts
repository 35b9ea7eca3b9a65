import type { CloudSnapshot, CloudVolume } from '../../cloudstack/cloud';
import { snapshotPhase } from '../../cloudstack/snapshot-states';
import { LIMITS } from '../../core/limits';
import type { JsonObject, OperationOf } from '../../model/operation';
import { type Action, giveUp } from '../action';
import type { Situation } from '../decision';
import type { EndedTry } from '../journal';
import { endFailed, openCall } from './failure';
import { follow, intend, tryAgainOrGiveUp } from './mutation';
import { doubtTheRead, judgeRemoved, mayHaveWorked, presentVolume, waitWhileBusy } from './volume';

const STEP = 'create-snapshot';

/**
 * snapshot: read → intent → send → job → find it → done. What identifies a snapshot as ours is the
 * answer to our call or our job; where both are lost, its name, which ends with the id of this operation
 * and which nobody else gives. CloudStack makes the row before it accepts the call, so where none of
 * that name is listed and the end of the call is not known, nothing is sent again: a second snapshot
 * would belong to nobody.
 */
export function decideSnapshot(s: Situation<'snapshot'>): Action {
  const { volume_id: volumeId } = s.operation.request;
  const { failing } = s.journal;
  if (failing) return endFailed(failing, openCall(s, STEP));
  const call = s.journal.mutation(STEP);
  if (call.at === 'intended' || call.at === 'accepted') {
    const snapshotName = ownSnapshotName(s.operation);
    return follow(s, STEP, call, { name: 'createSnapshot', volumeId, snapshotName });
  }
  if (call.at === 'ended') return judge(s, call);
  const volume = presentVolume(s, volumeId);
  if (volume.do !== 'done') return volume;
  return (
    refuseElsewhere(s, volume.result) ??
    waitWhileBusy(s, volume.result, 'snapshot') ??
    intend(s, STEP, about(s.operation, volume.result))
  );
}

/**
 * The name of the snapshot in CloudStack.
 *
 * @example
 * ownSnapshotName(operation); // 'before-failover-7b0c…'
 */
function ownSnapshotName({ id, request }: Pick<OperationOf<'snapshot'>, 'id' | 'request'>): string {
  return `${request.name ?? 'snapshot'}-${id}`;
}

function about(operation: OperationOf<'snapshot'>, volume: CloudVolume): JsonObject {
  return { volume_id: volume.id, vm_id: volume.vmId, name: ownSnapshotName(operation) };
}

/**
 * null: the volume is where the request says, or it says nothing. Elsewhere it may have
 * another content by now.
 */
function refuseElsewhere({ operation }: Situation<'snapshot'>, { id, vmId }: CloudVolume): Action | null {
  const { on_vm: wanted } = operation.request;
  if (wanted === undefined || vmId === wanted) return null;
  const place = vmId === null ? 'it is detached' : `it is attached to VM ${vmId}`;
  const message = `Volume ${id} is not attached to VM ${wanted} any more: ${place}`;
  return giveUp('VOLUME_ATTACHED_ELSEWHERE', message, { volume_id: id, vm_id: vmId });
}

function judge(s: Situation<'snapshot'>, call: EndedTry): Action {
  const { volume_id: volumeId } = s.operation.request;
  if (call.outcome === 'refused' && !call.settled)
    return judgeRemoved(s, volumeId) ?? tryAgainOrGiveUp(s, STEP, call, 'snapshot');
  const own = s.facts.ownSnapshots;
  if (!own) return { do: 'find-snapshots', volumeId, name: ownSnapshotName(s.operation) };
  const standing = own.filter(({ state }) => snapshotPhase(state) !== 'dead');
  const named = standing.filter(({ id }) => call.snapshotId === null || id === call.snapshotId);
  const [snapshot, ...more] = named;
  if (!snapshot) return missing(s, call, own);
  if (more.length > 0) {
    const ids = named.map(({ id }) => id);
    return giveUp(
      'CLOUDSTACK_OUTCOME_UNKNOWN',
      `CloudStack has ${ids.length} snapshots of this operation, and nothing says which one holds the volume: ${ids.join(', ')}`,
      { volume_id: volumeId, snapshots: ids },
    );
  }
  if (snapshotPhase(snapshot.state) === 'ready') return complete(s, snapshot, standing);
  if (s.elapsed('snapshot-busy') > LIMITS.VOLUME_BUSY_DEADLINE_MS) {
    return giveUp('STEP_DEADLINE', `Snapshot ${snapshot.id} stays in state ${snapshot.state} in CloudStack`, {
      volume_id: volumeId,
      snapshot_id: snapshot.id,
      state: snapshot.state,
    });
  }
  return {
    do: 'pause',
    ms: LIMITS.JOB_POLL_MAX_MS,
    step: STEP,
    reason: `CloudStack is busy with the snapshot (${snapshot.state})`,
    forget: ['ownSnapshots'],
  };
}

/**
 * No snapshot of the try stands. A row in state Error proves that it has failed; no row at all proves
 * nothing.
 */
function missing(s: Situation<'snapshot'>, call: EndedTry, own: readonly CloudSnapshot[]): Action {
  const { volume_id: volumeId } = s.operation.request;
  const hasFailed = own.some(({ id }) => call.snapshotId === null || id === call.snapshotId);
  if (!hasFailed) {
    const pause = doubtTheRead(s, STEP, call);
    if (pause) return pause;
    // Also where CloudStack calls it failed: it had a row when the call was accepted, and that row is not
    // shown.
    if (call.outcome !== 'refused' && (mayHaveWorked(call) || call.snapshotId !== null)) {
      const silent = call.outcome === 'ok' ? 'says that it was taken' : 'did not say how it ended';
      const how = call.text === null ? silent : `said: ${call.text}`;
      const message = `Of the snapshot of volume ${volumeId} CloudStack ${how} (job ${call.jobId}), and it does not list it; nothing was sent again`;
      return giveUp('CLOUDSTACK_OUTCOME_UNKNOWN', message, {
        volume_id: volumeId,
        ...(call.snapshotId === null ? {} : { snapshot_id: call.snapshotId }),
      });
    }
  }
  const volume = presentVolume(s, volumeId);
  if (volume.do !== 'done') return volume;
  return (
    refuseElsewhere(s, volume.result) ??
    waitWhileBusy(s, volume.result, 'snapshot') ??
    tryAgainOrGiveUp(s, STEP, call, 'snapshot', about(s.operation, volume.result))
  );
}

function complete(
  s: Situation<'snapshot'>,
  snapshot: CloudSnapshot,
  standing: readonly CloudSnapshot[],
): Action {
  const warnings = standing
    .filter(({ id }) => id !== snapshot.id)
    .map(
      ({ id, state }) => `snapshot ${id} (${state}) is what another try of this operation has left behind`,
    );
  return {
    do: 'complete',
    response: {
      volume_id: s.operation.request.volume_id,
      snapshot_id: snapshot.id,
      name: snapshot.name,
      size: snapshot.size,
      state: snapshot.state,
      message: 'Snapshot taken successfully',
      ...(warnings.length === 0 ? {} : { warnings }),
    },
  };
}
