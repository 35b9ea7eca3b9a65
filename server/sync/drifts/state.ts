import type { CloudVolume } from '../../cloudstack/cloud';
import { stateOf } from '../../cloudstack/volume-states';
import { type Repair, reported } from '../repair';
import type { View } from '../view';

/** True for states that should pass: CloudStack is changing the volume, or removing it. */
export function isTransitional(volume: CloudVolume): boolean {
  const { phase } = stateOf(volume);
  return (
    phase === 'moving' || (phase === 'leaving' && volume.state !== 'Expunged' && volume.state !== 'Destroy')
  );
}

/**
 * A volume counts as stuck only when an earlier sync found it in the same state, and only volumes of ours are
 * checked: others may be migrating for hours. CloudStack leaves these states by itself, unless its management
 * server was restarted meanwhile (apache/cloudstack#2163).
 */
export function judgeState(view: View, volume: CloudVolume): Repair[] {
  const { id, state, vmId } = volume;
  const ours = view.mapping(id) !== null || vmId === view.o.applianceVmId;
  if (!ours || !isTransitional(volume) || view.o.stuckBefore.get(id) !== state) return [];
  const message = `CloudStack has kept the volume in state ${state} since an earlier sync: it ${stateOf(volume).means}, and no operation of ours works on it`;
  const found = { kind: 'stuck-state' as const, volumeId: id, vmId, devicePath: null, message };
  return [reported(found, stuckRemedy(volume), [], isHalfDeleted(volume) ? 'delete' : null)];
}

/**
 * A database edit is advised only where a restart of the management server leaves the state behind for good.
 */
function stuckRemedy({ id, state, vmId }: CloudVolume): string {
  const ask = `does a job still work on it? cmk list asyncjobs listall=true filter=cmd,jobinstanceid,created | grep ${id}`;
  if (isHalfDeleted({ state }))
    return `${ask}; if none does: volumectl volume delete ${id} sends the delete again`;
  if (state !== 'Creating' && state !== 'Attaching') return `${ask}; wait for it, or cancel it in CloudStack`;
  const settled = vmId === null && state === 'Creating' ? 'Allocated' : 'Ready';
  return `${ask}; if none does (restart of the management server), as administrator: cmk update volume id=${id} state=${settled}`;
}

function isHalfDeleted({ state }: Pick<CloudVolume, 'state'>): boolean {
  return state === 'Expunging' || state === 'Destroying';
}

/** All other checks depend on which VM this is, and a copied VM often keeps the id of its original. */
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
