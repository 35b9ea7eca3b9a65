import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { systemClock } from '~/server/core/clock';
import { createSysfsGuest } from '~/server/devices/sysfs/sysfs-guest';

const guest = createSysfsGuest({
  exportClients: async () => new Map(),
  sysBlockDir: '/sys/block',
  devDir: '/dev',
  procDir: '/proc',
  dmiDir: '/sys/class/dmi/id',
  etcDir: '/etc',
  clock: systemClock,
});

describe("this machine's own kernel", () => {
  const missing = !existsSync('/sys/block');
  if (missing) console.warn('NOT RUN: there is no /sys/block on this machine');

  it.skipIf(missing)('is seen as it says it is', async () => {
    const { bootId, devices } = await guest.look();
    expect(bootId).toBe(readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
    const names = readdirSync('/sys/block').filter((name) => /^vd[a-z]+$/.test(name));
    expect(devices.map(({ name }) => name).sort()).toEqual(names.sort());
    for (const device of devices) {
      expect(device.size).toBe(Number(readFileSync(`/sys/block/${device.name}/size`, 'utf8')) * 512);
      expect(device.dev).toMatch(/^\d+:\d+$/);
    }
  });

  it.skipIf(missing)('is seen the same way twice', async () => {
    const [first, second] = [await guest.look(), await guest.look()];
    const plugs = (look: typeof first) => look.devices.map(({ name, diskseq, dev }) => [name, diskseq, dev]);
    expect(plugs(second)).toEqual(plugs(first));
  });
});
