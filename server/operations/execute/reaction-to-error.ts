import { CloudError, type CloudErrorKind } from '../../cloudstack/cloud';
import { CODE_OF_KIND } from '../../cloudstack/errors';
import { DaemonError, type ErrorCode } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Action } from '../action';

/**
 * How long a call may fail in a row, in ms. A send that fails although the reads right before it succeed has
 * a problem of its own, so it is given up after a while; while CloudStack as a whole is away, everything
 * waits without limit. A 401 never had an effect and may be temporary; but once CloudStack has accepted
 * something, the operation waits without limit. So it does for a job that the key may not ask about any
 * more: given up, its effect would stay without the rest of the operation, and the volume would wait for the
 * job all the same. Pure.
 */
function patienceMs(kind: Action['do'], error: CloudError, accepted: boolean): number {
  const away = error.kind === 'network' || error.kind === 'configuration';
  if (error.kind === 'authentication')
    return accepted ? Number.POSITIVE_INFINITY : LIMITS.AUTH_RETRY_DEADLINE_MS;
  if (kind === 'await-job')
    return away || NOT_TOLD.has(error.kind) ? Number.POSITIVE_INFINITY : LIMITS.JOB_DEADLINE_MS;
  if (kind !== 'send' && away) return Number.POSITIVE_INFINITY;
  return LIMITS.RESOURCE_RETRY_DEADLINE_MS;
}

/**
 * What a question about a job is answered with when the role of the key has changed, and to users also when
 * something is wrong inside CloudStack (530): none of them says anything about the job.
 */
const NOT_TOLD: ReadonlySet<CloudErrorKind> = new Set(['permission', 'unsupported', 'internal']);

/** A call of a run that has just failed. */
interface FailedCall {
  readonly kind: Action['do'];
  /** True once CloudStack has accepted a call of the operation. */
  readonly accepted: boolean;
  /** True once a call was intended, which may have been sent. */
  readonly begun: boolean;
  /** For how long the call has been failing; the first call starts the measurement. */
  elapsedMs(): number;
}

type Reaction =
  | { readonly do: 'retry'; readonly reason: string; readonly retryAfterMs: number | null }
  | { readonly do: 'give-up'; readonly code: ErrorCode; readonly reason: string };

/**
 * What a run does about an error of a call. Transient errors are retried, without limit while a dependency is
 * away; refusals end the operation with the reason. Every other error is thrown again.
 */
export function reactionToError(error: unknown, call: FailedCall): Reaction {
  if (error instanceof DaemonError) return reactionToOwnError(error, call);
  if (!(error instanceof CloudError)) throw error;
  // A job that CloudStack has accepted is followed to its end, whatever errors its polling meets; and one odd
  // answer to a read says nothing about what a call has done.
  const patient = error.transient || call.kind === 'await-job' || (call.begun && call.kind !== 'send');
  if (patient && call.elapsedMs() <= patienceMs(call.kind, error, call.accepted))
    return { do: 'retry', reason: error.message, retryAfterMs: error.retryAfterMs };
  return { do: 'give-up', code: CODE_OF_KIND[error.kind], reason: error.message };
}

/**
 * Waits without limit for the database and the guest, for a limited time for the export server and for
 * others.
 */
function reactionToOwnError(error: DaemonError, call: FailedCall): Reaction {
  const retry: Reaction = { do: 'retry', reason: error.message, retryAfterMs: null };
  switch (error.code) {
    case 'DATABASE_UNAVAILABLE':
    case 'DEVICES_UNREADABLE':
    case 'QUEUE_FULL':
      return retry;
    case 'VOLUME_BUSY':
      if (call.elapsedMs() <= LIMITS.VOLUME_BUSY_DEADLINE_MS) return retry;
      return { do: 'give-up', code: error.code, reason: error.message };
    case 'EXPORT_CONFIG_FAILED':
    case 'EXPORT_SERVER_UNHEALTHY':
      if (call.elapsedMs() <= LIMITS.EXPORT_DEADLINE_MS) return retry;
      return { do: 'give-up', code: error.code, reason: error.message };
    default:
      throw error;
  }
}
