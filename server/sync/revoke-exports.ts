import { messageOf } from '../core/errors';
import type { Logger } from '../core/log/logger';
import type { DeviceSnapshot } from '../devices/device';
import { verifiedDevice } from '../devices/identity';
import { serialNames } from '../devices/serial';
import type { ExportServer } from '../exports/export-server';
import { exportName } from '../exports/naming';
import type { Ledger } from '../model/ledger';

interface SurpriseParts {
  readonly ledger: Ledger;
  readonly exports: ExportServer;
  readonly logger: Logger;
  isBusyWith(volumeId: string): boolean;
}

/**
 * Disks have come or gone, or this daemon has just become the owner: no export may lead to a disk that is not its volume's. Never throws.
 * `snapshot` is asked when it counts: what an operation has published meanwhile is in it.
 */
export async function revokeExports(
  parts: SurpriseParts,
  applianceVmId: string,
  snapshot: () => DeviceSnapshot,
): Promise<void> {
  try {
    await closeWrongLinks(parts, snapshot);
    await revokeUnproven(parts, applianceVmId, snapshot());
  } catch (error) {
    parts.logger.warn('Vanished devices could not be looked at', { reason: messageOf(error) });
  }
}

/**
 * An export that leads to nothing would lead to the next disk of that letter; one that leads to a disk with another volume's serial does
 * already. Needs neither the database nor CloudStack, which may be away just then, and closes what operations work on as well.
 */
async function closeWrongLinks(
  { exports, logger }: SurpriseParts,
  snapshot: () => DeviceSnapshot,
): Promise<void> {
  for (const { name, volumeId, target } of await exports.list()) {
    if (target === null || !snapshot().scanned) continue;
    const device = snapshot().devices.find(({ path }) => path === target);
    if (device && (device.serial === null || serialNames(volumeId, device.serial))) continue;
    logger.warn('An export leads to no disk or to that of another volume; it is withdrawn', {
      volume_id: volumeId,
      device_path: target,
      serial: device?.serial ?? null,
    });
    await exports.withdraw(name);
  }
}

/**
 * Every mapping whose disk is not there or not the same: its export must lead to nothing *at once*, not at the next sync (DESIGN
 * section 7). Only the link and the file go here; rows follow with the next sync, which has all four views.
 */
export async function revokeUnproven(
  parts: SurpriseParts,
  applianceVmId: string,
  snapshot: DeviceSnapshot,
): Promise<number> {
  let withdrawn = 0;
  for (const mapping of await parts.ledger.listMappings(applianceVmId)) {
    if (mapping.linuxState !== 'detected' || parts.isBusyWith(mapping.volumeId)) continue;
    const { device, reason } = verifiedDevice(mapping, snapshot);
    if (device) continue;
    parts.logger.warn('Device of a mapped volume is gone or another disk; its export is withdrawn', {
      volume_id: mapping.volumeId,
      device_path: mapping.devicePath,
      reason,
    });
    try {
      await parts.exports.withdraw(exportName(mapping.volumeId));
      withdrawn += 1;
    } catch (error) {
      parts.logger.error('The export of a vanished device could not be withdrawn', {
        volume_id: mapping.volumeId,
        reason: messageOf(error),
      });
    }
  }
  return withdrawn;
}
