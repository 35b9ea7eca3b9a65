import { AsyncLocalStorage } from 'node:async_hooks';
import { hostname } from 'node:os';
import {
  type Context,
  type Span as OtelSpan,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import type { Span, SpanAttributes, SpanOptions, Tracing } from '../../core/tracing';
import { BoundedSpans, type SpanCounts } from './bounded-spans';

export type { SpanCounts } from './bounded-spans';

/*
 * Imported only when an endpoint is configured (./start-tracing.ts): this room's other files must not import
 * it.
 */

interface SenderSettings {
  /** Base of the collector's address; spans go to `v1/traces` below it. */
  readonly endpoint: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly serviceName: string;
  readonly version: string;
  readonly logger: Logger;
}

export interface SpanSender extends Tracing {
  counts(): SpanCounts;
  /** Sends what is left, and gives up after so many ms. Never throws. */
  stop(timeoutMs: number): Promise<void>;
}

const KINDS: Readonly<Record<SpanOptions['kind'], SpanKind>> = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  internal: SpanKind.INTERNAL,
};

/** Spans over OTLP/HTTP. A span is recorded when the trace that it belongs to is, or when it begins one. */
export function sendSpans({ endpoint, headers, serviceName, version, logger }: SenderSettings): SpanSender {
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.replace(/\/+$/, '')}/v1/traces`,
    headers: { ...headers },
    timeoutMillis: LIMITS.TRACE_SEND_MS,
  });
  const bounded = new BoundedSpans(
    exporter,
    (counted) =>
      new BatchSpanProcessor({
        exporter: counted,
        maxQueueSize: LIMITS.TRACE_SPANS_MAX,
        maxExportBatchSize: LIMITS.TRACE_BATCH,
        scheduledDelayMillis: LIMITS.TRACE_DELAY_MS,
        exportTimeoutMillis: LIMITS.TRACE_SEND_MS,
      }),
    logger,
  );
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': serviceName,
      'service.version': version,
      'host.name': hostname(),
      'process.pid': process.pid,
    }),
    spanLimits: { attributeValueLengthLimit: LIMITS.TRACE_TEXT_CHARACTERS },
    spanProcessors: [bounded],
  });
  const tracer = provider.getTracer('volume-daemon', version);
  const current = new AsyncLocalStorage<OtelSpan>();
  return {
    begin: (name, { kind, parent, startMs, attributes = {} }) =>
      new SentSpan(
        tracer.startSpan(
          name,
          {
            kind: KINDS[kind],
            attributes: given(attributes),
            ...(startMs !== undefined && { startTime: startMs }),
          },
          parent === undefined ? placeIn(current.getStore()) : placeBelow(parent),
        ),
      ),
    during: (span, work) => (span instanceof SentSpan ? current.run(span.inner, work) : work()),
    counts: () => bounded.counts,
    async stop(timeoutMs) {
      const limit = AbortSignal.timeout(timeoutMs);
      const over = new Promise<void>((resolve) => limit.addEventListener('abort', () => resolve()));
      await Promise.race([provider.shutdown().catch(() => undefined), over]);
    },
  };
}

class SentSpan implements Span {
  constructor(readonly inner: OtelSpan) {}

  get traceparent(): string | null {
    if (!this.inner.isRecording()) return null;
    const { traceId, spanId, traceFlags } = this.inner.spanContext();
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  }

  rename(name: string): void {
    this.inner.updateName(name);
  }

  set(attributes: SpanAttributes): void {
    this.inner.setAttributes(given(attributes));
  }

  fail(code: string): void {
    this.inner.setAttribute('error.type', code);
    this.inner.setStatus({ code: SpanStatusCode.ERROR });
  }

  end(): void {
    this.inner.end();
  }
}

function given(attributes: SpanAttributes): Record<string, string | number | boolean> {
  const named: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(attributes)) if (value !== null) named[name] = value;
  return named;
}

function placeIn(current: OtelSpan | undefined): Context {
  return current === undefined ? ROOT_CONTEXT : trace.setSpan(ROOT_CONTEXT, current);
}

function placeBelow(parent: string | null): Context {
  const remote = parent === null ? null : contextIn(parent);
  return remote === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, remote);
}

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

function contextIn(traceparent: string): SpanContext | null {
  const [, traceId, spanId, flags] = TRACEPARENT.exec(traceparent) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
}
