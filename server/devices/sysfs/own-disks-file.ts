import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { readRegular } from '../../core/read-regular';
import type { Device, Holder } from '../device';
import {
  isOwnSerial,
  OWN_DISKS_FILE,
  type OwnDisk,
  type OwnDisks,
  ownDiskText,
  parseOwnDisks,
} from '../own-disks';
import { type Gaps, isGone } from './kernel-files';

/**
 * The list of own disks; empty when there is no such file. That it cannot be read, or not whole, is a gap:
 * any disk may be on it.
 */
export function readOwnDisks(etcDir: string, gaps: Gaps): OwnDisks {
  try {
    return parseOwnDisks(readRegular(join(etcDir, OWN_DISKS_FILE), LIMITS.OWN_DISKS_BYTES));
  } catch (error) {
    if (!isGone(error)) gaps.push(`the list of own disks: ${messageOf(error)}`);
    return { disks: [], problems: [] };
  }
}

/** The entries that name this disk. `devDir` stands for /dev. */
export function ownershipOf(device: Device, { disks }: OwnDisks, devDir: string): Holder[] {
  return disks
    .filter((disk) => names(disk, device, devDir))
    .map((disk) => ({
      kind: 'own' as const,
      detail: `line ${disk.line} of the list of own disks: ${ownDiskText(disk)}`,
    }));
}

function names({ by, value }: OwnDisk, device: Device, devDir: string): boolean {
  if (by === 'serial') return isOwnSerial(value, device.serial);
  const link = resolved(join(devDir, value.slice('/dev/'.length)));
  return link !== null && link === resolved(device.path);
}

function resolved(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}
