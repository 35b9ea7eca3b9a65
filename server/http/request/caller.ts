import { getRequestHeader, type H3Event } from 'h3';
import { ANYBODY } from '../../daemon/access/tokens';
import type { Caller } from '../../model/operation';
import { requestIdOf } from './assign-request-id';
import { identityOf } from './guard';

/** Who asks, and by which request. */
export function callerOf(event: H3Event): Caller {
  return {
    actor: identityOf(event)?.name ?? ANYBODY.name,
    requestId: requestIdOf(event),
    traceparent: traceparentOf(getRequestHeader(event, 'traceparent')),
  };
}

const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** W3C Trace Context: one that cannot be understood is as none. */
function traceparentOf(header: string | undefined): string | null {
  return header !== undefined && TRACEPARENT.test(header) ? header : null;
}
