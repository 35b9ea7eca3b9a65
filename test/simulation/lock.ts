import type { OwnershipLock } from '~/server/model/ownership-lock';

interface Session {
  readonly lost: (reason: string) => void;
}

/**
 * The named locks of the database server: each is held by one session, and free the moment the server ends
 * it.
 */
export class LockTable {
  private readonly holders = new Map<string, Session>();

  take(applianceId: string, session: Session): boolean {
    if (this.holders.has(applianceId)) return false;
    this.holders.set(applianceId, session);
    return true;
  }

  free(session: Session): void {
    for (const [id, holder] of this.holders) if (holder === session) this.holders.delete(id);
  }

  /** The server ends the session; its owner hears of it `later`. */
  cut(applianceId: string, later: (tell: () => void) => void): boolean {
    const session = this.holders.get(applianceId);
    if (!session) return false;
    this.free(session);
    later(() => session.lost('the connection was cut'));
    return true;
  }
}

/** One process's connection for the lock: what ApplianceLock is on MariaDB. */
export class SimulatedLock implements OwnershipLock {
  private session: Session | null = null;
  private closed = false;
  private listener: (reason: string) => void = () => {};

  constructor(private readonly table: LockTable) {}

  onLost(listener: (reason: string) => void): void {
    this.listener = listener;
  }

  async acquire(applianceId: string): Promise<boolean> {
    await this.release();
    const session: Session = {
      lost: (reason) => {
        if (this.session !== session) return;
        this.session = null;
        this.listener(reason);
      },
    };
    if (this.closed || !this.table.take(applianceId, session)) return false;
    this.session = session;
    return true;
  }

  async release(): Promise<void> {
    if (this.session) this.table.free(this.session);
    this.session = null;
  }

  /** The server has noticed that the process is dead: what arrives on its connection later is not done. */
  close(): void {
    this.closed = true;
    if (this.session) this.table.free(this.session);
    this.session = null;
  }
}
