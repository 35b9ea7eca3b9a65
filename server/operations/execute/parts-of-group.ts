import { DaemonError } from '../../core/errors';
import type { Operation } from '../../model/operation';
import { partKey } from '../../model/part-key';
import type { Action } from '../action';
import { aboutRequest } from '../new-request';
import type { RunContext } from './run-context';

/**
 * Accepts one operation for each request and journals their ids; after a restart the same
 * requests come to the same.
 */
export async function startParts(
  run: RunContext,
  { step, requests, data = {} }: Extract<Action, { do: 'start-parts' }>,
): Promise<void> {
  const { ledger, clock, random, events } = run.parts;
  const { actor, requestId, traceparent } = run.operation;
  const operations: string[] = [];
  for (const [index, { type, request }] of requests.entries()) {
    const accepted = await run.active(() =>
      ledger.accept(run.epoch, {
        ...aboutRequest(type, request),
        id: random.uuid(),
        idempotencyKey: partKey(step, run.operation.id, index),
        caller: actor === null || requestId === null ? null : { actor, requestId, traceparent },
        at: clock.now(),
        // No key of a part is forgotten while its group is open.
        clockStepped: true,
      }),
    );
    if (accepted.entry) events.publish([accepted.entry]);
    operations.push(accepted.operation.id);
  }
  await run.record({ entries: [{ step, state: 'done', data: { ...data, operations } }], waiting: null });
  run.forget(['parts']);
  run.otherRuns.wake();
}

/** An operation that has been accepted is in the database for as long as its group is open. */
export async function readParts(
  run: RunContext,
  operationIds: readonly string[],
): Promise<readonly Operation[]> {
  const operations: Operation[] = [];
  for (const id of operationIds) {
    const operation = await run.active(() => run.parts.ledger.readOperation(id));
    if (operation === null)
      throw new DaemonError('DATABASE_UNAVAILABLE', `The database does not show operation ${id}`);
    operations.push(operation);
  }
  return operations;
}
