import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createSysfsGuest as createLabGuest } from '~/lab/guest/sysfs-guest';
import { systemClock } from '~/server/core/clock';
import { expectedSerial } from '~/server/devices/serial';
import { createSysfsGuest } from '~/server/devices/sysfs/sysfs-guest';

const dir = mkdtempSync(join(tmpdir(), 'reboot-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

it('a look during or after a reboot shows no serial twice, and each disk with its own', async () => {
  const lab = await createLabGuest({ dir });
  const ids = Array.from({ length: 8 }, () => crypto.randomUUID());
  for (const volumeId of ids) await lab.plug({ volumeId, size: 1024 ** 2, serial: expectedSerial(volumeId) });
  const { sysBlockDir, devDir, procDir, dmiDir, etcDir } = lab;
  const guest = createSysfsGuest({
    exportClients: async () => new Map(),
    sysBlockDir,
    devDir,
    procDir,
    dmiDir,
    etcDir,
    clock: systemClock,
  });
  await guest.look();
  for (let boot = 0; boot < 10; boot += 1) {
    // Not seen at all: afterwards other disks have the same names and the same numbers of plugs.
    if (boot % 2 === 0) await lab.reboot({ shuffle: rotated });
    else await watchedReboot();
    const { devices } = await settled();
    for (const id of ids)
      expect(devices.find(({ serial }) => serial === expectedSerial(id))?.path).toBe(lab.devicePath(id));
  }

  async function watchedReboot(): Promise<void> {
    let over = false;
    const rebooted = lab.reboot({ shuffle: rotated }).finally(() => {
      over = true;
    });
    while (!over) {
      const look = await guest.look().catch(() => ({ devices: [] }));
      const serials = look.devices.flatMap(({ serial }) => serial ?? []);
      expect(new Set(serials).size).toBe(serials.length);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await rebooted;
  }

  async function settled() {
    for (;;) {
      const look = await guest.look();
      if (look.devices.every(({ serialState }) => serialState !== 'pending')) return look;
    }
  }
});

function rotated<T>(disks: readonly T[]): T[] {
  return [...disks.slice(3), ...disks.slice(0, 3)];
}
