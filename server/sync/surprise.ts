import type { Ledger } from '../database/ledger';
import { verifyIdentity } from '../devices/identity';
import type { DeviceSnapshot } from '../devices/model';
import type { ExportServer } from '../exports/export-server';
import { exportName } from '../exports/naming';
import { messageOf } from '../runtime/errors';
import type { Logger } from '../runtime/logger';

/**
 * A disk that disappears or changes behind our back: its export must lead to nothing *at once*, not at the next sync
 * (DESIGN section 7). Only the link and the file go here; rows follow with the next sync, which has all four views.
 */
export async function withdrawSurprises(
  parts: { ledger: Ledger; exports: ExportServer; logger: Logger; isBusyWith(volumeId: string): boolean },
  applianceVmId: string,
  snapshot: DeviceSnapshot,
): Promise<number> {
  let withdrawn = 0;
  for (const mapping of await parts.ledger.listMappings(applianceVmId)) {
    if (mapping.linuxState !== 'detected' || parts.isBusyWith(mapping.volumeId)) continue;
    const device = snapshot.devices.find((candidate) => candidate.path === mapping.devicePath);
    const identity = verifyIdentity(mapping, device, snapshot.bootId);
    if (identity.ok) continue;
    parts.logger.warn('Device of a mapped volume is gone or another disk; its export is withdrawn', {
      volume_id: mapping.volumeId,
      device_path: mapping.devicePath,
      reason: identity.reason,
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
