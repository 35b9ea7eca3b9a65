/**
 * Jobs remembered at once. Beyond that the oldest is dropped, so that its next denial counts as the first.
 */
const DENIALS_MAX = 4_096;
/** A job denied fewer times than this is not believed to be absent, however long ago the first denial was. */
const ANSWERS_MIN = 3;

/**
 * How often CloudStack has said that it does not know a job, and since when. One such answer proves nothing:
 * another management server may have accepted the job a moment ago.
 */
export class JobDenials {
  private readonly denials = new Map<string, { readonly since: number; answers: number }>();

  /**
   * Notes one denial. True when it is to be believed: CloudStack has given no other answer for `windowMs`.
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

  /**
   * The job was seen or is no longer queried, or its call is sent again: a later send has denials of its own.
   */
  forget(jobId: string): void {
    this.denials.delete(jobId);
  }
}
