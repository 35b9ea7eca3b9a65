import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Server } from 'node:http';
import { LIMITS } from '../../core/limits';
import { takeTurns } from './request-turns';

/** Node publishes every connection that a server of this process accepts. */
const CONNECTION_CHANNEL = 'net.server.socket';

/**
 * Disconnects slow clients: headers within HTTP_HEADERS_MS, the whole request within HTTP_REQUEST_MS
 * (responses, such as event streams, may last), and at most HTTP_CONNECTIONS at once; bounds what clients do
 * not read (takeTurns). An idle connection is kept for HTTP_IDLE_MS: when the server ends it at the moment at
 * which its client uses it again, that request fails, and of a POST or DELETE nobody knows whether it was
 * taken. Nitro creates the server and does not expose it, so it is found at its first connection, before
 * anything is read. Node checks for slow clients every 30 s. Returns the function that undoes it.
 */
export function limitConnections(): () => void {
  const listener = (message: unknown): void => {
    const server = serverOf(message);
    if (!server) return;
    server.headersTimeout = LIMITS.HTTP_HEADERS_MS;
    server.requestTimeout = LIMITS.HTTP_REQUEST_MS;
    server.keepAliveTimeout = LIMITS.HTTP_IDLE_MS;
    server.maxConnections = LIMITS.HTTP_CONNECTIONS;
    takeTurns(server);
    unsubscribe(CONNECTION_CHANNEL, listener);
  };
  subscribe(CONNECTION_CHANNEL, listener);
  return () => unsubscribe(CONNECTION_CHANNEL, listener);
}

function serverOf(message: unknown): Server | null {
  if (typeof message !== 'object' || message === null || !('socket' in message)) return null;
  const { socket } = message;
  if (typeof socket !== 'object' || socket === null || !('server' in socket)) return null;
  return socket.server instanceof Server ? socket.server : null;
}
