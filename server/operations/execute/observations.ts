import type { CloudVolume } from '../../cloudstack/cloud';
import { LIMITS } from '../../core/limits';
import type { Device, DeviceSnapshot, Holder } from '../../devices/device';
import { verifyIdentity } from '../../devices/identity';
import { lacksSerials, serialNames } from '../../devices/serial';
import { exportName } from '../../exports/naming';
import type { Mapping } from '../../model/operation';
import type { Action } from '../decision';
import { awaitDevice } from './await-device';
import type { RunContext } from './run-context';

type Observation = Extract<
  Action,
  {
    do:
      | 'read-volume'
      | 'read-offer'
      | 'read-vm'
      | 'read-vm-volumes'
      | 'read-mapping'
      | 'read-obstacles'
      | 'read-holders'
      | 'find-created'
      | 'query-job'
      | 'await-device'
      | 'await-gone';
  }
>;

/** Looks at the world and puts what it saw into the facts. Changes nothing, so it can be repeated at will. */
export async function observe(run: RunContext, action: Observation): Promise<void> {
  const { cloud, ledger } = run.parts;
  switch (action.do) {
    case 'read-volume':
      return run.learn({ volume: (await run.active(() => cloud.readVolume(action.volumeId))) ?? 'absent' });
    case 'read-vm':
      return run.learn({ vm: (await run.active(() => cloud.readVm(action.vmId))) ?? 'absent' });
    case 'read-vm-volumes':
      return run.learn({ vmVolumes: await run.active(() => cloud.listVolumes({ vmId: action.vmId })) });
    case 'read-mapping':
      return run.learn({ mapping: (await run.active(() => ledger.readMapping(action.volumeId))) ?? 'none' });
    case 'query-job':
      return run.learn({
        job: {
          jobId: action.jobId,
          found: (await run.active(() => cloud.queryJob(action.jobId))) ?? 'unknown',
        },
      });
    case 'read-offer':
      return readOffer(run);
    case 'find-created':
      return findCreated(run, action.since, action.after);
    case 'read-obstacles':
      return readObstacles(run, action.volumeId, action.toAppliance);
    case 'read-holders':
      return run.learn({ holders: await readHolders(run, action.volumeId) });
    case 'await-device':
      return run.learn({ device: await awaitDevice(run, action.volume, action.timeout) });
    case 'await-gone':
      return run.learn({ gone: await awaitGone(run, action.volumeId, action.timeout) });
    default:
      return action satisfies never;
  }
}

async function readOffer(run: RunContext): Promise<void> {
  if (run.operation.type !== 'create') return;
  const { request, sequence } = run.operation;
  const { cloud } = run.parts;
  const [zone, offering, sameName] = await run.active(() =>
    Promise.all([
      cloud.readZone(request.zone_id),
      cloud.readDiskOffering(request.disk_offering_id),
      cloud.listVolumes({ name: request.name, zoneId: request.zone_id }),
    ]),
  );
  const conflictingOperation = run.otherRuns
    .running()
    .find(
      (other) =>
        other.type === 'create' &&
        other.sequence < sequence &&
        other.request.name === request.name &&
        other.request.zone_id === request.zone_id,
    );
  run.learn({
    offer: {
      zone,
      offering,
      sameName: sameName.filter(isLive),
      conflictingOperation: conflictingOperation?.id ?? null,
    },
  });
}

function isLive(volume: CloudVolume): boolean {
  return !['Destroy', 'Destroying', 'Expunging', 'Expunged'].includes(volume.state);
}

/**
 * Volumes that a createVolume of ours may have made since its intent, without an owner among our operations. The clocks of
 * CloudStack and of this machine may differ by less than a signature's lifetime, or nothing would work at all.
 */
async function findCreated(run: RunContext, since: number, after: number): Promise<void> {
  if (run.operation.type !== 'create') return;
  const { request, id } = run.operation;
  if (after > 0) {
    const reason = 'the reply to createVolume was lost; looking for the volume once more';
    run.waiting = { step: 'create-volume', reason, attempt: 0, nextAttemptAt: run.parts.clock.now() + after };
    await run.parts.clock.sleep(after, run.signal);
    run.forget(['job']);
  }
  const volumes = await run.active(() =>
    run.parts.cloud.listVolumes({ name: request.name, zoneId: request.zone_id }),
  );
  const wanted = Math.ceil(request.size / 1024 ** 3) * 1024 ** 3;
  const mine: CloudVolume[] = [];
  for (const volume of volumes.filter(isLive)) {
    const created = volume.created === null ? since : Date.parse(volume.created);
    const fits =
      volume.diskOfferingId === request.disk_offering_id &&
      volume.size >= wanted &&
      created >= since - LIMITS.SIGNATURE_LIFETIME_MS;
    if (!fits) continue;
    const owners = await run.parts.ledger.listOperations({ volumeId: volume.id, limit: 1 });
    if (owners.every((owner) => owner.id === id)) mine.push(volume);
  }
  run.learn({ created: { volumes: mine, looks: (run.facts.created?.looks ?? 0) + 1 } });
}

async function readObstacles(run: RunContext, volumeId: string, toAppliance: boolean): Promise<void> {
  const { ledger, cloud } = run.parts;
  let stragglers = 0;
  const jobs = await run.active(() => ledger.openDetachJobs(volumeId));
  // They may have ended since the volume was read.
  if (jobs.length > 0) run.forget(['volume']);
  for (const straggler of jobs) {
    const job = await run.active(() => cloud.queryJob(straggler.jobId));
    if (job?.status === 'pending') stragglers += 1;
    else {
      const outcome = job === null ? 'unknown' : job.status === 'succeeded' ? 'ok' : 'failed';
      await run.active(() => ledger.settleOpenDetachJob(run.epoch, straggler, { outcome, straggler: true }));
    }
  }
  const conflictingOperation = toAppliance && stragglers === 0 ? conflictingAttach(run) : null;
  run.learn({ obstacles: { stragglers, conflictingOperation } });
}

/**
 * Size is the only witness where disks have no serial, so one disk at a time is on its way into this guest: the others wait until the
 * operation that asked for it has ended. Looking and taking the turn is one step, so two never take it at once.
 */
function conflictingAttach(run: RunContext): string | null {
  if (!lacksSerials(run.parts.watcher.snapshot().devices)) return null;
  const { applianceVmId } = run.parts.policy();
  const conflictingOperation = run.otherRuns
    .attachingDisks()
    .find(
      (other) =>
        other.id !== run.operation.id &&
        ((other.type === 'attach' && other.request.vm_id === applianceVmId) || other.type === 'cleanup'),
    );
  if (!conflictingOperation) run.allowDisk();
  return conflictingOperation?.id ?? null;
}

async function readHolders(run: RunContext, volumeId: string): Promise<Holder[]> {
  const { ledger, watcher, guest, exports } = run.parts;
  const mapping = await run.active(() => ledger.readMapping(volumeId));
  const device = deviceOfVolume(await watcher.scan(), volumeId, mapping);
  const holders = device ? await guest.holders(device) : [];
  const clients = await exports.clients(exportName(volumeId));
  const named = holders.filter((holder) => holder.kind === 'nbd-client').length;
  if (clients.count <= named) return holders;
  const details = clients.details.length > 0 ? clients.details : [`${clients.count} connection(s)`];
  return [
    ...holders.filter((holder) => holder.kind !== 'nbd-client'),
    ...details.map((detail) => ({ kind: 'nbd-client' as const, detail })),
  ];
}

/** The guest's disk of a volume: by serial, or by the mapping where disks have none. */
function deviceOfVolume(snapshot: DeviceSnapshot, volumeId: string, mapping: Mapping | null): Device | null {
  const bySerial = snapshot.devices.find((device) => serialNames(volumeId, device.serial));
  if (bySerial) return bySerial;
  if (!mapping) return null;
  const there = snapshot.devices.find((device) => device.path === mapping.devicePath);
  return there && verifyIdentity(mapping, there, snapshot.bootId).ok ? there : null;
}

async function awaitGone(run: RunContext, volumeId: string, timeout: number): Promise<boolean> {
  const { ledger, watcher } = run.parts;
  const mapping = await run.active(() => ledger.readMapping(volumeId));
  const here = mapping?.vmId === run.parts.policy().applianceVmId ? mapping : null;
  // A disk that has not told its serial yet may be this very one; after LIMITS.SERIAL_READ_TIMEOUT_MS it has, or never will.
  const gone = (snapshot: DeviceSnapshot) => {
    const untold = snapshot.devices.some(({ serialState }) => serialState === 'pending');
    return untold || deviceOfVolume(snapshot, volumeId, here) !== null ? null : true;
  };
  if (gone(await watcher.scan())) return true;
  run.waiting = {
    step: 'await-gone',
    reason: 'the guest still has the disk',
    attempt: 0,
    nextAttemptAt: null,
  };
  return (await watcher.waitFor(gone, { timeoutMs: timeout, signal: run.signal })) ?? false;
}
