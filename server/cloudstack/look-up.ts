import { DaemonError } from '../core/errors';
import { type Evidence, unknown } from '../model/evidence';
import type { Cloud, CloudVm, CloudVolume } from './cloud';

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

/** The same for a VM. Throws CloudError. */
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
