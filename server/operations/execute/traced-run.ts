import { type Span, type Tracing, traced } from '../../core/tracing';
import type { Operation } from '../../model/operation';

/** What a run may have come to. */
interface Ran {
  readonly ended: Operation | null;
  readonly held: string | null;
}

/**
 * A span for what this process does of an operation, below the request that it was accepted by: the
 * traceparent is stored with the operation, so a process that goes on with it after a restart adds its
 * part to the same trace.
 */
export function tracedRun(
  tracing: Tracing,
  operation: Operation,
  { resumed, nowMs }: { readonly resumed: boolean; readonly nowMs: number },
  work: () => Promise<Ran>,
): Promise<Ran> {
  const { id, type, volumeId, vmId, actor, requestId, traceparent, createdAt } = operation;
  const attributes = {
    'volume_daemon.operation.id': id,
    'volume_daemon.operation.type': type,
    'volume_daemon.operation.resumed': resumed,
    'volume_daemon.operation.age_ms': Math.max(0, nowMs - createdAt),
    'volume_daemon.volume.id': volumeId === '' ? null : volumeId,
    'volume_daemon.vm.id': vmId,
    'volume_daemon.actor': actor,
    'volume_daemon.request_id': requestId,
  };
  return traced(
    tracing,
    `operation ${type}`,
    { kind: 'internal', parent: traceparent, attributes },
    async (span) => {
      const ran = await work();
      tellEnd(span, ran);
      return ran;
    },
  );
}

function tellEnd(span: Span, { ended, held }: Ran): void {
  const status = ended?.status ?? (held === null ? 'interrupted' : 'held');
  span.set({
    'volume_daemon.operation.status': status,
    // A create has learned it only now.
    'volume_daemon.volume.id': ended?.volumeId ? ended.volumeId : null,
  });
  if (status === 'failed' || status === 'held') span.fail(ended?.errorCode ?? status);
}
