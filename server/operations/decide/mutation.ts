import type { CloudCommand } from '../../cloudstack/cloud';
import { classifyJobFailure } from '../../cloudstack/errors';
import type { ErrorCode } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { type Action, type Done, done, giveUp, type Situation } from '../decision';
import type { MutationState, MutationStep } from '../journal';

type Ended = Extract<MutationState, { at: 'ended' }>;

/**
 * The protocol of one CloudStack mutation (DESIGN section 4): intent with a job id → call → job → end. After a lost reply
 * the job id is queried first: known → wait for it; unknown → it was never accepted, and sending again *under the same job
 * id* is safe, because CloudStack takes a job id only once. createVolume is the exception (its row is made before the job
 * id is checked), so its caller passes `resend: false` and looks for the volume first.
 *
 * Returns the end of the latest try, or the next action towards it.
 */
export function mutate(
  s: Situation,
  step: MutationStep,
  command: CloudCommand,
  options: { resend: boolean } = { resend: true },
): Action | Done<Ended> | Done<'lost'> {
  const state = s.journal.mutation(step);
  switch (state.at) {
    case 'none':
      return intend(s, step);
    case 'intended': {
      if (s.facts.unsent === state.jobId) return { do: 'submit', step, jobId: state.jobId, command };
      if (s.facts.job?.jobId !== state.jobId) return { do: 'query-job', jobId: state.jobId };
      const { found } = s.facts.job;
      if (found === 'unknown') {
        if (!options.resend) return done('lost' as const);
        // Both the reply and the job are lost: only the volume can tell what became of it.
        if (s.facts.taken === state.jobId) return lostJob(step, state.jobId);
        return { do: 'submit', step, jobId: state.jobId, command };
      }
      const data = found.volumeId
        ? { job_id: state.jobId, volume_id: found.volumeId }
        : { job_id: state.jobId };
      return {
        do: 'record',
        step,
        state: 'accepted',
        data,
        ...(found.volumeId ? { volumeId: found.volumeId } : {}),
      };
    }
    case 'accepted':
      return { do: 'await-job', step, jobId: state.jobId, vmId: vmOf(s, command) };
    case 'ended':
      return done(state);
    default:
      return state satisfies never;
  }
}

/** The VM whose disks the command changes; of a detach after a restart it is not known. */
function vmOf({ facts: { volume } }: Situation, command: CloudCommand): string | null {
  if (command.name === 'attachVolume') return command.vmId;
  if (command.name !== 'detachVolume' || volume === undefined || volume === 'absent') return null;
  return volume.vmId;
}

function lostJob(step: MutationStep, jobId: string): Action {
  const text = 'CloudStack took the job and does not know it any more';
  return { do: 'record', step, state: 'finished', data: { job_id: jobId, outcome: 'unknown', text } };
}

/** A new try: only here is a cancel honoured, because nothing has been asked of CloudStack yet. */
export function intend(s: Situation, step: MutationStep): Action {
  if (s.operation.cancelRequested && !s.journal.hasIntent && !s.journal.failing) {
    return {
      do: 'record',
      step: 'operation',
      state: 'failing',
      data: {
        code: 'VALIDATION_FAILED',
        message: 'Cancelled on request before anything was changed',
        details: {},
        cancelled: true,
      },
    };
  }
  return { do: 'intend', step };
}

/**
 * What to do about a try that ended while a fresh read-back shows that the wanted state does not hold.
 * Final answers end the operation with CloudStack's own words; everything else is tried again, a bounded number of times.
 */
export function tryAgainOrGiveUp(s: Situation, step: MutationStep, end: Ended, what: string): Action {
  const verdict =
    end.outcome === 'refused'
      ? 'final'
      : end.outcome === 'ok'
        ? 'retry'
        : classifyJobFailure(end.code, end.text);
  if (verdict === 'final' || end.tries >= LIMITS.MUTATION_TRIES) {
    return giveUp(failureCode(end), failureMessage(end, what), {
      tries: end.tries,
      cloudstack_code: end.code,
      cloudstack_text: end.text,
    });
  }
  const stage = `${step}:${end.tries}`;
  if (s.elapsed(stage) === 0) {
    return { do: 'back-off', step, reason: failureMessage(end, what), forget: ['volume', 'job', 'holders'] };
  }
  return intend(s, step);
}

function failureMessage(end: Ended, what: string): string {
  if (end.outcome === 'unknown' || (end.code === null && end.text === null)) {
    return `CloudStack did not say how the ${what} ended (job ${end.jobId}), and the volume does not show its effect`;
  }
  return `CloudStack ${what} failed: CloudStack API error ${end.code ?? 530}: ${end.text ?? 'no text'}`;
}

function failureCode(end: Ended): ErrorCode {
  if (end.outcome === 'unknown') return 'CLOUDSTACK_OUTCOME_UNKNOWN';
  switch (end.code) {
    case 401:
      return 'CLOUDSTACK_AUTH';
    case 532:
    case 535:
      return 'CLOUDSTACK_QUOTA';
    default:
      return end.outcome === 'refused' ? 'CLOUDSTACK_REJECTED' : 'CLOUDSTACK_JOB_FAILED';
  }
}
