/** The named lock that makes one process the writer of an appliance. */
export interface OwnershipLock {
  /** Tries once; false when somebody else holds it. Throws DATABASE_UNAVAILABLE. */
  acquire(applianceId: string): Promise<boolean>;
  /** Fires once when the held lock is lost without `release` (its connection broke). */
  onLost(listener: (reason: string) => void): void;
  release(): Promise<void>;
}
