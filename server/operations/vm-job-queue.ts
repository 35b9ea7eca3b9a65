/** A job's place among the jobs of its VM. */
export interface Place {
  /** Aborts when no job of ours is before this one any more; it stays so. */
  readonly first: AbortSignal;
  /** Must be called once, however the waiting ended. */
  leave(): void;
}

/**
 * CloudStack works on one disk of a VM at a time, in order of arrival, so of many jobs on a VM only the first can
 * be about to end. Says which one that is: the others need hardly be asked about. A guess, because CloudStack may have
 * other callers; it decides how often a job is asked about, and nothing else.
 */
export class VmJobQueue {
  private readonly lines = new Map<string, AbortController[]>();

  /** `vmId` null: a job that waits for nobody. */
  join(vmId: string | null): Place {
    const mine = new AbortController();
    if (vmId === null) {
      mine.abort();
      return { first: mine.signal, leave: () => {} };
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
