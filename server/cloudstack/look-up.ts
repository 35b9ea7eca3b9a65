import { DaemonError } from '../core/errors';
import { LIMITS } from '../core/limits';
import { absent, type Evidence, unknown } from '../model/evidence';
import type { Ledger } from '../model/ledger';
import type { Cloud, CloudSnapshot, CloudVm, CloudVolume } from './cloud';

/**
 * A volume by its id, for decisions. A negative answer counts only from a key that sees our own VM: a key of
 * another account, a role without the call, or another CloudStack behind the same address shows none of our
 * volumes, so all of them would look gone. Throws CloudError.
 */
export async function lookUpVolume(
  cloud: Pick<Cloud, 'readVolume' | 'readVm'>,
  volumeId: string,
  applianceVmId: string | null,
): Promise<Evidence<CloudVolume>> {
  const volume = await cloud.readVolume(volumeId);
  return volume.kind === 'absent' ? trustDenial(cloud, volume, applianceVmId) : volume;
}

/**
 * What CloudStack does not show, and a delete of ours has ended with success, is gone: its job is the proof.
 * A delete into the trash proves nothing: the volume may have been recovered. Throws DATABASE_UNAVAILABLE.
 */
export async function knowOwnDelete(
  ledger: Pick<Ledger, 'listOperations'>,
  volumeId: string,
  shown: Evidence<CloudVolume>,
): Promise<Evidence<CloudVolume>> {
  if (shown.kind !== 'unknown') return shown;
  const [last] = await ledger.listOperations({ volumeId, type: 'delete', status: 'completed', limit: 1 });
  if (!last || last.response?.recoverable === true) return shown;
  return absent(`operation ${last.id} has deleted it, and CloudStack does not show it`, shown.at, shown.by);
}

/**
 * The same of a snapshot, which never comes back: also one that such a delete has found gone. Of the newest
 * LIMITS.LIST_MAX deletes. Throws DATABASE_UNAVAILABLE.
 */
export async function knowOwnSnapshotDelete(
  ledger: Pick<Ledger, 'listOperations'>,
  snapshotId: string,
  shown: Evidence<CloudSnapshot>,
): Promise<Evidence<CloudSnapshot>> {
  if (shown.kind !== 'unknown') return shown;
  const filter = { type: 'delete-snapshot', status: 'completed', limit: LIMITS.LIST_MAX } as const;
  const deletes = await ledger.listOperations(filter);
  const ours = deletes.find(({ request }) => 'snapshot_id' in request && request.snapshot_id === snapshotId);
  if (!ours) return shown;
  return absent(`operation ${ours.id} has deleted it, and CloudStack does not show it`, shown.at, shown.by);
}

/** A snapshot by its id, as `lookUpVolume` a volume. Throws CloudError. */
export async function lookUpSnapshot(
  cloud: Pick<Cloud, 'readSnapshot' | 'readVm'>,
  snapshotId: string,
  applianceVmId: string | null,
): Promise<Evidence<CloudSnapshot>> {
  const snapshot = await cloud.readSnapshot(snapshotId);
  return snapshot.kind === 'absent' ? trustDenial(cloud, snapshot, applianceVmId) : snapshot;
}

/** A VM by its id, as `lookUpVolume` a volume. Throws CloudError. */
export async function lookUpVm(
  cloud: Pick<Cloud, 'readVm'>,
  vmId: string,
  applianceVmId: string | null,
): Promise<Evidence<CloudVm>> {
  const vm = await cloud.readVm(vmId);
  return vm.kind === 'absent' && vmId !== applianceVmId ? trustDenial(cloud, vm, applianceVmId) : vm;
}

/**
 * The volume, or the error for a caller: VOLUME_NOT_FOUND when there is none, VOLUME_NOT_VISIBLE when that is
 * not known.
 */
export function requireVolume(volume: Evidence<CloudVolume>, volumeId: string): CloudVolume {
  const details = { volume_id: volumeId };
  switch (volume.kind) {
    case 'seen':
      return volume.value;
    case 'absent':
      throw new DaemonError(
        'VOLUME_NOT_FOUND',
        `Volume ${volumeId} not found in CloudStack: ${volume.proof}`,
        {
          details,
        },
      );
    case 'unknown':
      throw new DaemonError(
        'VOLUME_NOT_VISIBLE',
        `Volume ${volumeId} is not visible to this key: ${volume.why}`,
        {
          details,
        },
      );
    default:
      return volume satisfies never;
  }
}

async function trustDenial<T>(
  cloud: Pick<Cloud, 'readVm'>,
  denial: Extract<Evidence<T>, { kind: 'absent' }>,
  applianceVmId: string | null,
): Promise<Evidence<T>> {
  if (applianceVmId === null) return denial;
  const appliance = await cloud.readVm(applianceVmId);
  if (appliance.kind === 'seen') return denial;
  const why = `${denial.proof}; but it does not show this appliance (VM ${applianceVmId}) to this key either, so nothing is concluded`;
  return unknown(why, denial.at, denial.by);
}
