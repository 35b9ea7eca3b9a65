import { type Clock, systemClock } from '../../core/clock';
import { LIMITS } from '../../core/limits';
import { errorNumber } from './faults';

const LOCK_WAIT_TIMEOUT = 1205;

/**
 * After a wait for a lock that was too long, with no lock held: a renewal of the lease that was given up just
 * before that wait ended finds the appliance's row free, whatever the rhythm of the two.
 */
export async function pauseAfterLockWait(error: unknown, clock: Clock = systemClock): Promise<void> {
  if (errorNumber(error) === LOCK_WAIT_TIMEOUT) await clock.sleep(LIMITS.DATABASE_LOCK_PAUSE_MS);
}
