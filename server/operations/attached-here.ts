import type { Cloud, CloudVolume } from '../cloudstack/cloud';
import { knowOwnDelete, lookUpVolume } from '../cloudstack/look-up';
import { mapConcurrent } from '../core/concurrency/map-concurrent';
import { LIMITS } from '../core/limits';
import type { World } from '../devices/correlation';
import type { DeviceSnapshot } from '../devices/device';
import { lacksSerials, shareSerial } from '../devices/serial';
import type { Ledger } from '../model/ledger';

interface Witnesses {
  readonly cloud: Pick<Cloud, 'listVolumes' | 'readVolume' | 'readVm'>;
  readonly ledger: Pick<Ledger, 'listOperations' | 'volumesStillComing'>;
}

/**
 * The data volumes that may be attached to this guest: a new disk without a serial may be any of them.
 * - those that CloudStack lists;
 * - those that an operation of ours asked for without a good end, while CloudStack does not show them: a list
 *   that leaves a volume out is no proof that its disk will not come;
 * - those whose attach was given up while its job is open: it may still plug their disk, whatever CloudStack
 *   shows of them.
 *
 * Empty where disks have serials. Throws CloudError and DATABASE_UNAVAILABLE.
 *
 * @param before see `pluggedBefore`; null: not known
 */
export async function attachedHere(
  { cloud, ledger }: Witnesses,
  { devices }: Pick<DeviceSnapshot, 'devices'>,
  applianceVmId: string | null,
  before: number | null,
): Promise<World['attachedHere']> {
  if (applianceVmId === null || !lacksSerials(devices)) return [];
  // Before the list: a job that ends in between has attached its volume by then.
  const coming = new Set(await ledger.volumesStillComing(applianceVmId));
  const volumes = await cloud.listVolumes({ vmId: applianceVmId });
  const listed = volumes.filter(({ type }) => type !== 'ROOT');
  const asked = new Set([...coming, ...(await askedFor(ledger, applianceVmId))]);
  const hidden = [...asked].filter((id) => !listed.some((one) => one.id === id));
  const found = await mapConcurrent(hidden, LIMITS.PROBES_AT_ONCE, async (id) => ({
    id,
    volume: await knowOwnDelete(ledger, id, await lookUpVolume(cloud, id, applianceVmId)),
  }));
  const awaited = found.filter(({ id, volume }) => coming.has(id) || volume.kind === 'unknown');
  // One without a date of its attach was made with its VM: every attach leaves one.
  const isPlugged = ({ id, attached, created }: CloudVolume) => {
    const since = attached ?? created;
    return !coming.has(id) && since !== null && before !== null && Date.parse(since) < before;
  };
  return [
    ...listed.map((one) => ({ id: one.id, size: isPlugged(one) ? one.size : null })),
    ...awaited.map(({ id }) => ({ id, size: null })),
  ];
}

/**
 * What CloudStack has attached before this (ms, by its clock) was plugged before an attach that was submitted
 * `agoMs` ago and has attached `volume` since; null: it is not known.
 */
export function pluggedBefore({ attached }: CloudVolume, agoMs: number | null): number | null {
  if (attached === null || agoMs === null) return null;
  return Date.parse(attached) - agoMs - LIMITS.CLOCKS_AGREE_MS;
}

/**
 * The other volumes that CloudStack says are attached to this guest and whose disks have the same serial,
 * mapped or not: asked for where nothing else proves whose disk it is (`unproven`). Throws CloudError.
 */
export async function sharingSerial(
  cloud: Pick<Cloud, 'listVolumes'>,
  applianceVmId: string | null,
  volumeId: string,
): Promise<World['attachedHere']> {
  if (applianceVmId === null) return [];
  const here = await cloud.listVolumes({ vmId: applianceVmId });
  return here.filter(({ id }) => shareSerial(id, volumeId)).map(({ id }) => ({ id, size: null }));
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
