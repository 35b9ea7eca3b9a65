import { DaemonError } from '../../core/errors';
import type { NewOperation } from '../../model/ledger';
import type { NewJournalEntry, Operation } from '../../model/operation';

/* What both ledgers say about a request; no effects. */

/** What the journal of an operation begins with. */
export function firstEntry(input: NewOperation): NewJournalEntry {
  return {
    step: 'operation',
    state: 'pending',
    data: { type: input.type, volume_id: input.volumeId, vm_id: input.vmId },
  };
}

/** Is the last unfinished operation what is asked for? One that is being cancelled will not do it. */
export function mayJoin(last: Operation, lastHash: string | null, input: NewOperation): boolean {
  return (
    last.type === input.type &&
    last.vmId === input.vmId &&
    lastHash === input.requestHash &&
    !last.cancelRequested
  );
}

export function keyReused(operationId: string): DaemonError {
  return new DaemonError(
    'IDEMPOTENCY_KEY_REUSED',
    `The Idempotency-Key was used for another request: operation ${operationId}`,
    { details: { operation_id: operationId } },
  );
}

export function queueFull(pendingMax: number): DaemonError {
  return new DaemonError('QUEUE_FULL', `${pendingMax} operations are waiting already`, {
    details: { pending: pendingMax },
    retryAfterSeconds: 30,
  });
}
