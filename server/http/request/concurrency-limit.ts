import { DaemonError } from '../../core/errors';
import type { AnyEndpoint } from '../endpoints/endpoint';

const inside = new Map<string, number>();

/**
 * Lets so many calls of an expensive endpoint (`atOnce`) through at a time: those that ask CloudStack, every export, or for a sync. Throws
 * RATE_LIMITED beyond. The returned function lets the next one in.
 */
export function enter({ method, path, atOnce }: Pick<AnyEndpoint, 'method' | 'path' | 'atOnce'>): () => void {
  if (atOnce === undefined) return () => {};
  const key = `${method} ${path}`;
  const before = inside.get(key) ?? 0;
  if (before >= atOnce) {
    throw new DaemonError('RATE_LIMITED', `Already ${before} calls of ${key} are being answered`, {
      retryAfterSeconds: 1,
    });
  }
  inside.set(key, before + 1);
  return () => inside.set(key, (inside.get(key) ?? 1) - 1);
}
