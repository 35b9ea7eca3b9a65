import { randomUUID } from 'node:crypto';
import { ERRORS } from '~/server/core/errors';
import type { Values } from '../arguments';
import type { RequestOptions } from '../client/client';
import { ConnectionError, TimeoutError } from '../client/errors';
import type { Input, Operation, OperationName, Reply } from '../client/operations';
import type { Context } from '../context';
import { EXIT, UsageError } from '../exit';
import { hasEnded, waitForEnd } from '../wait-for-end';
import type { REQUEST } from './arguments';
import { OPERATION_COLUMNS } from './columns';
import { preview } from './preview';

/** The requests that are accepted as an operation. */
type OperationRequest = {
  [Name in OperationName]: Reply<Name> extends Operation ? Name : never;
}[OperationName];

/**
 * Requests an operation and prints it: at once, with --wait at its end, with --dry-run not at all. Resolves
 * with the exit code.
 */
export async function requestOperation<Name extends OperationRequest>(
  context: Context,
  args: Values<typeof REQUEST> & { readonly volume?: string },
  name: Name,
  input: Input<Name>,
): Promise<number> {
  const { key, wait, volume } = args;
  // A header cannot carry it, so the daemon could not say so.
  if (key !== undefined && /[^ -~]/.test(key))
    throw new UsageError(
      '--key must be printable ASCII characters',
      'Write letters, digits and signs, like attach-1.',
    );
  if (args['dry-run'])
    return preview(context, name, input, volume === undefined ? 'something new' : { volume });
  const operation = await accepted(context, name, input, key ?? randomUUID());
  if (wait) return printEnd(context, await waitWithHint(context, operation));
  printOperation(context, operation);
  if (!hasEnded(operation)) context.out.hint(`It goes on by itself; ${followHint(operation)}`);
  return EXIT.OK;
}

/** An answer that is lost says nothing about the request: sent again under its key it is not done twice. */
async function accepted<Name extends OperationRequest>(
  { client, out }: Context,
  name: Name,
  input: Input<Name>,
  idempotencyKey: string,
): Promise<Operation> {
  try {
    const options: RequestOptions = { idempotencyKey };
    return await client.call(name, input, options);
  } catch (error) {
    const isLost =
      error instanceof TimeoutError || (error instanceof ConnectionError && error.mayHaveArrived);
    if (isLost)
      out.complain(
        `It may have been accepted all the same. To ask again without doing it twice: the same command with --key ${idempotencyKey}`,
        'warn',
      );
    throw error;
  }
}

/** Waits for the end; when the waiting is over before it, says how to resume it. */
export async function waitWithHint(context: Context, operation: Operation): Promise<Operation> {
  try {
    return await waitForEnd(context, operation);
  } catch (error) {
    context.out.hint(`Operation ${operation.id} goes on by itself; ${followHint(operation)}`);
    throw error;
  }
}

/** Prints an operation that has ended. Returns the exit code, 0 only when it has completed. */
export function printEnd(context: Context, operation: Operation): number {
  printOperation(context, operation);
  if (operation.status === 'completed') return EXIT.OK;
  const { type, status, error, error_code: code } = operation;
  const reason = `${error ? `: ${error}` : ''}${code ? ` (${code})` : ''}`;
  const end = status === 'failed' ? 'has failed' : 'was cancelled';
  context.out.complain(`volumectl: the ${type} ${end}${reason}`, 'bad');
  const fix = Object.entries(ERRORS).find(([known]) => known === code)?.[1].fix;
  if (fix !== undefined) context.out.complain(`  fix: ${fix}`);
  return EXIT.FAILED;
}

/** Absent values are omitted unless --columns asks for them. */
function printOperation({ out }: Context, operation: Operation): void {
  const isPresent = (value: unknown) => value !== undefined && value !== null && value !== '' && value !== 0;
  const present = OPERATION_COLUMNS.filter(({ value }) => isPresent(value(operation)));
  out.record(!out.isBare ? present : OPERATION_COLUMNS, operation);
}

function followHint({ id }: Operation): string {
  return `follow it with: volumectl operation watch ${id}`;
}
