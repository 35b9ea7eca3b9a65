import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Server } from 'node:http';
import { LIMITS } from '../../core/limits';

/** Node tells here of every connection a server of this process accepts. */
const ACCEPTED = 'net.server.socket';

/**
 * Holds clients to a pace: headers within HTTP_HEADERS, the whole request within HTTP_REQUEST, and at most HTTP_CONNECTIONS at once (an
 * event stream is an answer, and may last). Nitro makes the server itself and lends it to nobody, so it is met at its first
 * connection, before a byte of it is read. Node looks for the overdue every 30 s. Returns the undo.
 */
export function limitConnections(): () => void {
  const listener = (message: unknown): void => {
    const server = serverOf(message);
    if (!server) return;
    server.headersTimeout = LIMITS.HTTP_HEADERS_MS;
    server.requestTimeout = LIMITS.HTTP_REQUEST_MS;
    server.maxConnections = LIMITS.HTTP_CONNECTIONS;
    unsubscribe(ACCEPTED, listener);
  };
  subscribe(ACCEPTED, listener);
  return () => unsubscribe(ACCEPTED, listener);
}

function serverOf(message: unknown): Server | null {
  if (typeof message !== 'object' || message === null || !('socket' in message)) return null;
  const { socket } = message;
  if (typeof socket !== 'object' || socket === null || !('server' in socket)) return null;
  return socket.server instanceof Server ? socket.server : null;
}
