import { jobEnded, type ModelParts, targetVolume } from '../parts';
import type { Job, Volume } from '../records';
import type { Account } from '../state/accounts';
import { refused } from '../state/texts';
import { shownVolume } from './disks';

export interface MigrateVolume {
  readonly id: string;
  /** How long its content takes. */
  readonly ms: number;
  readonly jobId: string | null;
}

/**
 * To another storage, attached or not. Until it has ended lists show a second row of the same name, with an
 * id of its own; in the end the row that is left has the id of the volume. Throws 431 and 531.
 */
export function migrateVolume(
  parts: ModelParts,
  { id, ms, jobId }: MigrateVolume,
  by: Account,
): { copy: Volume; job: Job } {
  const volume = targetVolume(parts, by, 'migrateVolume', id);
  if (volume.state !== 'Ready') throw refused('Volume must be in ready state');
  const { name, size, zoneId, diskOfferingId, accountId } = volume;
  const copy = parts.inventory.addVolume({ name, size, zoneId, diskOfferingId, accountId });
  const job = parts.jobs.accept({
    command: 'MigrateVolumeCmd',
    by,
    instanceType: 'Volume',
    instanceId: volume.id,
    wanted: jobId,
  });
  const before = { ...volume };
  void parts.jobs.run(job, {
    command: 'migrateVolume',
    queue: volume.vmId,
    about: volume,
    ms,
    work: async () => {
      if (volume.removed || volume.state !== 'Ready') throw refused('Volume must be in ready state');
      volume.jobId = job.id;
      volume.state = 'Migrating';
      copy.state = 'Creating';
      await parts.sleep(ms);
      // A server that has restarted puts it back where it was.
      if (volume.state === 'Migrating') volume.state = 'Ready';
      return shownVolume(volume);
    },
    ended: () => {
      Object.assign(copy, { state: 'Expunged', removed: true });
      jobEnded(parts, 'migrateVolume', volume, before, job);
    },
  });
  return { copy, job };
}
