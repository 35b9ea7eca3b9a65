import type { CloudVm, CloudVolume, Plug } from '../../cloudstack/cloud';
import { vmPhase } from '../../cloudstack/vm-states';
import { type StateCall, stateOf } from '../../cloudstack/volume-states';
import type { ErrorCode } from '../../core/errors';
import type { Evidence } from '../../model/evidence';
import type { JsonObject } from '../../model/operation';
import type { Guards, Neighbour } from '../decision';

/**
 * go: the call may be sent. wait: not now, read again. settled: the wanted state holds already, or the call
 * has nothing left to do; the decision reads the volume again. refuse: the operation ends with this code.
 */
export type Permit =
  | { readonly verdict: 'go' }
  /** `code`: the error code after waiting too long. */
  | { readonly verdict: 'wait'; readonly reason: string; readonly code: ErrorCode }
  | { readonly verdict: 'settled'; readonly reason: string }
  | {
      readonly verdict: 'refuse';
      readonly code: ErrorCode;
      readonly message: string;
      readonly details: JsonObject;
    };

type Refusal = Extract<Permit, { verdict: 'refuse' }>;

export const GO: Permit = { verdict: 'go' };

export function wait(code: ErrorCode, reason: string): Permit {
  return { verdict: 'wait', reason, code };
}

export function refuse(code: ErrorCode, message: string, details: JsonObject = {}): Refusal {
  return { verdict: 'refuse', code, message, details };
}

/** The volume that the guards show, or the verdict when they show none. */
export function seenVolume(
  volumeId: string,
  { volume, openJobs }: Guards,
): { value: CloudVolume } | { permit: Permit } {
  if (volume?.kind === 'absent')
    return { permit: { verdict: 'settled', reason: `the volume is gone: ${volume.proof}` } };
  if (volume?.kind !== 'seen') {
    const why = volume?.why ?? 'it was not read';
    const said = volume?.by === 'database' ? '' : ' is not visible to this key';
    return { permit: wait('VOLUME_NOT_VISIBLE', `volume ${volumeId}${said}: ${why}`) };
  }
  if (openJobs > 0) {
    return {
      permit: wait('VOLUME_BUSY', 'an earlier job of this volume may still be running in CloudStack'),
    };
  }
  return volume;
}

/** null when CloudStack accepts this call for a volume in this state. */
export function wrongState(volume: CloudVolume, what: StateCall): Permit | null {
  const state = stateOf(volume);
  if (state[what] === 'act') return null;
  const reason = `the volume ${state.means} (${volume.state})`;
  if (state[what] === 'wait') return wait('VOLUME_BUSY', reason);
  return refuse('VOLUME_STATE', `Volume ${volume.id}: ${reason}`, {
    volume_id: volume.id,
    state: volume.state,
  });
}

/**
 * null unless the VM of the volume is changing its state: CloudStack refuses to touch its disks until then.
 */
export function vmMoves({ vmId, vmState }: CloudVolume): Permit | null {
  const moves = vmState !== null && vmPhase(vmState) === 'moving';
  return moves ? wait('VM_STATE', `VM ${vmId ?? ''} is ${vmState}`) : null;
}

/** The volume is not where the intent has found it. `expected` ends the sentence: a VM id, or `detached`. */
export function elsewhere(volume: CloudVolume, expected: string): Permit {
  const place =
    volume.vmId === null
      ? 'detached'
      : `already attached to another VM: ${volume.vmName ?? ''} (${volume.vmId})`;
  return refuse('VOLUME_ATTACHED_ELSEWHERE', `Volume ${volume.id} is ${place}, not ${expected}`, {
    volume_id: volume.id,
    vm_id: volume.vmId,
  });
}

/** The VM must be seen in one of these phases; while its state is changing, the call waits. */
export function permitVm(vm: Evidence<CloudVm> | null, vmId: string, phases: readonly string[]): Permit {
  if (vm?.kind === 'absent')
    return refuse('VM_NOT_FOUND', `VM ${vmId} not found in CloudStack: ${vm.proof}`, { vm_id: vmId });
  if (vm?.kind !== 'seen')
    return wait('VM_NOT_VISIBLE', `VM ${vmId} is not visible to this key: ${vm?.why ?? 'it was not read'}`);
  return permitVmState(vm.value.state, vmId, phases);
}

/** The same, where its state is what is known of it. */
export function permitVmState(state: string, vmId: string, phases: readonly string[]): Permit {
  const phase = vmPhase(state);
  if (phase !== null && phases.includes(phase)) return GO;
  if (phase === 'moving') return wait('VM_STATE', `VM ${vmId} is ${state}`);
  const code = phase === 'running' ? 'VM_NOT_STOPPED' : 'VM_STATE';
  return refuse(code, `VM ${vmId} is ${state}`, { vm_id: vmId, state });
}

/** Only the daemon of that VM sees who uses its disks, and which of them is new; null: none runs there. */
export function permitNeighbour(neighbour: Neighbour | null): Refusal | null {
  if (neighbour === null || !neighbour.runs) return null;
  const { vmId, owner } = neighbour;
  return refuse(
    'APPLIANCE_PROTECTED',
    `VM ${vmId} is an appliance of its own, whose disks only its daemon (${owner}) attaches and detaches`,
    { vm_id: vmId, owner },
  );
}

/** `what` the call would do to the appliance, as in `become the root disk of`. */
export function protectedAppliance(what: string): Permit {
  return refuse('APPLIANCE_PROTECTED', `This disk would ${what} the appliance that this daemon runs on`);
}

/** Fields that are null on one side are not compared. */
export function samePlug(plug: Plug, volume: CloudVolume): boolean {
  const differs = <T>(a: T | null, b: T | null) => a !== null && b !== null && a !== b;
  return !differs(plug.deviceId, volume.deviceId) && !differs(plug.attached, volume.attached);
}
