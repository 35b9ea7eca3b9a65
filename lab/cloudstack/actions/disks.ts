import type { JobResult, Vm, Volume } from '../records';

/** Data disks per VM, from hypervisor_capabilities. */
export function maxDataDisks(hypervisor: string): number {
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

export function diskOf(volume: Volume, vm: Vm): { volumeId: string; size: number; serial: string } {
  return { volumeId: volume.id, size: volume.size, serial: serialOf(volume, vm) };
}

/** What a job carries: the volume as it is at this moment. */
export function shownVolume(volume: Volume): JobResult {
  return { kind: 'volume', volume: { ...volume } };
}
