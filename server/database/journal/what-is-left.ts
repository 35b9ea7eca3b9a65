import type { JournalEntry } from '../../model/operation';
import { findOpenJobs } from './open-jobs';

/**
 * What an operation that is given up may have left behind, in a sentence for the person who looks after it.
 * Pure; entries in order.
 */
export function whatIsLeft(entries: readonly JournalEntry[]): string {
  const jobs = findOpenJobs(entries).map(({ step, jobId }) => `${step} (job ${jobId}) may still take effect`);
  const done = entries
    .filter(({ step, state }) => step !== 'operation' && (state === 'done' || state === 'finished'))
    .map(({ step }) => step);
  const unread = entries
    .filter(({ unreadable }) => unreadable !== undefined)
    .map(({ sequence, step }) => `entry ${sequence} (${step}) was not understood`);
  const parts = [
    ...jobs,
    ...(done.length === 0 ? [] : [`done and not undone: ${[...new Set(done)].join(', ')}`]),
    ...unread,
  ];
  return parts.length === 0 ? 'by its journal nothing was begun' : parts.join('; ');
}
