import type { NewOperation } from '../../model/ledger-writes';
import { callerNames, type NewJournalEntry, type Operation } from '../../model/operation';
import { pendingOperation } from '../rows';

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

/** The operation of a request that was just stored, as its row would be read. */
export function newOperation(applianceId: string, input: NewOperation, sequence: number): Operation {
  const { id, type, volumeId, vmId, idempotencyKey, caller, at } = input;
  const fields = {
    id,
    sequence,
    applianceId,
    status: 'pending',
    volumeId,
    vmId,
    response: null,
    error: null,
    errorCode: null,
    attempt: 0,
    nextAttemptAt: null,
    waitReason: null,
    idempotencyKey,
    cancelRequested: false,
    cancelRequestedBy: null,
    createdAt: at,
    updatedAt: at,
    completedAt: null,
    held: null,
    actor: caller?.actor ?? null,
    requestId: caller?.requestId ?? null,
    traceparent: caller?.traceparent ?? null,
  } as const;
  return pendingOperation(fields, type, JSON.parse(JSON.stringify(input.request)));
}
