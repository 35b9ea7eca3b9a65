import type { Kysely } from 'kysely';
import { backOffMs } from '../core/back-off';
import type { Clock } from '../core/clock';
import { DaemonError } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Logger } from '../core/log/logger';
import type { Ledger } from '../model/ledger';
import { type Dsn, describeDsn } from './connection/dsn';
import { openPool, type PoolUsage } from './connection/pool';
import { migrate } from './migrations/migrate';
import { MysqlLedger } from './mysql-ledger';
import type { Tables } from './tables';

export interface OpenDatabase {
  readonly dsn: Dsn;
  readonly ledger: Ledger;
  readonly kysely: Kysely<Tables>;
  /**
   * Waits for the database and brings its schema up to date. Returns at once when the signal aborts. Every
   * failed try tells `onWaiting` why.
   */
  prepare(signal: AbortSignal, onWaiting?: (reason: string) => void): Promise<void>;
  /** Calls `listener` whenever work was refused as DATABASE_UNAVAILABLE. */
  onAway(listener: () => void): void;
  usage(): PoolUsage;
  /** See Database.distrust. */
  distrust(): void;
  close(): Promise<void>;
}

/** Opens the pool; nothing is connected before the first query. */
export function openDatabase(dsn: Dsn, clock: Clock, logger: Logger): OpenDatabase {
  let onAway = () => {};
  const database = openPool(dsn, logger, () => onAway());
  return {
    dsn,
    kysely: database.kysely,
    ledger: new MysqlLedger(database, () => clock.now()),
    prepare: (signal, onWaiting = () => {}) => prepare(dsn, { clock, logger, signal, onWaiting }),
    onAway: (listener) => {
      onAway = listener;
    },
    usage: () => database.usage(),
    distrust: () => database.distrust(),
    close: () => database.close(),
  };
}

const BACK_OFF = { baseMs: LIMITS.DATABASE_BACKOFF_BASE_MS, capMs: LIMITS.DATABASE_BACKOFF_CAP_MS };

interface Preparing {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly onWaiting: (reason: string) => void;
}

/**
 * Tries without end: the daemon may be started before its database, and a database may come back at any time.
 */
async function prepare(dsn: Dsn, { clock, logger, signal, onWaiting }: Preparing): Promise<void> {
  for (const note of dsn.notes) logger.info('DATABASE_DSN', { note });
  for (let attempt = 1; !signal.aborted; attempt += 1) {
    try {
      const ran = await migrate(dsn, logger);
      logger.info('Database is ready', { database: describeDsn(dsn), migrations: ran.length });
      return;
    } catch (error) {
      if (!(error instanceof DaemonError) || error.code !== 'DATABASE_UNAVAILABLE') throw error;
      onWaiting(error.message);
      const delayMs = backOffMs(BACK_OFF, attempt);
      logger.warn('Waiting for the database', {
        database: describeDsn(dsn),
        attempt,
        next_attempt_ms: delayMs,
        reason: error.message,
      });
      await clock.sleep(delayMs, signal);
    }
  }
}
