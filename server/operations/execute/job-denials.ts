/** Denials kept in memory at once; the oldest is dropped beyond that, which only makes the next question count as the first. */
const DENIALS_MAX = 4_096;
/** A denial that was heard less often than this is not believed, however long ago the first one was. */
const ANSWERS_MIN = 3;

/**
 * How often CloudStack has said that it does not know a job, and since when. One such answer proves nothing: a management server may
 * not see yet what another one has accepted.
 */
export class JobDenials {
  private readonly denials = new Map<string, { readonly since: number; answers: number }>();

  /**
   * Notes one denial. True when it is to be believed: CloudStack has said nothing else for `windowMs`.
   *
   * @param now monotonic ms
   */
  deny(jobId: string, now: number, windowMs: number): boolean {
    const denial = this.denials.get(jobId) ?? { since: now, answers: 0 };
    denial.answers += 1;
    this.denials.set(jobId, denial);
    if (this.denials.size > DENIALS_MAX) {
      const [oldest] = this.denials.keys();
      if (oldest !== undefined) this.denials.delete(oldest);
    }
    return denial.answers >= ANSWERS_MIN && now - denial.since >= windowMs;
  }

  /** The job has been seen, or nobody asks for it any more. */
  forget(jobId: string): void {
    this.denials.delete(jobId);
  }
}
