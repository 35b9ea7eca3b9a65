import type { AppOptions } from 'h3';

/**
 * Nitro makes five functions and calls three hooks for every request, to which nobody here listens: together
 * as much as a route that does little. What a request needs it gets from the middleware and `serve`.
 */
export function silenceRequestHooks(options: AppOptions): void {
  delete options.onRequest;
  delete options.onBeforeResponse;
  delete options.onAfterResponse;
}
