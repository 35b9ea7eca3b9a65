import { describe } from 'vitest';
import { MemoryGuest } from '~/lab/guest/memory-guest';
import { systemClock, systemRandom } from '~/server/core/clock';
import { counterReaderContract } from './counter-reader';

describe('the counter reader contract: the one in memory', () => {
  counterReaderContract(async () => {
    const guest = new MemoryGuest({ clock: systemClock, random: systemRandom });
    return {
      reader: guest,
      plug: async (volumeId) => {
        await guest.plug({ volumeId, size: 1024 ** 3, serial: volumeId });
        const { devices } = await guest.look();
        const device = devices.find(({ serial }) => serial === volumeId);
        if (!device) throw new Error('it was not plugged');
        return device;
      },
      unplug: (volumeId) => guest.unplug(volumeId),
      count: async (volumeId, { read, written }) => guest.transfer(volumeId, { read, written }),
    };
  });
});
