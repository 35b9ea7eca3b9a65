import type { H3Event } from 'h3';

/**
 * A header of the request, or undefined. h3's own function copies all headers at each call, and every request
 * asks for a dozen.
 *
 * @param name in lower case, as Node keeps it
 */
export function requestHeader(event: H3Event, name: Lowercase<string>): string | undefined {
  const value = event.node.req.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}
