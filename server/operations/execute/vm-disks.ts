import { type CloudVolume, IncompleteList } from '../../cloudstack/cloud';
import { type Evidence, seen, unknown } from '../../model/evidence';
import type { VmDisk } from '../decision';
import { countOpenJobs } from './open-jobs';
import type { RunContext } from './run-context';

/**
 * A list that does not even show the root disk of the VM proves nothing about its other disks, and neither
 * does one that was made while another operation, or a job that has outlived its own, attaches a disk to it,
 * nor one that leaves out a volume of its rows, or of those that CloudStack counts.
 */
export async function readVmVolumes(run: RunContext, vmId: string): Promise<Evidence<readonly VmDisk[]>> {
  const before = comingTo(run, vmId) ?? (await stillComingTo(run, vmId));
  if (before !== null) return unknown(before, run.parts.clock.now(), 'database');
  const volumes = await run.active(() => listWhole(run, vmId));
  const at = run.parts.clock.now();
  if (volumes instanceof IncompleteList) return unknown(volumes.message, at, 'cloudstack');
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

/** A snapshot group is of the volumes that are named: what else the VM has does not matter to it. */
async function listWhole(run: RunContext, vmId: string): Promise<CloudVolume[] | IncompleteList> {
  const isWhole = run.operation.type !== 'snapshot-group';
  return run.parts.cloud.listVolumes({ vmId, isWhole }).catch((error: unknown) => {
    if (error instanceof IncompleteList) return error;
    throw error;
  });
}

/**
 * A row that contradicts the list, read after it: the attach that wrote it may be newer than
 * the list. null: none.
 */
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
 * The volumes that a job whose operation has given up on it may still attach to the VM. Each job is asked
 * first; one that has ended is settled.
 */
export async function stillComing(run: RunContext, vmId: string): Promise<string[]> {
  const coming: string[] = [];
  for (const volumeId of await run.active(() => run.parts.ledger.volumesStillComing(vmId)))
    if ((await countOpenJobs(run, volumeId)) > 0) coming.push(volumeId);
  return coming;
}
