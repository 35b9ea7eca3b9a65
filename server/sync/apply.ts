import type { Epoch, Ledger } from '../database/ledger';
import { verifyIdentity } from '../devices/identity';
import type { DeviceSnapshot } from '../devices/model';
import type { ExportServer } from '../exports/export-server';
import { exportName } from '../exports/naming';
import { isWithdrawn } from '../exports/service';
import { isTerminal } from '../operations/model';
import { DaemonError } from '../runtime/errors';
import { LIMITS } from '../runtime/limits';
import type { Repair, RepairStep } from './repair';

export interface ApplyParts {
  readonly ledger: Ledger;
  readonly exports: ExportServer;
  readonly watcher: { scan(): Promise<DeviceSnapshot> };
  isBusyWith(volumeId: string): boolean;
}

/**
 * Has an operation worked on the volume since the observation began (wall clock ms), or does one now, of whichever appliance? Then
 * it knows better than the observation.
 */
export async function isOvertaken(parts: ApplyParts, { drift }: Repair, since: number): Promise<boolean> {
  const { volumeId } = drift;
  if (volumeId === null) return false;
  if (parts.isBusyWith(volumeId)) return true;
  const recent = await parts.ledger.listOperations({ volumeId, limit: LIMITS.SYNC_RECENT_OPERATIONS });
  return recent.some(({ status, updatedAt }) => !isTerminal(status) || updatedAt >= since);
}

/** One safe step, journaled. Idempotent. */
export async function applyStep(
  parts: ApplyParts,
  epoch: Epoch,
  { drift }: Repair,
  step: RepairStep,
): Promise<void> {
  const { ledger, exports } = parts;
  const audit = {
    step: `sync:${drift.kind}`,
    state: 'note' as const,
    data: { volume_id: drift.volumeId, message: drift.message, repair: step.kind },
  };
  switch (step.kind) {
    case 'rows':
      return ledger.repair(epoch, [...step.effects], audit);
    case 'withdraw':
      await exports.withdraw(step.exportName);
      return ledger.repair(epoch, [], audit);
    case 'publish': {
      const record = await publish(parts, step);
      return record ? ledger.repair(epoch, [{ kind: 'put-export', record }], audit) : undefined;
    }
    default:
      return step satisfies never;
  }
}

/** The export's row, or null when somebody has withdrawn it on purpose meanwhile. Throws DEVICE_IDENTITY_MISMATCH. */
async function publish(
  { ledger, exports, watcher }: ApplyParts,
  { volumeId, device, bootId }: Extract<RepairStep, { kind: 'publish' }>,
) {
  const before = await ledger.readExport(volumeId);
  if (before && isWithdrawn(before)) return null;
  const name = exportName(volumeId);
  const now = await watcher.scan();
  const found = now.devices.find(({ path }) => path === device.path);
  const identity = verifyIdentity({ ...device, devicePath: device.path, bootId }, found, now.bootId);
  if (!identity.ok || found?.size !== device.size) {
    const reason = identity.ok ? `${device.path} has another size now` : identity.reason;
    throw new DaemonError('DEVICE_IDENTITY_MISMATCH', `${name} is not published: ${reason}`);
  }
  await exports.publish({
    name,
    volumeId,
    devicePath: device.path,
    size: device.size,
    dev: device.dev,
    diskseq: device.diskseq,
  });
  return {
    volumeId,
    exportName: name,
    devicePath: device.path,
    port: exports.port,
    status: 'active' as const,
    metadata: before?.metadata ?? { created_by: 'volume-daemon', created_via: 'sync' },
  };
}
