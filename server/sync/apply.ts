import { type Cloud, CloudError } from '../cloudstack/cloud';
import { lookUpVolume, requireVolume } from '../cloudstack/look-up';
import { mapConcurrent } from '../core/concurrency/map-concurrent';
import { DaemonError, messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { DeviceSnapshot } from '../devices/device';
import { verifyIdentity } from '../devices/identity';
import { type ExportServer, type ExportTarget, rowOf, targetOf } from '../exports/export-server';
import { refuseElsewhere, refuseWrongSize } from '../exports/export-service';
import { isReadOnly, isWithdrawn } from '../model/export-metadata';
import { exportName } from '../model/export-name';
import type { Epoch, Ledger } from '../model/ledger';
import type { MappingEffect } from '../model/ledger-writes';
import type { NewExport } from '../model/operation';
import type { OperationEvents } from '../model/operation-events';
import type { Drift } from './drift';
import type { Observation } from './observation';
import type { Repair, RepairStep } from './repair';

/** What repairs use of the daemon. */
export interface ApplyParts {
  readonly ledger: Ledger;
  readonly exports: ExportServer;
  readonly cloud: Pick<Cloud, 'readVolume' | 'readVm'>;
  readonly watcher: { scan(): Promise<DeviceSnapshot> };
  /** Receives every repair. */
  readonly events: Pick<OperationEvents, 'publish'>;
  isBusyWith(volumeId: string): boolean;
}

/**
 * True when an operation of any appliance has worked on the volume since the observation began, or does so
 * now: what it did is newer than the observation.
 *
 * @param sinceEntry the newest journal entry before the observation
 */
export async function isOvertaken(
  parts: ApplyParts,
  { drift }: Repair,
  sinceEntry: number,
): Promise<boolean> {
  const { volumeId } = drift;
  if (volumeId === null) return false;
  return parts.isBusyWith(volumeId) || parts.ledger.isWorkedOn(volumeId, sinceEntry);
}

type Observed = Pick<Observation, 'applianceVmId' | 'volumes' | 'sizeToleranceBytes'>;

/** What the repairs were planned by, and who makes them. */
export interface Basis {
  readonly epoch: Epoch;
  /** The newest journal entry before the observation. */
  readonly sinceEntry: number;
  readonly observed: Observed;
}

/** The progress of one repair. */
interface Progress {
  readonly repair: Repair;
  overtaken: boolean;
  failure: string | null;
}

/**
 * Carries out the repairs and reports the result of each. All withdrawals come first, so that exports of
 * wrong disks are closed before anything else; then the rows, one after the other, because volumes that have
 * swapped device names displace each other; then everything to publish, concurrently, because an export
 * server applies many changes in one reload. Throws LEASE_LOST.
 */
export async function applyAll(
  parts: ApplyParts,
  basis: Basis,
  repairs: readonly Repair[],
): Promise<Drift[]> {
  const all = repairs.map((repair): Progress => ({ repair, overtaken: false, failure: null }));
  for (const kind of ['withdraw', 'rows', 'publish'] as const) {
    const due = all.filter(({ repair }) => repair.steps.some((step) => step.kind === kind));
    await mapConcurrent(due, kind === 'rows' ? 1 : LIMITS.SYNC_EXPORTS_AT_ONCE, (progress) =>
      advance(parts, basis, progress, kind),
    );
  }
  return all.map(outcome);
}

/** Runs the steps of one kind of a repair, unless the repair has failed or was overtaken. */
async function advance(
  parts: ApplyParts,
  basis: Basis,
  progress: Progress,
  kind: RepairStep['kind'],
): Promise<void> {
  const { repair } = progress;
  try {
    for (const step of repair.steps.filter((one) => one.kind === kind)) {
      if (progress.overtaken || progress.failure !== null) return;
      progress.overtaken = await isOvertaken(parts, repair, basis.sinceEntry);
      if (!progress.overtaken) await applyStep(parts, basis, repair, step);
    }
  } catch (error) {
    if (error instanceof DaemonError && error.code === 'LEASE_LOST') throw error;
    // An operation has begun to work on the volume while the users of its disk were looked at.
    if (error instanceof DaemonError && error.code === 'VOLUME_BUSY') progress.overtaken = true;
    else progress.failure = messageOf(error);
  }
}

function outcome({ repair: { drift, mends, steps }, overtaken, failure }: Progress): Drift {
  if (failure !== null)
    return { ...drift, message: `${drift.message}; not repaired: ${failure}`, action: 'failed' };
  const repaired = steps.length > 0 && mends && !overtaken;
  return { ...drift, action: repaired ? 'repaired' : 'reported' };
}

/** One safe step, journaled. Idempotent. */
async function applyStep(
  parts: ApplyParts,
  { epoch, observed }: Basis,
  { drift }: Repair,
  step: RepairStep,
): Promise<void> {
  const { ledger, exports, events } = parts;
  const audit = {
    step: `sync:${drift.kind}`,
    state: 'note' as const,
    data: { volume_id: drift.volumeId, message: drift.message, repair: step.kind },
  };
  const repair = async (effects: MappingEffect[]) =>
    events.publish([await ledger.auditedChange(epoch, effects, audit)]);
  switch (step.kind) {
    case 'rows':
      return repair([...step.effects]);
    case 'withdraw':
      await exports.withdraw(step.exportName);
      return repair([]);
    case 'publish': {
      const record = await publish(parts, step, observed);
      return record ? repair([{ kind: 'put-export', record }]) : undefined;
    }
    default:
      return step satisfies never;
  }
}

/**
 * Publishes and returns the export's row; null when it was withdrawn on purpose meanwhile. To publish takes
 * seconds: whoever has withdrawn the export by then, or given it another access, has the last word. Throws
 * DEVICE_IDENTITY_MISMATCH, DEVICE_TOO_SMALL, VOLUME_ATTACHED_ELSEWHERE and VOLUME_NOT_FOUND.
 */
async function publish(
  parts: ApplyParts,
  step: Extract<RepairStep, { kind: 'publish' }>,
  observed: Observed,
): Promise<NewExport | null> {
  const { ledger, exports } = parts;
  let published: ExportTarget | null = null;
  for (;;) {
    const row = await ledger.readExport(step.volumeId);
    if (row && isWithdrawn(row)) {
      if (published !== null) await exports.withdraw(published.name);
      return null;
    }
    const readOnly = row !== null && isReadOnly(row);
    const metadata = row?.metadata ?? { created_by: 'volume-daemon', created_via: 'sync' };
    if (published !== null && published.readOnly === readOnly)
      return rowOf(published, exports.portOf(published), metadata);
    await requireSameDisk(parts, step);
    await requireFitsHere(parts, step, observed);
    published = targetOf(step.volumeId, step.device, readOnly);
    await exports.publish(published);
  }
}

async function requireSameDisk(
  { watcher }: ApplyParts,
  { volumeId, device, bootId }: Extract<RepairStep, { kind: 'publish' }>,
): Promise<void> {
  const now = await watcher.scan();
  const found = now.devices.find(({ path }) => path === device.path);
  const identity = verifyIdentity({ ...device, devicePath: device.path, bootId }, found, now.bootId);
  if (identity.ok && found?.size === device.size) return;
  const reason = identity.ok ? `${device.path} has another size now` : identity.reason;
  throw new DaemonError('DEVICE_IDENTITY_MISMATCH', `${exportName(volumeId)} is not published: ${reason}`);
}

/**
 * The list that the export was planned by may be older than what somebody has done with the volume: its disk
 * here is then a ghost, or too small. So CloudStack is asked for it once more. One that cannot be asked, or
 * does not show it, contradicts nothing; where it could not be asked for the list either, exports that are
 * known to be right were planned only.
 */
async function requireFitsHere(
  { cloud }: ApplyParts,
  { volumeId, device }: Extract<RepairStep, { kind: 'publish' }>,
  { applianceVmId, volumes, sizeToleranceBytes }: Observed,
): Promise<void> {
  if (volumes === null) return;
  const now = await lookUpVolume(cloud, volumeId, applianceVmId).catch((error: unknown) => {
    if (error instanceof CloudError) return null;
    throw error;
  });
  if (now === null || now.kind === 'unknown') return;
  const volume = requireVolume(now, volumeId);
  refuseElsewhere(volumeId, volume.vmId, applianceVmId);
  refuseWrongSize(volumeId, device, volume.size, sizeToleranceBytes);
}
