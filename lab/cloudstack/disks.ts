import type { SimulatedGuest } from '../guest/guest';
import type { Run } from './jobs';
import type { ModelParts } from './model';
import type { Job, JobResult, Vm, Volume } from './records';
import { detachTimedOut, internal, plugFailed, refused, stillUnplugging } from './texts';

/** Device 3 is the CD-ROM. */
const CDROM = 3;
const ATTACHABLE = ['Allocated', 'Ready', 'Uploaded'];

/** Data disks per VM, from hypervisor_capabilities. */
function maxDataDisks(hypervisor: string): number {
  switch (hypervisor) {
    case 'KVM':
      return 32;
    case 'VMware':
      return 59;
    case 'XenServer':
      return 13;
    default:
      return 6;
  }
}

/** KVM: the first 20 characters of the volume's UUID without dashes. Other hypervisors set none. */
function serialOf(volume: Volume, vm: Vm): string {
  return vm.hypervisor === 'KVM' ? volume.id.replaceAll('-', '').slice(0, 20) : '';
}

export interface AttachVolume {
  readonly id: string;
  readonly vmId: string;
  readonly deviceId: number | null;
  readonly jobId: string | null;
}

/** Ids are looked up at once; every other check happens inside the job. */
export function attachVolume(parts: ModelParts, asked: AttachVolume): Job {
  const volume = parts.inventory.volume('attachVolume', 'id', asked.id);
  const vm = parts.inventory.vm('attachVolume', 'virtualmachineid', asked.vmId);
  const job = parts.jobs.accept('AttachVolumeCmd', 'Volume', volume.id, asked.jobId);
  const ms = parts.jobTime('attachVolume');
  void parts.jobs.run(job, {
    command: 'attachVolume',
    queue: vm.id,
    ms,
    check: () => checkAttach(parts, volume, vm, asked.deviceId),
    work: (run) => attachNow(parts, volume, vm, asked.deviceId, ms, run),
    ended: () => parts.forgetJob(volume, job),
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
  if (vm.state !== 'Running' && vm.state !== 'Stopped')
    throw refused('Please specify a VM that is either running or stopped.');
  if (vm.zoneId !== volume.zoneId)
    throw refused('Please specify a VM that is in the same zone as the volume.');
  if (deviceId === 0) {
    if (vm.state !== 'Stopped')
      throw refused('Root volume detach can happen only when vm is in states: Stopped or Destroyed');
    if (parts.inventory.attachedTo(vm).some((other) => other.deviceId === 0))
      throw refused('Vm already has root volume attached to it');
    return;
  }
  const limit = maxDataDisks(vm.hypervisor);
  if (parts.inventory.attachedTo(vm).filter((other) => other.deviceId !== 0).length >= limit)
    throw refused(
      `The specified VM already has the maximum number of data disks (${limit}) attached. Please specify another VM.`,
    );
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
  if (!ATTACHABLE.includes(volume.state))
    throw internal(`Volume: ${volume.name} is in ${volume.state}. It should be in Ready or Allocated state`);
  const deviceId = deviceIdFor(parts, vm, wanted);
  const before = volume.state;
  volume.jobId = run.job.id;
  volume.state = before === 'Allocated' ? 'Creating' : 'Attaching';
  const unless = parts.faults.take('attachVolume', ['no-device', 'late-device', 'ghost-disk']);
  await parts.sleep(ms);
  const fate = run.fate();
  if (fate === 'lost') return done(parts.afterRestart(volume, before));
  const guest = parts.inventory.guestOf(vm);
  const plug = async () => guest?.plug(diskOf(volume, vm));
  if (guest && unless?.kind === 'late-device') {
    parts.later(unless.ms ?? 1000, async () => {
      // Whatever the hypervisor was asked for since has overtaken it.
      const last = parts.history.effects.findLast(({ volumeId }) => volumeId === volume.id);
      if (volume.vmId === vm.id && last?.jobId === run.job.id) await plug();
    });
  } else if (guest && unless?.kind !== 'no-device') {
    try {
      await plug();
    } catch (error) {
      volume.state = before;
      throw plugFailed(volume.name, vm.name, error instanceof Error ? error.message : String(error));
    }
    parts.history.note('plugged', volume.name, { volumeId: volume.id, vmId: vm.id, jobId: run.job.id });
  }
  if (fate === 'hypervisor-only') return done(parts.afterRestart(volume, before));
  if (unless?.kind === 'ghost-disk') {
    volume.state = before;
    throw plugFailed(volume.name, vm.name, 'the agent was disconnected while the command ran');
  }
  Object.assign(volume, {
    state: 'Ready',
    type: deviceId === 0 ? 'ROOT' : 'DATADISK',
    vmId: vm.id,
    deviceId,
    attached: parts.clock.now(),
    unplugging: false,
  });
  parts.history.effect('attach', { volumeId: volume.id, vmId: vm.id, jobId: run.job.id });
  return done(volume);
}

export type DetachVolume = { readonly jobId: string | null } & (
  | { readonly id: string }
  | { readonly vmId: string; readonly deviceId: number }
  | { readonly both: true }
);

export function detachVolume(parts: ModelParts, asked: DetachVolume): Job {
  const volume = detachTarget(parts, asked);
  const job = parts.jobs.accept('DetachVolumeCmd', 'Volume', volume?.id ?? '', asked.jobId);
  const ms = parts.jobTime('detachVolume');
  const target = (): Volume => {
    if ('both' in asked || !volume)
      throw refused('Please provide either a volume id, or a tuple(device id, instance id)');
    return volume;
  };
  void parts.jobs.run(job, {
    command: 'detachVolume',
    queue: volume?.vmId ?? null,
    ms,
    check: () => void checkDetach(parts, target()),
    work: (run) => detachNow(parts, target(), ms, run),
    ended: () => (volume ? parts.forgetJob(volume, job) : undefined),
  });
  return job;
}

function detachTarget({ inventory }: ModelParts, asked: DetachVolume): Volume | null {
  if ('both' in asked) return null;
  if ('id' in asked) return inventory.volume('detachVolume', 'id', asked.id);
  const vm = inventory.vm('detachVolume', 'virtualmachineid', asked.vmId);
  return inventory.attachedTo(vm).find(({ deviceId }) => deviceId === asked.deviceId) ?? null;
}

function checkDetach({ inventory }: ModelParts, volume: Volume): Vm {
  const vm = inventory.vms.find(({ id }) => id === volume.vmId);
  if (!vm) throw refused('The specified volume is not attached to a VM.');
  if (volume.type === 'ROOT' && vm.state !== 'Stopped' && vm.state !== 'Destroyed')
    throw refused('Root volume detach can happen only when vm is in states: Stopped or Destroyed');
  if (!['Running', 'Stopped', 'Destroyed'].includes(vm.state))
    throw refused('Please specify a VM that is either running or stopped.');
  return vm;
}

async function detachNow(parts: ModelParts, volume: Volume, ms: number, run: Run): Promise<JobResult> {
  const vm = checkDetach(parts, volume);
  volume.jobId = run.job.id;
  const unless = parts.faults.take('detachVolume', ['detach-timeout', 'ghost-disk']);
  await parts.sleep(ms);
  const fate = run.fate();
  if (fate === 'lost') return done(volume);
  const guest = parts.inventory.guestOf(vm);
  if (volume.unplugging) throw stillUnplugging(volume.name, vm.name, volume.deviceId ?? 0);
  if (unless?.kind === 'detach-timeout') {
    if (unless.ms !== undefined) leaveLater(parts, volume, guest, unless.ms);
    throw detachTimedOut(volume.name, vm.name);
  }
  if (guest && unless?.kind !== 'ghost-disk') {
    await guest.unplug(volume.id);
    parts.history.note('unplugged', volume.name, { volumeId: volume.id, vmId: vm.id, jobId: run.job.id });
  }
  if (fate === 'hypervisor-only') return done(volume);
  Object.assign(volume, { vmId: null, deviceId: null, attached: null, state: 'Ready', type: 'DATADISK' });
  parts.history.effect('detach', { volumeId: volume.id, vmId: vm.id, jobId: run.job.id });
  return done(volume);
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

export function diskOf(volume: Volume, vm: Vm): { volumeId: string; size: number; serial: string } {
  return { volumeId: volume.id, size: volume.size, serial: serialOf(volume, vm) };
}

function done(volume: Volume): JobResult {
  return { kind: 'volume', volume: { ...volume } };
}
