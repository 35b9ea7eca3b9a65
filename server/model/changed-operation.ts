import { LIMITS } from '../core/limits';
import type { OperationChange } from './ledger-writes';
import type { Operation } from './operation';

/** Does a change touch the row, too? A journal entry by itself leaves it as it is. */
export function changesRow({ volumeId, waiting, end }: OperationChange): boolean {
  return volumeId !== undefined || waiting !== undefined || end !== undefined;
}

/**
 * The operation after a change, as its row would be read: whoever has written the change need not read it.
 *
 * @example
 * await ledger.append(epoch, operation.id, change);
 * const ended = changedOperation(operation, change);
 */
export function changedOperation<T extends Operation>(operation: T, change: OperationChange): T {
  if (!changesRow(change)) return operation;
  const { end, waiting, volumeId, at } = change;
  return {
    ...operation,
    updatedAt: at,
    ...(volumeId === undefined ? {} : { volumeId }),
    ...(waiting === undefined ? {} : waitOf(waiting)),
    ...(end
      ? {
          status: end.status,
          response: end.response,
          error: storedText(end.error),
          errorCode: end.errorCode,
          completedAt: at,
          nextAttemptAt: null,
          waitReason: null,
        }
      : {}),
  };
}

function waitOf(
  waiting: NonNullable<OperationChange['waiting']> | null,
): Pick<Operation, 'attempt' | 'nextAttemptAt' | 'waitReason'> {
  if (waiting === null) return { attempt: 0, nextAttemptAt: null, waitReason: null };
  const { attempt, nextAttemptAt, reason } = waiting;
  return { attempt, nextAttemptAt, waitReason: storedText(reason) };
}

/** TEXT columns hold 64 KiB; a text that does not fit must not keep an operation from ending. */
export function storedText<T extends string | null>(text: T): T | string {
  return text !== null && text.length > LIMITS.TEXT_CHARACTERS
    ? `${text.slice(0, LIMITS.TEXT_CHARACTERS)}…`
    : text;
}
