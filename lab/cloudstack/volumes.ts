import { GIB, type Inventory } from './inventory';
import type { ModelParts } from './model';
import type { DiskOffering, Job, Volume, Zone } from './records';
import { forbidden, idTaken, internal, quota, refused } from './texts';

/** `custom.diskoffering.size.min` and `.max`, GiB. */
export const CUSTOM_MIN_GIB = 1;
export const CUSTOM_MAX_GIB = 1024;

export interface CreateVolume {
  readonly name: string;
  readonly zoneId: string;
  readonly offeringId: string;
  readonly sizeGiB: number | null;
  /** customjobid */
  readonly jobId: string | null;
  /** customid, for root administrators. */
  readonly customId: string | null;
}

/** Validates and allocates at once; the job that follows does nothing that anybody could see. */
export function createVolume(parts: ModelParts, asked: CreateVolume): { volume: Volume; job: Job } {
  const { inventory, jobs, history, options } = parts;
  const zone = inventory.zone('createVolume', 'zoneid', asked.zoneId);
  const offering = inventory.offering('createVolume', 'diskofferingid', asked.offeringId);
  if (asked.name.length > 255)
    throw refused(`Invalid parameter name: its length must not be greater than 255`);
  allowZone(zone, options.rootAdmin);
  const size = sizeFor(offering, asked.sizeGiB) * GIB;
  allowQuota(parts, size);
  const customId = asked.customId === null ? {} : { id: customIdFor(inventory, asked.customId, options) };
  // The row comes before the job id is looked at: a resend under a job id that is taken leaks a volume, as on the real server.
  const volume = inventory.addVolume({
    ...customId,
    name: asked.name,
    size,
    zoneId: zone.id,
    diskOfferingId: offering.id,
  });
  history.effect('create', { volumeId: volume.id, jobId: asked.jobId?.toLowerCase() ?? null });
  const job = jobs.accept('CreateVolumeCmd', 'Volume', volume.id, asked.jobId);
  volume.jobId = job.id;
  const ms = parts.jobTime('createVolume');
  void jobs.run(job, {
    command: 'createVolume',
    queue: null,
    ms,
    work: async () => {
      await parts.sleep(ms);
      return { kind: 'volume', volume: { ...volume } };
    },
    ended: () => parts.forgetJob(volume, job),
  });
  return { volume, job };
}

/** Synchronous, as on the real server: resolves when the volume is gone. Throws 431 and 530. */
export async function deleteVolume(parts: ModelParts, id: string): Promise<void> {
  const volume = parts.inventory.volume('deleteVolume', 'id', id);
  if (volume.removed) throw refused(`Unable to find volume with ID: ${volume.internalId}`);
  if (volume.deleteProtection)
    throw refused(
      `Volume [id = ${volume.id}, name = ${volume.name}] has delete protection enabled and cannot be deleted.`,
    );
  if (volume.vmId !== null) throw refused('Please specify a volume that is not attached to any VM.');
  if (volume.state === 'Snapshotting')
    throw refused('There are snapshot operations in progress on the volume, unable to delete it');
  if (volume.state === 'UploadOp' || volume.state === 'UploadInProgress')
    throw refused('Please specify a volume that is not uploading');
  if (!['Allocated', 'Ready', 'Uploaded', 'Destroy'].includes(volume.state))
    throw internal(`Failed to delete volume ${volume.name}: it is in ${volume.state}`);
  volume.state = 'Expunging';
  const alive = parts.generation();
  await parts.sleep(parts.jobTime('deleteVolume'));
  if (!alive()) throw internal('The management server was restarted');
  Object.assign(volume, { state: 'Expunged', removed: true });
  parts.history.effect('delete', { volumeId: volume.id });
}

/** Grows a volume as an administrator would, the guest's disk with it. Not a command of the simulated API. */
export async function resizeVolume(parts: ModelParts, id: string, size: number): Promise<void> {
  const volume = parts.inventory.volume('resizeVolume', 'id', id);
  volume.size = size;
  const vm = parts.inventory.vms.find((candidate) => candidate.id === volume.vmId);
  if (vm) await parts.inventory.guestOf(vm)?.resize(volume.id, size);
}

function allowZone(zone: Zone, rootAdmin: boolean): void {
  if (zone.allocationState === 'Disabled' && !rootAdmin)
    throw forbidden(`Cannot perform this operation, Zone is currently disabled: ${zone.name}`);
}

function allowQuota({ inventory, options }: ModelParts, size: number): void {
  const owned = inventory.volumesOfAccount();
  if (owned.length >= options.volumeLimit) throw quota('volume', options.volumeLimit, owned.length, 1);
  const used = owned.reduce((sum, volume) => sum + volume.size, 0);
  if (used + size > options.storageLimit) throw quota('primary_storage', options.storageLimit, used, size);
}

function customIdFor(inventory: Inventory, wanted: string, { rootAdmin }: { rootAdmin: boolean }): string {
  if (!rootAdmin)
    throw forbidden('Please check your permissions, you are not allowed to create/update custom id');
  const id = wanted.toLowerCase();
  if (inventory.volumes.some((volume) => volume.id === id)) throw idTaken(id);
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
