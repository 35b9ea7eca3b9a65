import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { PciSlots } from '../device';
import { isGone, readSmall } from './kernel-files';

const VIRTIO_VENDOR = '0x1af4';
/** virtio-blk, transitional and modern. */
const VIRTIO_BLOCK = new Set(['0x1001', '0x1042']);

/**
 * The hot-plug slots that the kernel shows: those of the PCI bus (machine type pc), or one per PCIe root port
 * (q35). Null when it shows none, so that nothing is known. Throws when a file cannot be read.
 */
export function readPciSlots(pciDir: string): PciSlots | null {
  const slotsDir = join(pciDir, 'slots');
  // 0000:00:05, without the function
  const addresses = new Set(
    entries(slotsDir).flatMap((slot) => readSmall(join(slotsDir, slot, 'address')) ?? []),
  );
  if (addresses.size === 0) return null;
  const functions = entries(join(pciDir, 'devices'));
  let free = 0;
  let arriving = 0;
  for (const address of addresses) {
    const here = functions.filter((name) => name.startsWith(`${address}.`));
    if (here.length === 0) free += 1;
    else if (here.some((name) => awaitsDisk(join(pciDir, 'devices', name)))) arriving += 1;
  }
  return { free, arriving };
}

/** A virtio-blk function of which the kernel has not made a disk yet. */
function awaitsDisk(dir: string): boolean {
  if (readSmall(join(dir, 'vendor')) !== VIRTIO_VENDOR) return false;
  if (!VIRTIO_BLOCK.has(readSmall(join(dir, 'device')) ?? '')) return false;
  const driver = entries(dir).find((name) => /^virtio\d+$/.test(name));
  return driver === undefined || entries(join(dir, driver, 'block')).length === 0;
}

/** The names in a folder; none when there is no such folder. */
function entries(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}
