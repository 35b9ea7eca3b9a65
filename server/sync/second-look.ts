import type { Cloud } from '../cloudstack/cloud';
import { knowOwnDelete, lookUpVolume } from '../cloudstack/look-up';
import type { Clock } from '../core/clock';
import type { ClockSteps } from '../core/clock-steps';
import { messageOf } from '../core/errors';
import type { Device, DeviceSnapshot } from '../devices/device';
import { compareSize } from '../devices/disk-size';
import { serialNames } from '../devices/serial';
import { hasSettled } from '../model/has-settled';
import type { Ledger } from '../model/ledger';
import type { DriftKind } from './drift';
import type { Observation } from './observation';
import type { Repair } from './repair';

/** What a second look asks. */
export interface SecondLookParts {
  readonly ledger: Pick<Ledger, 'listOperations' | 'readExport'>;
  readonly cloud: Pick<Cloud, 'readVolume' | 'readVm'>;
  readonly clock: Clock;
  readonly clockSteps: ClockSteps;
  readonly watcher: { scan(): Promise<DeviceSnapshot> };
  /** How much larger than its volume a device may be. */
  readonly sizeToleranceBytes: number;
}

/**
 * stands: it is as it was observed. contradicted: it is not any more. later: what was done with the volume a
 * moment ago does not show yet, so the next sync judges it. unknown: it could not be looked at, and why.
 */
type SecondLook =
  | { readonly kind: 'stands' }
  | { readonly kind: 'contradicted' }
  | { readonly kind: 'later' }
  | { readonly kind: 'unknown'; readonly why: string };

/**
 * For drifts that say that CloudStack disagrees with the guest or the row: a list may be older than the last
 * job, and the guest was read before the list. The volume is read again by its id, and the guest after it; a
 * volume with an operation that ended in the last seconds is left for the next sync, and so is an export
 * whose row has been changed. Throws DATABASE_UNAVAILABLE.
 */
export async function secondLook(
  parts: SecondLookParts,
  repair: Repair,
  { applianceVmId, exports }: Pick<Observation, 'applianceVmId' | 'exports'>,
): Promise<SecondLook> {
  const { drift } = repair;
  const { volumeId } = drift;
  if (volumeId === null) return { kind: 'stands' };
  if (drift.kind === 'unhealthy-export' && (await isChanged(parts, volumeId, exports)))
    return { kind: 'later' };
  if (!isDoubtful(drift, applianceVmId)) return { kind: 'stands' };
  const [last] = await parts.ledger.listOperations({ volumeId, limit: 1 });
  if (last && !hasSettled(parts, last, applianceVmId)) return { kind: 'later' };
  try {
    const shown = await lookUpVolume(parts.cloud, volumeId, applianceVmId);
    const volume = await knowOwnDelete(parts.ledger, volumeId, shown);
    if (volume.kind === 'unknown') return { kind: 'unknown', why: volume.why };
    const { vmId, size } = volume.kind === 'seen' ? volume.value : { vmId: null, size: null };
    const stands = isPlace(repair, vmId) && (await isInGuest(parts, repair, volumeId, size));
    return { kind: stands ? 'stands' : 'contradicted' };
  } catch (error) {
    return { kind: 'unknown', why: messageOf(error) };
  }
}

/**
 * The rows are read before CloudStack and the export server: an export that somebody has published meanwhile
 * would look like one that they have withdrawn and that is still open.
 */
async function isChanged(
  { ledger }: Pick<SecondLookParts, 'ledger'>,
  volumeId: string,
  observed: Observation['exports'],
): Promise<boolean> {
  const before = observed.find((record) => record.volumeId === volumeId);
  return (await ledger.readExport(volumeId))?.updatedAt !== before?.updatedAt;
}

const CONTRADICTIONS: ReadonlySet<DriftKind> = new Set([
  'ghost-disk',
  'stale-mapping',
  'phantom-attach',
  'size-mismatch',
]);

/** Of what is attached to another VM nothing but CloudStack's list says so. */
function isDoubtful({ kind, vmId }: Repair['drift'], applianceVmId: string): boolean {
  return CONTRADICTIONS.has(kind) || (kind === 'unmapped-volume' && vmId !== applianceVmId);
}

/** The volume is where the drift says, and a row that the repair writes says the same. */
function isPlace({ drift, steps }: Repair, vmId: string | null): boolean {
  const isAway = drift.kind === 'ghost-disk' || drift.kind === 'stale-mapping';
  const effects = steps.flatMap((step) => (step.kind === 'rows' ? step.effects : []));
  return (
    (vmId === drift.vmId) !== isAway &&
    effects.every((effect) => effect.kind !== 'put-mapping' || effect.mapping.vmId === vmId)
  );
}

/** The guest still says what the drift says of it. Throws DEVICES_UNREADABLE. */
async function isInGuest(
  { watcher, sizeToleranceBytes }: SecondLookParts,
  { drift: { kind, devicePath } }: Repair,
  volumeId: string,
  size: number | null,
): Promise<boolean> {
  if (kind !== 'ghost-disk' && kind !== 'phantom-attach' && kind !== 'size-mismatch') return true;
  const { devices } = await watcher.scan();
  const isNamed = ({ serial }: Device) => serialNames(volumeId, serial);
  if (kind === 'phantom-attach') return !devices.some(isNamed);
  const device = devices.find(({ path }) => path === devicePath);
  if (!device) return false;
  if (kind === 'ghost-disk') return device.serial === null || isNamed(device);
  // The guest shows a resize a moment after CloudStack does.
  return compareSize(device.size, size, sizeToleranceBytes) !== 'fits';
}
