import type { Clock } from '../../core/clock';
import { LIMITS } from '../../core/limits';
import type { SyncService } from '../../sync/sync-service';
import type { ComponentHealth, DaemonPhase } from '../daemon';

interface SyncSources {
  readonly clock: Clock;
  readonly phase: DaemonPhase;
  readonly sync: Pick<SyncService, 'last' | 'lastJudgedAt' | 'lastJudgedMonotonic' | 'lastFailure'>;
  /** Wall clock ms. */
  readonly startedAt: number;
  readonly startedMonotonic: number;
  readonly reconcileIntervalMs: number;
}

/**
 * Whether CloudStack, guest, database and exports are compared. A sync that could not read everything proves
 * nothing, and neither does one that has failed: while the last one did, or none has succeeded for longer
 * than it should take, this is degraded and says since when.
 */
export function syncHealth({
  clock,
  phase,
  sync,
  startedAt,
  startedMonotonic,
  reconcileIntervalMs,
}: SyncSources): ComponentHealth {
  if (phase !== 'ready')
    return { status: 'unknown', message: 'only the daemon that owns the appliance compares' };
  const { last, lastJudgedAt, lastJudgedMonotonic, lastFailure } = sync;
  const sinceMs = lastJudgedAt ?? startedAt;
  const since = new Date(sinceMs).toISOString();
  const lateMs = LIMITS.SYNC_GRACE_MS + (lastJudgedAt === null ? 0 : 2 * reconcileIntervalMs);
  const isLate = clock.monotonic() - (lastJudgedMonotonic ?? startedMonotonic) > lateMs;
  if (lastFailure !== null) return notJudged(since, lastJudgedAt === null, lastFailure);
  if (last?.judged === false)
    return notJudged(since, lastJudgedAt === null, last.unavailable.join(', ') || 'a view could not be read');
  if (isLate) return notJudged(since, lastJudgedAt === null, 'no sync has come to its end');
  if (lastJudgedAt === null) return { status: 'unknown', message: 'the first sync has not ended yet' };
  return {
    status: 'healthy',
    message: `CloudStack, guest, database and exports were compared at ${since}`,
    details: { last_judged_at: since, not_judged_since: null },
  };
}

function notJudged(since: string, never: boolean, why: string): ComponentHealth {
  return {
    status: 'degraded',
    message: `not judged since ${never ? `the start at ${since}` : since}: ${why}`,
    details: { last_judged_at: never ? null : since, not_judged_since: since },
  };
}
