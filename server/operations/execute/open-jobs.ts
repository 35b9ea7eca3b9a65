import type { CloudJob } from '../../cloudstack/cloud';
import { isAtRest, stateOf } from '../../cloudstack/volume-states';
import type { OpenJob } from '../../model/ledger';
import { readVolume } from './looks';
import type { RunContext } from './run-context';

/**
 * Counts the open jobs of this volume (see Ledger.openJobs). Each is queried first, and settled when it has
 * ended, or when its denial is believed and the volume is at rest.
 */
export async function countOpenJobs(run: RunContext, volumeId: string): Promise<number> {
  const { ledger } = run.parts;
  let open = 0;
  for (const job of await run.active(() => ledger.openJobs(volumeId))) {
    const found = await askForJob(run, job.jobId);
    if (found === 'denied' || (typeof found !== 'string' && found.status === 'pending')) open += 1;
    else if (found !== 'absent' || (await stillBusy(run, volumeId)) === null) await settle(run, job, found);
    else open += 1;
  }
  return open;
}

async function settle(run: RunContext, job: OpenJob, found: CloudJob | 'absent'): Promise<void> {
  const outcome = found === 'absent' ? 'unknown' : found.status === 'succeeded' ? 'ok' : 'failed';
  const { ledger, events } = run.parts;
  events.publish(await run.active(() => ledger.settleOpenJob(run.epoch, job, { outcome, straggler: true })));
  run.otherRuns.denials.forget(job.jobId);
  // The job may have ended after the volume was read.
  run.forget(['volume']);
}

/**
 * Why a job of this volume that CloudStack denies may run all the same; null when it cannot: the volume is
 * seen at rest, or is gone. A volume that is not shown proves nothing.
 */
export async function stillBusy(run: RunContext, volumeId: string): Promise<string | null> {
  const volume = await readVolume(run, volumeId);
  switch (volume.kind) {
    case 'absent':
      return null;
    case 'unknown':
      return `volume ${volumeId} is not visible to this key: ${volume.why}`;
    case 'seen':
      // Destroy is the trash: CloudStack leaves it there until it is recovered or expunged.
      if (isAtRest(volume.value) || volume.value.state === 'Destroy') return null;
      return `the volume ${stateOf(volume.value).means} (${volume.value.state})`;
    default:
      return volume satisfies never;
  }
}

/** The job; `denied` when CloudStack says it has none, `absent` once that is believed. */
export async function askForJob(run: RunContext, jobId: string): Promise<CloudJob | 'denied' | 'absent'> {
  const { cloud, clock } = run.parts;
  const { denials } = run.otherRuns;
  const job = await run.active(() => cloud.queryJob(jobId));
  if (job === null)
    return denials.deny(jobId, clock.monotonic(), run.parts.policy().jobLostAfterMs) ? 'absent' : 'denied';
  denials.forget(jobId);
  return job;
}
