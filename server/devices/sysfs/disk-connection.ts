import { readlinkSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { hasCode } from '../../core/has-code';
import type { DiskBus } from '../device';

/** How a disk is connected, from the `device` link of its folder. Its name says nothing of that. */
export interface Connection {
  /** Null: a bus on which no volume is looked for. */
  readonly bus: DiskBus | null;
  /** For people: `virtio-scsi`, `sata`, `nvme`. */
  readonly label: string;
  /** `virtio4`, the device of the bus that the disk belongs to; null where there is none. */
  readonly controller: string | null;
}

/** Null when the disk has gone. Throws when the link cannot be read. */
export function connectionOf(dir: string): Connection | null {
  const link = join(dir, 'device');
  try {
    const device = basename(readlinkSync(link));
    if (/^virtio\d+$/.test(device)) return { bus: 'virtio', label: 'virtio', controller: device };
    if (/^vbd-\d+$/.test(device)) return { bus: 'xen', label: 'xen', controller: device };
    if (/^\d+:\d+:\d+:\d+$/.test(device)) return scsi(realpathSync(link));
    return { bus: null, label: device.replace(/\d+$/, ''), controller: null };
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENODEV', 'ENXIO', 'ENOTDIR')) return null;
    throw error;
  }
}

/** `…/0000:00:05.0/virtio2/host2/target2:0:0/2:0:0:0`: whose host the disk hangs on. */
function scsi(path: string): Connection {
  const controller = /\/(virtio\d+)\/host\d+\//.exec(path)?.[1] ?? null;
  if (controller !== null) return { bus: 'virtio-scsi', label: 'virtio-scsi', controller };
  return { bus: null, label: /\/ata\d+\//.test(path) ? 'sata or ide' : 'scsi', controller: null };
}
