import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { silentLogger } from '~/server/core/log/logger';
import { noTracing, traced } from '~/server/core/tracing';
import { type SpanSender, sendSpans } from '~/server/daemon/tracing/opentelemetry';
import { TraceCollector } from '../../support/trace-collector';

const CALLER = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

describe('spans', () => {
  let collector: TraceCollector;
  let tracing: SpanSender;
  beforeEach(async () => {
    collector = await TraceCollector.start();
    tracing = sendSpans({
      endpoint: `${collector.url}/`,
      headers: {},
      serviceName: 'unit',
      version: '1',
      logger: silentLogger,
    });
  });
  afterEach(() => collector.close());

  const collected = async (name: string) => {
    await tracing.stop(10_000);
    return collector.spans.find((span) => span.name === name);
  };

  it('belong to the one around them, across what is awaited', async () => {
    await traced(tracing, 'outer', { kind: 'server', parent: CALLER }, async () => {
      await Promise.resolve();
      await traced(tracing, 'inner', { kind: 'client' }, async () => undefined);
    });
    const inner = await collected('inner');
    const outer = collector.spans.find(({ name }) => name === 'outer');
    expect(outer).toMatchObject({
      traceId: '0af7651916cd43dd8448eb211c80319c',
      parentSpanId: 'b7ad6b7169203331',
    });
    expect(inner).toMatchObject({ traceId: outer?.traceId, parentSpanId: outer?.spanId });
  });

  it('of an operation whose caller is not known begin a trace, whoever has woken the engine', async () => {
    const other = tracing.begin('request', { kind: 'server', parent: CALLER });
    tracing.during(other, () => tracing.begin('operation', { kind: 'internal', parent: null }).end());
    other.end();
    const operation = await collected('operation');
    expect(operation).toMatchObject({ parentSpanId: null });
    expect(operation?.traceId).not.toBe('0af7651916cd43dd8448eb211c80319c');
  });

  it('that fail name the code and not the words; what is null is left out', async () => {
    const refused = traced(tracing, 'refused', { kind: 'internal', attributes: { a: null, b: 1 } }, () =>
      Promise.reject(new DaemonError('VOLUME_BUSY', 'token=hunter2')),
    );
    await expect(refused).rejects.toThrow('hunter2');
    expect(await collected('refused')).toMatchObject({
      failed: true,
      attributes: { 'error.type': 'VOLUME_BUSY' },
    });
    expect(collector.spans[0]?.attributes).not.toHaveProperty('a');
    expect(collector.bodies.join()).not.toContain('hunter2');
  });

  it('of a caller that records nothing have no place that could be stored', () => {
    const quiet = tracing.begin('quiet', { kind: 'server', parent: CALLER.replace(/01$/, '00') });
    expect(quiet.traceparent).toBeNull();
    expect(noTracing.begin('off', { kind: 'server', parent: CALLER }).traceparent).toBeNull();
  });

  it('cannot be sent after the end, and that is no mistake', async () => {
    await tracing.stop(10_000);
    tracing.begin('late', { kind: 'internal' }).end();
    await tracing.stop(10_000);
    expect(collector.spans).toEqual([]);
  });
});
