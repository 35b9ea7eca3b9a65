import type { MetricsHistoryReport, Points } from '../../daemon/metrics/metrics-history';
import type { MetricsHistoryReply } from '../schemas/metrics-history';
import { timestampOf } from './reply-of';

export function metricsHistoryReply(report: MetricsHistoryReport): MetricsHistoryReply {
  const { span, from, stepMs, operations, durations, queue, exports } = report;
  return {
    span,
    from: timestampOf(from),
    step_seconds: stepMs / 1000,
    operations: {
      completed: whole(operations.completed),
      failed: whole(operations.failed),
      cancelled: whole(operations.cancelled),
    },
    duration_ms: { mean: whole(durations.mean), longest: whole(durations.longest) },
    queue: { pending: tenths(queue.pending), executing: tenths(queue.executing) },
    exports: exports.map(({ volumeId, read, written }) => ({
      volume_id: volumeId,
      read_bytes_per_second: whole(read),
      written_bytes_per_second: whole(written),
    })),
  };
}

function whole(points: Points): (number | null)[] {
  return points.map((point) => (point === null ? null : Math.round(point)));
}

function tenths(points: Points): (number | null)[] {
  return points.map((point) => (point === null ? null : Math.round(point * 10) / 10));
}
