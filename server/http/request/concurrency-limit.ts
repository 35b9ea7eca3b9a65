import { DaemonError } from '../../core/errors';
import type { AnyEndpoint } from '../endpoints/endpoint';

const running = new Map<string, number>();

/**
 * Counts the requests of an expensive endpoint (`maxConcurrent`) that are being served. Returns the function
 * that frees the slot; throws RATE_LIMITED when all slots are taken.
 */
export function acquireSlot(endpoint: Pick<AnyEndpoint, 'method' | 'path' | 'maxConcurrent'>): () => void {
  const { method, path, maxConcurrent } = endpoint;
  if (maxConcurrent === undefined) return () => {};
  const key = `${method} ${path}`;
  const count = running.get(key) ?? 0;
  if (count >= maxConcurrent) {
    throw new DaemonError('RATE_LIMITED', `Already ${count} calls of ${key} are being answered`, {
      retryAfterSeconds: 1,
    });
  }
  running.set(key, count + 1);
  return () => running.set(key, (running.get(key) ?? 1) - 1);
}
