import type { Action } from '../action';
import type { Situation } from '../decision';
import type { Failing, Journal, MutationStep } from '../journal';

/**
 * Ends an operation whose undo is finished (or that had nothing to undo). `left` says what could not be
 * undone.
 */
export function endFailed(failing: Failing, left: readonly string[] = []): Action {
  const rest = left.length === 0 ? '' : ` (left as it is: ${left.join('; ')})`;
  const message = failing.message + rest;
  if (failing.cancelled) return { do: 'cancel', message };
  return {
    do: 'fail',
    code: failing.code,
    message,
    response: left.length === 0 ? failing.details : { ...failing.details, left: [...left] },
  };
}

/**
 * The detach that was done before the part that failed: its effect was seen (`isSeen`), or its job has ended
 * well. The disk is not given back: that its old place is still the right one is not known.
 */
export function detachedBefore({ journal, operation }: Situation, isSeen: boolean): string[] {
  const isDone = isSeen ? journal.wasAccepted('detach-volume') : hasEndedWell(journal, 'detach-volume');
  if (!isDone) return [];
  const vmId = journal.intent('detach-volume')?.vm_id;
  return [`volume ${operation.volumeId} was detached from VM ${typeof vmId === 'string' ? vmId : ''}`];
}

/** The job of the latest try of this step has succeeded. */
export function hasEndedWell(journal: Journal, step: MutationStep): boolean {
  const call = journal.mutation(step);
  return call.at === 'ended' && call.outcome === 'ok';
}

/** What cannot be undone of a call that may have been sent and whose end is not known. */
export function openCall(s: Situation, step: MutationStep): string[] {
  const call = s.journal.mutation(step);
  if (call.at !== 'intended' && call.at !== 'accepted') return [];
  if (s.facts.unsent === call.jobId) return [];
  return [`${step} (job ${call.jobId}) may have taken effect, or may still do so`];
}
