import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { LIMITS } from '../../core/limits';
import type { Logger } from '../../core/log/logger';
import type { OwnershipLock } from '../../model/ownership-lock';
import type { Dsn } from './dsn';
import { unavailable } from './faults';
import { connectionOptions } from './pool';
import { sessionStatements } from './session';

/**
 * GET_LOCK on a connection of its own: the server frees the lock when that connection ends, however this
 * process dies. A query every second detects a connection that is silently dead. The server ends a session
 * without one for LIMITS.LOCK_SESSION_IDLE_MS, so that the lock of a vanished host becomes free.
 */
export class ApplianceLock implements OwnershipLock {
  private connection: Connection | null = null;
  private beat: NodeJS.Timeout | null = null;
  private listener: (reason: string) => void = () => {};

  constructor(
    private readonly dsn: Dsn,
    private readonly logger: Logger,
    /**
     * Called when the connection has broken: what broke it may have broken the others too, without a word.
     */
    private readonly distrustOthers: () => void = () => {},
  ) {}

  onLost(listener: (reason: string) => void): void {
    this.listener = listener;
  }

  async acquire(applianceId: string): Promise<boolean> {
    await this.release();
    let connection: Connection | null = null;
    try {
      connection = await createConnection(connectionOptions(this.dsn));
      const held = connection;
      held.on('error', (error: Error) => this.drop(held, error.message));
      held.on('end', () => this.drop(held, 'the connection was closed'));
      for (const statement of sessionStatements(LIMITS.LOCK_SESSION_IDLE_MS))
        await held.query(bounded(statement));
      const [rows] = await held.query<RowDataPacket[]>(
        bounded('SELECT GET_LOCK(?, 0) AS got', [lockName(applianceId)]),
      );
      if (Number(rows[0]?.got) !== 1) {
        held.destroy();
        return false;
      }
      this.connection = held;
      this.beat = setInterval(() => void this.check(held), LIMITS.OWNERSHIP_BEAT_MS);
      this.beat.unref();
      return true;
    } catch (error) {
      connection?.destroy();
      throw unavailable(error);
    }
  }

  async release(): Promise<void> {
    const { connection } = this;
    this.forget();
    if (!connection) return;
    // Ending the connection releases the lock; asking first makes it free before we return.
    await connection.query(bounded('DO RELEASE_ALL_LOCKS()')).catch(() => undefined);
    connection.destroy();
  }

  private async check(connection: Connection): Promise<void> {
    try {
      await connection.query(bounded('SELECT 1'));
    } catch (error) {
      this.drop(connection, error instanceof Error ? error.message : String(error));
    }
  }

  private drop(connection: Connection, reason: string): void {
    if (this.connection !== connection) return;
    this.logger.warn('The connection that holds the appliance lock is broken', { reason });
    this.forget();
    connection.destroy();
    this.listener(reason);
    this.distrustOthers();
  }

  private forget(): void {
    this.connection = null;
    if (this.beat) clearInterval(this.beat);
    this.beat = null;
  }
}

/** Names of locks have at most 64 characters, and are shared by all databases of a server. */
function lockName(applianceId: string): string {
  return `volume-daemon:${applianceId}`.slice(0, 64);
}

function bounded(sql: string, values: string[] = []): { sql: string; values: string[]; timeout: number } {
  return { sql, values, timeout: LIMITS.OWNERSHIP_BEAT_TIMEOUT_MS };
}
