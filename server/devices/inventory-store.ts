import { createStorage } from 'unstorage';
import fsDriver from 'unstorage/drivers/fs-lite';
import { z } from 'zod';
import { makeFolder } from '../core/durable-files';
import { LIMITS } from '../core/limits';
import { type DeviceSnapshot, DISK_BUSES, SERIAL_STATES } from './device';
import { DEVICE_NAME } from './sysfs/device-names';

/** Keeps the last inventory, so that a restart knows what changed meanwhile. */
export interface InventoryStore {
  /** Null when there is none, or none that can be read. Never throws. */
  load(): Promise<DeviceSnapshot | null>;
  /** Throws what the file system throws. */
  save(snapshot: DeviceSnapshot): Promise<void>;
}

const deviceSchema = z.object({
  name: z.string().regex(DEVICE_NAME),
  path: z.string().max(4096),
  size: z.number().int().nonnegative(),
  serial: z.string().max(LIMITS.SYSFS_FILE_BYTES).nullable(),
  serialState: z.enum(SERIAL_STATES),
  diskseq: z.number().int().nonnegative().nullable(),
  dev: z.string().max(32).nullable(),
  controller: z.string().max(64).nullable(),
  bus: z.enum(DISK_BUSES).optional(),
});
const appearanceSchema = z.object({
  name: z.string().max(64),
  diskseq: z.number().int().nonnegative().nullable(),
  at: z.number(),
  uptime: z.number(),
});
const snapshotSchema = z.object({
  bootId: z.string().max(64).nullable(),
  devices: z.array(deviceSchema).max(LIMITS.DEVICES_MAX),
  at: z.number(),
  appearances: z.array(appearanceSchema).max(LIMITS.DEVICES_MAX).default([]),
});

const KEY = 'devices.json';

/** unstorage on a folder (fs-lite: no file watcher). A corrupt file counts as none. */
export function createInventoryStore(folder: string): InventoryStore {
  const storage = createStorage({ driver: fsDriver({ base: folder }) });
  return {
    load: async () => {
      const parsed = snapshotSchema.safeParse(await storage.getItem(KEY).catch(() => null));
      return parsed.success ? { ...parsed.data, scanned: false } : null;
    },
    save: async (snapshot) => {
      const { bootId, devices, at, appearances = [] } = snapshot;
      // The driver ignores why it cannot make the folder, and tells that of the file in it: there is none.
      await makeFolder(folder);
      await storage.setItem(KEY, {
        bootId,
        devices: devices.map((device) => deviceSchema.parse(device)),
        at,
        appearances,
      });
    },
  };
}
