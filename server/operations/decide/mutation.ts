import {
  classifyJobFailure,
  codeOfMissing,
  codeOfNumber,
  saysFull,
  saysNotNow,
  saysStarting,
} from '../../cloudstack/errors';
import type { ErrorCode } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { CANCELLED_UNCHANGED, callerNames, type JsonObject } from '../../model/operation';
import { type Action, giveUp, isSynchronous, type Mutation } from '../action';
import type { Situation } from '../decision';
import type { EndedTry, MutationState, MutationStep } from '../journal';
import { intentOf } from './intent';
import { lookAgain } from './look-again';
import { permit } from './permit';
import { doubtDisk, doubtOldPlug, doubtOldRun } from './volume';

type Intended = Extract<MutationState, { at: 'intended' }>;
type Accepted = Extract<MutationState, { at: 'accepted' }>;

/**
 * The protocol of one CloudStack mutation: intent with a job id → send → job → end. After a lost reply the
 * job is queried first: known → wait for it; denied → query again until the denial is believed. Sending again
 * *under the same job id* is safe then, because CloudStack accepts a job id only once.
 *
 * This leads a try that was intended to its end; `intend` begins it, and what its end means is the
 * operation's to judge.
 */
export function follow(
  s: Situation,
  step: MutationStep,
  state: Intended | Accepted,
  command: Mutation,
): Action {
  switch (state.at) {
    case 'intended':
      return isSynchronous(command)
        ? resumeSynchronous(s, step, state, command)
        : resume(s, step, state, command);
    case 'accepted':
      return {
        do: 'await-job',
        step,
        jobId: state.jobId,
        vmId: 'vmId' in command ? command.vmId : intentOf(s.journal.intent(step)).vmId,
        volumeId: 'volumeId' in command ? command.volumeId : null,
      };
    default:
      return state satisfies never;
  }
}

/** An intent without an answer: unless it is certain that nothing was sent, the job is queried first. */
function resume(s: Situation, step: MutationStep, state: Intended, command: Mutation): Action {
  const { jobId } = state;
  if (s.facts.unsent === jobId) return send(s, step, { jobId, command, resent: false });
  if (s.facts.job?.jobId !== jobId) return { do: 'query-job', jobId };
  const { found } = s.facts.job;
  switch (found) {
    case 'denied':
      return {
        do: 'back-off',
        step,
        reason: `CloudStack says that it has no job ${jobId}; it is asked again before that is believed`,
        forget: ['job'],
      };
    case 'absent':
    case 'forgotten':
      // Both the reply and the job are lost.
      if (s.facts.taken === jobId)
        return endUnknown(step, jobId, 'CloudStack took the job and does not know it any more');
      if (found === 'forgotten' && SHOWN_BY_JOB_ALONE.has(command.name))
        return endUnknown(
          step,
          jobId,
          'the answer was lost, and CloudStack may have deleted the job since then',
        );
      return send(s, step, { jobId, command, resent: true });
    default: {
      const made = {
        found: true,
        ...(found.volumeId ? { volume_id: found.volumeId } : {}),
        ...(found.snapshotId ? { snapshot_id: found.snapshotId } : {}),
      };
      return {
        do: 'record',
        step,
        state: 'accepted',
        data: { job_id: jobId, ...made },
        ...(found.volumeId ? { volumeId: found.volumeId } : {}),
      };
    }
  }
}

/**
 * Nothing but its job shows that it has happened. Sent again, a revert would take away what was written since
 * then, and a create make a second volume.
 */
const SHOWN_BY_JOB_ALONE: ReadonlySet<Mutation['name']> = new Set(['createVolume', 'revertSnapshot']);

/** A call without a job cannot be asked about. */
function resumeSynchronous(s: Situation, step: MutationStep, { jobId }: Intended, command: Mutation): Action {
  if (s.facts.unsent === jobId) return send(s, step, { jobId, command, resent: false });
  return endUnknown(step, jobId, 'the answer was lost');
}

/**
 * Reads everything the call depends on and compares it with the intent; only then is the call sent. Every
 * send passes here, first or repeated.
 */
function send(
  s: Situation,
  step: MutationStep,
  { jobId, command, resent }: Omit<Extract<Action, { do: 'send' }>, 'do' | 'step'>,
): Action {
  const withhold = (why: JsonObject): Action => withheld(step, jobId, resent ? { ...why, resent } : why);
  const again = resent ? ' again' : '';
  if (isCancelled(s)) return withhold({ text: `cancelled before it was sent${again}` });
  const { guards } = s.facts;
  if (guards?.jobId !== jobId) return { do: 'read-guards', step, jobId, command };
  const intent = { ...intentOf(s.journal.intent(step)), sentBefore: s.journal.wasAccepted(step) };
  const answer = permit(command, intent, guards, s.policy);
  switch (answer.verdict) {
    case 'go':
      return { do: 'send', step, jobId, command, resent };
    case 'wait': {
      // What is not shown is looked for as long as a decision looks for it.
      const isHidden = NOT_SHOWN.has(answer.code);
      const patienceMs = isHidden ? LIMITS.READ_SETTLE_MS : LIMITS.RESOURCE_RETRY_DEADLINE_MS;
      const patience = isHidden ? `${patienceMs / 1000} s` : `${patienceMs / 60_000} minutes`;
      if (s.elapsed(`${isHidden ? 'not-shown' : 'not-now'}:${jobId}`) > patienceMs)
        return withhold({
          text: `nothing was sent${again} within ${patience}: ${answer.reason}`,
          withheld: answer.code,
        });
      return { do: 'back-off', step, reason: answer.reason, forget: ['guards', 'volume', 'vm'] };
    }
    case 'settled':
      return withhold({ text: answer.reason, settled: true });
    case 'refuse': {
      const plug = guards.volume?.kind === 'seen' ? doubtOldPlug(s, guards.volume.value) : null;
      const run = answer.code === 'VM_NOT_STOPPED' ? doubtOldRun(s, step) : null;
      const old = plug ?? run ?? doubtDisk(s, step, answer.code, answer.message);
      if (old) return old;
      return withhold({
        text: answer.message,
        withheld: answer.code,
        details: answer.details,
      });
    }
    default:
      return answer satisfies never;
  }
}

const NOT_SHOWN: ReadonlySet<ErrorCode> = new Set([
  'VOLUME_NOT_VISIBLE',
  'VM_NOT_VISIBLE',
  'SNAPSHOT_NOT_VISIBLE',
]);

/** Ends an intent whose call will not be sent; unless it was `resent`, it certainly was not accepted. */
function withheld(step: MutationStep, jobId: string, why: JsonObject): Action {
  return { do: 'record', step, state: 'refused', data: { job_id: jobId, ...why } };
}

/** Ends a try of which only reading what it was to change can show what it has done. */
function endUnknown(step: MutationStep, jobId: string, text: string): Action {
  return { do: 'record', step, state: 'finished', data: { job_id: jobId, outcome: 'unknown', text } };
}

/** True when a cancel was requested and nothing has had an effect yet. */
function isCancelled(s: Pick<Situation, 'operation' | 'journal'>): boolean {
  return s.operation.cancelRequested && !s.journal.hasEffect && !s.journal.failing;
}

/**
 * Begins a new try; a cancel is honoured while nothing has had an effect. `about` says what the call is about
 * (VM, plug, force): the guards of every send are compared with it.
 */
export function intend(s: Situation, step: MutationStep, about: JsonObject = {}): Action {
  return isCancelled(s) ? endCancelled(s) : { do: 'intend', step, data: about };
}

/** The end of an operation that is to be cancelled and has changed nothing; null: it goes on. */
export function cancelled(s: Pick<Situation, 'operation' | 'journal'>): Action | null {
  return isCancelled(s) && !s.journal.hasChanged ? endCancelled(s) : null;
}

function endCancelled(s: Pick<Situation, 'operation' | 'journal'>): Action {
  const unknown =
    'Cancelled on request; whether the call whose answer was lost has done anything is not known';
  return {
    do: 'record',
    step: 'operation',
    state: 'failing',
    data: {
      code: 'CANCELLED',
      message: s.journal.hasLostAnswer ? unknown : CANCELLED_UNCHANGED,
      details: {},
      cancelled: true,
      ...callerNames(s.operation.cancelRequestedBy),
    },
  };
}

/**
 * What to do after a try that ended while a fresh read shows that the wanted state does not hold. A final
 * answer ends the operation with CloudStack's text; anything else is tried again, as long as
 * `isTriedEnough` allows.
 */
export function tryAgainOrGiveUp(
  s: Situation,
  step: MutationStep,
  end: EndedTry,
  what: string,
  about: JsonObject = {},
): Action {
  if (end.withheld !== null) return giveUp(end.withheld, end.text ?? '', end.details);
  if (isCancelled(s)) return intend(s, step);
  if (end.settled) return settledNoLonger(s, step, end, about);
  if (end.outcome === 'ok' && UNDONE_BY_OTHERS.has(step)) {
    const message = `${failureMessage(end, what)}: somebody may have undone it since, so it is not done again`;
    return giveUp('CLOUDSTACK_OUTCOME_UNKNOWN', message, { tries: end.tries });
  }
  if (verdictOf(end) === 'final' || isTriedEnough(s, step, end)) {
    return giveUp(failureCode(end), failureMessage(end, what), {
      tries: end.tries,
      cloudstack_code: end.code,
      cloudstack_text: end.text,
    });
  }
  if (s.elapsed(`${step}:${end.tries}`) === 0) {
    return {
      do: 'back-off',
      step,
      reason: failureMessage(end, what),
      forget: REREAD,
    };
  }
  return intend(s, step, about);
}

/**
 * What somebody can undo between the end of its job and the next look. A volume that is still in the
 * same plug, or still as small, shows that nothing was done; a new volume that is proven to be gone
 * takes nothing with it.
 */
const UNDONE_BY_OTHERS: ReadonlySet<MutationStep> = new Set([
  'attach-volume',
  'recover-volume',
  'delete-volume',
  'stop-vm',
]);

/**
 * A few tries, or for some time where CloudStack says why it cannot be done now: the VM or the volume is in
 * transition (a live migration takes minutes), or the server has just started.
 */
export function isTriedEnough(s: Situation, step: MutationStep, { text, tries }: EndedTry): boolean {
  if (saysNotNow(text)) return s.elapsed(`in-transition:${step}`) > LIMITS.RESOURCE_RETRY_DEADLINE_MS;
  const waited = saysStarting(text) ? s.elapsed(`server-starts:${step}`) : Number.POSITIVE_INFINITY;
  return tries >= LIMITS.MUTATION_TRIES && waited > LIMITS.SERVER_START_MS;
}

/**
 * The last look before the call found nothing left to do, and now the wanted state does not hold: either this
 * read is old, or somebody has changed it back. What lasts is tried again, and the guards look again.
 */
function settledNoLonger(s: Situation, step: MutationStep, end: EndedTry, about: JsonObject): Action {
  const found = end.text ?? 'nothing was left to do';
  const again = lookAgain(s, {
    name: `settled:${step}:${end.tries}`,
    step,
    reason: `nothing was sent, because ${found}; CloudStack does not show that any more`,
    forget: [...REREAD, 'gone'],
  });
  if (again) return again;
  if (end.tries < LIMITS.MUTATION_TRIES) return intend(s, step, about);
  const message = `CloudStack contradicts itself, so nothing was sent: ${found}, and afterwards it is not so`;
  return giveUp('CLOUDSTACK_OUTCOME_UNKNOWN', message, { tries: end.tries });
}

const REREAD = ['volume', 'vm', 'snapshot', 'ownSnapshots', 'job', 'use'] as const;

/** final: CloudStack would give the same answer again. */
export function verdictOf(end: EndedTry): 'final' | 'retry' | 'unknown' {
  switch (end.outcome) {
    case 'refused':
      return 'final';
    case 'ok':
      return 'retry';
    case 'failed':
    case 'unknown':
      return classifyJobFailure(end.code, end.text);
    default:
      return end.outcome satisfies never;
  }
}

/**
 * The error text of an operation that ends with this try. Callers look for the name of the call and for
 * `CloudStack API error <number>` in it.
 *
 * @param what the name of the call, for example `volume attachment`
 */
export function failureMessage(end: EndedTry, what: string): string {
  if (end.outcome === 'ok')
    return `CloudStack says that the ${what} has succeeded (job ${end.jobId}), and does not show its effect`;
  if (end.outcome === 'unknown' || (end.code === null && end.text === null)) {
    const words = end.text === null ? '' : `: ${end.text}`;
    return `CloudStack did not say how the ${what} ended (job ${end.jobId}), and does not show its effect${words}`;
  }
  return `CloudStack ${what} failed: CloudStack API error ${end.code ?? 530}: ${end.text ?? 'no text'}`;
}

/** The error code of an operation that ends with this try. */
export function failureCode(end: EndedTry): ErrorCode {
  if (end.outcome === 'unknown' || end.outcome === 'ok') return 'CLOUDSTACK_OUTCOME_UNKNOWN';
  if (saysFull(end.text)) return 'NO_FREE_SLOT';
  return (
    codeOfMissing(end.text) ??
    codeOfNumber(end.code) ??
    (end.outcome === 'refused' ? 'CLOUDSTACK_REJECTED' : 'CLOUDSTACK_JOB_FAILED')
  );
}
