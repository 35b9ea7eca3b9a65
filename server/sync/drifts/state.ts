import type { CloudVolume } from '../../cloudstack/cloud';
import { type Repair, reported } from '../repair';
import type { View } from '../view';

/** States that CloudStack leaves by itself, unless its management server was restarted in the middle (apache/cloudstack#2163). */
const SETTLED = new Set(['Allocated', 'Ready', 'Uploaded', 'Destroy', 'Expunging', 'Expunged']);

export function isTransitional(volume: CloudVolume): boolean {
  return !SETTLED.has(volume.state);
}

/** Only what was in the same state at an earlier sync is stuck. */
export function judgeState(view: View, volume: CloudVolume): Repair[] {
  const { id, state, vmId } = volume;
  if (!isTransitional(volume) || view.o.stuckBefore.get(id) !== state) return [];
  const message = `CloudStack has kept the volume in state ${state} since an earlier sync, and no operation of ours works on it`;
  const remedy =
    `does a job still work on it? cmk list asyncjobs listall=true filter=cmd,jobinstanceid,created | grep ${id}; ` +
    `if none does (restart of the management server), as administrator: cmk update volume id=${id} state=${vmId === null && state === 'Creating' ? 'Allocated' : 'Ready'}`;
  return [reported({ kind: 'stuck-state', volumeId: id, vmId, devicePath: null, message }, remedy)];
}

/** Who we are decides everything else: a copied VM often brings the id of its original along. */
export function judgeIdentity(view: View): Repair[] {
  const { applianceVmId: vmId, identityConflicts } = view.o;
  return identityConflicts.map((message) =>
    reported(
      { kind: 'identity-conflict', volumeId: null, vmId, devicePath: null, message },
      'correct the one that is wrong: OMA_VM_ID in the environment of the service (then systemctl restart volume-daemon), ' +
        "or UPDATE ossea_configs SET oma_vm_id = '<id of this VM>' WHERE is_active = 1; " +
        'the SMBIOS UUID (cat /sys/class/dmi/id/product_uuid) is the VM id on KVM',
    ),
  );
}
