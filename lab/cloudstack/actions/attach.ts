import { jobEnded, type ModelParts } from '../parts';
import type { Job, JobResult, Vm, Volume } from '../records';
import type { Account } from '../state/accounts';
import type { Run } from '../state/jobs';
import { createFailed, internal, plugFailed, refused, VM_NEITHER } from '../state/texts';
import { diskOf, maxDataDisks, shownVolume } from './disks';
import { GOING } from './removal';

/** Device 3 is the CD-ROM. */
const CDROM = 3;
const ATTACHABLE = ['Allocated', 'Ready', 'Uploaded'];

export interface AttachVolume {
  readonly id: string;
  readonly vmId: string;
  readonly deviceId: number | null;
  readonly jobId: string | null;
}

/** Ids and rights are looked at at once; every other check happens inside the job. */
export function attachVolume(parts: ModelParts, asked: AttachVolume, by: Account): Job {
  const volume = parts.inventory.volume('attachVolume', 'id', asked.id);
  const vm = parts.inventory.vm('attachVolume', 'virtualmachineid', asked.vmId);
  for (const thing of [volume, vm]) parts.access.allow(by, thing);
  const job = parts.jobs.accept({
    command: 'AttachVolumeCmd',
    by,
    instanceType: 'Volume',
    instanceId: volume.id,
    wanted: asked.jobId,
  });
  const ms = parts.jobTime('attachVolume');
  const before = { ...volume };
  void parts.jobs.run(job, {
    command: 'attachVolume',
    queue: vm.id,
    about: volume,
    ms,
    check: () => checkAttach(parts, volume, vm, asked.deviceId),
    work: (run) => attachNow(parts, volume, vm, asked.deviceId, ms, run),
    ended: () => jobEnded(parts, 'attachVolume', volume, before, job),
  });
  return job;
}

function checkAttach(parts: ModelParts, volume: Volume, vm: Vm, deviceId: number | null): void {
  if (volume.removed || volume.state === 'Destroy')
    throw refused('Please specify a volume that is not destroyed.');
  if (volume.vmId !== null) throw refused('Please specify a volume that is not attached to any VM.');
  if (!ATTACHABLE.includes(volume.state))
    throw refused('Volume state must be in Allocated, Ready or in Uploaded state');
  if (vm.removed) throw refused('Please specify a valid User VM.');
  if (vm.state !== 'Running' && vm.state !== 'Stopped') throw refused(VM_NEITHER);
  if (vm.zoneId !== volume.zoneId)
    throw refused('Please specify a VM that is in the same zone as the volume.');
  checkDevice(parts, vm, deviceId);
  if (vm.snapshots.length > 0)
    throw refused(
      `Unable to attach volume to VM ${instanceName(parts, vm)}/${vm.id}, please specify a VM that does not have VM snapshots`,
    );
  if (vm.accountId !== volume.accountId)
    throw internal(
      `Entity VM instance {"id":${vm.internalId},"instanceName":"${instanceName(parts, vm)}","type":"User","uuid":"${vm.id}"} and entity org.apache.cloudstack.storage.volume.VolumeObject@${volume.internalId.toString(16)} belong to different accounts`,
    );
}

function checkDevice({ inventory }: ModelParts, vm: Vm, deviceId: number | null): void {
  if (deviceId === 0) {
    if (vm.state !== 'Stopped')
      throw refused('Root volume detach can happen only when vm is in states: Stopped or Destroyed');
    if (inventory.attachedTo(vm).some((other) => other.deviceId === 0))
      throw refused('Vm already has root volume attached to it');
    return;
  }
  const limit = maxDataDisks(vm.hypervisor);
  if (inventory.attachedTo(vm).filter((other) => other.deviceId !== 0).length >= limit)
    throw refused(
      `The specified VM already has the maximum number of data disks (${limit}) attached. Please specify another VM.`,
    );
}

/** `i-3-12-VM`: the account's number, then the VM's. */
export function instanceName({ accounts }: Pick<ModelParts, 'accounts'>, vm: Vm): string {
  return `i-${accounts.require(vm.accountId).internalId}-${vm.internalId}-VM`;
}

async function attachNow(
  parts: ModelParts,
  volume: Volume,
  vm: Vm,
  wanted: number | null,
  ms: number,
  run: Run,
): Promise<JobResult> {
  // Time has passed in the queue: what held at the first look may not hold any more.
  const holder = parts.inventory.vms.find(({ id }) => id === volume.vmId);
  if (holder) throw internal(`volume: ${volume.name} is already attached to a VM: ${holder.name}`);
  if (volume.removed || !ATTACHABLE.includes(volume.state))
    throw internal(`Volume: ${volume.name} is in ${volume.state}. It should be in Ready or Allocated state`);
  const deviceId = deviceIdFor(parts, vm, wanted);
  const before = volume.state;
  volume.jobId = run.job.id;
  volume.state = before === 'Allocated' ? 'Creating' : 'Attaching';
  const unless = parts.faults.take('attachVolume', ['no-device', 'late-device', 'ghost-disk', 'agent-fails']);
  await parts.sleep(ms + (unless?.kind === 'agent-fails' ? (unless.ms ?? 0) : 0));
  const fate = run.fate();
  // After a restart the server has put the state back by itself.
  if (fate === 'lost') return shownVolume(volume);
  if (volume.removed || GOING.includes(volume.state))
    throw internal('InvocationTargetException when invoking RPC callback for command: createVolumeCallback');
  if (unless?.kind === 'agent-fails') {
    volume.state = before;
    const reason = unless.text ?? 'Simulated failure';
    throw internal(
      before === 'Allocated'
        ? createFailed(volume, reason)
        : `Failed to attach volume ${volume.name} to VM ${vm.name} due to: ${reason}`,
    );
  }
  await plug(parts, { volume, vm, before, run }, unless);
  if (fate === 'hypervisor-only') return shownVolume(volume);
  if (unless?.kind === 'ghost-disk') {
    volume.state = before;
    throw plugFailed(volume.name, vm.name, 'the agent was disconnected while the command ran');
  }
  Object.assign(volume, {
    state: 'Ready',
    type: deviceId === 0 ? 'ROOT' : 'DATADISK',
    hypervisor: vm.hypervisor,
    vmId: vm.id,
    deviceId,
    attached: parts.clock.now(),
    unplugging: false,
  });
  parts.history.effect('attach', { volumeId: volume.id, vmId: vm.id, jobId: run.job.id });
  return shownVolume(volume);
}

interface Plugging {
  readonly volume: Volume;
  readonly vm: Vm;
  /** The volume's state before the attach, for when it fails. */
  readonly before: string;
  readonly run: Run;
}

const RETRY_PLUG_MS = 100;

/** The disk goes into the guest, unless a fault keeps it out or late. Throws 530 when the guest refuses. */
async function plug(
  parts: ModelParts,
  { volume, vm, before, run }: Plugging,
  unless: { readonly kind: string; readonly ms?: number } | null,
): Promise<void> {
  const guest = parts.inventory.guestOf(vm);
  if (!guest || unless?.kind === 'no-device') return;
  if (unless?.kind === 'late-device') {
    const arrive = async () => {
      // The hypervisor does one thing after the other with a disk.
      if (volume.jobId !== null && volume.jobId !== run.job.id) return parts.later(RETRY_PLUG_MS, arrive);
      // Whatever it was asked for since has overtaken it.
      const last = parts.history.effects.findLast(({ volumeId }) => volumeId === volume.id);
      if (volume.vmId === vm.id && last?.jobId === run.job.id) await guest.plug(diskOf(volume, vm));
    };
    parts.later(unless.ms ?? 1000, arrive);
    return;
  }
  try {
    await guest.plug(diskOf(volume, vm));
  } catch (error) {
    volume.state = before;
    throw plugFailed(volume.name, vm.name, error instanceof Error ? error.message : String(error));
  }
  parts.history.note('plugged', volume.name, { volumeId: volume.id, vmId: vm.id, jobId: run.job.id });
}

/** Lowest free of 1, 2, 4, … up to the limit + 1. */
function deviceIdFor({ inventory }: ModelParts, vm: Vm, wanted: number | null): number {
  const used = new Set(inventory.attachedTo(vm).map(({ deviceId }) => deviceId));
  const highest = maxDataDisks(vm.hypervisor) + 1;
  if (wanted !== null) {
    if (wanted < 0 || wanted === CDROM || wanted > highest)
      throw internal(`deviceId should be 0,1,2,4-${highest}`);
    if (used.has(wanted)) throw internal(`deviceId ${wanted} is used by vm ${vm.internalId}`);
    return wanted;
  }
  for (let id = 1; id <= highest; id += 1) if (id !== CDROM && !used.has(id)) return id;
  throw internal(`All device Ids are used by vm ${vm.internalId}`);
}
