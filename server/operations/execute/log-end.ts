import { VOLUME_CREATE_FAILED } from '../../core/log/log-events';
import type { TerminalStatus } from '../../model/operation';
import type { RunContext } from './run-context';

/** Logs the end of an operation. */
export function logEnd(run: RunContext, status: TerminalStatus, error: string | null): void {
  const { operation, parts } = run;
  const fields = {
    operation_id: operation.id,
    type: operation.type,
    volume_id: operation.volumeId,
    vm_id: operation.vmId,
    actor: operation.actor ?? undefined,
    request_id: operation.requestId ?? undefined,
    error_code: operation.errorCode,
    ms: (operation.completedAt ?? parts.clock.now()) - operation.createdAt,
  };
  if (status === 'failed')
    parts.logger.error(operation.type === 'create' ? VOLUME_CREATE_FAILED : 'Operation failed', {
      ...fields,
      reason: error,
    });
  else parts.logger.info(status === 'completed' ? 'Operation completed' : 'Operation cancelled', fields);
}
