import type { JournalEntry } from '../../model/operation';
import { findOpenJobs } from './open-jobs';

/**
 * What an operation that is given up may have left behind, in a sentence for the person who looks after it.
 * Pure; entries in order.
 */
export function whatIsLeft(entries: readonly JournalEntry[]): string {
  const jobs = findOpenJobs(entries).map(({ step, jobId }) => `${step} (job ${jobId}) may still take effect`);
  // Whether a later step has undone it, the reader sees by the names.
  const ended = entries.flatMap(({ step, state, data: { outcome } }) => {
    if (state === 'done') return [step];
    if (state !== 'finished') return [];
    return [outcome === 'ok' ? step : `${step} (${outcome ?? 'unknown'})`];
  });
  const unread = entries
    .filter(({ unreadable }) => unreadable !== undefined)
    .map(({ sequence, step }) => `entry ${sequence} (${step}) was not understood`);
  const parts = [
    ...jobs,
    ...(ended.length === 0 ? [] : [`steps that have ended: ${[...new Set(ended)].join(', ')}`]),
    ...unread,
  ];
  return parts.length === 0 ? 'by its journal nothing was begun' : parts.join('; ');
}
