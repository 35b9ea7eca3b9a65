import { hostname } from 'node:os';
import type { Connection, ResultSetHeader, RowDataPacket } from 'mysql2/promise';
import { LIMITS } from '../../core/limits';
import { faultOf } from '../connection/faults';

const TABLE = 'volume_daemon_schema_lock';
const UNTIL = `NOW(3) + INTERVAL ${LIMITS.MIGRATION_LEASE_MS * 1000} MICROSECOND`;
/** A lock that claims to last longer was written before the database's clock was set back. */
const ENDED = `(lease_until IS NULL OR lease_until < NOW(3) OR lease_until > ${UNTIL})`;

/**
 * Who changes the schema: one row, so that it holds on every node of a cluster, which a named lock does not.
 * A migrator that dies leaves a lease that ends by the database's clock. While a node alters a table nothing
 * can be renewed, so the lock may be lost in the middle of a step: it spares work, and the steps themselves,
 * which may be repeated and may run side by side, make it right.
 */
export class SchemaLock {
  private readonly holder = `${hostname()} pid ${process.pid} ${crypto.randomUUID()}`.slice(0, 191);

  constructor(private readonly connection: Connection) {}

  /** Tries once. */
  async take(): Promise<boolean> {
    await this.connection.query(
      `CREATE TABLE IF NOT EXISTS ${TABLE} (id TINYINT PRIMARY KEY, holder VARCHAR(191) NOT NULL, lease_until DATETIME(3) NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`,
    );
    await this.connection.query(`INSERT IGNORE INTO ${TABLE} (id, holder) VALUES (1, '')`);
    return this.write(`UPDATE ${TABLE} SET holder = ?, lease_until = ${UNTIL} WHERE id = 1 AND ${ENDED}`);
  }

  /** False when somebody else has it meanwhile. */
  renew(): Promise<boolean> {
    return this.write(`UPDATE ${TABLE} SET lease_until = ${UNTIL} WHERE id = 1 AND holder = ?`);
  }

  /** Never throws: what cannot be given back ends by itself. */
  async release(): Promise<void> {
    const released = this.write(`UPDATE ${TABLE} SET lease_until = NULL WHERE id = 1 AND holder = ?`);
    await released.catch(() => false);
  }

  /** For messages. */
  async heldBy(): Promise<string> {
    const [rows] = await this.connection.query<RowDataPacket[]>(`SELECT holder FROM ${TABLE} WHERE id = 1`);
    return String(rows[0]?.holder ?? '');
  }

  /** On a cluster one of two that write at once is the victim of a deadlock: it has not got it. */
  private async write(sql: string): Promise<boolean> {
    try {
      const [{ affectedRows }] = await this.connection.query<ResultSetHeader>(sql, [this.holder]);
      return affectedRows === 1;
    } catch (error) {
      if (faultOf(error) === 'rolled-back') return false;
      throw error;
    }
  }
}
