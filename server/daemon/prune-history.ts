import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import type { Epoch, Ledger } from '../model/ledger';

const DAY_MS = 86_400_000;

interface PruneParts {
  /** Wall clock ms of this machine. */
  readonly nowMs: number;
  readonly historyDays: number;
  /** The wall clock was set in the last day: nothing is deleted by age. */
  readonly stepped: boolean;
  readonly logger: Logger;
  readonly stopping: AbortSignal;
}

/**
 * Deletes operations that ended more than `historyDays` ago, in batches, so that transactions stay short.
 * What is deleted cannot be brought back, so the clock of the database says how old it is, both clocks must
 * agree, and the newest operations stay, whatever the clocks say.
 */
export async function pruneHistory(
  ledger: Pick<Ledger, 'prune'>,
  epoch: Epoch,
  { nowMs, historyDays, stepped, logger, stopping }: PruneParts,
): Promise<{ deleted: number }> {
  if (stepped) {
    logger.warn('The history is not pruned: the clock was set in the last day');
    return { deleted: 0 };
  }
  const pruning = {
    ageMs: historyDays * DAY_MS,
    localNowMs: nowMs,
    keepNewest: LIMITS.HISTORY_KEPT,
    limit: LIMITS.PRUNE_BATCH,
  };
  let deleted = 0;
  for (let batch: number = LIMITS.PRUNE_BATCH; batch === LIMITS.PRUNE_BATCH && !stopping.aborted; ) {
    const pruned = await ledger.prune(epoch, pruning);
    if (pruned.refused !== null)
      logger.warn('The history is not pruned, or not all of it', { reason: pruned.refused });
    batch = pruned.deleted;
    deleted += batch;
  }
  if (deleted > 0)
    logger.info('Operations that ended long ago were deleted', { deleted, older_than_days: historyDays });
  return { deleted };
}
