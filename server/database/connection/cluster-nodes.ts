import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import { type Address, describeAddress } from './dsn';
import { errorNumber, faultOf } from './faults';

/**
 * The nodes that a DSN names. One is used at a time, by every connection of this process: what was written
 * is read where it was written. Whoever finds that it does not do its work leaves it, and all go to the next.
 */
export class ClusterNodes {
  private index = 0;
  private readonly listeners: (() => void)[] = [];
  private readonly idleListeners: ((below: number) => void)[] = [];
  /** Writes in a row that the node in use has not answered. */
  private unanswered = 0;
  /** It is said that the server gives no more connections. */
  private isShort = false;
  /** Why a node was left, as logged; while none works, each is tried again and again. */
  private readonly said = new Map<Address, string>();

  constructor(
    private readonly addresses: readonly [Address, ...Address[]],
    private readonly logger: Logger,
  ) {}

  get count(): number {
    return this.addresses.length;
  }

  /** The node in use. */
  get current(): Address {
    return this.addresses[this.index % this.count] ?? this.addresses[0];
  }

  /** A connection to this node satisfies. */
  works(address: Address): void {
    this.isShort = false;
    if (this.said.delete(address))
      this.logger.info('A node of the database works again', { node: describeAddress(address) });
  }

  onMove(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** The server, or the account, has as many connections as it may have. */
  givesNoMore(reason: string): void {
    if (!this.isShort)
      this.logger.warn('The database gives no more connections; those that there are take turns', {
        node: describeAddress(this.current),
        reason,
      });
    this.isShort = true;
  }

  onCloseIdle(listener: (below: number) => void): void {
    this.idleListeners.push(listener);
  }

  /**
   * A statement was not answered in time: what lies idle may lead nowhere as well, and costs little to make
   * anew. Or it takes the place of a connection that matters more: of lanes below this rank.
   */
  closeIdle(below = Number.POSITIVE_INFINITY): void {
    for (const listener of this.idleListeners) listener(below);
  }

  /**
   * A write that this node has not answered. Reads may be answered all the while (a backup that holds the
   * global read lock, a full disk): a node that leaves one write after the other unanswered is left.
   */
  writeUnanswered(address: Address): void {
    if (address !== this.current) return;
    this.unanswered += 1;
    if (this.unanswered >= LIMITS.UNANSWERED_WRITES) this.leave(address, 'it answers reads, and no writes');
  }

  writeAnswered(): void {
    this.unanswered = 0;
  }

  /** Goes to the next node, unless this one has been left already. False when there is no other. */
  leave(address: Address, reason: string): boolean {
    if (this.count === 1) return false;
    if (address !== this.current) return true;
    this.unanswered = 0;
    this.index = (this.index + 1) % this.count;
    if (this.said.get(address) !== reason)
      this.logger.warn('A node of the database is left for the next', {
        node: describeAddress(address),
        next: describeAddress(this.current),
        reason,
      });
    this.said.set(address, reason);
    for (const listener of this.listeners) listener();
    return true;
  }
}

/**
 * What every node would say: of the account and its rights, the schema, a statement that is too large.
 * Whatever else a node may refuse is an open set (disks, tables, read-only modes, clusters, the next
 * version's inventions), and another node may do it.
 */
const REFUSALS_OF_ALL: ReadonlySet<number> = new Set([
  1044, // no right to the database
  1045, // access denied
  1049, // no such database
  1054, // no such column
  1142, // no right to the table
  1143, // no right to the column
  1146, // no such table
  1153, // larger than max_allowed_packet
  1227, // no such privilege
  1370, // no right to a routine
  1698, // access denied
  1820, // the password must be changed
  1862, // the password has expired
]);
/** Galera has several numbers for it. */
const TOO_LARGE = /write ?set size|message too long/i;
const SHUTTING_DOWN = 1053;

/** Is what was sent too large for the server or its cluster? A part of it may be taken. */
export function isTooLarge(error: unknown): boolean {
  return errorNumber(error) === 1153 || TOO_LARGE.test(messageOf(error));
}

/** Was a statement refused by this node alone? */
export function isRefusalOfNode(error: unknown): boolean {
  const number = errorNumber(error) ?? 0;
  if (number === SHUTTING_DOWN) return true;
  if (number <= 0 || faultOf(error) !== 'away') return false;
  return !REFUSALS_OF_ALL.has(number) && !TOO_LARGE.test(messageOf(error));
}

/** Has the server, or the account, as many connections as it may have? */
export function isFull(error: unknown): boolean {
  return [1040, 1203, 1226].includes(errorNumber(error) ?? 0);
}

/** Could no connection be had from this node? Not when the pool itself is full or closed. */
export function isUnreachable(error: unknown): boolean {
  const fault = faultOf(error);
  const ours =
    error instanceof Error && /queue limit|pool is closed|no connections available/i.test(error.message);
  return (fault === 'away' || fault === 'lost') && !ours;
}

/**
 * - `writable`: refuse a node that is not primary, refuses queries or is read-only. Only where there is
 *   another node: a single server says so itself, statement by statement.
 * - `causal`: every read of a Galera node waits until it has applied what the others had committed before.
 *   Another daemon may have written there, a proxy may send each connection to another node, and we may have
 *   come here from a node that died: a 404 for an accepted operation would be a lie.
 */
export interface Demands {
  readonly writable: boolean;
  readonly causal: boolean;
  readonly timeoutMs: number;
}

/** Runs a statement on the connection that is looked at; resolves with its rows. */
export type Ask = (query: { readonly sql: string; readonly timeout: number }) => Promise<unknown>;

/** Looks at the node behind a new connection. Throws a 1047 of our own when it does not satisfy. */
export async function vet(query: Ask, demands: Demands): Promise<void> {
  const ask = async (sql: string) => byName(await query({ sql, timeout: demands.timeoutMs }));
  const variables = await ask(
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on', 'wsrep_reject_queries', 'read_only', 'super_read_only', 'innodb_read_only')",
  );
  const isGalera = isOn(variables.get('wsrep_on'));
  if (demands.writable) {
    const readOnly = ['read_only', 'super_read_only', 'innodb_read_only'].find((name) =>
      isOn(variables.get(name)),
    );
    if (readOnly !== undefined) throw refused(`${readOnly} is on`);
    if (isGalera) await vetGalera(ask, variables);
  }
  if (isGalera && demands.causal) await ask('SET SESSION wsrep_sync_wait = 1');
}

type Answers = ReadonlyMap<string, string>;

async function vetGalera(ask: (text: string) => Promise<Answers>, variables: Answers): Promise<void> {
  const rejects = variables.get('wsrep_reject_queries') ?? 'NONE';
  if (rejects !== 'NONE') throw refused(`wsrep_reject_queries is ${rejects}`);
  const status = await ask(
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_cluster_status')",
  );
  const cluster = status.get('wsrep_cluster_status') ?? 'unknown';
  if (cluster !== 'Primary') throw refused(`its part of the cluster is ${cluster}`);
  if (!isOn(status.get('wsrep_ready'))) throw refused('wsrep_ready is off');
}

/** The values of SHOW, by name in lower case; nothing of any other statement. */
function byName(rows: unknown): Map<string, string> {
  const values = new Map<string, string>();
  for (const row of Array.isArray(rows) ? rows : [])
    values.set(String(row.Variable_name).toLowerCase(), String(row.Value));
  return values;
}

function isOn(value: string | undefined): boolean {
  return value !== undefined && /^(on|1|yes)$/i.test(value);
}

function refused(reason: string): Error {
  return Object.assign(new Error(`this node does not take writes: ${reason}`), { errno: 1047 });
}
