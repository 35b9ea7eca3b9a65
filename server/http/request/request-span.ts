import type { H3Event } from 'h3';
import { noTracing, type Span } from '../../core/tracing';
import { httpTracing } from '../http-tracing';
import { requestIdOf } from './assign-request-id';
import { incomingTraceparent } from './incoming-traceparent';

const SPANS = new WeakMap<H3Event, Span>();
const NO_SPAN = noTracing.begin('', { kind: 'server' });

/** The span of a request, from its headers until its connection has taken the answer, or is gone. */
export function beginRequestSpan(event: H3Event): void {
  const span = httpTracing().begin(event.method, {
    kind: 'server',
    parent: incomingTraceparent(event),
    attributes: { 'http.request.method': event.method, 'volume_daemon.request_id': requestIdOf(event) },
  });
  if (span.traceparent === null) return;
  SPANS.set(event, span);
  const { res } = event.node;
  res.once('close', () => {
    span.set({ 'http.response.status_code': res.statusCode });
    if (res.statusCode >= 500) span.fail(String(res.statusCode));
    else if (!res.writableFinished) span.fail('connection_closed');
    span.end();
  });
}

/** One that nobody records where the request has none. */
export function spanOf(event: H3Event): Span {
  return SPANS.get(event) ?? NO_SPAN;
}
