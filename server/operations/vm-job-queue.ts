/** A job's place among the jobs of its VM. */
export interface Place {
  /** Aborts once no job of ours is ahead of this one; it never falls back. */
  readonly first: AbortSignal;
  /** Must be called once, however the wait ended. */
  leave(): void;
}

/**
 * CloudStack attaches and detaches one disk of a VM at a time, in order of arrival (its VM work jobs are
 * serialised), so of many jobs on a VM only the first can be about to end. This says which one that is; the
 * others are polled less often. It is a guess, because CloudStack may have other callers, and decides how
 * often a job is polled, nothing else.
 */
export class VmJobQueue {
  private readonly lines = new Map<string, AbortController[]>();
  private alone = 0;

  /** How many jobs have none of ours ahead of them: those that are polled. */
  get polled(): number {
    return this.lines.size + this.alone;
  }

  /** `vmId` null: a job that waits for no other. */
  join(vmId: string | null): Place {
    const mine = new AbortController();
    if (vmId === null) {
      mine.abort();
      this.alone += 1;
      return {
        first: mine.signal,
        leave: () => {
          this.alone -= 1;
        },
      };
    }
    const line = this.lines.get(vmId) ?? [];
    this.lines.set(vmId, line);
    line.push(mine);
    line[0]?.abort();
    return {
      first: mine.signal,
      leave: () => {
        line.splice(line.indexOf(mine), 1);
        line[0]?.abort();
        if (line.length === 0) this.lines.delete(vmId);
      },
    };
  }
}
