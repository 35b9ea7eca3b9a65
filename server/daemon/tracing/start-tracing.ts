import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import type { Tracing } from '../../core/tracing';
import type { Configuration } from '../configuration/configuration';
import { LateTracing } from './late-tracing';
import type { SpanCounts, SpanSender } from './opentelemetry';

export interface TracingParts {
  readonly settings: Configuration['tracing'];
  readonly version: string;
  readonly logger: Logger;
}

/** Spans that are sent to a collector, where one is configured. */
export interface DaemonTracing {
  readonly tracing: Tracing;
  /** What has become of the spans; null while none are sent. */
  counts(): SpanCounts | null;
  /** Sends what is left, within LIMITS.TRACE_DRAIN_MS. Never throws. */
  stop(): Promise<void>;
}

/**
 * The packages that make and send spans are loaded only when an endpoint is configured, and beside the start
 * of the daemon: what happens before they are there is not recorded. When they cannot be loaded nothing is.
 */
export function startTracing({ settings, version, logger }: TracingParts): DaemonTracing {
  const tracing = new LateTracing();
  let sender: SpanSender | null = null;
  if (settings.endpoint !== null) {
    const { endpoint } = settings;
    import('./opentelemetry')
      .then(({ sendSpans }) => {
        sender = sendSpans({ ...settings, endpoint, version, logger });
        tracing.use(sender);
      })
      .catch((error: unknown) =>
        logger.warn('No traces are sent: what makes them cannot be loaded', { reason: messageOf(error) }),
      );
  }
  return {
    tracing,
    counts: () => sender?.counts() ?? null,
    async stop() {
      await sender?.stop(LIMITS.TRACE_DRAIN_MS);
    },
  };
}
