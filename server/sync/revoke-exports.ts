import { messageOf } from '../core/errors';
import type { Logger } from '../core/log/logger';
import type { Device, DeviceSnapshot } from '../devices/device';
import { verifiedDevice } from '../devices/identity';
import { serialNames } from '../devices/serial';
import type { ConfiguredExport, ExportServer } from '../exports/export-server';
import type { Ledger } from '../model/ledger';

interface RevokeParts {
  readonly ledger: Pick<Ledger, 'listMappings'>;
  readonly exports: ExportServer;
  readonly logger: Logger;
  /** Told which disks are exported: an earlier daemon may not have been able to note it. */
  readonly handsOff?: { keep(device: Device): void } | undefined;
}

/**
 * Called when disks have come or gone and when this daemon has become the owner: closes every export that
 * leads to a disk other than its volume's, also of a volume that an operation works on: it may wait for long,
 * or be held. Never throws. `snapshot` is a function so that it is read after the exports it is compared
 * with; an export that an operation publishes meanwhile is left alone.
 *
 * @param applianceVmId null while nobody is known to own the appliance: then only what the
 * guest itself shows counts
 */
export async function revokeExports(
  parts: RevokeParts,
  applianceVmId: string | null,
  snapshot: () => DeviceSnapshot,
): Promise<void> {
  // A guest that has not been read yet has lost no disk.
  if (!snapshot().scanned) return;
  try {
    await closeWrongLinks(parts, snapshot);
    if (applianceVmId !== null) await revokeUnproven(parts, applianceVmId, snapshot);
  } catch (error) {
    parts.logger.warn('Vanished devices could not be looked at', { reason: messageOf(error) });
  }
}

/**
 * An export whose device is gone would lead to the next disk that gets the device name; one whose device has
 * another volume's serial, or none and was plugged after the export was published, already leads to the wrong
 * disk. Needs neither the database nor CloudStack, which may be away.
 */
async function closeWrongLinks(
  { exports, logger, handsOff }: RevokeParts,
  snapshot: () => DeviceSnapshot,
): Promise<void> {
  for (const one of await exports.list()) {
    const { name, volumeId, target, published } = one;
    if (target === null) continue;
    const device = snapshot().devices.find(({ path }) => path === target);
    if (device && isStill(device, one)) {
      if (device.serial !== null) handsOff?.keep(device);
      continue;
    }
    logger.warn('An export leads to no disk or to that of another volume; it is withdrawn', {
      volume_id: volumeId,
      device_path: target,
      serial: device?.serial ?? null,
    });
    try {
      await exports.withdraw(name, { published });
    } catch (error) {
      // The others lead to wrong disks all the same.
      logger.error('An export that leads to a wrong disk could not be withdrawn', {
        volume_id: volumeId,
        reason: messageOf(error),
      });
    }
  }
}

/**
 * As far as the guest tells by itself: by the serial, else by the plug, where the link names it or this
 * process has published it. Where plugs are not numbered it was published by its serial: a disk that shows
 * none is another plug.
 */
function isStill(device: Device, { volumeId, plug, published }: ConfiguredExport): boolean {
  if (device.serial !== null) return serialNames(volumeId, device.serial);
  if (plug !== null) return device.diskseq === plug;
  if (published === null) return true;
  return published.diskseq !== null && device.diskseq === published.diskseq;
}

/**
 * Closes the export of every mapping whose disk is gone, another one, or has become smaller. This cannot wait
 * for the next sync: until then the export would serve whatever disk gets the device name. Only the link and
 * the export file change here; the rows follow with the next sync, which has all four views.
 */
export async function revokeUnproven(
  parts: RevokeParts,
  applianceVmId: string,
  snapshot: () => DeviceSnapshot,
): Promise<number> {
  let withdrawn = 0;
  // A mapping is written before its export is published: read in this order, none is older than its export.
  const listed = await parts.exports.list();
  const mappings = new Map(
    (await parts.ledger.listMappings(applianceVmId)).map((mapping) => [mapping.volumeId, mapping]),
  );
  for (const { name, volumeId, published } of listed) {
    const mapping = mappings.get(volumeId);
    if (mapping?.linuxState !== 'detected') continue;
    const { device, reason } = verifiedDevice(mapping, snapshot());
    if (device && device.size >= mapping.size) continue;
    parts.logger.warn('Device of a mapped volume is gone, another or smaller; its export is withdrawn', {
      volume_id: volumeId,
      device_path: mapping.devicePath,
      reason: reason ?? `${mapping.devicePath} has become smaller`,
    });
    try {
      await parts.exports.withdraw(name, { published });
      withdrawn += 1;
    } catch (error) {
      parts.logger.error('The export of a vanished device could not be withdrawn', {
        volume_id: volumeId,
        reason: messageOf(error),
      });
    }
  }
  return withdrawn;
}
