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
 * Called when disks have come or gone and when this daemon has become the owner: closes every export that
 * leads to a disk other than its volume's. Never throws. `snapshot` is a function so that it is read late
 * enough to include what operations have published meanwhile.
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
 * An export whose device is gone would lead to the next disk that gets the device name; one whose device has
 * another volume's serial already leads to the wrong disk. Needs neither the database nor CloudStack, which
 * may be away, and includes volumes that operations are working on.
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
 * Closes the export of every mapping whose disk is gone, another one, or has become smaller. This cannot wait for the next sync:
 * until then the export would serve whatever disk gets the device name. Only the link and the export file
 * change here; the rows follow with the next sync, which has all four views.
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
    if (device && device.size >= mapping.size) continue;
    parts.logger.warn('Device of a mapped volume is gone, another or smaller; its export is withdrawn', {
      volume_id: mapping.volumeId,
      device_path: mapping.devicePath,
      reason: reason ?? `${mapping.devicePath} has become smaller`,
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
