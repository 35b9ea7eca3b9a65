import type { Daemon } from '../daemon/daemon';
import type { SyncReport } from '../sync/drift';
import { notReady } from './request/not-ready';

/** The result of the task sync:force: the report or the error, and the payload of the run that it is of. */
export type SyncTaskResult =
  | { readonly payload: object; readonly report: SyncReport }
  | { readonly payload: object; readonly error: unknown }
  | 'skipped';

/**
 * Runs the task sync:force. Nitro runs only one task of a name at a time and gives a second caller the result
 * of the first, whatever the second asked for. That run has begun before the second asked: it may be a dry
 * one, and it may have looked before whatever it was that made the second ask. So the second gets a run of
 * its own, which the daemon queues behind the other, also where that one has failed.
 * Errors: STARTING, STANDBY, STOPPING and those of the sync itself.
 */
export async function forceSync(
  daemon: Daemon,
  dryRun: boolean,
  runTask: (payload: { dryRun: boolean }) => Promise<SyncTaskResult | undefined>,
): Promise<SyncReport> {
  const payload = { dryRun };
  const result = await runTask(payload);
  if (result !== undefined && result !== 'skipped' && result.payload === payload) {
    if ('error' in result) throw result.error;
    return result.report;
  }
  if (daemon.phase !== 'ready') throw notReady(daemon);
  return daemon.sync.run({ dryRun, reason: 'force-sync' });
}
