import { describe, expect, it } from 'vitest';
import { MINUTE_MS, Rig, SECOND_MS } from './rig';

describe('a guest whose data disks show no serial', () => {
  it.each([false, 'root'] as const)(
    'two of one size attached at once, the first disk comes late: none gets the other’s (serials: %s)',
    async (serials) => {
      const rig = await Rig.start({ guest: { serials } });
      const volumes = [await rig.volume(), await rig.volume()];
      rig.model.faults.add({ command: 'attachVolume', kind: 'late-device', ms: 5 * SECOND_MS });
      const requests = volumes.map(({ id }) => rig.request('attach', { volume_id: id, vm_id: rig.here }));
      for (const id of await Promise.all(requests)) await rig.ended(id, 10 * MINUTE_MS);
      const mappings = await rig.ledger.listMappings(rig.here);
      expect(mappings).toHaveLength(2);
      for (const { volumeId, devicePath } of mappings)
        expect(devicePath, volumeId).toBe(rig.guest.devicePath(volumeId));
    },
  );
});
