import { Socket } from 'node:net';
import type { MysqlPool, MysqlPoolConnection, MysqlQueryResult } from 'kysely';
import {
  createPool,
  type Pool,
  type PoolConnection,
  type PoolOptions,
  type ResultSetHeader,
  type RowDataPacket,
} from 'mysql2';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import {
  type ClusterNodes,
  type Demands,
  isFull,
  isRefusalOfNode,
  isUnreachable,
  vet,
} from './cluster-nodes';
import type { Address } from './dsn';
import { breaksConnection, isSilence, unavailable } from './faults';

export interface LaneOptions {
  readonly connections: PoolOptions;
  /** Run on every new connection before anything else; a connection that refuses one of them is not used. */
  readonly session: readonly string[];
  /** ms; a statement that takes longer breaks its connection. */
  readonly statementMs: number;
  readonly demands: Demands;
  /**
   * Where the server has no connection left for a lane that has none, those of lanes of a lower rank that lie
   * idle make room.
   */
  readonly rank: number;
}

/** The connections to one node; a lane has those of the node in use. */
interface Node {
  readonly address: Address;
  readonly pool: Pool;
  readonly sockets: Set<Socket>;
  /** Monotonic ms when each was handed back. */
  readonly idleSince: WeakMap<Socket, number>;
  readonly options: LaneOptions;
  /** Who waits for a connection: told when the node is left. */
  readonly waiting: Set<() => void>;
  left: boolean;
}

/**
 * A pool whose connections all lead to the node in use, and whose statements cannot hang. A connection that
 * is broken is destroyed instead of released; when the node is left, all are.
 */
export class Lane implements MysqlPool {
  readonly usage = { inUse: 0, waiting: 0 };
  private node: Node;
  /** The sockets of connections that are handed out. */
  private readonly busy = new WeakSet<Socket>();
  private readonly vetted = new WeakSet<PoolConnection>();
  private readonly sessions = new WeakMap<PoolConnection, Promise<void>>();
  /** Connections that are being made or handed out. */
  private making = 0;
  /** Who waits for one of our connections to come back: the server has no other. */
  private readonly queue: (() => void)[] = [];

  constructor(
    private readonly nodes: ClusterNodes,
    private readonly options: (address: Address) => LaneOptions,
  ) {
    this.node = this.open();
    nodes.onMove(() => {
      const before = this.node;
      this.node = this.open();
      before.left = true;
      for (const leave of before.waiting) leave();
      for (const socket of before.sockets) socket.destroy(notTrusted());
      before.pool.end(() => {});
    });
    nodes.onCloseIdle((below) => {
      if (this.node.options.rank >= below) return;
      for (const socket of this.idle(this.node)) socket.destroy(notTrusted());
    });
  }

  getConnection(callback: (error: unknown, connection: MysqlPoolConnection) => void): void {
    this.usage.waiting += 1;
    this.obtain()
      .finally(() => {
        this.usage.waiting -= 1;
      })
      .then(
        (connection) => callback(null, connection),
        (error: unknown) => callback(unavailable(error), NO_CONNECTION),
      );
  }

  end(callback: (error: unknown) => void): void {
    this.node.pool.end(callback);
  }

  /** Breaks every connection, also those in use. */
  distrust(): void {
    for (const socket of this.node.sockets) socket.destroy(notTrusted());
  }

  /** Where the server has no connection left, one of our own is waited for. */
  private async obtain(): Promise<MysqlPoolConnection> {
    for (;;) {
      try {
        return await this.connect();
      } catch (error) {
        if (isFull(error)) this.nodes.givesNoMore(messageOf(error));
        if (!this.mayWait(error)) {
          this.next();
          throw error;
        }
      }
      // One may have come back while this one was refused.
      if (this.idle(this.node).length === 0) await new Promise<void>((resolve) => this.queue.push(resolve));
    }
  }

  private mayWait(error: unknown): boolean {
    if (!isFull(error) || this.queue.length >= LIMITS.DATABASE_QUEUE) return false;
    return this.usage.inUse + this.making > 0 || this.idle(this.node).length > 0;
  }

  /** Those that have been used and are not. */
  private idle({ sockets, idleSince }: Node): Socket[] {
    return [...sockets].filter(
      (socket) => idleSince.has(socket) && !this.busy.has(socket) && !socket.destroyed,
    );
  }

  /** A connection has come back, or whoever was next has not got one: another one tries. */
  private next(): void {
    this.queue.shift()?.();
  }

  /** Nothing was sent yet, so every node may be tried. */
  private async connect(): Promise<MysqlPoolConnection> {
    for (let tries = this.nodes.count; ; tries -= 1) {
      const { node } = this;
      this.making += 1;
      const taken = this.take(node).finally(() => {
        this.making -= 1;
      });
      try {
        return await taken;
      } catch (error) {
        if (this.mayWait(error)) throw error;
        if (isFull(error)) this.nodes.closeIdle(node.options.rank);
        const elsewhere = node.left || (isUnreachable(error) && this.leave(node, error));
        if (!elsewhere || tries <= 1) throw error;
      }
    }
  }

  private async take(node: Node): Promise<MysqlPoolConnection> {
    const raw = await connectionOf(node);
    const socket = socketOf(raw);
    if (socket) this.busy.add(socket);
    this.closeIdle(node);
    const { statementMs, demands } = node.options;
    if (!this.vetted.has(raw)) {
      try {
        await this.sessions.get(raw);
        await vet((question) => rowsOf(raw, question), demands);
      } catch (error) {
        raw.destroy();
        throw error;
      }
      this.vetted.add(raw);
      this.nodes.works(node.address);
    }
    this.usage.inUse += 1;
    return new GuardedConnection(raw, statementMs, {
      failed: (error) => {
        // What is refused as a packet goes statement by statement, which tells what the node refuses.
        if (!node.options.connections.multipleStatements && isRefusalOfNode(error)) this.leave(node, error);
        if (isSilence(error)) this.nodes.closeIdle();
      },
      wrote: (error) => {
        if (error && isSilence(error)) this.nodes.writeUnanswered(node.address);
        else if (!error || !breaksConnection(error)) this.nodes.writeAnswered();
      },
      returned: () => {
        if (socket) {
          this.busy.delete(socket);
          node.idleSince.set(socket, performance.now());
        }
        this.usage.inUse -= 1;
        this.next();
      },
    });
  }

  /**
   * Closes connections that have been idle for long, before the server does: it might close one just as it
   * is taken. Called whenever one is taken, which is every few seconds at least, so mysql2 need not look for
   * idle ones every second; it hands out first what was handed back last.
   */
  private closeIdle(node: Node): void {
    const latest = performance.now() - LIMITS.DATABASE_IDLE_MS / 2;
    for (const socket of this.idle(node))
      if ((node.idleSince.get(socket) ?? latest) < latest) socket.destroy(notTrusted());
  }

  private leave({ address }: Node, error: unknown): boolean {
    return this.nodes.leave(address, messageOf(error));
  }

  private open(): Node {
    const address = this.nodes.current;
    const options = this.options(address);
    const { connections, session } = options;
    const pool = createPool(connections);
    const sockets = new Set<Socket>();
    const idleSince = new WeakMap<Socket, number>();
    pool.on('connection', (connection) => {
      const socket = socketOf(connection);
      if (socket) {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
      }
      const begun = beginSession(connection, session);
      // Whoever takes the connection hears of it.
      begun.catch(() => {});
      this.sessions.set(connection, begun);
    });
    return { address, pool, sockets, idleSince, options, waiting: new Set(), left: false };
  }
}

/** The statements are sent at once, in order. */
async function beginSession(connection: PoolConnection, statements: readonly string[]): Promise<void> {
  await Promise.all(
    statements.map((sql) => rowsOf(connection, { sql, timeout: LIMITS.DATABASE_STATEMENT_MS })),
  );
}

/** A connection of the node; fails at once when the node is left meanwhile. */
function connectionOf(node: Node): Promise<PoolConnection> {
  return new Promise((resolve, reject) => {
    const leave = () => reject(notTrusted());
    node.waiting.add(leave);
    node.pool.getConnection((error, connection) => {
      node.waiting.delete(leave);
      if (error) reject(error);
      else if (node.left) connection.destroy();
      else resolve(connection);
    });
  });
}

function rowsOf(connection: PoolConnection, question: { sql: string; timeout: number }): Promise<unknown> {
  return new Promise((resolve, reject) => {
    connection.query(question, (error, rows) => (error ? reject(error) : resolve(rows)));
  });
}

/** mysql2 does not type its stream. Destroying it fails the statement under way at once. */
function socketOf(connection: object): Socket | null {
  return 'stream' in connection && connection.stream instanceof Socket ? connection.stream : null;
}

function notTrusted(): Error {
  return Object.assign(new Error('the connection is not trusted any more'), { code: 'ECONNRESET' });
}

const WRITES = /^\s*(insert|update|delete|commit)\b/i;

/** A pooled connection whose statements cannot hang, destroyed instead of released once it is broken. */
class GuardedConnection implements MysqlPoolConnection {
  private broken: unknown = null;

  constructor(
    private readonly raw: PoolConnection,
    private readonly statementMs: number,
    private readonly tell: {
      failed(error: unknown): void;
      /** A statement that writes has been answered, or not. */
      wrote(error: unknown): void;
      returned(): void;
    },
  ) {}

  query(text: string, parameters: unknown[]): never;
  query(
    text: string,
    parameters: unknown[],
    callback: (error: unknown, result: MysqlQueryResult) => void,
  ): void;
  query(
    text: string,
    parameters: unknown[],
    callback?: (error: unknown, result: MysqlQueryResult) => void,
  ): void {
    if (!callback) throw new Error('streaming is not used');
    // The ROLLBACK after a fault: the server has done it, and a dead connection would only make it wait.
    if (this.broken !== null) {
      callback(this.broken, []);
      return;
    }
    const options = { sql: text, values: parameters, timeout: this.statementMs };
    this.raw.query<RowDataPacket[] | ResultSetHeader>(options, (error, result) => {
      if (error && breaksConnection(error)) {
        this.broken = error;
        this.tell.failed(error);
      }
      if (WRITES.test(text)) this.tell.wrote(error);
      callback(error, error ? [] : result);
    });
  }

  release(): void {
    this.tell.returned();
    if (this.broken === null) this.raw.release();
    else this.raw.destroy();
  }
}

/** Stands in for a connection that could not be had. */
const NO_CONNECTION: MysqlPoolConnection = {
  query: () => {
    throw new Error('there is no connection');
  },
  release: () => {},
};
