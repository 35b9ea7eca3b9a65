import type { DeviceSnapshot } from '~/server/devices/device';
import type { InventoryStore } from '~/server/devices/inventory-store';

/** Keeps nothing beyond the process. */
export function createMemoryInventory(initial: DeviceSnapshot | null = null): InventoryStore {
  let kept = initial;
  return {
    load: async () => kept,
    save: async (snapshot) => {
      kept = snapshot;
    },
  };
}
