import { setResponseHeader } from 'h3';
import { currentDaemon } from '../daemon/current';
import { isTerminal, type Operation, type OperationType, type RequestOf } from '../model/operation';
import type { Call } from './request/read-request';
import { operationReply } from './response/replies';
import type { OperationReply } from './schemas/operations';
import { clientGone } from './serve';

/**
 * Hands a request to the engine and answers with the operation: at once, or when it has ended, if the caller prefers to wait.
 * Once accepted, nothing that happens while waiting may turn the answer into an error: the operation exists.
 */
export async function accept<T extends OperationType>(
  call: Pick<Call<unknown, unknown, unknown>, 'event' | 'idempotencyKey' | 'waitMs'>,
  type: T,
  request: RequestOf[T],
): Promise<OperationReply> {
  const { operations } = currentDaemon();
  const accepted = await operations.request(type, request, { idempotencyKey: call.idempotencyKey });
  setResponseHeader(call.event, 'Location', `/api/v1/operations/${accepted.id}`);
  return operationReply(await waited(call, accepted));
}

/** Waits for the end as long as the caller asked, and says so in Preference-Applied. */
export async function waited(
  { event, waitMs }: Pick<Call<unknown, unknown, unknown>, 'event' | 'waitMs'>,
  operation: Operation,
): Promise<Operation> {
  if (waitMs === 0 || isTerminal(operation.status)) return operation;
  setResponseHeader(event, 'Preference-Applied', `wait=${Math.ceil(waitMs / 1000)}`);
  return currentDaemon()
    .operations.waitForEnd(operation.id, waitMs, clientGone(event))
    .catch(() => operation);
}
