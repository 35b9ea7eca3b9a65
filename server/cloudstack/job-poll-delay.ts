import { LIMITS } from '../core/limits';

/**
 * The pause before the next poll of a job: short at first, and never more than a tenth of the job's age, so
 * that polling adds little to the total time. Of more jobs than JOB_POLL_FIRST_MS / JOB_POLL_SPACING_MS each
 * is polled less often, so that CloudStack is asked for all of them together about once in
 * JOB_POLL_SPACING_MS.
 *
 * @param poll how many times the job has been polled
 * @param elapsedMs its age
 * @param jobs how many are being polled, this one included
 */
export function jobPollDelayMs(poll: number, elapsedMs: number, jobs: number): number {
  const growing = LIMITS.JOB_POLL_FIRST_MS * 1.5 ** Math.min(poll, 20);
  const leastMs = Math.max(LIMITS.JOB_POLL_FIRST_MS, jobs * LIMITS.JOB_POLL_SPACING_MS);
  return Math.min(LIMITS.JOB_POLL_MAX_MS, Math.max(leastMs, Math.min(growing, elapsedMs / 10)));
}
