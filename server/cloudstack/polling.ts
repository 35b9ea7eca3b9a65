import { LIMITS } from '../core/limits';

/**
 * The pause before the next poll of a job: short at first, and never more than a tenth of the job's age, so
 * that polling adds little to the total time.
 */
export function jobPollDelayMs(poll: number, elapsedMs: number): number {
  const growing = LIMITS.JOB_POLL_FIRST_MS * 1.5 ** Math.min(poll, 20);
  return Math.min(
    LIMITS.JOB_POLL_MAX_MS,
    Math.max(LIMITS.JOB_POLL_FIRST_MS, Math.min(growing, elapsedMs / 10)),
  );
}
