import type { H3Event } from 'h3';
import { requestHeader } from './request-header';

const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The caller's place in a trace (W3C Trace Context): one that cannot be understood is as none. */
export function incomingTraceparent(event: H3Event): string | null {
  const header = requestHeader(event, 'traceparent');
  return header !== undefined && TRACEPARENT.test(header) ? header : null;
}
