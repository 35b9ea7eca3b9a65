import type { ReadableSpan, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';
import { beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { BoundedSpans } from '~/server/daemon/tracing/bounded-spans';

type Done = Parameters<SpanExporter['export']>[1];

/** A processor that sends when it is told to, and an exporter whose answers the test gives. */
class Rig {
  readonly queued: ReadableSpan[] = [];
  readonly onTheirWay: { readonly count: number; readonly done: Done }[] = [];
  readonly log: string[] = [];
  private sender: SpanExporter | null = null;
  readonly spans = new BoundedSpans(
    {
      export: (spans, done) => void this.onTheirWay.push({ count: spans.length, done }),
      shutdown: async () => {},
    },
    (exporter): SpanProcessor => {
      this.sender = exporter;
      return {
        onStart: () => {},
        onEnd: (span) => void this.queued.push(span),
        forceFlush: async () => {},
        shutdown: async () => {},
      };
    },
    { warn: (text) => void this.log.push(text), info: (text) => void this.log.push(text) },
  );

  end(count: number): void {
    for (let index = 0; index < count; index += 1) this.spans.onEnd({} as ReadableSpan);
  }

  /** Sends what is queued. */
  send(): void {
    const batch = this.queued.splice(0);
    this.sender?.export(batch, () => {});
  }

  answer(result: Parameters<Done>[0]): void {
    this.onTheirWay.shift()?.done(result);
  }
}

describe('spans that wait or are on their way', () => {
  let rig: Rig;
  beforeEach(() => {
    rig = new Rig();
  });

  it('are never more than the limit: the next ones are dropped and counted', () => {
    rig.end(LIMITS.TRACE_SPANS_MAX + 3);
    expect(rig.queued).toHaveLength(LIMITS.TRACE_SPANS_MAX);
    expect(rig.spans.counts).toEqual({ sent: 0, dropped: 3, failed: 0 });
  });

  it('count until the collector has answered, so a slow one makes no heap of batches', () => {
    rig.end(LIMITS.TRACE_SPANS_MAX);
    rig.send();
    rig.end(2);
    expect(rig.spans.counts.dropped).toBe(2);
    rig.answer({ code: 0 });
    rig.end(1);
    expect(rig.queued).toHaveLength(1);
    expect(rig.spans.counts).toEqual({ sent: LIMITS.TRACE_SPANS_MAX, dropped: 2, failed: 0 });
  });

  it('that are refused are counted and make room; the log is told once, and once when it is over', () => {
    for (let index = 0; index < 3; index += 1) {
      rig.end(5);
      rig.send();
      rig.answer({ code: 1, error: new Error('connection refused') });
    }
    expect(rig.spans.counts).toEqual({ sent: 0, dropped: 0, failed: 15 });
    expect(rig.log).toEqual(['The trace collector does not take spans; they are lost until it does']);
    rig.end(1);
    rig.send();
    rig.answer({ code: 0 });
    expect(rig.log).toHaveLength(2);
    expect(rig.spans.counts.sent).toBe(1);
  });
});
