import type { Mishap } from './script-items';
import type { World } from './world';

const RESIZABLE: ReadonlySet<string> = new Set(['Ready', 'Allocated']);

/** CloudStack resizes only what it is not busy with. */
export function resize(
  world: World,
  { volume: index, moreBytes, guestMs }: Extract<Mishap, { kind: 'resized' }>,
): void {
  const volume = world.volume(world.volumes[index] ?? '');
  const isBusy = world.model.pendingJobs().some(({ instanceId }) => instanceId === volume?.id);
  if (!volume || volume.removed || isBusy || !RESIZABLE.has(volume.state)) return;
  world.strike('resized');
  volume.size += moreBytes;
  world.disks.resized(volume.id);
  if (guestMs === null) return;
  world.scheduler.after(guestMs, () => {
    if (world.guest.devicePath(volume.id) !== null) void world.guest.resize(volume.id, volume.size);
  });
}

/** This system uses a disk; until `ms` have passed, or for good. */
export function use(world: World, { volume: index, by, ms }: Extract<Mishap, { kind: 'used' }>): void {
  const volumeId = world.volumes[index];
  if (volumeId === undefined) return;
  world.strike('used');
  const leave = world.guest.use(volumeId, by);
  if (ms !== null) world.scheduler.after(ms, leave);
}
