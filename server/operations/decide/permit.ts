import type { CloudVolume } from '../../cloudstack/cloud';
import { vmPhase } from '../../cloudstack/vm-states';
import { canBeRecovered, isLeaving, stateOf } from '../../cloudstack/volume-states';
import type { ErrorCode } from '../../core/errors';
import type { Holder } from '../../devices/device';
import type { Traffic } from '../../devices/disk-traffic';
import { describeHolders } from '../../devices/disk-users';
import { isIdle } from '../../devices/traffic-monitor';
import type { Evidence } from '../../model/evidence';
import type { JsonObject } from '../../model/operation';
import type { Mutation } from '../action';
import { type DiskUse, type Guards, type IgnoredUsers, type Intent, outlivesItsVm } from '../decision';
import type { Policy } from '../policy';
import { permitDeleteSnapshot, permitResize, permitRevert, permitSnapshot } from './permit-content';
import {
  elsewhere,
  GO,
  type Permit,
  permitNeighbour,
  permitVm,
  permitVmState,
  protectedAppliance,
  refuse,
  samePlug,
  seenVolume,
  vmMoves,
  wait,
  wrongState,
} from './permit-parts';

/**
 * Decides whether this mutation may be sent now. The only place that does, for every operation and every try.
 * Pure.
 *
 * Forbidden is anything against the appliance itself, against a VM or a plug that the intent does not name,
 * against a volume that cannot be seen, and anything while another job of the volume may still be running.
 */
export function permit(command: Mutation, intent: Intent, guards: Guards, policy: Policy): Permit {
  switch (command.name) {
    case 'createVolume':
      return GO;
    case 'attachVolume':
      return permitAttach(command, guards, policy);
    case 'detachVolume':
      return permitDetach(command.volumeId, intent, guards, policy);
    case 'deleteVolume':
    case 'destroyVolume':
      return permitDelete(command, intent, guards, policy);
    case 'recoverVolume':
      return permitRecover(command.volumeId, guards);
    case 'resizeVolume':
      return permitResize(command, intent, guards, policy);
    case 'createSnapshot':
      return permitSnapshot(command.volumeId, intent, guards);
    case 'deleteSnapshot':
      return permitDeleteSnapshot(command, intent, guards);
    case 'revertSnapshot':
      return permitRevert(command, intent, guards, policy);
    case 'stopVirtualMachine':
      return permitStop(command.vmId, intent, guards, policy);
    case 'destroyVirtualMachine':
      return permitDestroy(command.vmId, intent, guards, policy);
    default:
      return command satisfies never;
  }
}

function permitAttach(
  { volumeId, vmId, deviceId }: { volumeId: string; vmId: string; deviceId: number | null },
  guards: Guards,
  policy: Policy,
): Permit {
  const known = seenVolume(volumeId, guards);
  if ('permit' in known) return known.permit;
  const volume = known.value;
  if (volume.vmId === vmId) return { verdict: 'settled', reason: 'the volume is attached there already' };
  if (volume.vmId !== null) return elsewhere(volume, 'detached');
  const state = wrongState(volume, 'attach');
  if (state) return state;
  // The decision waits for it to leave. Attached elsewhere the volume would have two writers.
  if (guards.ghost) return { verdict: 'settled', reason: 'this guest may still have a disk of the volume' };
  if (vmId === policy.applianceVmId) {
    if (deviceId === 0) return protectedAppliance('become the root disk of');
    return guards.vm === null ? GO : permitVm(guards.vm, vmId, ['running', 'still']);
  }
  const neighbour = permitNeighbour(guards.neighbour);
  if (neighbour) return neighbour;
  return permitVm(guards.vm, vmId, deviceId === 0 ? ['still'] : ['running', 'still']);
}

function permitDetach(volumeId: string, intent: Intent, guards: Guards, policy: Policy): Permit {
  const known = seenVolume(volumeId, guards);
  if ('permit' in known) return known.permit;
  const volume = known.value;
  if (volume.vmId === null) return { verdict: 'settled', reason: 'the volume is detached already' };
  if (volume.vmId !== intent.vmId) return elsewhere(volume, intent.vmId ?? 'the VM of the intent');
  if (intent.plug !== null && !samePlug(intent.plug, volume)) {
    return refuse(
      'VOLUME_ATTACHED_ELSEWHERE',
      `Volume ${volume.id} was detached and attached again meanwhile (device ${volume.deviceId ?? '?'}, ${volume.attached ?? 'at an unknown time'})`,
      { volume_id: volume.id, vm_id: volume.vmId },
    );
  }
  // A cleanup takes the disk only when it can be attached at once: meanwhile it would be with nobody.
  const state = wrongState(volume, intent.stillOnly ? 'attach' : 'detach');
  if (state) return state;
  if (volume.vmId !== policy.applianceVmId)
    return permitNeighbour(guards.neighbour) ?? vmForbids(volume) ?? vmRuns(volume, intent, guards) ?? GO;
  if (volume.type === 'ROOT') return protectedAppliance('be taken from');
  return vmForbids(volume) ?? permitUse(volume, intent, guards.use);
}

/**
 * null unless CloudStack refuses a detach from a VM in this state; one that it does not say is its to judge.
 */
function vmForbids(volume: CloudVolume): Permit | null {
  const { id, vmId, vmState } = volume;
  const moves = vmMoves(volume);
  if (moves || vmState === null || vmPhase(vmState) !== null) return moves;
  return refuse('VM_STATE', `VM ${vmId ?? ''} is ${vmState}, so volume ${id} was not detached from it`, {
    volume_id: id,
    vm_id: vmId,
    state: vmState,
  });
}

/** null unless the disk may be taken only while no guest runs in its VM, and that is not what is seen. */
function vmRuns(volume: CloudVolume, { stillOnly }: Intent, { vm }: Guards): Permit | null {
  const { vmId, vmState } = volume;
  if (!stillOnly || vmId === null) return null;
  // A user's key does not see its destroyed VMs; the VM's state in the volume's answer counts as well.
  const isShown = vm?.kind === 'seen' || vmState === null;
  const phases = ['still', 'gone'];
  const answer = isShown ? permitVm(vm, vmId, phases) : permitVmState(vmState, vmId, phases);
  return answer.verdict === 'go' ? null : answer;
}

/** On the appliance: nobody may be using the disk, unless the request or a setting ignores it. */
function permitUse(volume: CloudVolume, { ignored, missingOnly }: Intent, use: DiskUse | null): Permit {
  if (use === null) return wait('DEVICE_NOT_IDENTIFIED', 'the disks of this guest were not read');
  if (missingOnly && use.disk === 'found')
    return { verdict: 'settled', reason: 'this guest has the disk by now' };
  if (inTheWay(use, ignored).length === 0) return GO;
  return refuse(inUseCode(use), inUseMessage(volume.id, use), inUseDetails(volume.id, use));
}

/** Users of the disk that prevent the detach. */
export function inTheWay(use: DiskUse, { users, clients }: IgnoredUsers): Holder[] {
  const clientsGo = clients === 'when-idle' ? clientsAreIdle(use) : clients;
  return use.holders.filter(({ kind }) => !(kind === 'nbd-client' ? clientsGo : users));
}

/** What is not known is not idle. */
function clientsAreIdle({ disk, traffic }: DiskUse): boolean {
  return disk === 'found' && traffic !== undefined && isIdle(traffic);
}

/** A disk of which it is not known whether it is the volume counts as used, with a code of its own. */
export function inUseCode(use: DiskUse): ErrorCode {
  return use.disk === 'found' ? 'DEVICE_IN_USE' : 'DEVICE_NOT_IDENTIFIED';
}

/** The error message that names who uses the disk, or the disks that may be it. */
export function inUseMessage(volumeId: string, use: DiskUse): string {
  const list = [describeHolders(use.holders), ...describeTraffic(use)]
    .filter((text) => text !== '')
    .join('; ');
  if (use.disk === 'found')
    return `The device of volume ${volumeId} is in use, so it was not detached: ${list}`;
  return `It is not known which disk of this guest is volume ${volumeId}, and one that may be it is in use, so it was not detached: ${list}`;
}

/** The same for programs. */
export function inUseDetails(volumeId: string, { holders, traffic }: DiskUse): JsonObject {
  const about = {
    volume_id: volumeId,
    holders: holders.map(({ kind, detail }) => ({ kind, detail })),
    clients: clientCount(holders),
  };
  return traffic === undefined ? about : { ...about, last_io_at: lastIoAt(traffic) };
}

/** How many clients, and when the disk was last used; nothing when no client is connected. */
function describeTraffic({ holders, traffic }: DiskUse): string[] {
  const clients = clientCount(holders);
  if (clients === 0 || traffic === undefined) return [];
  const who = `${clients} NBD client${clients === 1 ? '' : 's'} connected`;
  if (traffic.kind !== 'seen')
    return [`${who}; the last I/O is not known: ${traffic.kind === 'unknown' ? traffic.why : traffic.proof}`];
  const { lastIoAgoMs, observedForMs } = traffic.value;
  const at = lastIoAt(traffic);
  if (lastIoAgoMs === null || at === null)
    return [`${who}, no I/O since the daemon began to look ${Math.floor(observedForMs / 1000)} s ago`];
  return [`${who}, the last I/O was ${Math.floor(lastIoAgoMs / 1000)} s ago, at ${at}`];
}

function clientCount(holders: readonly Holder[]): number {
  return holders.filter(({ kind, leaving }) => kind === 'nbd-client' && !leaving).length;
}

function lastIoAt(traffic: Evidence<Traffic>): string | null {
  if (traffic.kind !== 'seen' || traffic.value.lastIoAgoMs === null) return null;
  return new Date(traffic.at - traffic.value.lastIoAgoMs).toISOString();
}

/**
 * A delete that was sent once may be sent again although the volume is no longer listed: CloudStack's answer
 * to it is the only proof that the volume is gone, and CloudStack refuses to delete an attached volume.
 */
function permitDelete(
  { name, volumeId }: { readonly name: Mutation['name']; readonly volumeId: string },
  intent: Intent,
  guards: Guards,
  { deleteMode }: Policy,
): Permit {
  if (guards.volume?.kind === 'unknown' && intent.sentBefore && guards.openJobs === 0) return GO;
  const known = seenVolume(volumeId, guards);
  if ('permit' in known) return known.permit;
  const volume = known.value;
  if (volume.vmId !== null && !isLeaving(volume)) return elsewhere(volume, 'detached');
  // Decided while it had nothing to keep; somebody has put it to use since.
  if (name === 'deleteVolume' && deleteMode === 'trash' && canBeRecovered(volume))
    return { verdict: 'settled', reason: 'the volume has content by now, and goes into the trash' };
  return wrongState(volume, 'delete') ?? GO;
}

/** Only a volume that CloudStack shows in its trash. */
function permitRecover(volumeId: string, guards: Guards): Permit {
  const known = seenVolume(volumeId, guards);
  if ('permit' in known) return known.permit;
  if (stateOf(known.value).recover === 'needless')
    return { verdict: 'settled', reason: 'the volume is not deleted' };
  return wrongState(known.value, 'recover') ?? GO;
}

function permitStop(vmId: string, intent: Intent, guards: Guards, policy: Policy): Permit {
  const named = namedVm(vmId, intent, guards, policy);
  if (named) return named;
  const phase = guards.vm?.kind === 'seen' ? vmPhase(guards.vm.value.state) : null;
  if (phase === 'still' || phase === 'gone') return { verdict: 'settled', reason: 'the VM does not run' };
  // It is stopped for the sake of the disk alone, which somebody may have taken since.
  const known = seenVolume('that it is stopped for', guards);
  if ('permit' in known) return known.permit;
  if (known.value.vmId !== vmId) return { verdict: 'settled', reason: 'the VM does not have the disk' };
  return permitVm(guards.vm, vmId, ['running']);
}

/** Only a stopped VM whose disk list shows its own root disk and no other disk. */
function permitDestroy(vmId: string, intent: Intent, guards: Guards, policy: Policy): Permit {
  const named = namedVm(vmId, intent, guards, policy);
  if (named) return named;
  if (guards.vm?.kind === 'seen' && vmPhase(guards.vm.value.state) === 'gone')
    return { verdict: 'settled', reason: 'the VM is destroyed already' };
  const state = permitVm(guards.vm, vmId, ['still']);
  if (state.verdict !== 'go') return state;
  const disks = guards.vmVolumes;
  if (disks?.kind !== 'seen')
    return refuse('VM_NOT_VISIBLE', `It is not certain which disks VM ${vmId} has${whyUnknown(disks)}`, {
      vm_id: vmId,
    });
  const created = guards.vm?.kind === 'seen' ? guards.vm.value.created : null;
  const data = disks.value.filter((disk) => outlivesItsVm(disk, { created }));
  if (data.length === 0) return GO;
  const ids = data.map(({ id }) => id);
  return refuse(
    'VM_HAS_DISKS',
    `VM ${vmId} still has ${data.length} disk(s) that would go with it: ${ids.join(', ')}`,
    {
      vm_id: vmId,
      volumes: ids,
    },
  );
}

/** An appliance is never stopped or destroyed, this one or another one, whether its daemon runs or not. */
function namedVm(vmId: string, intent: Intent, { neighbour }: Guards, policy: Policy): Permit | null {
  if (vmId === policy.applianceVmId)
    return refuse('APPLIANCE_PROTECTED', `VM ${vmId} is the appliance that this daemon runs on`);
  if (neighbour !== null)
    return refuse(
      'APPLIANCE_PROTECTED',
      `VM ${vmId} is the appliance of another daemon (${neighbour.owner})`,
    );
  if (intent.vmId !== vmId)
    return refuse('APPLIANCE_PROTECTED', `VM ${vmId} is not the one that this operation names`);
  return null;
}

function whyUnknown(evidence: Evidence<unknown> | null): string {
  return evidence?.kind === 'unknown' ? `: ${evidence.why}` : '';
}
