import { isErrorCode } from '../../core/errors';
import type { Action } from '../decision';
import type { Failing } from '../journal';

/**
 * Ends an operation whose undo is finished (or that had nothing to undo). `left` says what could not be
 * undone.
 */
export function endFailed(failing: Failing, left: readonly string[] = []): Action {
  const rest = left.length === 0 ? '' : ` (left as it is: ${left.join('; ')})`;
  const message = failing.message + rest;
  if (failing.cancelled) return { do: 'cancel', message };
  return {
    do: 'fail',
    code: isErrorCode(failing.code) ? failing.code : 'INTERNAL',
    message,
    response: left.length === 0 ? failing.details : { ...failing.details, left: [...left] },
  };
}
