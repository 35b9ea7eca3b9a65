import { jobEnded, type ModelParts, targetVolume } from '../parts';
import type { Job, Volume } from '../records';
import type { Account } from '../state/accounts';
import { forbidden, internal, refused } from '../state/texts';

/** States in which CloudStack begins to delete; in the others something else works on the volume. */
const DELETABLE: readonly string[] = [
  'Allocated',
  'Creating',
  'Ready',
  'Uploaded',
  'NotUploaded',
  'UploadError',
  'UploadAbandoned',
  'Destroy',
  'Destroying',
  'Expunging',
];
/** A delete that failed, or that died with the management server, left it here: the next one finishes it. */
export const GOING: readonly string[] = ['Destroy', 'Destroying', 'Expunging', 'Expunged'];

/** Synchronous, as on the real server: resolves when the volume is gone. Throws 431, 530 and 531. */
export async function deleteVolume(parts: ModelParts, id: string, by: Account): Promise<void> {
  const volume = targetVolume(parts, by, 'deleteVolume', id);
  allowRemoval(volume);
  await expungeVolume(parts, 'deleteVolume', volume, by);
}

/** Throws what the server says to those that are not to be deleted. */
function allowRemoval(volume: Volume): void {
  if (volume.deleteProtection)
    throw refused(
      `Volume [id = ${volume.id}, name = ${volume.name}] has delete protection enabled and cannot be deleted.`,
    );
  if (volume.vmId !== null) throw refused('Please specify a volume that is not attached to any VM.');
  if (volume.state === 'Snapshotting')
    throw refused('There are snapshot operations in progress on the volume, unable to delete it');
  if (volume.state === 'UploadOp' || volume.state === 'UploadInProgress')
    throw refused('Please specify a volume that is not uploading');
  if (!DELETABLE.includes(volume.state))
    throw internal(`Failed to delete volume ${volume.name}: it is in ${volume.state}`);
}

/**
 * `Expunging` while the agent works, then gone; `Destroy` when the agent fails. Two at a time both
 * end as the agent says.
 */
async function expungeVolume(parts: ModelParts, command: string, volume: Volume, by: Account): Promise<void> {
  const before = { ...volume };
  volume.state = 'Expunging';
  const alive = parts.generation();
  const ms = parts.jobTime('deleteVolume');
  const failure = parts.faults.take(command, ['agent-fails']);
  // What has a job meets this fault in its queue.
  const restart = command === 'deleteVolume' ? parts.faults.take(command, ['restart']) : null;
  if (restart) void parts.sleep(ms / 2).then(() => parts.restart(restart));
  await parts.sleep(ms + (failure?.ms ?? 0));
  if (!alive()) throw internal('The management server was restarted');
  if (failure) {
    if (!volume.removed) volume.state = 'Destroy';
    throw internal(failure.text ?? `Failed to expunge volume ${volume.name}`);
  }
  if (volume.removed) return;
  Object.assign(volume, { state: 'Expunged', removed: true });
  parts.history.effect('delete', { volumeId: volume.id, by: by.id });
  if (command === 'deleteVolume') jobEnded(parts, command, volume, before, null);
}

export interface DestroyVolume {
  readonly id: string;
  readonly expunge: boolean;
  readonly jobId: string | null;
}

/** Without `expunge` into the trash: state Destroy, from which recoverVolume brings it back. */
export function destroyVolume(parts: ModelParts, asked: DestroyVolume, by: Account): Job {
  const volume = targetVolume(parts, by, 'destroyVolume', asked.id);
  const job = parts.jobs.accept({
    command: 'DestroyVolumeCmd',
    by,
    instanceType: 'Volume',
    instanceId: volume.id,
    wanted: asked.jobId,
  });
  const before = { ...volume };
  void parts.jobs.run(job, {
    command: 'destroyVolume',
    queue: null,
    about: volume,
    ms: parts.jobTime('deleteVolume'),
    check: () => {
      allowRemoval(volume);
      if (asked.expunge) allowTrash(parts, by, 'Expunging');
      else if (volume.state === 'Allocated' || volume.state === 'Uploaded')
        throw refused('The volume in Allocated/Uploaded state can only be expunged not destroyed/recovered');
    },
    work: async () => {
      // One that is being removed stays as it is, and the call succeeds.
      if (!GOING.includes(volume.state)) volume.state = 'Destroy';
      const shown = { ...volume };
      if (asked.expunge) await expungeVolume(parts, 'destroyVolume', volume, by);
      else parts.history.effect('trash', { volumeId: volume.id, jobId: job.id });
      return { kind: 'volume', volume: shown };
    },
    ended: () => jobEnded(parts, 'destroyVolume', volume, before, job),
  });
  return job;
}

/** Synchronous. Throws 431 unless it is in state Destroy. */
export function recoverVolume(parts: ModelParts, id: string, by: Account): Volume {
  const volume = targetVolume(parts, by, 'recoverVolume', id);
  allowTrash(parts, by, 'Recovering');
  if (volume.state !== 'Destroy') throw refused('Please specify a volume in Destroy state.');
  volume.state = 'Ready';
  parts.history.effect('recover', { volumeId: volume.id, by: by.id });
  return volume;
}

function allowTrash({ settings }: ModelParts, by: Account, what: 'Expunging' | 'Recovering'): void {
  if (by.role !== 'root' && !settings.userMayExpungeVolume)
    throw forbidden(
      `${what} a volume can only be done by an Admin. Or when the allow.user.expunge.recover.volume key is set.`,
    );
}
