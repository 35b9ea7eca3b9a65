import { jobEnded, type ModelParts } from '../parts';
import { ApiError, type Job, type Snapshot, type Tag, type Volume } from '../records';
import type { Account } from '../state/accounts';
import { GIB } from '../state/inventory';
import type { Run } from '../state/jobs';
import { badValue, internal, refused } from '../state/texts';
import { shownVolume } from './disks';

interface Request {
  readonly id: string;
  readonly jobId: string | null;
}

/**
 * These commands look the volume up by themselves, and have another text for one that is
 * removed. Throws 431 and 531.
 */
function presentVolume(
  parts: ModelParts,
  by: Account,
  command: string,
  parameter: string,
  id: string,
): Volume {
  const volume = parts.inventory.volume(command, parameter, id);
  if (volume.removed) throw refused(`Unable to find volume by id=${volume.internalId}`);
  parts.access.allow(by, volume);
  return volume;
}

interface CreateSnapshot {
  readonly volumeId: string;
  readonly name: string | null;
  readonly jobId: string | null;
}

/** Of a volume in use too; the volume is Snapshotting meanwhile. Throws 431 and 531 at once. */
export function createSnapshot(
  parts: ModelParts,
  asked: CreateSnapshot,
  by: Account,
): { snapshot: Snapshot; job: Job } {
  const volume = presentVolume(parts, by, 'createSnapshot', 'volumeid', asked.volumeId);
  if (volume.state !== 'Ready')
    throw refused(
      `VolumeId: ${volume.internalId} is not in Ready state but ${volume.state}. Cannot take snapshot.`,
    );
  const snapshot = parts.inventory.addSnapshot(volume, asked.name || `${volume.name}_${parts.clock.now()}`);
  const job = parts.jobs.accept({
    command: 'CreateSnapshotCmd',
    by,
    instanceType: 'Snapshot',
    instanceId: snapshot.id,
    wanted: asked.jobId,
  });
  const ms = parts.jobTime('createSnapshot');
  const before = { ...volume };
  void parts.jobs.run(job, {
    command: 'createSnapshot',
    queue: null,
    about: volume,
    ms,
    work: async (run) => {
      volume.state = 'Snapshotting';
      await parts.sleep(ms);
      if (volume.state === 'Snapshotting') volume.state = 'Ready';
      stopIfLost(run);
      snapshot.state = 'BackedUp';
      parts.history.effect('snapshot', { volumeId: volume.id, jobId: job.id });
      return { kind: 'snapshot', snapshot: { ...snapshot } };
    },
    ended: () => {
      if (snapshot.state === 'BackingUp' && volume.state !== 'Snapshotting') snapshot.state = 'Error';
      jobEnded(parts, 'createSnapshot', volume, before, job);
    },
  });
  return { snapshot, job };
}

/** The management server has restarted, and nobody goes on with what it was doing. */
function stopIfLost(run: Run): void {
  if (run.fate() === 'lost') throw internal('The management server was restarted');
}

/** Puts the volume back to what it was: not while a VM runs with it, and on KVM only. */
export function revertSnapshot(parts: ModelParts, asked: Request, by: Account): Job {
  return onSnapshot(parts, 'revertSnapshot', 'RevertSnapshotCmd', asked, by, async (snapshot, run) => {
    const volume = parts.inventory.volume('revertSnapshot', 'id', snapshot.volumeId);
    const vm = parts.inventory.vms.find(({ id }) => id === volume.vmId);
    if (vm && vm.state !== 'Stopped')
      throw refused('The VM the specified disk is attached to is not in the shutdown state.');
    if (volume.hypervisor !== 'KVM')
      throw internal(
        `Revert snapshot command failed for snapshot with id ${snapshot.internalId}, because this command is supported only for KVM hypervisor`,
      );
    volume.state = 'RevertSnapshotting';
    await parts.sleep(parts.jobTime('revertSnapshot'));
    volume.state = 'Ready';
    stopIfLost(run);
    volume.size = snapshot.size;
    parts.history.effect('revert', { volumeId: volume.id, jobId: run.job.id });
  });
}

/** A snapshot outlives its volume. */
export function deleteSnapshot(parts: ModelParts, asked: Request, by: Account): Job {
  return onSnapshot(parts, 'deleteSnapshot', 'DeleteSnapshotCmd', asked, by, async (snapshot, run) => {
    if (snapshot.state === 'Destroyed')
      throw refused(`Snapshot with id: ${snapshot.internalId} is already destroyed`);
    await parts.sleep(parts.jobTime('deleteSnapshot'));
    stopIfLost(run);
    snapshot.state = 'Destroyed';
    parts.history.effect('delete-snapshot', { volumeId: snapshot.volumeId, jobId: run.job.id });
  });
}

function onSnapshot(
  parts: ModelParts,
  command: 'revertSnapshot' | 'deleteSnapshot',
  cmd: string,
  { id, jobId }: Request,
  by: Account,
  work: (snapshot: Snapshot, run: Run) => Promise<void>,
): Job {
  const snapshot = parts.inventory.snapshot(command, 'id', id);
  parts.access.allow(by, snapshot);
  const job = parts.jobs.accept({
    command: cmd,
    by,
    instanceType: 'Snapshot',
    instanceId: snapshot.id,
    wanted: jobId,
  });
  void parts.jobs.run(job, {
    command,
    queue: null,
    ms: parts.jobTime(command),
    work: async (run) => {
      await work(snapshot, run);
      return command === 'deleteSnapshot'
        ? { kind: 'success' }
        : { kind: 'snapshot', snapshot: { ...snapshot } };
    },
  });
  return job;
}

interface ResizeVolume extends Request {
  readonly sizeGiB: number;
  readonly shrinkOk: boolean;
}

/**
 * Bigger, attached or not, the guest's disk with it; smaller only with `shrinkok`, and then the agent
 * refuses.
 */
export function resizeVolume(parts: ModelParts, asked: ResizeVolume, by: Account): Job {
  const volume = presentVolume(parts, by, 'resizeVolume', 'id', asked.id);
  const size = asked.sizeGiB * GIB;
  const job = parts.jobs.accept({
    command: 'ResizeVolumeCmd',
    by,
    instanceType: 'Volume',
    instanceId: volume.id,
    wanted: asked.jobId,
  });
  const ms = parts.jobTime('resizeVolume');
  const before = { ...volume };
  void parts.jobs.run(job, {
    command: 'resizeVolume',
    queue: volume.vmId,
    about: volume,
    ms,
    check: () => {
      if (size < volume.size && !asked.shrinkOk)
        throw new ApiError(
          432,
          `Going from existing size of ${volume.size} to size of ${size} would shrink the volume.Need to sign off by supplying the shrinkok parameter with value of true.`,
        );
    },
    work: async (run) => {
      const { state } = volume;
      volume.state = 'Resizing';
      const failure = parts.faults.take('resizeVolume', ['agent-fails']);
      await parts.sleep(ms + (failure?.ms ?? 0));
      if (volume.state === 'Resizing') volume.state = state;
      stopIfLost(run);
      if (failure || size < volume.size)
        throw internal(
          `Failed to resize volume operation of volume UUID: [${volume.id}] due to - ${failure?.text ?? 'Failed to resize'}`,
        );
      volume.size = size;
      const vm = parts.inventory.vms.find(({ id }) => id === volume.vmId);
      if (vm) await parts.inventory.guestOf(vm)?.resize(volume.id, size);
      parts.history.effect('resize', { volumeId: volume.id, vmId: volume.vmId, jobId: job.id });
      return shownVolume(volume);
    },
    ended: () => jobEnded(parts, 'resizeVolume', volume, before, job),
  });
  return job;
}

interface CreateTags {
  readonly volumeIds: readonly string[];
  readonly tags: readonly Tag[];
  readonly jobId: string | null;
}

export function createTags(parts: ModelParts, asked: CreateTags, by: Account): Job {
  const volumes = asked.volumeIds.map((id) => {
    const volume = parts.inventory.volumes.find((one) => one.id === id.toLowerCase() && !one.removed);
    if (!volume) throw badValue('createTags', 'resourceids', id);
    parts.access.allow(by, volume);
    return volume;
  });
  const job = parts.jobs.accept({
    command: 'CreateTagsCmd',
    by,
    instanceType: 'Volume',
    instanceId: '',
    wanted: asked.jobId,
  });
  void parts.jobs.run(job, {
    command: 'createTags',
    queue: null,
    ms: 0,
    work: async () => {
      for (const volume of volumes) volume.tags = [...volume.tags, ...asked.tags];
      return { kind: 'success' };
    },
  });
  return job;
}

/** A snapshot of the whole VM: while there is one, no volume can be attached. */
export function createVmSnapshot(
  parts: ModelParts,
  { id, jobId }: Request,
  by: Account,
): { id: string; job: Job } {
  const vm = parts.inventory.vm('createVMSnapshot', 'virtualmachineid', id);
  parts.access.allow(by, vm);
  const snapshotId = parts.random.uuid();
  const job = parts.jobs.accept({
    command: 'CreateVMSnapshotCmd',
    by,
    instanceType: 'VmSnapshot',
    instanceId: '',
    wanted: jobId,
  });
  const ms = parts.jobTime('createVMSnapshot');
  void parts.jobs.run(job, {
    command: 'createVMSnapshot',
    queue: vm.id,
    ms,
    work: async () => {
      await parts.sleep(ms);
      vm.snapshots = [...vm.snapshots, snapshotId];
      return { kind: 'vm-snapshot', id: snapshotId, vm: { ...vm } };
    },
  });
  return { id: snapshotId, job };
}

export function deleteVmSnapshot(parts: ModelParts, { id, jobId }: Request, by: Account): Job {
  const vm = parts.inventory.vms.find(({ snapshots }) => snapshots.includes(id));
  if (!vm) throw badValue('deleteVMSnapshot', 'vmsnapshotid', id);
  parts.access.allow(by, vm);
  const job = parts.jobs.accept({
    command: 'DeleteVMSnapshotCmd',
    by,
    instanceType: 'VmSnapshot',
    instanceId: '',
    wanted: jobId,
  });
  void parts.jobs.run(job, {
    command: 'deleteVMSnapshot',
    queue: vm.id,
    ms: parts.jobTime('deleteVMSnapshot'),
    work: async () => {
      vm.snapshots = vm.snapshots.filter((one) => one !== id);
      return { kind: 'success' };
    },
  });
  return job;
}
