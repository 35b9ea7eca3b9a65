import type { H3Event } from 'h3';
import { ANYBODY } from '../../daemon/access/tokens';
import type { Caller } from '../../model/operation';
import { requestIdOf } from './assign-request-id';
import { identityOf } from './guard';
import { incomingTraceparent } from './incoming-traceparent';
import { spanOf } from './request-span';

/** Who asks, and by which request. */
export function callerOf(event: H3Event): Caller {
  return {
    actor: identityOf(event)?.name ?? ANYBODY.name,
    requestId: requestIdOf(event),
    // Where the request itself is traced, what follows from it belongs below it.
    traceparent: spanOf(event).traceparent ?? incomingTraceparent(event),
  };
}
