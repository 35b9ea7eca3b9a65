import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';

/** What has become of spans. */
export interface SpanCounts {
  readonly sent: number;
  /** Not kept: LIMITS.TRACE_SPANS_MAX were waiting, or on their way. */
  readonly dropped: number;
  /** The collector has not taken them. */
  readonly failed: number;
}

type Result = Parameters<Parameters<SpanExporter['export']>[1]>[0];

/** ExportResultCode.SUCCESS */
const SUCCESS = 0;

/**
 * Passes spans on to a processor that sends them in batches, and never holds more than
 * LIMITS.TRACE_SPANS_MAX: a batch whose sending was given up still counts until its request has ended. Tells
 * the log when the collector goes away and when it is back.
 */
export class BoundedSpans implements SpanProcessor {
  private readonly inner: SpanProcessor;
  private held = 0;
  private away = false;
  private readonly counted = { sent: 0, dropped: 0, failed: 0 };

  constructor(
    exporter: SpanExporter,
    processor: (exporter: SpanExporter) => SpanProcessor,
    private readonly logger: Pick<Logger, 'warn' | 'info'>,
  ) {
    this.inner = processor({
      export: (spans, done) =>
        exporter.export(spans, (result) => {
          this.ended(spans.length, result);
          done(result);
        }),
      shutdown: () => exporter.shutdown(),
      forceFlush: async () => exporter.forceFlush?.(),
    });
  }

  get counts(): SpanCounts {
    return { ...this.counted };
  }

  onStart(...begun: Parameters<SpanProcessor['onStart']>): void {
    this.inner.onStart(...begun);
  }

  onEnd(span: ReadableSpan): void {
    if (this.held >= LIMITS.TRACE_SPANS_MAX) {
      this.counted.dropped += 1;
      return;
    }
    this.held += 1;
    this.inner.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.inner.forceFlush();
  }

  shutdown(): Promise<void> {
    return this.inner.shutdown();
  }

  private ended(count: number, { code, error }: Result): void {
    this.held -= count;
    const isTaken = code === SUCCESS;
    this.counted[isTaken ? 'sent' : 'failed'] += count;
    if (isTaken === !this.away) return;
    this.away = !isTaken;
    if (this.away)
      this.logger.warn('The trace collector does not take spans; they are lost until it does', {
        reason: error?.message ?? 'it gave no reason',
      });
    else this.logger.info('The trace collector takes spans again');
  }
}
