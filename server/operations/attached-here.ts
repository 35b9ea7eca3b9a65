import type { Cloud } from '../cloudstack/cloud';
import { knowOwnDelete, lookUpVolume } from '../cloudstack/look-up';
import { mapConcurrent } from '../core/concurrency/map-concurrent';
import { LIMITS } from '../core/limits';
import type { World } from '../devices/correlation';
import type { DeviceSnapshot } from '../devices/device';
import { lacksSerials } from '../devices/serial';
import type { Ledger } from '../model/ledger';

interface Witnesses {
  readonly cloud: Pick<Cloud, 'listVolumes' | 'readVolume' | 'readVm'>;
  readonly ledger: Pick<Ledger, 'listOperations'>;
}

/**
 * The data volumes that may be attached to this guest: a new disk without a serial may be any of them. They
 * are those that CloudStack lists, and those that an operation of ours asked for without a good end while
 * CloudStack does not show them: a list that leaves a volume out is no proof that its disk will not come. The
 * size of a volume that is not shown is not known. Not read where disks have serials. Throws CloudError and DATABASE_UNAVAILABLE.
 */
export async function attachedHere(
  { cloud, ledger }: Witnesses,
  { devices }: Pick<DeviceSnapshot, 'devices'>,
  applianceVmId: string | null,
): Promise<World['attachedHere']> {
  if (applianceVmId === null || !lacksSerials(devices)) return [];
  const volumes = await cloud.listVolumes({ vmId: applianceVmId });
  const listed = volumes.filter(({ type }) => type !== 'ROOT').map(({ id, size }) => ({ id, size }));
  const shown = new Set(listed.map(({ id }) => id));
  const asked = (await askedFor(ledger, applianceVmId)).filter((id) => !shown.has(id));
  const found = await mapConcurrent(asked, LIMITS.PROBES_AT_ONCE, async (id) =>
    knowOwnDelete(ledger, id, await lookUpVolume(cloud, id, applianceVmId)),
  );
  const hidden = asked.filter((_, index) => found[index]?.kind === 'unknown');
  return [...listed, ...hidden.map((id) => ({ id, size: null }))];
}

/** Volumes of the latest operations on this guest that have ended without success. */
async function askedFor(ledger: Witnesses['ledger'], vmId: string): Promise<string[]> {
  const ended = await Promise.all(
    (['failed', 'cancelled'] as const).map((status) =>
      ledger.listOperations({ status, vmId, limit: LIMITS.RECENT_OPERATIONS }),
    ),
  );
  return [...new Set(ended.flat().map(({ volumeId }) => volumeId))].filter((id) => id !== '');
}
