import { noTracing, type Tracing } from '../core/tracing';

let current: Tracing = noTracing;

/** The plugin hands over the daemon's tracing. */
export function setHttpTracing(tracing: Tracing): void {
  current = tracing;
}

export function httpTracing(): Tracing {
  return current;
}
