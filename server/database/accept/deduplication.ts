import { DaemonError } from '../../core/errors';
import type { NewOperation } from '../../model/ledger-writes';
import type { Operation } from '../../model/operation';

/* What both ledgers say about a request that repeats another one; no effects. */

/**
 * Is the last unfinished operation the one that is asked for? One that is being cancelled will not do it. Two
 * keys name two requests: joined, two callers who each want a volume of the same name would write to one.
 */
export function mayJoin(last: Operation, lastHash: string | null, input: NewOperation): boolean {
  return (
    last.type === input.type &&
    last.vmId === input.vmId &&
    lastHash === input.requestHash &&
    (last.idempotencyKey === null || input.idempotencyKey === null) &&
    !last.cancelRequested
  );
}

/** The key was used for another request. */
export function keyReused(operationId: string): DaemonError {
  return new DaemonError(
    'IDEMPOTENCY_KEY_REUSED',
    `The Idempotency-Key was used for another request: operation ${operationId}`,
    { details: { operation_id: operationId } },
  );
}

/** Too many operations wait already. */
export function queueFull(pendingMax: number): DaemonError {
  return new DaemonError('QUEUE_FULL', `${pendingMax} operations are waiting already`, {
    details: { pending: pendingMax },
    retryAfterSeconds: 30,
  });
}
