import { z } from 'zod';
import { SPAN_NAMES } from '../../daemon/metrics/metrics-history';
import { named, oneOf, timestamp } from './fields';

export const metricsHistoryQuery = z.object({ span: oneOf(SPAN_NAMES).optional() });

const points = z.array(z.number().nonnegative().nullable());

export const metricsHistorySchema = named('MetricsHistory', {
  span: z.enum(SPAN_NAMES),
  from: timestamp.meta({ description: 'when the first step begins' }),
  step_seconds: z.int().positive(),
  operations: z
    .object({ completed: points, failed: points, cancelled: points })
    .meta({ description: 'ended in each step' }),
  duration_ms: z
    .object({ mean: points, longest: points })
    .meta({ description: 'from acceptance to the end, of those that ended in the step' }),
  queue: z.object({ pending: points, executing: points }).meta({ description: 'mean of the step' }),
  exports: z.array(
    z.object({
      volume_id: z.string(),
      read_bytes_per_second: points,
      written_bytes_per_second: points,
    }),
  ),
});
export type MetricsHistoryReply = z.infer<typeof metricsHistorySchema>;
