import { DaemonError } from '../core/errors';
import type { OpenDatabase } from '../database/open-database';
import { whyClocksDiffer } from '../model/age';
import type { Epoch, Ledger } from '../model/ledger';
import type { ComponentHealth } from './daemon';
import { databaseHealth } from './health/dependencies';

/** The database as the daemon may use it: not before its schema is there. */
export class PreparedDatabase {
  private migrated = false;
  /** Why the schema could not be prepared yet. */
  private unprepared: string | null = null;

  constructor(private readonly database: Pick<OpenDatabase, 'ledger' | 'prepare'>) {}

  /** What it waits for; null once the schema is there. */
  get waitsFor(): string | null {
    if (this.migrated) return null;
    return this.unprepared === null
      ? 'waiting for the database'
      : `waiting for the database: ${this.unprepared}`;
  }

  /** Resolves when the schema is there, or `signal` is aborted; rejects when it can never be. */
  async prepare(signal: AbortSignal): Promise<void> {
    await this.database.prepare(signal, (reason) => {
      this.unprepared = reason;
    });
    this.migrated = !signal.aborted;
  }

  /** What is answered before the schema is there; null once it is. */
  get refusal(): DaemonError | null {
    if (this.migrated) return null;
    return this.unprepared === null
      ? new DaemonError('STARTING', 'The daemon is starting: waiting for the database', {
          retryAfterSeconds: 1,
        })
      : new DaemonError('DATABASE_UNAVAILABLE', this.unprepared, { retryAfterSeconds: 2 });
  }

  /** Throws STARTING or DATABASE_UNAVAILABLE before the schema is there. */
  get ledger(): Ledger {
    if (this.refusal !== null) throw this.refusal;
    return this.database.ledger;
  }

  /**
   * Until the schema is there, what the start waits for; then what the work meets. `unnoted`: why the
   * state folder does not learn how far it has come, or null.
   */
  async health(epoch: Epoch | null, nowMs: () => number, unnoted: string | null): Promise<ComponentHealth> {
    if (!this.migrated)
      return {
        status: this.unprepared === null ? 'unknown' : 'unhealthy',
        message: this.unprepared ?? 'the schema is being prepared',
      };
    const databaseNowMs = await this.database.ledger.probe(epoch);
    return databaseHealth(whyClocksDiffer(databaseNowMs, nowMs()), unnoted);
  }
}
