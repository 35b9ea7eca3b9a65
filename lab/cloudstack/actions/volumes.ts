import { jobEnded, type ModelParts, targetVolume } from '../parts';
import { ApiError, type DiskOffering, type Job, type Snapshot, type Volume, type Zone } from '../records';
import type { Account } from '../state/accounts';
import { GIB, type Inventory } from '../state/inventory';
import { entityExists, forbidden, idTaken, quota, refused } from '../state/texts';

/** `custom.diskoffering.size.min` and `.max`, GiB. */
export const CUSTOM_MIN_GIB = 1;
export const CUSTOM_MAX_GIB = 1024;

export interface CreateVolume {
  /** Without one the server makes one up. */
  readonly name: string | null;
  readonly zoneId: string | null;
  readonly offeringId: string | null;
  readonly sizeGiB: number | null;
  /** customjobid */
  readonly jobId: string | null;
  /** customid, for root administrators. */
  readonly customId: string | null;
  readonly snapshotId?: string | null;
  /** Whose it will be, by name; for root administrators. */
  readonly account?: string | null;
  readonly projectId?: string | null;
}

/** Validates and allocates at once; the job that follows does nothing that anybody could see. */
export function createVolume(
  parts: ModelParts,
  asked: CreateVolume,
  by: Account,
): { volume: Volume; job: Job } {
  const { inventory, jobs, history } = parts;
  const { zone, offering, snapshot } = lookUp(inventory, asked);
  const owner = parts.access.ownerFor('createVolume', by, asked);
  if (asked.sizeGiB !== null && asked.sizeGiB <= 0) throw refused('Disk size must be larger than 0');
  if (!offering && !snapshot)
    throw refused('At least one of disk Offering ID or snapshot ID must be passed whilst creating volume');
  const size = snapshot ? snapshot.size : offering ? sizeFor(offering, asked.sizeGiB) * GIB : 0;
  if (!zone) throw refused('Unable to find zone by id null');
  if (zone.allocationState === 'Disabled' && by.role !== 'root')
    throw forbidden(`Cannot perform this operation, Zone is currently disabled: ${zone.internalId}`);
  allowQuota(parts, owner, size);
  const customId = asked.customId === null ? {} : { id: customIdFor(inventory, asked.customId, by) };
  // The row comes before the job id is looked at: a resend under a job id that is taken leaks a volume,
  // as on the real server.
  const volume = inventory.addVolume({
    ...customId,
    name: asked.name || parts.random.uuid(),
    size,
    zoneId: zone.id,
    accountId: owner.id,
    diskOfferingId: offering?.id ?? snapshotOffering(inventory, snapshot),
    snapshotId: snapshot?.id ?? null,
  });
  history.effect('create', { volumeId: volume.id, jobId: asked.jobId, by: by.id });
  const job = jobs.accept({
    command: 'CreateVolumeCmd',
    by,
    instanceType: 'Volume',
    instanceId: volume.id,
    wanted: asked.jobId,
  });
  volume.jobId = job.id;
  const ms = parts.jobTime('createVolume');
  void jobs.run(job, {
    command: 'createVolume',
    queue: null,
    about: volume,
    ms,
    work: async () => {
      await parts.sleep(ms);
      if (snapshot) Object.assign(volume, { state: 'Ready', hypervisor: 'KVM' });
      return { kind: 'volume', volume: { ...volume } };
    },
    ended: () => jobEnded(parts, 'createVolume', volume, null, job),
  });
  return { volume, job };
}

/** What the ids name. Throws 431 for ids that never were. */
function lookUp(
  inventory: Inventory,
  asked: CreateVolume,
): { zone: Zone | null; offering: DiskOffering | null; snapshot: Snapshot | null } {
  if ((asked.name?.length ?? 0) > 255) throw tooLong('volumeName');
  const named = <T>(id: string | null | undefined, find: (id: string) => T): T | null =>
    id ? find(id) : null;
  return {
    zone: named(asked.zoneId, (id) => inventory.zone('createVolume', 'zoneid', id)),
    offering: named(asked.offeringId, (id) => inventory.offering('createVolume', 'diskofferingid', id)),
    snapshot: named(asked.snapshotId, (id) => inventory.snapshot('createVolume', 'snapshotid', id)),
  };
}

function snapshotOffering(inventory: Inventory, snapshot: Snapshot | null): string | null {
  return inventory.volumes.find(({ id }) => id === snapshot?.volumeId)?.diskOfferingId ?? null;
}

/** Grows a volume as an administrator would by hand, the guest's disk with it. */
export async function growVolume(parts: ModelParts, id: string, size: number): Promise<void> {
  const volume = parts.inventory.volume('resizeVolume', 'id', id);
  volume.size = size;
  const vm = parts.inventory.vms.find((candidate) => candidate.id === volume.vmId);
  if (vm) await parts.inventory.guestOf(vm)?.resize(volume.id, size);
}

interface UpdateVolume {
  readonly id: string;
  readonly name?: string;
  readonly customId?: string;
  readonly deleteProtection?: boolean;
  readonly jobId: string | null;
}

/**
 * For root administrators: the role of a user lacks the command. A disk that is plugged keeps the
 * serial of the old id.
 */
export function updateVolume(parts: ModelParts, asked: UpdateVolume, by: Account): Job {
  const volume = targetVolume(parts, by, 'updateVolume', asked.id);
  const customId =
    asked.customId === undefined ? volume.id : customIdFor(parts.inventory, asked.customId, by);
  const job = parts.jobs.accept({
    command: 'UpdateVolumeCmd',
    by,
    instanceType: 'Volume',
    instanceId: volume.id,
    wanted: asked.jobId,
  });
  void parts.jobs.run(job, {
    command: 'updateVolume',
    queue: null,
    ms: 0,
    work: async () => {
      volume.id = customId;
      volume.name = asked.name ?? volume.name;
      volume.deleteProtection = asked.deleteProtection ?? volume.deleteProtection;
      return { kind: 'volume', volume: { ...volume } };
    },
  });
  return job;
}

function tooLong(parameter: string): ApiError {
  return new ApiError(
    431,
    `Unable to execute API command createvolume due to invalid value. Value greater than max allowed length 255 for param: ${parameter}`,
  );
}

function allowQuota({ inventory, settings }: ModelParts, owner: Account, size: number): void {
  const owned = inventory.volumesOfAccount(owner.id);
  if (owned.length >= settings.volumeLimit)
    throw quota(owner, 'volume', settings.volumeLimit, owned.length, 1);
  const used = owned.reduce((sum, volume) => sum + volume.size, 0);
  if (used + size > settings.storageLimit)
    throw quota(owner, 'primary_storage', settings.storageLimit, used, size);
}

/** Only live rows are looked at; the id of a removed one meets the database's own rule. */
function customIdFor(inventory: Inventory, wanted: string, by: Account): string {
  if (by.role !== 'root')
    throw forbidden('Please check your permissions, you are not allowed to create/update custom id');
  const id = wanted.toLowerCase();
  const taken = inventory.volumes.find((volume) => volume.id === id);
  if (taken) throw taken.removed ? entityExists() : idTaken(id);
  return id;
}

function sizeFor(offering: DiskOffering, sizeGiB: number | null): number {
  if (!offering.customized) {
    if (sizeGiB !== null) throw refused('This disk offering does not allow custom size');
    return offering.sizeGiB;
  }
  if (sizeGiB === null) throw refused('This disk offering requires a custom size specified');
  if (sizeGiB < CUSTOM_MIN_GIB || sizeGiB > CUSTOM_MAX_GIB)
    throw refused(
      `Volume size: ${sizeGiB} GB is out of allowed range. Min: ${CUSTOM_MIN_GIB}. Max: ${CUSTOM_MAX_GIB}`,
    );
  return sizeGiB;
}
