import { LIMITS } from '../../core/limits';
import { isTerminal, type Operation } from '../../model/operation';
import { type Action, type Done, done, giveUp, type PartRequest } from '../action';
import type { Situation } from '../decision';
import type { Failing } from '../journal';
import { endFailed } from './failure';
import { lookAgain } from './look-again';
import { intend } from './mutation';

/** Ends of a part after which nobody knows whether it has made a snapshot. */
const UNKNOWN_ENDS: readonly (string | null)[] = [
  'CLOUDSTACK_OUTCOME_UNKNOWN',
  'STEP_DEADLINE',
  'OPERATION_ABANDONED',
];

/**
 * snapshots of several volumes of one VM, all or none: they are on that VM → one snapshot operation for each,
 * which waits for its turn on its volume as any other → all have completed. Otherwise those that were taken
 * are deleted, again by an operation each. The parts are accepted under keys that this operation makes, so a
 * restart finds the same ones.
 */
export function decideSnapshotGroup(s: Situation<'snapshot-group'>): Action {
  const { failing } = s.journal;
  if (failing) return undo(s, failing);
  if (!s.journal.done('begin-parts')) return begin(s);
  const parts = ended(s, 'parts');
  if (parts.do !== 'done') return parts;
  const bad = parts.result.filter(({ status }) => status !== 'completed');
  const [first] = bad;
  const { vm_id: vmId } = s.operation.request;
  if (!first) {
    const snapshots = parts.result.map(({ id, volumeId, response }) => ({
      volume_id: volumeId,
      snapshot_id: response?.snapshot_id ?? null,
      name: response?.name ?? null,
      operation_id: id,
    }));
    return { do: 'complete', response: { vm_id: vmId, snapshots, message: 'Snapshots taken successfully' } };
  }
  const volumes = bad.map(({ volumeId }) => volumeId);
  const why = `${bad.length} of ${parts.result.length} snapshots of VM ${vmId} were not taken: ${first.error ?? first.status}`;
  return giveUp(first.errorCode ?? 'CANCELLED', why, { vm_id: vmId, volumes });
}

/**
 * Nothing begins unless all of them are seen on that VM. That it begins is recorded before the first part is
 * accepted: after a crash in between, whatever has changed on that VM, the parts are found again.
 */
function begin(s: Situation<'snapshot-group'>): Action {
  const { vm_id: vmId, volume_ids: volumeIds } = s.operation.request;
  if (s.operation.cancelRequested) return intend(s, 'create-snapshot');
  const { vmVolumes } = s.facts;
  if (!vmVolumes) return { do: 'read-vm-volumes', vmId };
  if (vmVolumes.kind !== 'seen') {
    const why = vmVolumes.kind === 'unknown' ? vmVolumes.why : vmVolumes.proof;
    if (s.elapsed('vm-volumes') > LIMITS.RESOURCE_RETRY_DEADLINE_MS)
      return giveUp('VM_NOT_VISIBLE', `It is not certain which disks VM ${vmId} has: ${why}`, {
        vm_id: vmId,
      });
    return { do: 'back-off', step: 'read-vm-volumes', reason: why, forget: ['vmVolumes'] };
  }
  const there = new Set(vmVolumes.value.filter((one) => one.vmId === vmId).map(({ id }) => id));
  const missing = volumeIds.filter((id) => !there.has(id));
  if (missing.length > 0) {
    const reason = `CloudStack does not show on VM ${vmId}: ${missing.join(', ')}`;
    return (
      lookAgain(s, { name: 'not-listed', step: 'read-vm-volumes', reason, forget: ['vmVolumes'] }) ??
      giveUp('VOLUME_ATTACHED_ELSEWHERE', reason, { vm_id: vmId, volumes: missing })
    );
  }
  return { do: 'record', step: 'begin-parts', state: 'done', data: {} };
}

function takeSnapshots({ operation: { id: group, request } }: Situation<'snapshot-group'>): Action {
  const { vm_id: vmId, volume_ids: volumeIds, name } = request;
  // Each waits for its turn on its volume, which may have left the VM by then.
  const requests = volumeIds.map((id): PartRequest => {
    const named = name === undefined ? {} : { name };
    return { type: 'snapshot', request: { volume_id: id, ...named, group, on_vm: vmId } };
  });
  return { do: 'start-parts', step: 'parts', requests };
}

/**
 * The parts of this step, once all of them have ended; those that take the snapshots are begun if they are
 * not.
 */
function ended(
  s: Situation<'snapshot-group'>,
  step: 'parts' | 'undo-parts',
): Action | Done<readonly Operation[]> {
  if (!s.journal.done('parts')) return takeSnapshots(s);
  const ids = s.journal.done(step)?.operations;
  const wanted = Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
  const { parts } = s.facts;
  if (parts?.step !== step) return { do: 'read-parts', step, operationIds: wanted };
  const open = parts.operations.filter(({ status }) => !isTerminal(status));
  if (open.length === 0) return done(parts.operations);
  return {
    do: 'pause',
    ms: LIMITS.GROUP_POLL_MS,
    step,
    reason: `waits for ${open.length === 1 ? 'operation' : 'operations'} ${open.map(({ id }) => id).join(', ')}`,
    forget: ['parts'],
  };
}

function undo(s: Situation<'snapshot-group'>, failing: Failing): Action {
  if (!s.journal.done('begin-parts')) return endFailed(failing);
  if (!s.journal.done('undo-parts')) {
    const parts = ended(s, 'parts');
    if (parts.do !== 'done') return parts;
    const requests = parts.result.flatMap(({ status, response }): PartRequest[] => {
      const id = response?.snapshot_id;
      if (status !== 'completed' || typeof id !== 'string') return [];
      return [{ type: 'delete-snapshot', request: { snapshot_id: id, group: s.operation.id } }];
    });
    const unknown = parts.result
      .filter(({ errorCode, response }) => UNKNOWN_ENDS.includes(errorCode) || Array.isArray(response?.left))
      .map(({ id, volumeId }) => `volume ${volumeId} may have a snapshot of operation ${id}`);
    return { do: 'start-parts', step: 'undo-parts', requests, data: { unknown } };
  }
  const undone = ended(s, 'undo-parts');
  if (undone.do !== 'done') return undone;
  const unknown = s.journal.done('undo-parts')?.unknown;
  const left = undone.result.flatMap(({ status, request, error }) => {
    if (status === 'completed' || !('snapshot_id' in request)) return [];
    return [`snapshot ${String(request.snapshot_id)} is not deleted: ${error ?? 'cancelled'}`];
  });
  return endFailed(failing, [
    ...(Array.isArray(unknown) ? unknown.filter((text) => typeof text === 'string') : []),
    ...left,
  ]);
}
