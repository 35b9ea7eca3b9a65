import type { JournalEntry } from '../operations/model';

/** The steps whose CloudStack job takes a disk away, and so may still do it after its operation has ended. */
export const DETACHING_STEPS = ['detach-volume', 'undo-detach-volume'] as const;

export interface Straggler {
  readonly operationId: string;
  readonly step: string;
  readonly jobId: string;
}

/** Jobs that were intended and whose end was never journaled. Pure; entries in order. */
export function findStragglers(entries: readonly JournalEntry[]): Straggler[] {
  const open = new Map<string, Straggler>();
  const latest = new Map<string, string>();
  for (const { operationId, step, state, data } of entries) {
    const place = `${operationId} ${step}`;
    const jobId = typeof data.job_id === 'string' ? data.job_id : latest.get(place);
    if (jobId === undefined) continue;
    if (state === 'intent' || state === 'accepted') {
      latest.set(place, jobId);
      open.set(`${place} ${jobId}`, { operationId, step, jobId });
    } else if (state === 'refused' || state === 'finished') {
      open.delete(`${place} ${jobId}`);
    }
  }
  return [...open.values()];
}
