import { ApiError, type Volume } from '~/lab/cloudstack/records';
import type { Processes } from './processes';
import { allTellSerials, type Mishap } from './script-items';
import type { World } from './world';

type ByHand = Extract<Mishap, { kind: 'by-hand' }>;

/** Virtual ms between two looks of a person at a job. */
const LOOK_MS = 200;
/** Larger than any volume of a schedule. */
const MISFIT_BYTES = 50 * 1024 ** 3;

/** The id of a job that somebody starts past the daemon. */
export function jobByHand(world: World): string {
  const id = world.random.uuid();
  world.byHand.add(id);
  return id;
}

/** Resolves when a person sees that the job has ended. */
export async function ended(world: World, id: string): Promise<void> {
  while (world.model.jobs.get(id)?.status === 0 && !world.over) await world.scheduler.sleep(LOOK_MS);
}

/** Somebody takes the volume from where it is, and gives it to the VM; null: to none. */
export async function moveByHand(world: World, volume: Volume, vmId: string | null): Promise<void> {
  const { model } = world;
  world.disturb(volume.id);
  try {
    if (volume.vmId !== null)
      await ended(world, model.detachVolume({ id: volume.id, jobId: jobByHand(world) }).id);
    world.disturb(volume.id);
    if (!world.over && vmId !== null)
      await ended(
        world,
        model.attachVolume({ id: volume.id, vmId, deviceId: null, jobId: jobByHand(world) }).id,
      );
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
  }
  world.disturb(volume.id);
}

/** A volume of the schedule goes somewhere, at any moment of what the daemon does with it. */
export function byHand(world: World, { volume: index, to }: ByHand): void {
  const volume = world.volume(world.volumes[index] ?? '');
  if (!volume || volume.removed) return;
  const vmIds = { here: world.applianceVmId, elsewhere: world.otherVmId, nowhere: null, back: volume.vmId };
  // Without serials nothing tells its disk from an awaited one while CloudStack does not show it here: a
  // known limit (docs/proofs/simulation.md).
  const comes = to === 'here' && volume.vmId !== world.applianceVmId;
  if (comes && !allTellSerials(world.script.world) && world.isShownLate(volume)) return;
  world.strike(`by-hand-${to}`);
  void moveByHand(world, volume, vmIds[to]);
}

/** Somebody plugs a volume that no request names into this guest; null: it stays. */
export function visit(world: World, { bytes, ms }: Extract<Mishap, { kind: 'visitor' }>): void {
  world.strike('visitor');
  // Without serials one of a fitting size may be taken where CloudStack does not show it: a known limit.
  const volume = world.addVisitor(allTellSerials(world.script.world) ? bytes : MISFIT_BYTES);
  const come = moveByHand(world, volume, world.applianceVmId);
  if (ms !== null) world.scheduler.after(ms, () => void come.then(() => moveByHand(world, volume, null)));
}

/**
 * The disk of a volume does not tell its serial any more: it hangs, or it fails every request. A daemon reads
 * each serial once, so every daemon starts anew.
 */
export function muteSerial(
  world: World,
  processes: Processes,
  { volume: index, becomes }: Extract<Mishap, { kind: 'serial-muted' }>,
): void {
  const volumeId = world.volumes[index];
  if (volumeId === undefined || world.guest.devicePath(volumeId) === null) return;
  world.strike(`serial-${becomes}`);
  for (const slot of processes.slots) slot.kill();
  world.guest.spoilSerial(volumeId, becomes);
  if (becomes === 'absent') world.muted.add(volumeId);
  processes.startAll();
}
