import { hash } from 'node:crypto';
import type { OperationType, RequestOf } from '../model/operation';

/** What a request of this type is about, and the hash by which requests are compared. */
export function aboutRequest<T extends OperationType>(type: T, request: RequestOf[T]) {
  return {
    type,
    request,
    volumeId: volumeOf(request),
    vmId: vmOf(type, request),
    requestHash: hashOf(type, request),
  };
}

function volumeOf(request: RequestOf[OperationType]): string {
  return 'volume_id' in request ? request.volume_id : '';
}

function vmOf(type: OperationType, request: RequestOf[OperationType]): string | null {
  if (type === 'cleanup' && 'oma_vm_id' in request) return request.oma_vm_id;
  return 'vm_id' in request ? request.vm_id : null;
}

/**
 * SHA-256 of the request with sorted keys: idempotency keys and joins compare requests by it. Without
 * `on_vm`, which follows from the group of a snapshot: a part that an earlier version has begun has none,
 * and is the same part.
 */
function hashOf(type: OperationType, request: RequestOf[OperationType]): string {
  return hash('sha256', `${type}\n${canonical({ ...request, on_vm: undefined })}`);
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    return `{${entries
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`)
      .join(',')}}`;
  }
  return JSON.stringify(value);
}
