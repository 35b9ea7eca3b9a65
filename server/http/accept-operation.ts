import { setResponseHeader } from 'h3';
import { isTerminal, type Operation, type OperationType, type RequestOf } from '../model/operation';
import { callerOf } from './request/caller';
import type { CheckedRequest } from './request/read-request';
import { spanOf } from './request/request-span';
import { operationReply } from './response/replies';
import type { OperationReply } from './schemas/operations';
import { connectionClosed } from './serve';

type AnyRequest = CheckedRequest<unknown, unknown, unknown>;

/**
 * Accepts an operation and replies with it: at once, or when it has ended if the caller asked to wait. Once
 * it is accepted, an error while waiting must not become the reply: the operation exists.
 */
export async function acceptOperation<T extends OperationType>(
  request: AnyRequest,
  type: T,
  parameters: RequestOf[T],
): Promise<OperationReply> {
  const { event, daemon, idempotencyKey } = request;
  const accepted = await daemon.operations.request(type, parameters, {
    idempotencyKey,
    caller: callerOf(event),
  });
  spanOf(event).set({ 'volume_daemon.operation.id': accepted.id });
  setResponseHeader(event, 'Location', `/api/v1/operations/${accepted.id}`);
  return operationReply(await waitAsAsked(request, accepted));
}

/** Waits for the end of an operation as long as the caller asked, and confirms it in Preference-Applied. */
export async function waitAsAsked(request: AnyRequest, operation: Operation): Promise<Operation> {
  const { event, daemon, waitMs } = request;
  if (waitMs === 0 || isTerminal(operation.status)) return operation;
  setResponseHeader(event, 'Preference-Applied', `wait=${Math.ceil(waitMs / 1000)}`);
  return daemon.operations.waitForEnd(operation.id, waitMs, connectionClosed(event)).catch(() => operation);
}
