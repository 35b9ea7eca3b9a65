import type { CloudSnapshot, CloudVolume } from '../../cloudstack/cloud';
import { snapshotPhase } from '../../cloudstack/snapshot-states';
import { stateOf } from '../../cloudstack/volume-states';
import { GIB } from '../../core/gib';
import { describeHolders } from '../../devices/disk-users';
import type { Evidence } from '../../model/evidence';
import type { Guards, Intent } from '../decision';
import type { Policy } from '../policy';
import {
  elsewhere,
  GO,
  type Permit,
  permitNeighbour,
  permitVm,
  protectedAppliance,
  refuse,
  samePlug,
  seenVolume,
  vmMoves,
  wait,
  wrongState,
} from './permit-parts';

/** Only a volume that is seen to be smaller, where the intent has found it. */
export function permitResize(
  { volumeId, sizeGiB }: { volumeId: string; sizeGiB: number },
  intent: Intent,
  guards: Guards,
  policy: Policy,
): Permit {
  const known = seenVolume(volumeId, guards);
  if ('permit' in known) return known.permit;
  const volume = known.value;
  const wanted = sizeGiB * GIB;
  if (volume.size === null) return wait('VOLUME_STATE', 'CloudStack does not say how large the volume is');
  if (volume.size === wanted) return { verdict: 'settled', reason: 'the volume has that size already' };
  if (volume.size > wanted) {
    const message = `Volume ${volumeId} has ${volume.size} bytes, more than the ${wanted} asked for: it is not made smaller`;
    return refuse('VOLUME_WOULD_SHRINK', message, { volume_id: volumeId, size: volume.size });
  }
  if (volume.vmId !== intent.vmId) return elsewhere(volume, intent.vmId ?? 'detached');
  if (volume.vmId !== null && volume.vmId === policy.applianceVmId && volume.type === 'ROOT')
    return protectedAppliance('be resized under');
  return vmMoves(volume) ?? wrongState(volume, 'resize') ?? GO;
}

/**
 * A snapshot is taken of a disk in use, too; not where the volume has moved since the intent was written, and
 * not while CloudStack has another snapshot of this operation.
 */
export function permitSnapshot(volumeId: string, intent: Intent, guards: Guards): Permit {
  const known = seenVolume(volumeId, guards);
  if ('permit' in known) return known.permit;
  const { ownSnapshots } = guards;
  if (ownSnapshots === null) return wait('SNAPSHOT_NOT_VISIBLE', 'the snapshots of the volume were not read');
  if (ownSnapshots.some(({ state }) => snapshotPhase(state) !== 'dead'))
    return { verdict: 'settled', reason: 'CloudStack has a snapshot of this operation already' };
  if (known.value.vmId !== intent.vmId) return elsewhere(known.value, intent.vmId ?? 'detached');
  return wrongState(known.value, 'snapshot') ?? GO;
}

/**
 * One that was sent once may be sent again although the snapshot is no longer shown: CloudStack's answer to
 * it is the proof that the snapshot is gone.
 */
export function permitDeleteSnapshot(
  { volumeId, snapshotId }: { volumeId: string; snapshotId: string },
  { sentBefore }: Intent,
  { snapshot, openJobs, volume }: Guards,
): Permit {
  if (openJobs > 0)
    return wait('VOLUME_BUSY', 'an earlier job of the volume may still be running in CloudStack');
  if (volume?.kind === 'seen' && stateOf(volume.value).phase === 'moving')
    return wait('VOLUME_BUSY', `the volume ${stateOf(volume.value).means} (${volume.value.state})`);
  if (snapshot?.kind === 'absent')
    return { verdict: 'settled', reason: `the snapshot is gone: ${snapshot.proof}` };
  if (snapshot?.kind !== 'seen') {
    if (snapshot !== null && sentBefore) return GO;
    return snapshotNotVisible(snapshotId, snapshot);
  }
  const { state } = snapshot.value;
  if (snapshot.value.volumeId !== volumeId) return otherVolume(snapshot.value, volumeId);
  return snapshotPhase(state) === 'moving' ? wait('SNAPSHOT_STATE', `the snapshot is ${state}`) : GO;
}

function snapshotNotVisible(snapshotId: string, snapshot: Evidence<CloudSnapshot> | null): Permit {
  const why = snapshot?.kind === 'unknown' ? snapshot.why : 'it was not read';
  return wait('SNAPSHOT_NOT_VISIBLE', `snapshot ${snapshotId} is not visible to this key: ${why}`);
}

function otherVolume(snapshot: CloudSnapshot, volumeId: string): Permit {
  return refuse(
    'SNAPSHOT_MISMATCH',
    `Snapshot ${snapshot.id} is of volume ${snapshot.volumeId ?? 'unknown'}, not of ${volumeId}`,
    { snapshot_id: snapshot.id, volume_id: volumeId, snapshot_volume_id: snapshot.volumeId },
  );
}

/**
 * Replaces the content of a volume: only to a snapshot of its own, where the intent has found it, detached or
 * on a VM that is seen to be stopped; and never one that this appliance has a mapping or a disk of.
 */
export function permitRevert(
  { volumeId, snapshotId }: { volumeId: string; snapshotId: string },
  intent: Intent,
  guards: Guards,
  policy: Policy,
): Permit {
  const known = seenVolume(volumeId, guards);
  if ('permit' in known) return known.permit;
  const volume = known.value;
  const ready = permitSource(volumeId, snapshotId, guards.snapshot);
  if (ready) return ready;
  const here = permitAway(volume, guards, policy) ?? permitNeighbour(guards.neighbour);
  if (here) return here;
  if (volume.vmId !== intent.vmId) return elsewhere(volume, intent.vmId ?? 'detached');
  if (intent.plug !== null && !samePlug(intent.plug, volume))
    return elsewhere(volume, 'the same way as before');
  const vm = volume.vmId === null ? GO : permitVm(guards.vm, volume.vmId, ['still']);
  return vm.verdict === 'go' ? (wrongState(volume, 'revert') ?? GO) : vm;
}

/** null when it is a whole snapshot of this volume. */
function permitSource(
  volumeId: string,
  snapshotId: string,
  snapshot: Evidence<CloudSnapshot> | null,
): Permit | null {
  if (snapshot?.kind === 'absent')
    return refuse('SNAPSHOT_NOT_FOUND', `Snapshot ${snapshotId} not found in CloudStack: ${snapshot.proof}`, {
      snapshot_id: snapshotId,
    });
  if (snapshot?.kind !== 'seen') return snapshotNotVisible(snapshotId, snapshot);
  const { state } = snapshot.value;
  if (snapshot.value.volumeId !== volumeId) return otherVolume(snapshot.value, volumeId);
  const phase = snapshotPhase(state);
  if (phase === 'moving') return wait('SNAPSHOT_STATE', `the snapshot is ${state}`);
  if (phase === 'ready') return null;
  const message = `Snapshot ${snapshotId} is in state ${state}, and holds nothing`;
  return refuse('SNAPSHOT_STATE', message, { snapshot_id: snapshotId, state });
}

/**
 * null when this appliance has nothing to do with the volume: no attachment, mapping, export, disk or client.
 */
function permitAway(
  volume: CloudVolume,
  { mapping, exported, ghost, use }: Guards,
  policy: Policy,
): Permit | null {
  const details = { volume_id: volume.id };
  const mapped = mapping?.kind === 'seen' && mapping.value.vmId === policy.applianceVmId;
  const read =
    mapping !== null && mapping.kind !== 'unknown' && exported !== null && ghost !== null && use !== null;
  if (policy.applianceVmId === null || !read)
    return wait('DEVICE_NOT_IDENTIFIED', 'the disks and mappings of this appliance were not read');
  if (volume.vmId === policy.applianceVmId || mapped || exported) {
    const how = volume.vmId === policy.applianceVmId ? 'attached to' : mapped ? 'mapped to' : 'exported by';
    const message = `Volume ${volume.id} is ${how} this appliance, detach it first: its content is not replaced under an export`;
    return refuse('VOLUME_ATTACHED_HERE', message, details);
  }
  if (use.disk === 'found' || ghost) {
    const message = `This guest still has the disk of volume ${volume.id} (ghost disk), or has a disk that cannot be read and may be it, so its content is not replaced`;
    return refuse('DEVICE_STILL_PRESENT', message, details);
  }
  return use.holders.length === 0
    ? null
    : refuse(
        'DEVICE_NOT_IDENTIFIED',
        `It is not known which disk of this guest is volume ${volume.id}, and one that may be it is in use: ${describeHolders(use.holders)}`,
        details,
      );
}
