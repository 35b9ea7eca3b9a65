import type { IncomingMessage } from 'node:http';

const ABSOLUTE = /^https?:\/\/([^/?#]+)([^#]*)/i;

/**
 * A target with scheme and host, as programs send it that take the daemon for their proxy, becomes the path
 * that routes know. Its host replaces the header (RFC 9112, 3.2.2): that is the name under which the daemon
 * was asked, and which is checked.
 */
export function toOriginForm(request: IncomingMessage): void {
  const [, host, rest] = ABSOLUTE.exec(request.url ?? '') ?? [];
  if (host === undefined || rest === undefined) return;
  request.headers.host = host;
  request.url = rest.startsWith('/') ? rest : `/${rest}`;
}
