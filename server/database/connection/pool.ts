import { isIP } from 'node:net';
import { rootCertificates } from 'node:tls';
import { type CompiledQuery, Kysely, MysqlDialect, type Transaction } from 'kysely';
import type { PoolOptions } from 'mysql2';
import { DaemonError } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { type Logger, silentLogger } from '../../core/log/logger';
import type { Tables } from '../tables';
import { ClusterNodes, isRefusalOfNode } from './cluster-nodes';
import { type Address, addressesOf, type Dsn } from './dsn';
import { faultOf, translate } from './faults';
import { Lane, type LaneOptions } from './lane';
import { pauseAfterLockWait } from './lock-pause';
import { type StatementResult, sendPacket } from './packet';
import { lockWaits, sessionStatements } from './session';

/** A certificate for another name is refused; for an address the driver has no name to compare. */
function sslOptions({ tls, ca }: Dsn, { host, socketPath }: Address): NonNullable<PoolOptions['ssl']> {
  if (tls !== true) return { rejectUnauthorized: false };
  const verifyIdentity = socketPath === null && isIP(host) === 0;
  return {
    rejectUnauthorized: true,
    verifyIdentity,
    ...(ca === null ? {} : { ca: [...rootCertificates, ca] }),
  };
}

/** How to connect to one of the addresses of the DSN, the first unless another is given. */
export function connectionOptions(dsn: Dsn, address: Address = dsn): PoolOptions {
  const { host, port, socketPath } = address;
  return {
    user: dsn.user,
    password: dsn.password,
    database: dsn.database,
    ...(socketPath === null ? { host, port } : { socketPath }),
    ...(dsn.tls === false ? {} : { ssl: sslOptions(dsn, address) }),
    timezone: 'Z',
    charset: 'utf8mb4',
    connectTimeout: dsn.connectTimeoutMs ?? LIMITS.DATABASE_CONNECT_TIMEOUT_MS,
    enableKeepAlive: true,
    supportBigNumbers: true,
    // A broken value must reach us as text: the driver would throw where nobody can catch it.
    jsonStrings: true,
    multipleStatements: false,
  };
}

/** What a transaction's work is told about earlier runs of itself. */
export interface Attempt {
  /**
   * True when an earlier run reached its COMMIT and the answer was lost: it may have become true. The work
   * must look (with a locking read, which waits until the server has decided) before it writes again.
   */
  readonly inDoubt: boolean;
}

export interface Database {
  readonly kysely: Kysely<Tables>;
  /**
   * Runs a query outside a transaction, once more when its connection turns out to be dead, or after a
   * deadlock or a lock timeout. So `work` sends one statement, which may be repeated. Throws
   * DATABASE_UNAVAILABLE.
   */
  query<T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T>;
  /**
   * Runs a transaction; again after a deadlock, a lock timeout or a lost connection, at most
   * LIMITS.DATABASE_RETRIES times. So `work` may act only through `tx` and must heed `attempt.inDoubt`.
   * Throws DATABASE_UNAVAILABLE.
   */
  transaction<T>(work: (tx: Transaction<Tables>, attempt: Attempt) => Promise<T>): Promise<T>;
  /**
   * Statements as one transaction in one round trip, tried once; see sendPacket. Each lane has connections of
   * its own, so that none waits for another. Null when whether they took effect has to be looked up.
   */
  packet(lane: PacketLane, statements: readonly CompiledQuery[]): Promise<readonly StatementResult[] | null>;
  /**
   * A query that must not wait for others, on a connection of its own: answered within
   * LIMITS.LEASE_STATEMENT_MS or failed, and tried once. Throws DATABASE_UNAVAILABLE.
   */
  urgent<T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T>;
  /** Connections at work, and requests that wait for one: right now, for metrics. */
  usage(): PoolUsage;
  /** Breaks every connection, also those in use; transactions under way run again on new ones. */
  distrust(): void;
  close(): Promise<void>;
}

/** Acceptances; journal entries and rows of operations; changes of what other programs change as well. */
type PacketLane = 'acceptance' | 'journal' | 'effects';

export interface PoolUsage {
  readonly inUse: number;
  readonly waiting: number;
}

/** Opens the pool; nothing is connected before the first query. `onAway` hears of every refusal. */
export function openPool(dsn: Dsn, logger: Logger = silentLogger, onAway: () => void = () => {}): Database {
  const nodes = new ClusterNodes(addressesOf(dsn), logger);
  const work = new Lane(nodes, (address) => workLane(dsn, address, nodes.count));
  const urgent = new Lane(nodes, (address) => urgentLane(dsn, address, nodes.count));
  const packetsOf = (connections: number) =>
    new Lane(nodes, (address) => packetLane(dsn, address, nodes.count, connections));
  const packets: Readonly<Record<PacketLane, Lane>> = {
    acceptance: packetsOf(1),
    journal: packetsOf(1),
    effects: packetsOf(LIMITS.DATABASE_EFFECT_CONNECTIONS),
  };
  const lanes = [work, urgent, ...Object.values(packets)];
  const kysely = new Kysely<Tables>({ dialect: new MysqlDialect({ pool: work }) });
  const quick = new Kysely<Tables>({ dialect: new MysqlDialect({ pool: urgent }) });
  return {
    kysely,
    query: (ask) => noticing(onAway, () => query(kysely, ask, nodes.count)),
    transaction: (write) => noticing(onAway, () => transaction(kysely, write, nodes.count)),
    packet: (lane, statements) => sendPacket(packets[lane], statements, logger),
    urgent: (ask) =>
      ask(quick).catch((error: unknown) => {
        throw translate(error);
      }),
    usage: () => ({ ...work.usage }),
    distrust: () => {
      for (const lane of lanes) lane.distrust();
    },
    // Not kysely.destroy(): without a query before it does nothing, and the pool's timer keeps running.
    close: async () => {
      await Promise.all(lanes.map(closeLane));
    },
  };
}

function closeLane(lane: Lane): Promise<void> {
  return new Promise((resolve, reject) => lane.end((error) => (error ? reject(error) : resolve())));
}

/** What a packet cannot do, the other connections can. */
const RANKS = { packets: 0, work: 1, lease: 2 };

function workLane(dsn: Dsn, address: Address, nodes: number): LaneOptions {
  return {
    connections: {
      ...connectionOptions(dsn, address),
      connectionLimit: LIMITS.DATABASE_CONNECTIONS,
      queueLimit: LIMITS.DATABASE_QUEUE,
    },
    session: sessionStatements(LIMITS.DATABASE_IDLE_MS),
    statementMs: LIMITS.DATABASE_STATEMENT_MS,
    demands: {
      writable: nodes > 1,
      causal: true,
      timeoutMs: LIMITS.DATABASE_CONNECT_TIMEOUT_MS,
    },
    rank: RANKS.work,
  };
}

/** Several statements in a text are allowed on such a connection only; their values are escaped like all. */
function packetLane(dsn: Dsn, address: Address, nodes: number, connectionLimit: number): LaneOptions {
  const lane = workLane(dsn, address, nodes);
  return {
    ...lane,
    connections: { ...lane.connections, connectionLimit, multipleStatements: true },
    rank: RANKS.packets,
  };
}

/** The lease's own connection. What it reads may be old: it is only acted on by conditional writes. */
function urgentLane(dsn: Dsn, address: Address, nodes: number): LaneOptions {
  const options = connectionOptions(dsn, address);
  return {
    connections: {
      ...options,
      connectTimeout: Math.min(
        options.connectTimeout ?? LIMITS.LEASE_STATEMENT_MS,
        LIMITS.LEASE_STATEMENT_MS,
      ),
      connectionLimit: 1,
      queueLimit: LIMITS.DATABASE_QUEUE,
    },
    session: sessionStatements(LIMITS.DATABASE_IDLE_MS, lockWaits(LIMITS.LEASE_STATEMENT_MS)),
    statementMs: LIMITS.LEASE_STATEMENT_MS,
    demands: { writable: nodes > 1, causal: false, timeoutMs: LIMITS.LEASE_STATEMENT_MS },
    rank: RANKS.lease,
  };
}

async function noticing<T>(onAway: () => void, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof DaemonError && error.code === 'DATABASE_UNAVAILABLE') onAway();
    throw error;
  }
}

async function query<T>(
  kysely: Kysely<Tables>,
  work: (db: Kysely<Tables>) => Promise<T>,
  nodes: number,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work(kysely);
    } catch (error) {
      const fault = faultOf(error);
      const again = fault === 'lost' || fault === 'rolled-back';
      const tries = isRefusalOfNode(error) ? nodes : again ? 2 : 1;
      if (attempt >= tries) throw translate(error);
    }
  }
}

async function transaction<T>(
  kysely: Kysely<Tables>,
  work: (tx: Transaction<Tables>, attempt: Attempt) => Promise<T>,
  nodes: number,
): Promise<T> {
  let inDoubt = false;
  for (let attempt = 1; ; attempt += 1) {
    let committing = false;
    try {
      return await kysely.transaction().execute(async (tx) => {
        const value = await work(tx, { inDoubt });
        committing = true;
        return value;
      });
    } catch (error) {
      const fault = faultOf(error);
      const elsewhere = nodes > 1 && isRefusalOfNode(error);
      // An error packet is an answer to COMMIT (a deadlock on a cluster); silence is none, and a node that
      // was cut off from the others in the middle does not know.
      if (committing && (fault === 'lost' || elsewhere)) inDoubt = true;
      const again = fault === 'rolled-back' || fault === 'lost' || elsewhere;
      if (!again || attempt >= LIMITS.DATABASE_RETRIES) throw translate(error);
      await pauseAfterLockWait(error);
    }
  }
}
