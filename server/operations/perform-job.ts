import { jobPollDelay } from '../cloudstack/polling';
import { LIMITS } from '../runtime/limits';
import type { MutationStep } from './journal';
import type { JsonObject, Operation } from './model';
import type { OperationRun } from './run';

/**
 * Waits for a job to end and journals how. A deadline ends the operation, never the job: without its `finished` entry the job
 * stays a straggler that the next attach of the volume waits for. Returns without an entry when the engine stops.
 */
export async function awaitJob(
  run: OperationRun,
  step: MutationStep,
  jobId: string,
): Promise<Operation | null> {
  const { clock } = run.parts;
  const begun = clock.monotonic();
  for (let poll = 0; !run.signal.aborted; poll += 1) {
    const job = await run.active(() => run.parts.cloud.queryJob(jobId));
    if (job === null)
      return end(run, step, jobId, { outcome: 'unknown', text: 'CloudStack does not know the job any more' });
    if (job.status === 'succeeded')
      return end(run, step, jobId, { outcome: 'ok', ...(job.volumeId ? { volume_id: job.volumeId } : {}) });
    if (job.status === 'failed') {
      const lost = job.errorText === null;
      return end(run, step, jobId, {
        outcome: lost ? 'unknown' : 'failed',
        code: job.errorCode,
        text: job.errorText,
      });
    }
    const elapsed = clock.monotonic() - begun;
    if (elapsed > LIMITS.JOB_DEADLINE) {
      return run.giveUp(
        'STEP_DEADLINE',
        `The CloudStack job ${jobId} has not ended within ${LIMITS.JOB_DEADLINE / 60_000} minutes`,
      );
    }
    run.waiting = { step, reason: `CloudStack job ${jobId} is running`, attempt: 0, nextAttemptAt: null };
    await clock.sleep(jobPollDelay(poll, elapsed), run.signal);
  }
  return null;
}

async function end(run: OperationRun, step: MutationStep, jobId: string, data: JsonObject): Promise<null> {
  await run.record({
    entries: [{ step, state: 'finished', data: { job_id: jobId, ...data } }],
    waiting: null,
  });
  return null;
}
