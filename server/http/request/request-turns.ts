import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { LIMITS } from '../../core/limits';
import { httpLogger } from '../http-logger';
import { isFilePath } from '../pages/static-files';
import { toOriginForm } from './origin-form';

interface Waiting {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

interface Connection {
  readonly waiting: Waiting[];
  /** A request is being answered, or its answer has not been read. */
  busy: boolean;
  /** Too many were sent: it ends after those that wait. */
  full: boolean;
}

/**
 * Bounds what a client costs that sends requests and does not read the answers. Node handles all pipelined
 * requests of a connection at once and keeps every answer. Here the next request of a connection is handled
 * when the client has taken the answer to the one before, a connection that sends more is not read
 * (PIPELINED_PAUSE) and then ended (PIPELINED_MAX, PIPELINED_ALL_MAX), large answers are made one at a time,
 * and beyond UNREAD_ALL_BYTES the client that has not read for longest is disconnected. So is, beyond
 * HTTP_IDLE_CONNECTIONS, the one that has asked nothing for longest.
 */
export function takeTurns(server: Server): void {
  const handlers = server.listeners('request');
  server.removeAllListeners('request');
  const turns = new Turns((one) => {
    for (const handler of handlers) Reflect.apply(handler, server, [one.request, one.response]);
  });
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    toOriginForm(request);
    turns.add({ request, response });
  });
}

class Turns {
  private readonly connections = new WeakMap<Socket, Connection>();
  private readonly large = new LargeAnswers();
  private readonly unread = new UnreadAnswers();
  private readonly idle = new IdleConnections();
  private waitingInAll = 0;

  constructor(private readonly handle: (one: Waiting) => void) {}

  add(one: Waiting): void {
    const { socket } = one.request;
    const connection = this.connectionOf(socket);
    // Never handled, so nothing was done: the client sees the connection end and may send it again.
    if (connection.full) return;
    if (!connection.busy) {
      this.begin(one, connection);
      return;
    }
    connection.waiting.push(one);
    this.waitingInAll += 1;
    if (connection.waiting.length >= LIMITS.PIPELINED_PAUSE) socket.pause();
    connection.full =
      connection.waiting.length >= LIMITS.PIPELINED_MAX || this.waitingInAll >= LIMITS.PIPELINED_ALL_MAX;
  }

  private connectionOf(socket: Socket): Connection {
    const known = this.connections.get(socket);
    if (known) return known;
    const connection: Connection = { waiting: [], busy: false, full: false };
    this.connections.set(socket, connection);
    socket.once('close', () => {
      this.waitingInAll -= connection.waiting.length;
      connection.waiting.length = 0;
      this.unread.read(socket);
      this.idle.remove(socket);
    });
    return connection;
  }

  private begin(one: Waiting, connection: Connection): void {
    const { request, response } = one;
    connection.busy = true;
    this.idle.remove(request.socket);
    // What is unread of a file costs nothing: all who read it share its bytes.
    if (!isFilePath(request.url ?? '')) response.once('prefinish', () => this.unread.written(request.socket));
    response.once('close', () => {
      this.unread.read(request.socket);
      this.next(request.socket, connection);
    });
    if (isLongList(request.url ?? '')) this.large.run(response, () => this.handle(one));
    else this.handle(one);
  }

  private next(socket: Socket, connection: Connection): void {
    connection.busy = false;
    const one = socket.destroyed ? undefined : connection.waiting.shift();
    if (!one) {
      this.idle.add(socket);
      return;
    }
    this.waitingInAll -= 1;
    const isLast = connection.full && connection.waiting.length === 0;
    if (isLast) one.response.shouldKeepAlive = false;
    else if (!connection.full && connection.waiting.length < LIMITS.PIPELINED_PAUSE) socket.resume();
    this.begin(one, connection);
  }
}

const LIST = /^\/api\/v1\/(?:operations|volumes|devices)\/?$/;

/**
 * Longer than the default, however it is written: the router takes `%6f` for `o`, and an empty limit counts
 * as none. Files are as large, and are shared by all who read them.
 */
function isLongList(url: string): boolean {
  const start = url.indexOf('?');
  if (start < 0 || !LIST.test(decoded(url.slice(0, start)))) return false;
  const limits = new URLSearchParams(url.slice(start + 1)).getAll('limit');
  return limits.some((limit) => Number(limit) > LIMITS.LIST_DEFAULT);
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

/**
 * A place is taken until the answer has been handed to the connection, however slowly that is read.
 * While others wait for it, it stays free as long as it was taken, so that at least half of the time
 * is everybody else's.
 */
class LargeAnswers {
  private readonly queue: { readonly response: ServerResponse; readonly work: () => void }[] = [];
  private running = 0;

  run(response: ServerResponse, work: () => void): void {
    if (this.running < LIMITS.LARGE_ANSWERS_AT_ONCE) {
      this.running += 1;
      this.start(response, work);
    } else this.queue.push({ response, work });
  }

  private start(response: ServerResponse, work: () => void): void {
    const begun = performance.now();
    let taken = true;
    const release = () => {
      if (!taken) return;
      taken = false;
      const pauseMs = Math.min(performance.now() - begun, LIMITS.LARGE_ANSWER_PAUSE_MAX_MS);
      if (this.queue.length > 0) setTimeout(() => this.advance(), pauseMs);
      else this.running -= 1;
    };
    response.once('prefinish', release).once('close', release);
    work();
  }

  /** Clients that have left while they waited are passed over. */
  private advance(): void {
    let next = this.queue.shift();
    while (next?.response.destroyed) next = this.queue.shift();
    if (next) this.start(next.response, next.work);
    else this.running -= 1;
  }
}

/**
 * Connections that wait for their next request, longest waiting first. A caller who opens one for each
 * request and closes none would take every place, for as long as an idle one is kept. One on which anything
 * has come meanwhile is spared: of a POST or DELETE that is under way nobody would know whether it was taken.
 */
class IdleConnections {
  /** With the bytes that had come when it became idle. */
  private readonly sockets = new Map<Socket, number>();

  add(socket: Socket): void {
    if (socket.destroyed) return;
    this.sockets.set(socket, socket.bytesRead);
    if (this.sockets.size <= LIMITS.HTTP_IDLE_CONNECTIONS) return;
    for (const [longest, bytes] of this.sockets) {
      if (longest.bytesRead !== bytes) continue;
      this.sockets.delete(longest);
      longest.destroy();
      return;
    }
  }

  remove(socket: Socket): void {
    this.sockets.delete(socket);
  }
}

/** Connections with an answer that is not read, longest waiting first. */
class UnreadAnswers {
  private readonly sockets = new Set<Socket>();
  private planned = false;

  written(socket: Socket): void {
    // The client has left before its answer was made: nobody would take this connection out again.
    if (socket.destroyed) return;
    this.sockets.add(socket);
    if (this.planned) return;
    this.planned = true;
    // Later, when what the kernel takes at once is gone.
    setImmediate(() => {
      this.planned = false;
      this.cut();
    });
  }

  read(socket: Socket): void {
    this.sockets.delete(socket);
  }

  /** The newest is spared: one answer alone may be larger than the bound. */
  private cut(): void {
    let bytes = 0;
    for (const { writableLength } of this.sockets) bytes += writableLength;
    if (bytes <= LIMITS.UNREAD_ALL_BYTES) return;
    let count = 0;
    for (const socket of [...this.sockets].slice(0, -1)) {
      if (bytes <= LIMITS.UNREAD_ALL_BYTES) break;
      bytes -= socket.writableLength;
      this.sockets.delete(socket);
      socket.destroy();
      count += 1;
    }
    if (count > 0)
      httpLogger().warn('Clients that do not read their answers were disconnected', { connections: count });
  }
}
