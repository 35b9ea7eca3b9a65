import { DaemonError } from '../core/errors';
import type { OperationType, RequestOf } from '../model/operation';

/**
 * Refuses requests that cannot be served yet. Which VM is the appliance is never guessed, so until that is
 * known only a create, which concerns no VM, is accepted. Throws what `applianceVmId` throws, and
 * VALIDATION_FAILED.
 */
export function admit<T extends OperationType>(
  type: T,
  request: RequestOf[T],
  applianceVmId: () => string,
): void {
  const vmId = type === 'create' ? null : applianceVmId();
  if ('oma_vm_id' in request && request.oma_vm_id !== vmId)
    throw notValid('oma_vm_id', 'is not this appliance', `must be the id of this appliance, ${vmId}`);
  // Whoever was told to stop it first would stop the machine that the daemon runs on.
  if ('test_vm_id' in request && request.test_vm_id === vmId)
    throw notValid('test_vm_id', 'is this appliance', 'must be the id of another VM than this appliance');
}

function notValid(field: string, why: string, message: string): DaemonError {
  return new DaemonError('VALIDATION_FAILED', `The request is not valid: ${field} ${why}`, {
    details: { fields: [{ field, message }] },
  });
}
