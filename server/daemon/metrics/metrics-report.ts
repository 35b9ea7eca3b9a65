import type { OperationCounts } from '../../model/ledger';
import type { MetricsReport } from '../daemon';
import { errorRatePercent } from './statistics';

/** GET /api/v1/metrics with the arithmetic of the specification. */
export function metricsReport(
  at: number,
  counts: OperationCounts,
  details: MetricsReport['details'],
): MetricsReport {
  const total = Object.values(counts.byStatus).reduce((sum, count) => sum + count, 0);
  return {
    at,
    totalOperations: total,
    pendingOperations: counts.byStatus.pending,
    activeMappings: counts.activeMappings,
    operationsByType: counts.byType,
    operationsByStatus: counts.byStatus,
    averageResponseMs: counts.averageResponseMs,
    errorRatePercent: errorRatePercent(counts.byStatus.failed, total),
    details,
  };
}
