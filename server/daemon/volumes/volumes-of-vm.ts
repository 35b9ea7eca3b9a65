import { type Cloud, type CloudVolume, IncompleteList } from '../../cloudstack/cloud';
import { lookUpVm, lookUpVolume } from '../../cloudstack/look-up';
import type { Clock } from '../../core/clock';
import type { ClockSteps } from '../../core/clock-steps';
import { mapConcurrent } from '../../core/concurrency/map-concurrent';
import { DaemonError, messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { type Evidence, seen, unknown } from '../../model/evidence';
import { hasSettled } from '../../model/has-settled';
import type { Ledger } from '../../model/ledger';
import { isTerminal, type Mapping, type Operation } from '../../model/operation';
import { remotePath } from '../../model/placeholder-path';

type Row = Pick<
  Mapping,
  'volumeId' | 'vmId' | 'devicePath' | 'linuxState' | 'cloudstackState' | 'size' | 'createdAt'
>;

interface VmVolume extends Row {
  /** Why it may not be on the VM although its row says so; null: CloudStack agrees, or could not be asked. */
  readonly doubt: string | null;
}

export interface VmVolumes {
  readonly volumes: readonly VmVolume[];
  /** Why there may be more volumes than these; null when these are all. */
  readonly incomplete: string | null;
}

interface Parts {
  readonly cloud: Pick<Cloud, 'listVolumes' | 'readVolume' | 'readVm'>;
  readonly ledger: Pick<Ledger, 'listOperations' | 'ownVolumes'>;
  readonly clock: Clock;
  readonly clockSteps: ClockSteps;
  applianceVmId(): string | null;
}

/** The volumes of a VM by their rows alone. */
export function byRows(mappings: readonly Mapping[], doubt: string | null = null): VmVolume[] {
  return mappings.map((mapping) => ({ ...mapping, doubt }));
}

/**
 * Adds the volumes that CloudStack shows attached to the VM and that have no mapping: attached by hand, or
 * left by the daemon before this one. Callers that destroy a VM ask for its volumes first and detach them;
 * one that is missing here would be lost with the VM. A root disk counts only when it is proven to be ours:
 * the one that a VM came with goes with the VM. A row that CloudStack contradicts stays, and says so: callers
 * that find none take the volume for detached.
 *
 * Callers take an empty list for "none", and need not know what `incomplete` says. So where nothing is
 * left to list, this throws what CloudStack was asked in vain for, and VOLUME_BUSY while what it shows
 * there is being moved. A VM that it does not show, or without a root disk, may really have none: a
 * failover takes it away.
 */
export async function withUnmapped(
  parts: Parts,
  vmId: string,
  mappings: readonly Mapping[],
): Promise<VmVolumes> {
  const mapped = new Set(mappings.map(({ volumeId }) => volumeId));
  const shown = await inTime(parts, vmId, mapped).catch((error: unknown) => {
    if (mappings.length === 0) throw error;
    return unknown(messageOf(error), parts.clock.now(), 'cloudstack');
  });
  if (shown.kind === 'unknown') return { volumes: byRows(mappings), incomplete: shown.why };
  if (shown.kind === 'absent')
    return { volumes: byRows(mappings, `VM ${vmId} is gone: ${shown.proof}`), incomplete: null };
  const { list, doubts: rowDoubts, lacking } = shown.value;
  const unmapped = list.filter((volume) => volume.vmId === vmId && !mapped.has(volume.id));
  const roots = unmapped.filter(({ type }) => type === 'ROOT').map(({ id }) => id);
  const own = roots.length === 0 ? new Set() : await parts.ledger.ownVolumes(roots);
  const wanted = unmapped.filter(({ id, type }) => type !== 'ROOT' || own.has(id));
  const settled = await mapConcurrent(wanted, LIMITS.PROBES_AT_ONCE, ({ id }) => isThere(parts, id, vmId));
  const added = wanted.filter((_, index) => settled[index]);
  const moving = wanted.filter((_, index) => !settled[index]).map(({ id }) => id);
  // The same list that a cleanup does not believe: a key that does not see the root disk may
  // not see others either.
  const hasRoot = list.some(({ type, vmId: on }) => type === 'ROOT' && on === vmId);
  const doubts = [
    ...(moving.length === 0
      ? []
      : [
          `CloudStack shows ${moving.join(', ')} there too, with an operation that runs or has just ended: ask again`,
        ]),
    ...(hasRoot ? [] : ['CloudStack does not show the root disk of the VM, so it may leave out others']),
    ...(lacking === null ? [] : [lacking.message]),
  ];
  const incomplete = doubts.length === 0 ? null : doubts.join('; ');
  const volumes = [
    ...mappings.map((mapping) => ({ ...mapping, doubt: rowDoubts.get(mapping.volumeId) ?? null })),
    ...added.map((volume) => toVmVolume(volume, vmId, parts.clock.now())),
  ];
  if (volumes.length === 0 && lacking !== null) throw lacking;
  if (volumes.length === 0 && moving.length > 0)
    throw new DaemonError('VOLUME_BUSY', `Whether VM ${vmId} has volumes is not known: ${incomplete}`, {
      details: { vm_id: vmId },
      retryAfterSeconds: 5,
    });
  return { volumes, incomplete };
}

interface Look {
  /** The volumes on the VM. */
  readonly list: readonly CloudVolume[];
  /** By volume with a row that the list does not show there: why it may not be there. */
  readonly doubts: ReadonlyMap<string, string>;
  /** CloudStack counts more than it shows; null: it does not. */
  readonly lacking: IncompleteList | null;
}

/**
 * What CloudStack shows of the VM. Callers wait 30 s for an answer, so this waits less: for the list, and for
 * what it leaves out as long as there is time. Throws CloudError.
 */
async function inTime(parts: Parts, vmId: string, mapped: ReadonlySet<string>): Promise<Evidence<Look>> {
  const done = new AbortController();
  let isLate = false;
  const late = parts.clock.sleep(LIMITS.VM_VOLUMES_LOOK_MS, done.signal).then(() => {
    isLate = true;
    throw new DaemonError('CLOUDSTACK_UNAVAILABLE', 'CloudStack has not answered in time', {
      retryAfterSeconds: 5,
    });
  });
  // One that cannot be asked about, or not in time, does not hide what the list shows of the others.
  const doubt = (id: string) =>
    (isLate ? late : Promise.race([doubtOf(parts, id, vmId), late])).catch(notAsked);
  try {
    const shown = await Promise.race([look(parts, vmId), late]);
    if (shown.kind !== 'seen') return shown;
    const { list, lacking } = shown.value;
    const listed = new Set(list.filter((volume) => volume.vmId === vmId).map(({ id }) => id));
    const missing = [...mapped].filter((id) => !listed.has(id));
    const answers = await mapConcurrent(
      missing,
      LIMITS.PROBES_AT_ONCE,
      async (id) => [id, await doubt(id)] as const,
    );
    const doubts = answers.flatMap(([id, why]) => (why === null ? [] : [[id, why] as const]));
    return seen({ list, doubts: new Map(doubts), lacking }, shown.at, shown.by);
  } finally {
    done.abort();
  }
}

/** The list of a VM that is not visible to the key is empty, whatever it has. Throws CloudError. */
async function look({ cloud, applianceVmId }: Parts, vmId: string): Promise<Evidence<Omit<Look, 'doubts'>>> {
  const vm = await lookUpVm(cloud, vmId, applianceVmId());
  return vm.kind === 'seen' ? seen(await listOn(cloud, vmId), vm.at, vm.by) : vm;
}

async function listOn(cloud: Pick<Cloud, 'listVolumes'>, vmId: string): Promise<Omit<Look, 'doubts'>> {
  try {
    return { list: await cloud.listVolumes({ vmId, isWhole: true }), lacking: null };
  } catch (error) {
    if (!(error instanceof IncompleteList)) throw error;
    return { list: await cloud.listVolumes({ vmId }), lacking: error };
  }
}

function notAsked(error: unknown): string {
  return `the list of the VM does not show it, and it could not be asked about: ${messageOf(error)}`;
}

/** null: by its id it is shown there, so that the list was only older. Throws CloudError. */
async function doubtOf(parts: Parts, volumeId: string, vmId: string): Promise<string | null> {
  const volume = await lookUpVolume(parts.cloud, volumeId, parts.applianceVmId());
  const says = saysOtherwise(volume, vmId);
  if (says === null || (await isSettled(parts, volumeId))) return says;
  return `${says}; an operation on it runs or has just ended: ask again`;
}

function saysOtherwise(volume: Evidence<CloudVolume>, vmId: string): string | null {
  switch (volume.kind) {
    case 'absent':
      return `it is gone: ${volume.proof}`;
    case 'unknown':
      return `CloudStack does not show it: ${volume.why}`;
    case 'seen':
      if (volume.value.vmId === vmId) return null;
      return volume.value.vmId === null
        ? 'CloudStack shows it detached'
        : `CloudStack shows it on VM ${volume.value.vmId}`;
    default:
      return volume satisfies never;
  }
}

/**
 * Is the list right about a volume that it shows on the VM? An attach to that VM, whether it runs or has just
 * failed, says the same, and a detach that has not come to its end does not contradict it: whoever gives up
 * waiting for either asks for the volumes, and destroys the VM.
 */
async function isThere(parts: Parts, volumeId: string, vmId: string): Promise<boolean> {
  const last = await lastOn(parts, volumeId);
  const isAttach = last?.type === 'attach' && last.request.vm_id === vmId;
  const isFailedDetach = last?.type === 'detach' && ['failed', 'cancelled'].includes(last.status);
  return isAttach || isFailedDetach || isBelieved(parts, last);
}

/** A list may be older than the last operation: one that has just detached the volume is believed. */
async function isSettled(parts: Parts, volumeId: string): Promise<boolean> {
  return isBelieved(parts, await lastOn(parts, volumeId));
}

async function lastOn({ ledger }: Parts, volumeId: string): Promise<Operation | undefined> {
  const [last] = await ledger.listOperations({ volumeId, limit: 1 });
  return last;
}

function isBelieved(parts: Parts, last: Operation | undefined): boolean {
  return last === undefined || (isTerminal(last.status) && hasSettled(parts, last, parts.applianceVmId()));
}

function toVmVolume(volume: CloudVolume, vmId: string, now: number): VmVolume {
  const attached = volume.attached ?? volume.created;
  return {
    volumeId: volume.id,
    vmId,
    devicePath: remotePath(vmId, volume.id),
    linuxState: 'n/a',
    cloudstackState: 'attached',
    size: volume.size ?? 0,
    createdAt: attached === null ? now : Date.parse(attached),
    doubt: null,
  };
}
