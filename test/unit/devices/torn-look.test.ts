import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { systemClock } from '~/server/core/clock';
import type { Guest } from '~/server/devices/device';
import { createSysfsGuest } from '~/server/devices/sysfs/sysfs-guest';
import { GuestTree } from './guest-tree';

/** What happens right after each pass over the disks has listed them. */
const meanwhile = vi.hoisted(() => ({ dir: '', events: [] as (() => void)[] }));
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const readdirSync = (dir: string) => {
    const names = real.readdirSync(dir);
    if (dir === meanwhile.dir) meanwhile.events.shift()?.();
    return names;
  };
  return { ...real, readdirSync };
});

let tree: GuestTree;
let guest: Guest;
beforeEach(async () => {
  tree = new GuestTree();
  guest = createSysfsGuest({ ...tree, clock: systemClock });
  tree.plug('vdb', { diskseq: 7 });
  await guest.look();
  meanwhile.dir = tree.sysBlockDir;
});
afterEach(() => {
  meanwhile.events = [];
  tree.remove();
});

const shown = async () => (await guest.look()).devices.map(({ name, diskseq }) => [name, diskseq]);
function replace(name: string, diskseq: number): void {
  tree.unplug(name);
  tree.plug(name, { diskseq });
}

it('a look during which a disk is replaced is made again until two passes agree', async () => {
  tree.plug('vdc', { diskseq: 8 });
  meanwhile.events = [() => {}, () => replace('vdc', 9), () => replace('vdc', 10)];
  expect(await shown()).toEqual([
    ['vdb', 7],
    ['vdc', 10],
  ]);
});

it('a guest whose disks never rest is not read, rather than shown as it never was', async () => {
  meanwhile.events = Array.from({ length: 100 }, (_, index) => () => replace('vdb', 100 + index));
  await expect(guest.look()).rejects.toThrow('disks came and went during 10 looks one after another');
  meanwhile.events = [];
  expect(await shown()).toEqual([['vdb', expect.any(Number)]]);
});
