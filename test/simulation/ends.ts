import { GOING } from '~/lab/cloudstack/actions/removal';
import type { Snapshot } from '~/lab/cloudstack/records';
import { exportName } from '~/server/model/export-name';
import type { Operation } from '~/server/model/operation';
import { STALE_MAX_MS } from './doors';
import { allTellSerials } from './script-items';
import type { World } from './world';

interface Begun {
  readonly begunAt: number;
}

/**
 * What must be true at the very moment an operation says that it is done: the complaint, or null when it is.
 */
export function complaintAt(world: World, operation: Operation): string | null {
  const { volumeId } = operation;
  switch (operation.type) {
    case 'attach':
      return attached(world, volumeId, operation.request.vm_id);
    case 'cleanup':
      return attached(world, volumeId, operation.request.oma_vm_id);
    case 'detach':
      return detached(world, volumeId);
    case 'delete': {
      const left = detached(world, volumeId);
      const volume = world.volume(volumeId);
      const isGone =
        volume?.removed === true || (operation.response?.recoverable === true && volume?.state === 'Destroy');
      return left ?? (isGone ? null : 'it still exists');
    }
    case 'recover': {
      const volume = world.volume(volumeId);
      return volume && !volume.removed && !GOING.includes(volume.state)
        ? null
        : `it is ${volume?.state ?? 'nowhere'}`;
    }
    case 'create': {
      const volume = world.volume(volumeId);
      if (!volume || volume.removed) return 'it does not exist';
      if (world.foreign.has(volumeId)) return "it is somebody else's";
      const right = volume.size >= operation.request.size && volume.name === operation.request.name;
      return right ? null : `it is not what was asked for: ${volume.name}, ${volume.size}`;
    }
    case 'resize':
      return (world.volume(volumeId)?.size ?? 0) >= operation.request.size
        ? null
        : 'it is smaller than asked for';
    case 'snapshot': {
      const snapshot = snapshotOf(world, operation.response?.snapshot_id);
      const right = snapshot?.state === 'BackedUp' && snapshot.volumeId === volumeId;
      return right ? null : `its snapshot is ${snapshot?.state ?? 'nowhere'}`;
    }
    case 'snapshot-group': {
      const { volume_ids: wanted } = operation.request;
      const taken = wanted.filter((id) =>
        snapshotsOf(world, operation).some((one) => one.volumeId === id && isThere(world, one)),
      );
      return taken.length === wanted.length
        ? null
        : `${taken.length} of ${wanted.length} snapshots were taken`;
    }
    case 'delete-snapshot': {
      const snapshot = snapshotOf(world, operation.request.snapshot_id);
      return snapshot?.state === 'Destroyed' ? null : `the snapshot is ${snapshot?.state ?? 'nowhere'}`;
    }
    case 'revert':
      return world.model.effectsOf(volumeId, 'revert') > 0 ? null : 'it was never reverted';
    case 'unreadable':
      return 'nothing of its type is ever run';
    default:
      return operation satisfies never;
  }
}

/**
 * Of an operation that has failed: why the volume, which nobody else has touched, did not deserve it; null:
 * it did, or that is not judged here.
 */
export function needlessRefusal(world: World, operation: Operation): string | null {
  if (operation.status !== 'failed') return null;
  const volume = world.volume(operation.volumeId);
  if (!volume) return null;
  const place = volume.vmId === null ? 'detached' : `on ${volume.vmId}`;
  switch (operation.errorCode) {
    case 'VOLUME_NOT_FOUND':
      return volume.removed ? null : 'it is there';
    case 'VOLUME_STATE':
      return volume.removed || volume.state !== 'Ready' ? null : 'it is ready';
    case 'VOLUME_ATTACHED_ELSEWHERE':
      return isElsewhere(world, operation, volume.vmId) ? null : `it is ${place}`;
    default:
      return null;
  }
}

function isElsewhere({ applianceVmId }: World, { type, request }: Operation, vmId: string | null): boolean {
  if (type === 'attach') return vmId !== null && vmId !== request.vm_id;
  if (type === 'delete' || type === 'cleanup') return vmId !== null && vmId !== applianceVmId;
  return type === 'snapshot' && request.on_vm !== undefined && request.on_vm !== vmId;
}

/** What the parts of a group have made of snapshots. */
function snapshotsOf({ model, store }: World, { id }: Operation): Snapshot[] {
  const parts = [...store.operations.values()].filter(
    ({ operation }) => operation.type === 'snapshot' && operation.request.group === id,
  );
  return model.inventory.snapshots.filter(({ name }) =>
    parts.some(({ operation }) => name.endsWith(operation.id)),
  );
}

/** It is whole, or a caller has asked for its deletion meanwhile. */
function isThere({ store }: World, { id, state }: Snapshot): boolean {
  return (
    state === 'BackedUp' ||
    [...store.operations.values()].some(
      ({ operation: { type, request } }) =>
        type === 'delete-snapshot' && request.snapshot_id === id && request.group === undefined,
    )
  );
}

/** A group that has not completed leaves nothing but what it names; of an abandoned one nothing is undone. */
export function leftByGroup(world: World, operation: Operation): string[] {
  if (operation.type !== 'snapshot-group' || operation.status === 'completed') return [];
  if (operation.errorCode === 'OPERATION_ABANDONED') return [];
  const said = JSON.stringify(operation.response?.left ?? []);
  return snapshotsOf(world, operation)
    .filter(({ state }) => state === 'BackedUp')
    .filter(({ id, volumeId }) => !said.includes(id) && !said.includes(volumeId))
    .map(({ id }) => id);
}

function snapshotOf({ model }: World, id: unknown): Snapshot | undefined {
  return model.inventory.snapshots.find((one) => one.id === id);
}

/** Something happened to the volume while the operation ran, and the daemon could not know. */
export function isDisturbed(world: World, { volumeId }: Operation, { begunAt }: Begun): boolean {
  const at = world.disturbed.get(volumeId);
  // What somebody else has changed may be shown late as well, and no job of ours says otherwise.
  const since = Math.min(begunAt, oldestShownAt(world, volumeId, begunAt));
  return (at !== undefined && at >= since) || isMovedByOthers(world, volumeId, since);
}

/** Of the looks that the operation may have had. */
function oldestShownAt(world: World, volumeId: string, begunAt: number): number {
  if (world.script.world.serverLagsMs) return begunAt - STALE_MAX_MS;
  const { stale = null } = world.volume(volumeId) ?? {};
  return stale === null ? begunAt : stale.until - STALE_MAX_MS - 1;
}

/**
 * Somebody else's job has had its effect, or the guest let go of the disk after CloudStack had
 * given up on the detach.
 */
function isMovedByOthers({ model, scheduler, byHand }: World, volumeId: string, since: number): boolean {
  const epoch = scheduler.clock().now() - scheduler.time;
  return model.history
    .events()
    .some(
      ({ what, jobId, at, ...event }) =>
        event.volumeId === volumeId &&
        at - epoch >= since &&
        (jobId === undefined ? what === 'unplugged' : what === 'effect' && byHand.has(jobId)),
    );
}

function attached(world: World, volumeId: string, vmId: string): string | null {
  const volume = world.volume(volumeId);
  if (volume?.vmId !== vmId) return `it is attached to ${volume?.vmId ?? 'nothing'} instead of ${vmId}`;
  const mapping = world.store.mappings.get(volumeId);
  if (mapping?.vmId !== vmId) return 'it has no mapping to the VM';
  if (vmId !== world.applianceVmId) return null;
  const path = world.guest.devicePath(volumeId);
  // It was given the disk of another one: a known limit, see docs/proofs/simulation.md.
  if (path === null) return world.script.world.twins === true ? null : 'it has no disk in the guest';
  if (mapping.devicePath !== path || mapping.linuxState !== 'detected')
    return `it is ${path} in the guest, the mapping says ${mapping.devicePath} ${mapping.linuxState}`;
  if (!world.script.world.exports) return null;
  if (world.server.served.get(exportName(volumeId))?.path !== path) return 'it is not exported';
  return world.store.exports.get(volumeId)?.status === 'active' ? null : 'it has no active export row';
}

function detached(world: World, volumeId: string): string | null {
  const volume = world.volume(volumeId);
  if (volume && !volume.removed && volume.vmId !== null) return `it is attached to ${volume.vmId}`;
  // Without serials nobody can tell whose a disk is that CloudStack does not know of, or that comes after its
  // attach was given up.
  const { struck } = world.model.faults;
  const ghosts = (struck['ghost-disk'] ?? 0) + (struck['late-device'] ?? 0);
  const byHand = (world.struck['management-restart'] ?? 0) + world.byHand.size;
  const invisible = (!allTellSerials(world.script.world) && ghosts + byHand > 0) || world.muted.has(volumeId);
  if (!invisible && world.guest.devicePath(volumeId) !== null) return 'it still has a disk in the guest';
  if (world.store.mappings.has(volumeId)) return 'it still has a mapping';
  return world.server.served.has(exportName(volumeId)) ? 'it is still exported' : null;
}
