import type { CloudError } from '../../cloudstack/cloud';
import { LIMITS } from '../../core/limits';
import type { Action } from '../decision';

/**
 * Names the call of an action for counting its retries: the same kind of action for the same step is the same
 * call.
 */
export function callOf(action: Action): string {
  return 'step' in action ? `${action.do}:${action.step}` : action.do;
}

/**
 * How long a call may fail in a row, in ms. A send that fails although the reads right before it succeed has
 * a problem of its own, so it is given up after a while; while CloudStack as a whole is away, everything
 * waits without limit. A 401 never had an effect and may be temporary; but once CloudStack has accepted
 * something, the operation waits without limit. Pure.
 */
export function patienceMs(kind: Action['do'], error: CloudError, accepted: boolean): number {
  const away = error.kind === 'network' || error.kind === 'configuration';
  if (error.kind === 'authentication')
    return accepted ? Number.POSITIVE_INFINITY : LIMITS.AUTH_RETRY_DEADLINE_MS;
  if (kind === 'await-job') return away ? Number.POSITIVE_INFINITY : LIMITS.JOB_DEADLINE_MS;
  if (kind !== 'send' && away) return Number.POSITIVE_INFINITY;
  return LIMITS.RESOURCE_RETRY_DEADLINE_MS;
}
