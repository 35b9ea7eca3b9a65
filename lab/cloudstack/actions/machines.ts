import type { ModelParts } from '../parts';
import type { Job, JobResult, Vm } from '../records';
import type { Account } from '../state/accounts';
import type { Run } from '../state/jobs';
import { internal } from '../state/texts';
import { diskOf } from './disks';

type VmCommand = 'stopVirtualMachine' | 'startVirtualMachine' | 'destroyVirtualMachine';

interface VmRequest {
  readonly id: string;
  readonly jobId: string | null;
}

interface VmPlan {
  readonly command: VmCommand;
  /** `StopVMCmd` */
  readonly cmd: string;
  readonly check?: () => void;
  /** The state while it works; null when there is nothing to do. */
  readonly passing: (vm: Vm) => string | null;
  readonly work: (vm: Vm, job: Job) => Promise<JobResult | null>;
  /** The state that is told although the agent has not done the work; null: the job fails. */
  readonly regardless?: string | null;
}

/**
 * Starting, stopping and destroying wait in the VM's own queue, behind attaches and detaches. Throws 431
 * and 531.
 */
function run(parts: ModelParts, plan: VmPlan, asked: VmRequest, by: Account): Job {
  const { command } = plan;
  const vm = parts.inventory.vm(command, 'id', asked.id);
  parts.access.allow(by, vm);
  const job = parts.jobs.accept({
    command: plan.cmd,
    by,
    instanceType: 'VirtualMachine',
    instanceId: vm.id,
    wanted: asked.jobId,
  });
  const ms = parts.jobTime(command);
  void parts.jobs.run(job, {
    command,
    queue: vm.id,
    ms,
    ...(plan.check ? { check: plan.check } : {}),
    work: async (running) => (await working(parts, plan, vm, ms, running)) ?? { kind: 'vm', vm: { ...vm } },
  });
  return job;
}

/** Between two states while the job works; where it was when the work is lost or fails. */
async function working(
  parts: ModelParts,
  plan: VmPlan,
  vm: Vm,
  ms: number,
  running: Run,
): Promise<JobResult | null> {
  const before = vm.state;
  vm.state = plan.passing(vm) ?? before;
  const failure = parts.faults.take(plan.command, ['agent-fails']);
  await parts.sleep(ms + (failure?.ms ?? 0));
  if (running.fate() === 'lost') {
    vm.state = before;
    return null;
  }
  if (failure && plan.regardless) {
    vm.state = plan.regardless;
    return null;
  }
  if (failure) {
    vm.state = plan.command === 'destroyVirtualMachine' ? 'Destroyed' : before;
    throw internal(failure.text ?? `Failed to ${plan.command.replace(/V.*/, '')} ${vm.name}`);
  }
  return plan.work(vm, running.job);
}

interface StopVm extends VmRequest {
  readonly forced: boolean;
}

/** With `forced` the VM is called stopped also where its host was not reached: then its guest runs on. */
export function stopVm(parts: ModelParts, asked: StopVm, by: Account): Job {
  const plan: VmPlan = {
    command: 'stopVirtualMachine',
    cmd: 'StopVMCmd',
    passing: ({ state }) => (state === 'Running' ? 'Stopping' : null),
    regardless: asked.forced ? 'Stopped' : null,
    work: async (vm, job) => {
      if (vm.state !== 'Stopping') return null;
      await takeDisksAway(parts, vm);
      vm.state = 'Stopped';
      parts.history.effect('stop', { vmId: vm.id, jobId: job.id });
      return null;
    },
  };
  return run(parts, plan, asked, by);
}

export function startVm(parts: ModelParts, asked: VmRequest, by: Account): Job {
  const plan: VmPlan = {
    command: 'startVirtualMachine',
    cmd: 'StartVMCmd',
    passing: ({ state }) => (state === 'Stopped' ? 'Starting' : null),
    work: async (vm, job) => {
      if (vm.state !== 'Starting') return null;
      vm.state = 'Running';
      const guest = parts.inventory.guestOf(vm);
      for (const volume of parts.inventory.attachedTo(vm)) {
        if (volume.state === 'Allocated') volume.state = 'Ready';
        volume.hypervisor = vm.hypervisor;
      }
      for (const volume of dataDisks(parts, vm)) await guest?.plug(diskOf(volume, vm));
      parts.history.effect('start', { vmId: vm.id, jobId: job.id });
      return null;
    },
  };
  return run(parts, plan, asked, by);
}

interface DestroyVm extends VmRequest {
  readonly expunge: boolean;
}

/**
 * The data disks are detached. With `expunge` the VM and its root disk go for good; without, the
 * VM can be recovered.
 */
export function destroyVm(parts: ModelParts, asked: DestroyVm, by: Account): Job {
  const plan: VmPlan = {
    command: 'destroyVirtualMachine',
    cmd: 'DestroyVMCmd',
    check: () => {
      if (asked.expunge && by.role !== 'root' && !parts.settings.userMayExpungeVm)
        throw internal('Account does not have permission for expunging.');
    },
    passing: ({ state }) => (state === 'Running' ? 'Stopping' : null),
    work: async (vm, job) => {
      if (vm.removed) return { kind: 'expunged' };
      await takeDisksAway(parts, vm);
      detachDataDisks(parts, vm, job);
      vm.state = asked.expunge ? 'Expunging' : 'Destroyed';
      parts.history.effect('destroy', { vmId: vm.id, jobId: job.id });
      if (!asked.expunge) return null;
      for (const root of parts.inventory.attachedTo(vm))
        Object.assign(root, { vmId: null, deviceId: null, removed: true, state: 'Expunged' });
      vm.removed = true;
      return { kind: 'expunged' };
    },
  };
  return run(parts, plan, asked, by);
}

function detachDataDisks(parts: ModelParts, vm: Vm, job: Job): void {
  for (const volume of parts.inventory.attachedTo(vm)) {
    if (volume.type === 'ROOT') continue;
    Object.assign(volume, { vmId: null, deviceId: null, attached: null });
    parts.history.effect('detach', { volumeId: volume.id, vmId: vm.id, jobId: job.id });
  }
}

async function takeDisksAway(parts: ModelParts, vm: Vm): Promise<void> {
  const guest = parts.inventory.guestOf(vm);
  for (const volumeId of guest?.plugged() ?? []) await guest?.unplug(volumeId);
}

function dataDisks(parts: ModelParts, vm: Vm) {
  return parts.inventory
    .attachedTo(vm)
    .filter(({ deviceId }) => deviceId !== 0)
    .sort((a, b) => (a.deviceId ?? 0) - (b.deviceId ?? 0));
}
