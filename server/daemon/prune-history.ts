import { LIMITS } from '../core/limits';
import type { Epoch, Ledger } from '../model/ledger';

const DAY_MS = 86_400_000;

/** Deletes operations that ended more than `historyDays` ago, in batches, so that transactions stay short. */
export async function pruneHistory(
  ledger: Pick<Ledger, 'prune'>,
  epoch: Epoch,
  { nowMs, historyDays, stopping }: { nowMs: number; historyDays: number; stopping: AbortSignal },
): Promise<{ deleted: number }> {
  const olderThan = nowMs - historyDays * DAY_MS;
  let deleted = 0;
  for (let batch: number = LIMITS.PRUNE_BATCH; batch === LIMITS.PRUNE_BATCH && !stopping.aborted; ) {
    batch = await ledger.prune(epoch, olderThan, LIMITS.PRUNE_BATCH);
    deleted += batch;
  }
  return { deleted };
}
