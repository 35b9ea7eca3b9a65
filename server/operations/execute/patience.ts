import type { CloudError } from '../../cloudstack/cloud';
import { LIMITS } from '../../core/limits';
import type { Action } from '../decision';

/** The call that an action makes, for its retries: the same step of the same kind is the same call. */
export function callOf(action: Action): string {
  return 'step' in action ? `${action.do}:${action.step}` : action.do;
}

/**
 * How long a call may fail in a row, in ms. What fails while the looks right before it succeed fails alone: that ends. While CloudStack
 * as a whole is away, everything waits without end. A 401 never had an effect and may pass; once CloudStack has accepted something
 * it is waited for, whatever it takes. Pure.
 */
export function patienceMs(kind: Action['do'], error: CloudError, accepted: boolean): number {
  const away = error.kind === 'network' || error.kind === 'configuration';
  if (error.kind === 'authentication')
    return accepted ? Number.POSITIVE_INFINITY : LIMITS.AUTH_RETRY_DEADLINE_MS;
  if (kind === 'await-job') return away ? Number.POSITIVE_INFINITY : LIMITS.JOB_DEADLINE_MS;
  if (kind !== 'send' && away) return Number.POSITIVE_INFINITY;
  return LIMITS.RESOURCE_RETRY_DEADLINE_MS;
}
