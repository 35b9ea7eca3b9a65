import { expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { SlotWatch } from '~/server/daemon/health/slot-watch';
import { seen } from '~/server/model/evidence';
import { capacityText, freeSlots } from '~/server/operations/slots';
import { ManualClock } from '../devices/manual-clock';

it('how many more disks fit is not known any more once it cannot be read, and known again afterwards', async () => {
  const clock = new ManualClock();
  let trouble: Error | null = null;
  const slots = new SlotWatch({
    clock,
    cloud: { dataDiskLimit: async () => seen(32, clock.now(), 'cloudstack'), listVolumes: async () => [] },
    guest: {
      slots: async () => {
        if (trouble !== null) throw trouble;
        return seen({ free: 7, arriving: 0 }, clock.now(), 'guest');
      },
    },
    watcher: { scan: async () => ({ devices: [] }) },
    applianceVmId: () => 'vm',
    coming: () => [],
  });
  const look = async () => {
    await slots.refresh();
    const free = freeSlots(slots.capacity);
    await clock.advance(LIMITS.SLOT_REFRESH_MS);
    return free;
  };
  expect(await look()).toBe(7);
  trouble = new Error('EIO');
  expect(await look()).toBeNull();
  expect(capacityText(slots.capacity)).toContain('EIO');
  trouble = null;
  expect(await look()).toBe(7);
});
