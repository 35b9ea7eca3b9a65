import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createInventoryStore } from '~/server/devices/inventory-store';
import { expectedSerial } from '~/server/devices/serial';
import { HandsOff } from '~/server/devices/sysfs/hands-off';
import { disk, VOLUME } from '../../unit/devices/worlds';

const dir = mkdtempSync(join(tmpdir(), 'read-only-'));
const readOnly = join(dir, 'mounted');
mkdirSync(readOnly);
const canMount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'none', readOnly]).status === 0;
if (!canMount) console.warn('NOT RUN: a read-only file system (this user may not mount; run as root)');

afterAll(() => {
  if (canMount) spawnSync('umount', [readOnly]);
  rmSync(dir, { recursive: true });
});

it.runIf(canMount)('a folder that is to be made on a read-only file system: that is the reason', async () => {
  const inventory = createInventoryStore(join(readOnly, 'state'));
  const looked = { bootId: null, devices: [], at: 1, scanned: true };
  await expect(inventory.save(looked)).rejects.toThrow('EROFS');

  writeFileSync(join(dir, '59-volume-daemon.rules'), '');
  const marksDir = join(readOnly, 'marks');
  const handsOff = new HandsOff({ udevDir: dir, rulesDirs: [dir], cmdline: '/dev/null', marksDir });
  const exported = { ...disk(), serial: expectedSerial(VOLUME) };
  handsOff.keep(exported);
  expect(handsOff.state([exported])).toMatchObject({
    answer: 'no',
    reason: expect.stringContaining('EROFS'),
  });
});
