import { ERRORS } from '~/server/core/errors';
import type { Operation } from '../client/api';
import { EXIT } from '../command';
import type { Context } from '../context';
import { followToEnd, hasEnded } from '../follow';
import { OPERATION_RECORD } from './columns';

/** Prints an accepted operation: at once, or with `wait` when it has ended. Resolves with the exit code. */
export async function accepted(
  context: Context,
  operation: Operation,
  wait: boolean | undefined,
): Promise<number> {
  if (!wait) {
    context.out.record(brief(operation), operation);
    if (!hasEnded(operation))
      context.out.hint(`It goes on by itself; follow it with: volumectl operation watch ${operation.id}`);
    return EXIT.OK;
  }
  return ended(context, await awaited(context, operation));
}

/** Follows an operation, and says what remains to be done when the waiting ends before it. */
export async function awaited(context: Context, operation: Operation): Promise<Operation> {
  try {
    return await followToEnd(context, operation);
  } catch (error) {
    context.out.hint(
      `Operation ${operation.id} goes on by itself; follow it with: volumectl operation watch ${operation.id}`,
    );
    throw error;
  }
}

/** Prints an operation that has ended; its exit code is 0 only when it has completed. */
export function ended(context: Context, operation: Operation): number {
  context.out.record(brief(operation), operation);
  if (operation.status === 'completed') return EXIT.OK;
  const { type, status, error, error_code: code } = operation;
  context.out.complain(
    `volumectl: the ${type} ${status === 'failed' ? 'has failed' : 'was cancelled'}${error ? `: ${error}` : ''}${code ? ` (${code})` : ''}`,
    'bad',
  );
  const fix = fixOf(code);
  if (fix !== null) context.out.complain(`  fix: ${fix}`);
  return EXIT.FAILED;
}

function fixOf(code: string | undefined): string | null {
  return Object.entries(ERRORS).find(([known]) => known === code)?.[1].fix ?? null;
}

/** What is empty is left out; --columns can still ask for it. */
function brief(operation: Operation): typeof OPERATION_RECORD {
  return OPERATION_RECORD.map((column) => {
    const value = column.value(operation);
    return { ...column, hidden: value === undefined || value === null || value === '' || value === 0 };
  });
}
