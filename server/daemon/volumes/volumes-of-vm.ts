import type { Cloud, CloudVolume } from '../../cloudstack/cloud';
import type { Clock } from '../../core/clock';
import { mapConcurrent } from '../../core/concurrency/map-concurrent';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Ledger } from '../../model/ledger';
import { isTerminal, type Mapping } from '../../model/operation';
import { remotePath } from '../../model/placeholder-path';

type VmVolume = Pick<
  Mapping,
  'volumeId' | 'vmId' | 'devicePath' | 'linuxState' | 'cloudstackState' | 'size' | 'createdAt'
>;

export interface VmVolumes {
  readonly volumes: readonly VmVolume[];
  /** Why there may be more volumes than these; null when these are all. */
  readonly incomplete: string | null;
}

interface Parts {
  readonly cloud: Pick<Cloud, 'listVolumes'>;
  readonly ledger: Pick<Ledger, 'listOperations'>;
  readonly clock: Clock;
}

/**
 * Adds the data volumes that CloudStack shows attached to the VM and that have no mapping: attached by hand, or
 * left by the daemon before this one. Callers that destroy a VM ask for its volumes first and detach them; one
 * that is missing here would be lost with the VM.
 */
export async function withUnmapped(
  parts: Parts,
  vmId: string,
  mappings: readonly Mapping[],
): Promise<VmVolumes> {
  const shown = await inTime(parts, vmId);
  if (typeof shown === 'string') return { volumes: mappings, incomplete: shown };
  const mapped = new Set(mappings.map(({ volumeId }) => volumeId));
  const unmapped = shown.filter(
    (volume) => volume.vmId === vmId && volume.type !== 'ROOT' && !mapped.has(volume.id),
  );
  const settled = await mapConcurrent(unmapped, LIMITS.PROBES_AT_ONCE, async (volume) =>
    (await isSettled(parts, volume.id)) ? [toVmVolume(volume, vmId, parts.clock.now())] : [],
  );
  return { volumes: [...mappings, ...settled.flat()], incomplete: null };
}

/** What CloudStack shows, or why that is not known. Callers wait 30 s for an answer, so this waits less. */
async function inTime({ cloud, clock }: Parts, vmId: string): Promise<CloudVolume[] | string> {
  const done = new AbortController();
  const late = clock
    .sleep(LIMITS.VM_VOLUMES_LOOK_MS, done.signal)
    .then(() => 'CloudStack has not answered in time');
  const asked = cloud.listVolumes({ vmId }).catch((error: unknown) => messageOf(error));
  const answer = await Promise.race([asked, late]);
  done.abort();
  return answer;
}

/** A list may be older than the last operation: one that has just detached the volume is believed. */
async function isSettled({ ledger, clock }: Parts, volumeId: string): Promise<boolean> {
  const [last] = await ledger.listOperations({ volumeId, limit: 1 });
  if (!last) return true;
  return isTerminal(last.status) && Math.abs(clock.now() - last.updatedAt) >= LIMITS.READ_SETTLE_MS;
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
  };
}
