import type { NewOperation } from '../../model/ledger';
import { callerNames, type NewJournalEntry, type Operation } from '../../model/operation';
import { type OperationColumns, operationOf } from '../rows';

/* What both ledgers store for a request. */

/** What the journal of an operation begins with. */
export function firstEntry(input: NewOperation): NewJournalEntry {
  return {
    step: 'operation',
    state: 'pending',
    data: {
      type: input.type,
      volume_id: input.volumeId,
      vm_id: input.vmId,
      ...callerNames(input.caller ?? null),
    },
  };
}

function callerColumns({ caller }: NewOperation) {
  return {
    actor: caller?.actor ?? null,
    request_id: caller?.requestId ?? null,
    traceparent: caller?.traceparent ?? null,
  };
}

/** The row of a request; its other columns have defaults. */
export function newOperationRow(applianceId: string, input: NewOperation) {
  const at = new Date(input.at);
  return {
    id: input.id,
    appliance_id: applianceId,
    type: input.type,
    status: 'pending',
    volume_id: input.volumeId,
    vm_id: input.vmId,
    request: JSON.stringify(input.request),
    idempotency_key: input.idempotencyKey,
    request_hash: input.requestHash,
    ...callerColumns(input),
    created_at: at,
    updated_at: at,
  };
}

/** The columns of a row that was just inserted and has nothing in them yet. */
const EMPTY = {
  response: null,
  error: null,
  error_code: null,
  attempt: 0,
  next_attempt_at: null,
  wait_reason: null,
  cancel_requested: false,
  cancel_actor: null,
  cancel_request_id: null,
  cancel_traceparent: null,
  completed_at: null,
  held_reason: null,
} satisfies Partial<OperationColumns>;

/** The operation of a row that was just inserted. */
export function newOperation(row: ReturnType<typeof newOperationRow>, sequence: number): Operation {
  const { request_hash: _, created_at, updated_at, request, ...columns } = row;
  return operationOf({
    ...EMPTY,
    ...columns,
    sequence,
    created_at: created_at.getTime(),
    updated_at: updated_at.getTime(),
    request: JSON.parse(request),
  });
}
