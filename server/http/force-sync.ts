import type { Daemon } from '../daemon/daemon';
import type { SyncReport } from '../sync/drift';
import { notReady } from './request/not-ready';

/** What the task sync:force answers. */
export type SyncTaskResult = SyncReport | 'skipped';

/**
 * Runs the task sync:force. Nitro runs one task of a name at a time and hands a second caller the result of the first, whatever
 * the second asked for: a real run answered with a dry one would repair nothing, and a dry run answered with a real one would
 * report repairs nobody asked for. Such a caller gets a run of its own, which the daemon queues behind the other.
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
