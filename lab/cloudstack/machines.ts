import { diskOf } from './disks';
import type { ModelParts } from './model';
import type { Job, Vm } from './records';

type VmCommand = 'stopVirtualMachine' | 'startVirtualMachine' | 'destroyVirtualMachine';

/** Starting, stopping and destroying wait in the VM's own queue, behind attaches and detaches. */
function run(
  parts: ModelParts,
  command: VmCommand,
  cmd: string,
  vmId: string,
  jobId: string | null,
  work: (vm: Vm, job: Job) => Promise<void>,
): Job {
  const vm = parts.inventory.vm(command, 'id', vmId);
  const job = parts.jobs.accept(cmd, 'VirtualMachine', vm.id, jobId);
  const ms = parts.jobTime(command);
  void parts.jobs.run(job, {
    command,
    queue: vm.id,
    ms,
    work: async (running) => {
      await parts.sleep(ms);
      if (running.fate() !== 'lost') await work(vm, job);
      return { kind: 'vm', vm: { ...vm } };
    },
  });
  return job;
}

export function stopVm(parts: ModelParts, vmId: string, jobId: string | null): Job {
  return run(parts, 'stopVirtualMachine', 'StopVMCmd', vmId, jobId, async (vm, job) => {
    if (vm.state === 'Stopped') return;
    await takeDisksAway(parts, vm);
    vm.state = 'Stopped';
    parts.history.effect('stop', { vmId: vm.id, jobId: job.id });
  });
}

export function startVm(parts: ModelParts, vmId: string, jobId: string | null): Job {
  return run(parts, 'startVirtualMachine', 'StartVMCmd', vmId, jobId, async (vm, job) => {
    if (vm.state === 'Running') return;
    vm.state = 'Running';
    const guest = parts.inventory.guestOf(vm);
    for (const volume of dataDisks(parts, vm)) await guest?.plug(diskOf(volume, vm));
    parts.history.effect('start', { vmId: vm.id, jobId: job.id });
  });
}

/** With `expunge` the VM and its root disk go for good and its data disks are detached; without, the VM can be recovered. */
export function destroyVm(parts: ModelParts, vmId: string, expunge: boolean, jobId: string | null): Job {
  return run(parts, 'destroyVirtualMachine', 'DestroyVMCmd', vmId, jobId, async (vm, job) => {
    if (vm.removed) return;
    await takeDisksAway(parts, vm);
    vm.state = expunge ? 'Expunging' : 'Destroyed';
    if (expunge) {
      for (const volume of parts.inventory.attachedTo(vm)) {
        const root = volume.type === 'ROOT';
        Object.assign(volume, { vmId: null, deviceId: null, attached: null });
        if (root) Object.assign(volume, { removed: true, state: 'Expunged' });
        else parts.history.effect('detach', { volumeId: volume.id, vmId: vm.id, jobId: job.id });
      }
      vm.removed = true;
    }
    parts.history.effect('destroy', { vmId: vm.id, jobId: job.id });
  });
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
