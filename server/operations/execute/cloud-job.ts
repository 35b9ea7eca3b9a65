import { jobPollDelayMs } from '../../cloudstack/job-poll-delay';
import { type Clock, sleepUntilAny } from '../../core/clock';
import { LIMITS } from '../../core/limits';
import type { DeviceEvent } from '../../devices/device';
import type { JournalEntry, JsonObject, Operation } from '../../model/operation';
import type { Action } from '../action';
import { type MutationStep, plugEntry } from '../journal';
import { askForJob, stillBusy } from './open-jobs';
import { ageOf, type RunContext } from './run-context';

/**
 * Waits for a job to end and journals how it ended. A deadline ends the operation, never the job: without a
 * `finished` entry it stays an open job, which every later mutation of the volume waits for. Returns without
 * an entry when the engine stops.
 */
export async function awaitJob(
  run: RunContext,
  action: Extract<Action, { do: 'await-job' }>,
): Promise<Operation | null> {
  const place = run.otherRuns.vmJobs.join(action.vmId);
  const { policy, watcher, exports } = run.parts;
  const bell = new Bell();
  const onDeviceEvent = ({ type }: DeviceEvent) => {
    bell.ring();
    if (action.step === 'attach-volume' && type === 'added') exports.anticipate?.();
  };
  const unsubscribe = action.vmId === policy().applianceVmId ? watcher.onEvent(onDeviceEvent) : null;
  try {
    return await pollUntilEnded(run, action, place.first, bell);
  } finally {
    unsubscribe?.();
    place.leave();
  }
}

async function pollUntilEnded(
  run: RunContext,
  { step, jobId, volumeId }: Extract<Action, { do: 'await-job' }>,
  first: AbortSignal,
  bell: Bell,
): Promise<Operation | null> {
  const { clock } = run.parts;
  const begun = clock.monotonic();
  const pause = pauseBetweenPolls(run, first, bell);
  const accepted = run.journal.accepted(jobId);
  const reason = `CloudStack job ${jobId} is running`;
  run.waiting = { step, reason, attempt: 0, nextAttemptAt: null };
  // A job behind others of its VM has not begun, so it is queried at once only when it is first.
  if (!first.aborted) await pause();
  while (!run.signal.aborted) {
    const job = await askForJob(run, jobId);
    if (job === 'denied')
      await announceOnce(run, step, `CloudStack denies job ${jobId}, which it had accepted`);
    else if (job === 'absent') {
      const busy = volumeId === null ? null : await stillBusy(run, volumeId);
      if (busy === null) {
        const text = 'CloudStack does not know the job any more';
        return end(run, step, jobId, { outcome: 'unknown', text });
      }
      await announceOnce(run, step, `CloudStack denies job ${jobId}, which it had accepted, and ${busy}`);
    } else if (job.status === 'succeeded')
      return end(run, step, jobId, {
        outcome: 'ok',
        ...(job.volumeId ? { volume_id: job.volumeId } : {}),
        ...(job.snapshotId ? { snapshot_id: job.snapshotId } : {}),
        // What is undone later is this plug, whoever makes another one meanwhile.
        ...(job.plug && step === 'attach-volume' ? plugEntry(job.plug) : {}),
      });
    else if (job.status === 'failed') {
      const lost = job.errorText === null;
      return end(run, step, jobId, {
        outcome: lost ? 'unknown' : 'failed',
        code: job.errorCode,
        text: job.errorText,
      });
    } else await run.announceInstead(step, reason);
    // A job that runs has its time once, however often the wait for it was begun anew. One that is denied was
    // perhaps asked for too late: then the volume tells.
    const isRunning = typeof job !== 'string' && accepted !== null;
    const waitedMs = clock.monotonic() - begun;
    const elapsedMs = isRunning ? Math.max(waitedMs, runningForMs(run, accepted)) : waitedMs;
    if (elapsedMs > LIMITS.JOB_DEADLINE_MS) {
      return run.giveUp(
        'STEP_DEADLINE',
        `The CloudStack job ${jobId} has not ended within ${LIMITS.JOB_DEADLINE_MS / 60_000} minutes`,
      );
    }
    await pause();
  }
  return null;
}

/**
 * After a restart a wall clock has to tell: ours, unless CloudStack's contradicts it. That of a VM that was
 * just booted may be hours ahead, and a job that runs would be given up at once. Where both are behind it
 * tells too little. Since the clock was set it tells nothing, and the job has its time from the start on.
 */
function runningForMs(run: RunContext, accepted: JournalEntry): number {
  const ageMs = ageOf(run, accepted);
  if (run.writtenMonotonic(accepted) !== null) return ageMs;
  const { clock, clockSteps, cloud } = run.parts;
  if (clockSteps.hasSteppedSince(clock.monotonic() - LIMITS.JOB_DEADLINE_MS)) return 0;
  return Math.min(ageMs, ageMs + (cloud.clockSkewMs() ?? 0));
}

/** Journals and logs a reason when it is another than the last. */
async function announceOnce(run: RunContext, step: MutationStep, reason: string): Promise<void> {
  if (run.waiting?.reason !== reason) await run.announce(step, reason);
}

/**
 * Rings when a disk has come to this guest or left it. CloudStack ends the job of an attach or a
 * detach moments after that, so it is asked at once, and often again. Only a hint: what counts is
 * CloudStack's answer.
 */
class Bell {
  private rung = new AbortController();

  ring(): void {
    this.rung.abort();
  }

  /** Ends early when it rings, and at once when it has rung since the last pause. Returns whether it has. */
  async pause(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
    await sleepUntilAny(clock, ms, [signal, this.rung.signal]);
    const { aborted } = this.rung.signal;
    if (aborted) this.rung = new AbortController();
    return aborted;
  }
}

/** The pause between two polls of the job; long while other jobs of the VM are ahead of this one. */
function pauseBetweenPolls(
  { parts: { clock }, otherRuns: { vmJobs }, signal }: RunContext,
  first: AbortSignal,
  bell: Bell,
): () => Promise<void> {
  let poll = 0;
  let hasRung = false;
  let since = clock.monotonic();
  return async () => {
    if (!first.aborted) {
      await sleepUntilAny(clock, LIMITS.JOB_POLL_MAX_MS, [signal, first]);
      if (!first.aborted || signal.aborted) return;
      since = clock.monotonic();
    }
    const ms = jobPollDelayMs(poll, clock.monotonic() - since, vmJobs.polled);
    const soonMs = hasRung ? LIMITS.JOB_POLL_RUNG_MS * 1.5 ** poll : ms;
    const rings = await bell.pause(clock, Math.min(ms, soonMs), signal);
    hasRung ||= rings;
    poll = rings ? 0 : poll + 1;
    if (rings) since = clock.monotonic();
  };
}

function end(run: RunContext, step: MutationStep, jobId: string, data: JsonObject): null {
  const before = run.journal.mutation(step);
  const { volume_id: made } = data;
  // Neither the answer to the call nor the job while it ran may have named the volume.
  const isNews = step === 'create-volume' && before.at === 'accepted' && before.volumeId === null;
  const volumeId = isNews && typeof made === 'string' ? made : undefined;
  run.noteSeen({ step, state: 'finished', data: { job_id: jobId, ...data } }, volumeId);
  return null;
}
