import type { World } from './world';

/** What a completed operation of these has proven to be ours. */
const PROVING: readonly string[] = ['create', 'attach', 'cleanup'];

/**
 * After the last sync, with everything readable: each row says where its volume is, and a volume of ours on
 * the other VM has a row whoever has attached it. The complaint, or null.
 */
export function rowsAtRest(world: World): string | null {
  const { store, model, otherVmId } = world;
  for (const { volumeId, vmId } of store.mappings.values()) {
    // The daemon of that VM keeps it, or nobody does.
    if (vmId === otherVmId && world.theirs.size > 0) continue;
    const volume = world.volume(volumeId);
    // The row of a volume that somebody else deletes stays, and so does one that somebody writes while its
    // volume is being deleted: not shown is no proof.
    const isOfOthers = world.rowsOfOthers.has(volumeId) || world.administered.has(volumeId);
    if (isOfOthers && volume?.removed) continue;
    if (!volume || volume.removed) return `${volumeId} has a row, and does not exist`;
    // Of disks with one serial sync follows none.
    if (volume.vmId !== vmId && world.script.world.twins !== true)
      return `the row of ${volumeId} says VM ${vmId}, it is at ${volume.vmId}`;
  }
  if (world.theirs.size > 0) return null;
  const own = new Set(
    [...store.operations.values()]
      .map(({ operation }) => operation)
      .filter(({ type, status }) => status === 'completed' && PROVING.includes(type))
      .map(({ volumeId }) => volumeId),
  );
  const there = model.volumes.filter(
    ({ id, vmId, removed }) => !removed && vmId === otherVmId && own.has(id),
  );
  const lost = there.filter(({ id, state }) => state === 'Ready' && !store.mappings.has(id));
  if (lost.length > 0)
    return `${lost.map(({ id }) => id).join(', ')}: on the other VM, ours, and without a row`;
  return null;
}
