import { LIMITS } from '../core/limits';

/**
 * ms until the next look at a job: quick for quick jobs, and never more than a tenth of what it has taken so far, so that the
 * polling adds little to the whole.
 */
export function jobPollDelayMs(poll: number, elapsedMs: number): number {
  const growing = LIMITS.JOB_POLL_FIRST_MS * 1.5 ** Math.min(poll, 20);
  return Math.min(
    LIMITS.JOB_POLL_MAX_MS,
    Math.max(LIMITS.JOB_POLL_FIRST_MS, Math.min(growing, elapsedMs / 10)),
  );
}
