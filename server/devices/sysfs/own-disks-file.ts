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
import { isVolumeSerial } from '../serial';
import { type BlockTarget, isDangling, leadsTo } from './block-target';
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

/** The entries that name this disk or a part of it. `devDir` stands for /dev. */
export function ownershipOf(
  device: Device,
  target: BlockTarget,
  { disks }: OwnDisks,
  devDir: string,
): Holder[] {
  return disks
    .filter((disk) =>
      disk.by === 'serial'
        ? isOwnSerial(disk.value, device.serial)
        : leadsTo(nodeOf(disk, devDir), target) || holdsSerial(disk.value, device.serial),
    )
    .map((disk) => ({
      kind: 'own' as const,
      detail: `line ${disk.line} of the list of own disks: ${ownDiskText(disk)}`,
    }));
}

/** The links of the list that lead nowhere: their disk is not here, or udev has not made them yet. */
export function danglingLinks({ disks }: OwnDisks, devDir: string): OwnDisk[] {
  return disks.filter((disk) => disk.by === 'link' && isDangling(nodeOf(disk, devDir)));
}

function nodeOf({ value }: OwnDisk, devDir: string): string {
  return join(devDir, value.slice('/dev/'.length));
}

/** `/dev/disk/by-id/virtio-<serial>`: said of the disk even where no udev makes the link. */
function holdsSerial(link: string, serial: string | null): boolean {
  const isNamed = serial !== null && isVolumeSerial(serial) && link.startsWith('/dev/disk/by-id/');
  return isNamed && link.replace(/-part\d+$/, '').endsWith(serial);
}
