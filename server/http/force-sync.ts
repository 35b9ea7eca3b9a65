import type { Daemon } from '../daemon/daemon';
import type { SyncReport } from '../sync/drift';
import { notReady } from './request/not-ready';

/** The result of the task sync:force. */
export type SyncTaskResult = SyncReport | 'skipped';

/**
 * Runs the task sync:force. Nitro runs only one task of a name at a time and gives a second caller the result
 * of the first, whatever the second asked for. A real run must not be answered with a dry one (nothing would
 * be repaired), nor the reverse: then the caller gets a run of its own, which the daemon queues behind the
 * other.
 * Errors: STARTING, STANDBY, STOPPING and those of the sync itself.
 */
export async function forceSync(
  daemon: Daemon,
  dryRun: boolean,
  runTask: (payload: { dryRun: boolean }) => Promise<SyncTaskResult | undefined>,
): Promise<SyncReport> {
  const result = await runTask({ dryRun });
  if (result === undefined || result === 'skipped') throw notReady(daemon);
  if (result.dryRun === dryRun) return result;
  return daemon.sync.run({ dryRun, reason: 'force-sync' });
}
