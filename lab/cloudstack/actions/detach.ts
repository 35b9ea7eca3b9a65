import type { SimulatedGuest } from '../../guest/guest';
import { jobEnded, type ModelParts } from '../parts';
import type { Job, JobResult, Vm, Volume } from '../records';
import type { Account } from '../state/accounts';
import type { Run } from '../state/jobs';
import { detachTimedOut, internal, refused, stillUnplugging, VM_NEITHER } from '../state/texts';
import { shownVolume } from './disks';
import { GOING } from './removal';

/** Either the volume, or the VM with the device id. Anything else is accepted, and the job fails. */
export interface DetachVolume {
  readonly id?: string;
  readonly vmId?: string;
  readonly deviceId?: number | null;
  readonly jobId: string | null;
}

export function detachVolume(parts: ModelParts, asked: DetachVolume, by: Account): Job {
  const { id, vmId, deviceId = null } = asked;
  const wellAsked = id === undefined ? vmId !== undefined && deviceId !== null : vmId === undefined;
  const volume = named(parts, asked, by);
  const job = parts.jobs.accept({
    command: 'DetachVolumeCmd',
    by,
    instanceType: 'Volume',
    instanceId: volume?.id ?? '',
    wanted: asked.jobId,
  });
  const ms = parts.jobTime('detachVolume');
  const before = volume === null ? null : { ...volume };
  let vm: Vm | null = null;
  void parts.jobs.run(job, {
    command: 'detachVolume',
    queue: volume?.vmId ?? null,
    ...(volume === null ? {} : { about: volume }),
    ms,
    check: () => {
      if (!wellAsked) throw refused('Please provide either a volume id, or a tuple(device id, instance id)');
      // No message of an API: what Java says of the empty list that the server found.
      if (volume === null) throw internal('Index 0 out of bounds for length 0');
      vm = checkDetach(parts, volume);
    },
    work: (run) => {
      if (volume === null || vm === null) throw internal('nothing to detach');
      return detachNow(parts, volume, vm, ms, run);
    },
    ended: () => (volume === null ? undefined : jobEnded(parts, 'detachVolume', volume, before, job)),
  });
  return job;
}

/** Throws 431 for what never was or is removed, 531 for somebody else's. */
function named(parts: ModelParts, { id, vmId, deviceId }: DetachVolume, by: Account): Volume | null {
  const { inventory, access } = parts;
  const vm = vmId === undefined ? null : inventory.vm('detachVolume', 'virtualmachineid', vmId);
  if (vm) access.allow(by, vm);
  const volume =
    id !== undefined
      ? inventory.volume('detachVolume', 'id', id)
      : ((vm && inventory.attachedTo(vm).find((other) => other.deviceId === deviceId)) ?? null);
  if (volume) access.allow(by, volume);
  return volume;
}

function checkDetach({ inventory }: ModelParts, volume: Volume): Vm {
  const vm = inventory.vms.find(({ id }) => id === volume.vmId);
  if (!vm) throw refused('The specified volume is not attached to a VM.');
  if (volume.type === 'ROOT' && vm.state !== 'Stopped' && vm.state !== 'Destroyed')
    throw refused('Root volume detach can happen only when vm is in states: Stopped or Destroyed');
  if (!['Running', 'Stopped', 'Destroyed'].includes(vm.state)) throw refused(VM_NEITHER);
  return vm;
}

/**
 * Nothing is checked again after the wait in the queue: a second detach behind a first one succeeds, asks the
 * VM that had the volume when it was accepted, and clears whatever attachment the row has by then
 * (apache/cloudstack#14214).
 */
async function detachNow(
  parts: ModelParts,
  volume: Volume,
  vm: Vm,
  ms: number,
  run: Run,
): Promise<JobResult> {
  volume.jobId = run.job.id;
  const unless = parts.faults.take('detachVolume', ['detach-timeout', 'ghost-disk', 'agent-fails']);
  await parts.sleep(ms + (unless?.kind === 'agent-fails' ? (unless.ms ?? 0) : 0));
  const fate = run.fate();
  if (fate === 'lost') return shownVolume(volume);
  const guest = parts.inventory.guestOf(vm);
  if (unless?.kind === 'agent-fails')
    throw internal(
      `Failed to detach volume ${volume.name} from VM ${vm.name}; ${unless.text ?? 'Simulated failure'}`,
    );
  if (volume.unplugging) throw stillUnplugging(volume.name, vm.name, volume.deviceId ?? 0);
  if (unless?.kind === 'detach-timeout') {
    if (unless.ms !== undefined) leaveLater(parts, volume, guest, unless.ms);
    throw detachTimedOut(volume.name, vm.name);
  }
  if (guest && unless?.kind !== 'ghost-disk') {
    await guest.unplug(volume.id);
    parts.history.note('unplugged', volume.name, { volumeId: volume.id, vmId: vm.id, jobId: run.job.id });
  }
  if (fate === 'hypervisor-only') return shownVolume(volume);
  if (volume.vmId !== null)
    parts.history.effect('detach', { volumeId: volume.id, vmId: volume.vmId, jobId: run.job.id });
  Object.assign(volume, { vmId: null, deviceId: null, attached: null, type: 'DATADISK' });
  if (!['Attaching', 'Creating', ...GOING].includes(volume.state)) volume.state = 'Ready';
  return shownVolume(volume);
}

/** The guest hears of the unplug, and does it after the agent has given up waiting. */
function leaveLater(parts: ModelParts, volume: Volume, guest: SimulatedGuest | null, ms: number): void {
  volume.unplugging = true;
  parts.later(ms, async () => {
    await guest?.unplug(volume.id);
    volume.unplugging = false;
    parts.history.note('unplugged', volume.name, { volumeId: volume.id });
  });
}
