import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, vi } from 'vitest';
import { createSysfsGuest as createFiles } from '~/lab/guest/sysfs-guest';
import { systemClock } from '~/server/core/clock';
import { createSysfsCounters } from '~/server/devices/sysfs/sysfs-counters';
import { createSysfsGuest } from '~/server/devices/sysfs/sysfs-guest';
import { counterReaderContract } from './counter-reader';

const folder = mkdtempSync(join(tmpdir(), 'counters-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let guests = 0;

describe('the counter reader contract: files as sysfs shows them', () => {
  counterReaderContract(async () => {
    guests += 1;
    const files = await createFiles({ dir: join(folder, String(guests)) });
    const { sysBlockDir } = files;
    const guest = createSysfsGuest({
      exportClients: async () => new Map(),
      ...folders(files),
      etcDir: join(files.procDir, 'no-etc'),
      clock: systemClock,
    });
    return {
      reader: createSysfsCounters({ sysBlockDir, clock: systemClock }),
      plug: async (volumeId) => {
        await files.plug({ volumeId, size: 1024 ** 2, serial: volumeId });
        return vi.waitFor(async () => {
          const { devices } = await guest.look();
          const device = devices.find(({ serial }) => serial === volumeId);
          if (!device) throw new Error('it is not shown yet');
          return device;
        });
      },
      unplug: (volumeId) => files.unplug(volumeId),
      count: (volumeId, bytes) => files.count(volumeId, bytes),
    };
  });
});

function folders({ sysBlockDir, devDir, procDir, dmiDir }: Awaited<ReturnType<typeof createFiles>>) {
  return { sysBlockDir, devDir, procDir, dmiDir };
}
