import { type CloudOwner, sameOwner } from '../../cloudstack/cloud';
import { lookUpVm } from '../../cloudstack/look-up';
import { isLeaving } from '../../cloudstack/volume-states';
import { LIMITS } from '../../core/limits';
import type { Device } from '../../devices/device';
import { systemUsers } from '../../devices/disk-users';
import { unchanged } from '../../devices/identity';
import { lacksSerials, shareSerial } from '../../devices/serial';
import type { Operation } from '../../model/operation';
import type { Action } from '../action';
import { namesakes, ownerIn } from '../decide/create';
import type { Facts, FullVm } from '../decision';
import { capacityOf, capacityText, freeSlots, lookAtSlots } from '../slots';
import { awaitDevice } from './await-device';
import { awaitGone } from './await-gone';
import { readUse, readUseOf } from './disk-use';
import { exportedDevice } from './exports';
import { findSnapshots, readMapping, readSnapshot, readVm, readVolume } from './looks';
import { learnNeighbour } from './neighbour';
import { askForJob, countOpenJobs } from './open-jobs';
import { attachesTo, otherAttaches } from './other-attaches';
import { readParts } from './parts-of-group';
import type { RunContext } from './run-context';
import { readVmVolumes } from './vm-disks';

export type Observation = Extract<
  Action,
  {
    do:
      | 'read-volume'
      | 'read-offer'
      | 'read-snapshot'
      | 'find-snapshots'
      | 'read-parts'
      | 'read-vm'
      | 'read-appliance'
      | 'read-vm-volumes'
      | 'read-mapping'
      | 'read-neighbour'
      | 'read-obstacles'
      | 'read-holders'
      | 'read-device-users'
      | 'find-unclaimed'
      | 'query-job'
      | 'await-device'
      | 'await-gone';
  }
>;

/** Performs an observation and adds the result to the facts. Changes nothing, so it can be repeated. */
export async function observe(run: RunContext, action: Observation): Promise<void> {
  switch (action.do) {
    case 'read-volume':
      return run.learn({ volume: await readVolume(run, action.volumeId) });
    case 'read-vm':
      return run.learn({ vm: await readVm(run, action.vmId) });
    case 'read-appliance':
      return run.learn({ appliance: await readVm(run, action.vmId) });
    case 'read-vm-volumes':
      return run.learn({ vmVolumes: await readVmVolumes(run, action.vmId) });
    case 'read-mapping':
      return run.learn({
        mapping: await readMapping(run, action.volumeId),
        exported: (await exportedDevice(run, action.volumeId)) !== null,
      });
    case 'read-neighbour':
      return outlast(run, () => learnNeighbour(run, action.vmId));
    case 'query-job':
      return run.learn({ job: { jobId: action.jobId, found: await findJob(run, action.jobId) } });
    case 'read-snapshot':
      return run.learn({ snapshot: await readSnapshot(run, action.snapshotId) });
    case 'find-snapshots':
      return run.learn({ ownSnapshots: await findSnapshots(run, action) });
    case 'read-parts':
      return run.learn({
        parts: { step: action.step, operations: await readParts(run, action.operationIds) },
      });
    case 'read-offer':
      return readOffer(run);
    case 'find-unclaimed':
      return findUnclaimed(run, action.volumeId);
    case 'read-obstacles':
      return readObstacles(run, action);
    case 'read-holders':
      return run.learn({
        use: await readUse(run, action.volumeId, { ignored: action.ignored, attachedHere: true }),
      });
    case 'read-device-users':
      return outlast(run, () => readDeviceUsers(run, action.device));
    case 'await-device':
      return learnDevice(run, action);
    case 'await-gone':
      return outlast(run, async () => run.learn({ gone: await awaitGone(run, action) }));
    default:
      return action satisfies never;
  }
}

/** The look may have lasted: who used a disk that has left says nothing of the one that is there now. */
async function readDeviceUsers(run: RunContext, device: Device): Promise<void> {
  const use = await readUseOf(run, device);
  if (systemUsers(use.holders).length > 0 && unchanged(device, await run.parts.watcher.scan()) === null)
    return run.forget(['volume', 'device', 'use']);
  run.learn({ use });
}

async function findJob(run: RunContext, jobId: string): Promise<NonNullable<Facts['job']>['found']> {
  const found = await askForJob(run, jobId);
  return found === 'absent' && mayBeDeleted(run, jobId) ? 'forgotten' : found;
}

/**
 * Whether the intent may be so old that CloudStack has deleted its job. The intent may be from before a
 * restart, so its age is told by wall clocks, and any of three that makes it old is enough:
 * - ours. Where it was set far back or ahead, the age is not known;
 * - CloudStack's now, as its answers have just shown it: ours is days behind when a paused guest goes on;
 * - CloudStack's then and now: ours may have been ahead when the intent was written, and set right since.
 */
function mayBeDeleted({ journal, parts: { clock, cloud } }: RunContext, jobId: string): boolean {
  const intent = journal.entries.find(({ state, data }) => state === 'intent' && data.job_id === jobId);
  if (intent === undefined) return true;
  const age = clock.now() - intent.at;
  const ahead = cloud.clockSkewMs() ?? 0;
  const { cloud_ahead_ms: aheadThen } = intent.data;
  const ages = [age, age + ahead, age + ahead - (typeof aheadThen === 'number' ? aheadThen : 0)];
  return ages.some((ms) => Math.abs(ms) > LIMITS.JOB_SURELY_KEPT_MS);
}

/**
 * While a disk, its users, or what tells of a daemon elsewhere, were waited for, somebody may
 * have moved the volume.
 */
async function outlast(run: RunContext, wait: () => Promise<unknown>): Promise<void> {
  const since = run.parts.clock.monotonic();
  await wait();
  forgetIfOld(run, since);
}

function forgetIfOld(run: RunContext, since: number): void {
  if (run.parts.clock.monotonic() - since >= LIMITS.HOLDER_AGAIN_MS) run.forget(['volume']);
}

/**
 * A disk that was not found is judged by what CloudStack shows of the volume by now; not by a resize or a
 * revert, which have ended well by then.
 */
async function learnDevice(
  run: RunContext,
  { volume, timeoutMs }: Extract<Action, { do: 'await-device' }>,
): Promise<void> {
  const since = run.parts.clock.monotonic();
  const device = await awaitDevice(run, volume, timeoutMs);
  run.learn({ device });
  if (device.kind === 'found') forgetIfOld(run, since);
  else if (run.operation.type !== 'resize' && run.operation.type !== 'revert') run.forget(['volume']);
}

async function readOffer(run: RunContext): Promise<void> {
  if (run.operation.type !== 'create') return;
  const { request, sequence } = run.operation;
  const { cloud } = run.parts;
  const { applianceVmId } = run.parts.policy();
  const [zone, offering, appliance] = await run.active(() =>
    Promise.all([
      cloud.readZone(request.zone_id),
      cloud.readDiskOffering(request.disk_offering_id),
      applianceVmId === null ? null : lookUpVm(cloud, applianceVmId, applianceVmId),
    ]),
  );
  // CloudStack refuses to list the volumes of a zone that does not exist.
  const named =
    zone && offering
      ? await run.active(() => cloud.listVolumes({ name: request.name, zoneId: zone.id }))
      : [];
  const applianceOwner = appliance?.kind === 'seen' ? appliance.value.owner : null;
  const owner = await run.active(() => cloud.newVolumeOwner(applianceOwner));
  const future = owner ?? applianceOwner;
  const ownerUnknown = owner === null && appliance?.kind === 'unknown' ? { ownerUnknown: appliance.why } : {};
  // CloudStack ignores case, accents and trailing spaces in names, and a root admin's list spans all
  // accounts.
  const sameName = named.filter(
    (volume) =>
      volume.name === request.name &&
      !isLeaving(volume) &&
      (future === null || sameOwner(volume.owner, future)),
  );
  const conflicting = run.otherRuns
    .running()
    .find(
      (other) =>
        other.type === 'create' &&
        other.sequence < sequence &&
        other.request.name === request.name &&
        other.request.zone_id === request.zone_id,
    );
  const conflictingOperation = conflicting?.id ?? null;
  run.learn({ offer: { zone, offering, owner, ...ownerUnknown, sameName, conflictingOperation } });
}

/**
 * After a create that was sent more than once: volumes of its name that an earlier try may have made. They
 * are reported, never adopted, because a name proves nothing. What was there before the first try is known by
 * its ids, not by times: CloudStack's clock and that of this machine may be hours apart.
 */
async function findUnclaimed(run: RunContext, volumeId: string): Promise<void> {
  if (run.operation.type !== 'create') return;
  const { request } = run.operation;
  const { cloud, ledger } = run.parts;
  const volumes = await run.active(() => cloud.listVolumes({ name: request.name, zoneId: request.zone_id }));
  const checked = run.journal.done('check') ?? {};
  const own = volumes.find(({ id }) => id === volumeId);
  const owner = own?.owner ?? ownerIn(checked) ?? (await ownerOfAppliance(run));
  const before = new Set(namesakes(checked));
  const unclaimed: string[] = [];
  for (const volume of volumes) {
    if (owner && !sameOwner(volume.owner, owner)) continue;
    if (volume.name !== request.name || before.has(volume.id)) continue;
    if (volume.id === volumeId || volume.vmId !== null || isLeaving(volume)) continue;
    const owners = await run.active(() => ledger.listOperations({ volumeId: volume.id, limit: 1 }));
    if (owners.length === 0) unclaimed.push(volume.id);
  }
  run.learn({ unclaimed });
}

async function ownerOfAppliance(run: RunContext): Promise<CloudOwner | null> {
  const { applianceVmId } = run.parts.policy();
  const appliance = applianceVmId === null ? null : await readVm(run, applianceVmId);
  return appliance?.kind === 'seen' ? appliance.value.owner : null;
}

async function readObstacles(
  run: RunContext,
  { volumeId, toAppliance, needsSlot }: Extract<Action, { do: 'read-obstacles' }>,
): Promise<void> {
  const openJobs = await countOpenJobs(run, volumeId);
  const conflictingOperation = toAppliance && openJobs === 0 ? conflictingAttach(run) : null;
  const mayTake = needsSlot && openJobs === 0 && conflictingOperation === null;
  const full = mayTake ? await takeSlot(run) : null;
  run.learn({ obstacles: { openJobs, conflictingOperation, ...(full ? { full } : {}) } });
}

/**
 * Takes a slot of this guest for the disk, or says why there is none. Counting the others and taking it
 * happen in one synchronous step, so no two operations take the last one. What is not known refuses nobody.
 */
async function takeSlot(run: RunContext): Promise<FullVm | null> {
  const { applianceVmId } = run.parts.policy();
  if (run.hasSlot || applianceVmId === null) return null;
  const others = (all: readonly Operation[]) =>
    all.filter((one) => one.id !== run.operation.id && attachesTo(one, applianceVmId));
  const coming = () => others(run.otherRuns.takingSlots());
  const look = await run.active(() => lookAtSlots(run.parts, applianceVmId, coming().length));
  const taking = coming();
  const capacity = capacityOf(
    look,
    taking.map(({ volumeId }) => volumeId),
  );
  if (freeSlots(capacity) !== 0) {
    run.takeSlot();
    return null;
  }
  const waiting = others(run.otherRuns.running()).length - taking.length;
  const reason = `${taking.length} attaches are under way, ${capacityText(capacity)}`;
  return { reason, crowded: waiting >= LIMITS.SLOT_WAITERS_MAX };
}

/**
 * Where disks have no serial only the size tells them apart, so one disk at a time is attached to this guest:
 * other attaches wait until that operation has ended. So do those of a volume with the same serial. Checking
 * and taking the turn happen in one synchronous step, so no two operations take it at once. Of two that are
 * under way already, because a disk that showed its serial was there when they began, the one that was
 * accepted first goes on: they must not wait for each other.
 */
function conflictingAttach(run: RunContext): string | null {
  const { volumeId } = run.operation;
  const isAlike = lacksSerials(run.parts.watcher.snapshot().devices)
    ? () => true
    : (other: Operation) => shareSerial(volumeId, other.volumeId);
  const goesFirst = (other: Operation) => run.mayAttachDisk && run.operation.sequence < other.sequence;
  const other = otherAttaches(run).find((one) => isAlike(one) && !goesFirst(one));
  if (!other) run.allowDisk();
  return other?.id ?? null;
}
