import type { Cloud, CloudVolume } from '../cloudstack/cloud';
import { knowOwnDelete } from '../cloudstack/look-up';
import { mapConcurrent } from '../core/concurrency/map-concurrent';
import { DaemonError, messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Ledger } from '../model/ledger';

/** What CloudStack shows of all volumes. */
export interface CloudView {
  readonly volumes: readonly CloudVolume[];
  /**
   * Asked for by id: those that CloudStack says do not exist, or does not show after our own delete, and why.
   */
  readonly absent: ReadonlyMap<string, string>;
  /** Asked for by id: those that it does not show to this key or that could not be read, and why. */
  readonly hidden: ReadonlyMap<string, string>;
  /** Volumes that could not be read, and why. */
  readonly unavailable: readonly string[];
}

/** Who is asked. */
export interface CloudWitnesses {
  readonly cloud: Pick<Cloud, 'readVm' | 'listVolumes' | 'readVolume'>;
  readonly ledger: Pick<Ledger, 'listOperations'>;
}

/**
 * All volumes, and those of `volumeIds` that the list does not show one by one: a list leaves out volumes of
 * projects, and those that moved to an earlier page while it was read. Only CloudStack's answer about the id,
 * or our own delete of it (`knowOwnDelete`), proves that a volume is gone. Throws CloudError, and
 * VM_NOT_VISIBLE as `requireAppliance`.
 */
export async function readCloud(
  { cloud, ledger }: CloudWitnesses,
  applianceVmId: string | null,
  volumeIds: readonly string[],
): Promise<CloudView> {
  await requireAppliance(cloud, applianceVmId);
  const volumes = await cloud.listVolumes({});
  const listed = new Set(volumes.map(({ id }) => id));
  const unlisted = [...new Set(volumeIds)].filter((id) => !listed.has(id));
  const absent = new Map<string, string>();
  const unavailable: string[] = [];
  const hidden = new Map<string, string>(
    unlisted.slice(LIMITS.SYNC_LOOKUPS).map((id) => [id, 'it was not looked up: there are too many like it']),
  );
  await mapConcurrent(unlisted.slice(0, LIMITS.SYNC_LOOKUPS), LIMITS.PROBES_AT_ONCE, async (id) => {
    try {
      const volume = await knowOwnDelete(ledger, id, await cloud.readVolume(id));
      if (volume.kind === 'seen') volumes.push(volume.value);
      else if (volume.kind === 'absent') absent.set(id, volume.proof);
      else hidden.set(id, volume.why);
    } catch (error) {
      hidden.set(id, messageOf(error));
      unavailable.push(`cloudstack: volume ${id}: ${messageOf(error)}`);
    }
  });
  return { volumes, absent, hidden, unavailable };
}

/**
 * A key that does not see our own VM sees none of our volumes: then nothing that it shows is judged. Throws
 * VM_NOT_VISIBLE and CloudError.
 */
export async function requireAppliance(
  cloud: Pick<Cloud, 'readVm'>,
  applianceVmId: string | null,
): Promise<void> {
  if (applianceVmId === null) return;
  const appliance = await cloud.readVm(applianceVmId);
  if (appliance.kind === 'seen') return;
  const why = appliance.kind === 'absent' ? appliance.proof : appliance.why;
  throw new DaemonError(
    'VM_NOT_VISIBLE',
    `this appliance (VM ${applianceVmId}) is not visible to the key, so nothing is judged: ${why}`,
    { details: { vm_id: applianceVmId } },
  );
}
