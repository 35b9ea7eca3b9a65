import type { CloudJob, CloudSnapshot, CloudVolume } from '../../cloudstack/cloud';
import { knowOwnDelete, lookUpSnapshot, lookUpVm, lookUpVolume } from '../../cloudstack/look-up';
import { isAtRest, stateOf } from '../../cloudstack/volume-states';
import { LIMITS } from '../../core/limits';
import { absent, type Evidence, seen, unknown } from '../../model/evidence';
import type { OpenJob } from '../../model/ledger';
import type { Mapping } from '../../model/operation';
import { intentOf } from '../decide/intent';
import type { Guards, Mutation, VmDisk } from '../decision';
import type { MutationStep } from '../journal';
import { awaitGone } from './await-gone';
import { readUse } from './disk-use';
import { exportedDevice } from './exports';
import { readNeighbour } from './neighbour';
import type { RunContext } from './run-context';

/**
 * Reads everything that may forbid this call. Throws CloudError and DATABASE_UNAVAILABLE; then nothing is
 * sent.
 */
export async function readGuards(
  run: RunContext,
  { step, command }: { readonly step: MutationStep; readonly command: Mutation },
  pass = 1,
): Promise<Guards> {
  const hasWaited = pass > 1;
  const { applianceVmId } = run.parts.policy();
  const vmId = 'vmId' in command ? command.vmId : null;
  // That this VM runs is not asked for every disk; CloudStack may not think so, or be moving it, where a try
  // has failed.
  const isTakenForRunning =
    command.name === 'attachVolume' && vmId === applianceVmId && !run.journal.wasAccepted(step);
  const target = isTakenForRunning ? null : vmId;
  const vmVolumes = command.name === 'destroyVirtualMachine' ? await readVmVolumes(run, command.vmId) : null;
  const openJobs = 'volumeId' in command ? await countOpenJobs(run, command.volumeId) : 0;
  const snapshot = 'snapshotId' in command ? await readSnapshot(run, command.snapshotId) : null;
  const ownSnapshots =
    command.name === 'createSnapshot'
      ? await findSnapshots(run, { volumeId: command.volumeId, name: command.snapshotName })
      : null;
  const reverts = command.name === 'revertSnapshot';
  const mapping = reverts ? await readMapping(run, command.volumeId) : null;
  const exported = reverts ? (await exportedDevice(run, command.volumeId)) !== null : null;
  const ghost = await readGhost(run, { step, command });
  // What changes most is read last.
  const named = target === null ? null : await readVm(run, target);
  const about = volumeOf(run, command);
  const volume = about === null ? null : await readVolume(run, about);
  const attachedTo = volume?.kind === 'seen' ? volume.value.vmId : null;
  const { ignored, stillOnly } = intentOf(run.journal.intent(step), false);
  const vm = (reverts || stillOnly) && attachedTo !== null ? await readVm(run, attachedTo) : named;
  const detachesHere = command.name === 'detachVolume' && attachedTo !== null && attachedTo === applianceVmId;
  const since = run.parts.clock.monotonic();
  const looking = { ignored: hasWaited ? null : ignored, attachedHere: detachesHere };
  const use = detachesHere || reverts ? await readUse(run, command.volumeId, looking) : null;
  const mappedTo = mapping?.kind === 'seen' ? mapping.value.vmId : null;
  const actsOn = command.name === 'detachVolume' ? attachedTo : reverts ? mappedTo : target;
  const neighbour =
    actsOn === null || actsOn === applianceVmId ? null : await readNeighbour(run, actsOn, !hasWaited);
  // While users, or a daemon elsewhere, were waited for, everything that was read before them has grown old. So it has
  // when this look alone took long, as where many disks are flushed; where each does, the last one has to do.
  const waitedMs = run.parts.clock.monotonic() - since;
  const tooOldMs = hasWaited ? LIMITS.GUARDS_AGE_MAX_MS : LIMITS.HOLDER_AGAIN_MS;
  if (waitedMs >= tooOldMs && pass < LIMITS.GUARD_PASSES) return readGuards(run, { step, command }, pass + 1);
  return {
    volume,
    vm,
    vmVolumes,
    snapshot,
    ownSnapshots,
    mapping,
    exported,
    ghost,
    openJobs,
    use,
    neighbour,
  };
}

/** The volume that the call changes, or that a VM is stopped for; null: none. */
function volumeOf({ operation }: RunContext, command: Mutation): string | null {
  if (command.name === 'stopVirtualMachine') return operation.volumeId;
  return 'volumeId' in command ? command.volumeId : null;
}

/**
 * May a disk of this guest be the volume's? One that was just plugged in has the time to tell. Before the intent of an
 * attach this was asked as well: here it is asked again where that is a while ago.
 */
async function readGhost(
  run: RunContext,
  { step, command }: { readonly step: MutationStep; readonly command: Mutation },
): Promise<boolean | null> {
  const attaches = command.name === 'attachVolume';
  if (command.name !== 'revertSnapshot' && !(attaches && isOld(run, step))) return null;
  const leaves = !attaches || command.vmId !== run.parts.policy().applianceVmId;
  const { volumeId } = command;
  const timeoutMs = LIMITS.SERIAL_READ_TIMEOUT_MS;
  return !(await awaitGone(run, { do: 'await-gone', volumeId, timeoutMs, leaves }));
}

/** Was the first intent of this step not written just now? One from before a restart was not. */
function isOld(run: RunContext, step: MutationStep): boolean {
  const since = run.intendedMonotonic(step);
  return since === null || run.parts.clock.monotonic() - since >= LIMITS.HOLDER_AGAIN_MS;
}

/** Throws CloudError, and DATABASE_UNAVAILABLE: whether we have deleted the volume is in the journals. */
export function readVolume(run: RunContext, volumeId: string): Promise<Evidence<CloudVolume>> {
  const { cloud, ledger, policy } = run.parts;
  return run.active(async () => {
    const shown = await lookUpVolume(cloud, volumeId, policy().applianceVmId);
    const known = await knowOwnDelete(ledger, volumeId, shown);
    return run.otherRuns.lastPlaces.doubt(volumeId, known, { id: run.operation.id, journal: run.journal });
  });
}

/** Throws CloudError. */
export function readVm(run: RunContext, vmId: string) {
  return run.active(() => lookUpVm(run.parts.cloud, vmId, run.parts.policy().applianceVmId));
}

/** Throws CloudError. */
export function readSnapshot(run: RunContext, snapshotId: string): Promise<Evidence<CloudSnapshot>> {
  return run.active(() => lookUpSnapshot(run.parts.cloud, snapshotId, run.parts.policy().applianceVmId));
}

/** CloudStack ignores case in names, and this one identifies what an operation has made. */
export async function findSnapshots(
  run: RunContext,
  { volumeId, name }: { readonly volumeId: string; readonly name: string },
): Promise<readonly CloudSnapshot[]> {
  const listed = await run.active(() => run.parts.cloud.listSnapshots({ volumeId, name }));
  return listed.filter((one) => one.name === name && one.volumeId === volumeId);
}

/** The row of the volume, of whatever VM. Throws DATABASE_UNAVAILABLE. */
export async function readMapping(run: RunContext, volumeId: string): Promise<Evidence<Mapping>> {
  const mapping = await run.active(() => run.parts.ledger.readMapping(volumeId));
  const at = run.parts.clock.now();
  return mapping ? seen(mapping, at, 'database') : absent('there is no row', at, 'database');
}

/**
 * A list that does not even show the root disk of the VM proves nothing about its other disks, and neither
 * does one that was made while another operation, or a job that has outlived its own, attaches a disk to it, nor one
 * that leaves out a volume of its rows.
 */
export async function readVmVolumes(run: RunContext, vmId: string): Promise<Evidence<readonly VmDisk[]>> {
  const before = comingTo(run, vmId) ?? (await stillComingTo(run, vmId));
  if (before !== null) return unknown(before, run.parts.clock.now(), 'database');
  const volumes = await run.active(() => run.parts.cloud.listVolumes({ vmId }));
  const at = run.parts.clock.now();
  const meanwhile = comingTo(run, vmId);
  if (meanwhile !== null) return unknown(meanwhile, at, 'database');
  const roots = volumes.filter((one) => one.type === 'ROOT' && one.vmId === vmId).map(({ id }) => id);
  const own = await run.active(() => run.parts.ledger.ownVolumes(roots));
  const disks = volumes.map((volume) => ({ ...volume, ours: own.has(volume.id) }));
  if (roots.length === 0)
    return unknown(`the list of the disks of VM ${vmId} does not show its root disk`, at, 'cloudstack');
  // Snapshots of a VM are of the volumes that are named: what else it has does not matter.
  const isOfSome = run.operation.type === 'snapshot-group';
  const unlisted = isOfSome ? null : await mappedAndUnlisted(run, vmId, volumes);
  return unlisted === null ? seen(disks, at, 'cloudstack') : unknown(unlisted, at, 'database');
}

/** A row that contradicts the list, read after it: the attach that wrote it may be newer than the list. null: none. */
async function mappedAndUnlisted(
  run: RunContext,
  vmId: string,
  listed: readonly CloudVolume[],
): Promise<string | null> {
  const shown = new Set(listed.map(({ id }) => id));
  const rows = await run.active(() => run.parts.ledger.listMappings(vmId));
  const row = rows.find(({ volumeId }) => !shown.has(volumeId));
  if (row === undefined) return null;
  return `the list of the disks of VM ${vmId} does not show volume ${row.volumeId}, whose row says that it is there`;
}

/** What another operation attaches to the VM; null: nothing. */
function comingTo({ otherRuns, operation }: RunContext, vmId: string): string | null {
  const coming = otherRuns.attachingDisks().find((one) => one.vmId === vmId && one.id !== operation.id);
  return coming ? `operation ${coming.id} may be attaching volume ${coming.volumeId} to VM ${vmId}` : null;
}

/** The same for jobs of operations that have given up on them. */
async function stillComingTo(run: RunContext, vmId: string): Promise<string | null> {
  const [volumeId] = await stillComing(run, vmId);
  if (volumeId === undefined) return null;
  return `a job of an operation that has ended may still attach volume ${volumeId} to VM ${vmId}`;
}

/**
 * The volumes that a job whose operation has given up on it may still attach to the VM. Each job is asked first; one
 * that has ended is settled.
 */
export async function stillComing(run: RunContext, vmId: string): Promise<string[]> {
  const coming: string[] = [];
  for (const volumeId of await run.active(() => run.parts.ledger.volumesStillComing(vmId)))
    if ((await countOpenJobs(run, volumeId)) > 0) coming.push(volumeId);
  return coming;
}

/**
 * Counts the open jobs of this volume (see Ledger.openJobs). Each is queried first, and settled when it has
 * ended, or when its denial is believed and the volume is at rest.
 */
export async function countOpenJobs(run: RunContext, volumeId: string): Promise<number> {
  const { ledger } = run.parts;
  let open = 0;
  for (const job of await run.active(() => ledger.openJobs(volumeId))) {
    const found = await askForJob(run, job.jobId);
    if (found === 'denied' || (typeof found !== 'string' && found.status === 'pending')) open += 1;
    else if (found !== 'absent' || (await stillBusy(run, volumeId)) === null) await settle(run, job, found);
    else open += 1;
  }
  return open;
}

async function settle(run: RunContext, job: OpenJob, found: CloudJob | 'absent'): Promise<void> {
  const outcome = found === 'absent' ? 'unknown' : found.status === 'succeeded' ? 'ok' : 'failed';
  const { ledger, events } = run.parts;
  events.publish(await run.active(() => ledger.settleOpenJob(run.epoch, job, { outcome, straggler: true })));
  run.otherRuns.denials.forget(job.jobId);
  // The job may have ended after the volume was read.
  run.forget(['volume']);
}

/**
 * Why a job of this volume that CloudStack denies may run all the same; null when it cannot: the volume is
 * seen at rest, or is gone. A volume that is not shown proves nothing.
 */
export async function stillBusy(run: RunContext, volumeId: string): Promise<string | null> {
  const volume = await readVolume(run, volumeId);
  switch (volume.kind) {
    case 'absent':
      return null;
    case 'unknown':
      return `volume ${volumeId} is not visible to this key: ${volume.why}`;
    case 'seen':
      // Destroy is the trash: CloudStack leaves it there until it is recovered or expunged.
      if (isAtRest(volume.value) || volume.value.state === 'Destroy') return null;
      return `the volume ${stateOf(volume.value).means} (${volume.value.state})`;
    default:
      return volume satisfies never;
  }
}

/** The job; `denied` when CloudStack says it has none, `absent` once that is believed. */
export async function askForJob(run: RunContext, jobId: string): Promise<CloudJob | 'denied' | 'absent'> {
  const { cloud, clock } = run.parts;
  const { denials } = run.otherRuns;
  const job = await run.active(() => cloud.queryJob(jobId));
  if (job === null)
    return denials.deny(jobId, clock.monotonic(), run.parts.policy().jobLostAfterMs) ? 'absent' : 'denied';
  denials.forget(jobId);
  return job;
}
