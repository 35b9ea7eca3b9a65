import type { World } from '../../devices/correlation';
import type { Operation } from '../../model/operation';
import type { RunContext } from './run-context';

/** An operation whose type cannot be read may be an attach. */
export function attachesTo(operation: Operation, vmId: string | null): boolean {
  if (operation.type === 'unreadable' || operation.type === 'cleanup') return true;
  return operation.type === 'attach' && operation.request.vm_id === vmId;
}

/** Other operations that have not ended and may be bringing a disk into this guest. */
export function otherAttaches({ parts, otherRuns, operation }: RunContext): Operation[] {
  const { applianceVmId } = parts.policy();
  return otherRuns
    .attachingDisks()
    .filter((one) => one.id !== operation.id && attachesTo(one, applianceVmId));
}

/**
 * Where disks lack serials, the volumes that operations other than those of `volumeId` are attaching here
 * now: CloudStack may show them later than the guest. Pure.
 */
export function underWay(attaching: readonly Operation[], volumeId: string): World['attachedHere'] {
  const others = attaching.filter((other) => other.volumeId !== volumeId);
  return others.map((other) => ({ id: other.volumeId, size: null }));
}
