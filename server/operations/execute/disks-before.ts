import { z } from 'zod';
import { type DisksBefore, rootDevices } from '../../devices/correlation';
import type { DeviceSnapshot } from '../../devices/device';
import type { JsonObject } from '../../model/operation';
import type { Journal } from '../journal';

const remembered = z.object({
  boot_id: z.string().nullable(),
  disks: z.array(z.object({ path: z.string(), diskseq: z.number().nullable(), size: z.number() })),
});

/** What the intent of an attach records of the guest: none of these disks can be the one it attaches. */
export function rememberDisks(snapshot: DeviceSnapshot): JsonObject {
  const roots = rootDevices(snapshot);
  const others = snapshot.devices.filter(({ name }) => !roots.has(name));
  return {
    boot_id: snapshot.bootId,
    disks: others.map(({ path, diskseq, size }) => ({ path, diskseq, size })),
  };
}

/** What the first intent of this attach recorded; null when it recorded nothing. */
export function disksBefore(journal: Journal): DisksBefore | null {
  const { success, data } = remembered.safeParse(journal.firstIntent('attach-volume')?.data);
  return success ? { bootId: data.boot_id, disks: data.disks } : null;
}
