import { DaemonError } from '../core/errors';
import type { OperationType, RequestOf } from '../model/operation';

/**
 * What must be known before a request is taken: nothing is guessed. A create concerns no VM. Throws what
 * `applianceVmId` throws, and VALIDATION_FAILED.
 */
export function admit<T extends OperationType>(
  type: T,
  request: RequestOf[T],
  applianceVmId: () => string,
): void {
  const vmId = type === 'create' ? null : applianceVmId();
  if ('oma_vm_id' in request && request.oma_vm_id !== vmId) {
    throw new DaemonError('VALIDATION_FAILED', 'The request is not valid: oma_vm_id is not this appliance', {
      details: { fields: [{ field: 'oma_vm_id', message: `must be the id of this appliance, ${vmId}` }] },
    });
  }
}
