import type { Clock } from '../core/clock';
import type { ClockSteps } from '../core/clock-steps';
import { LIMITS } from '../core/limits';
import type { Operation } from './operation';

/**
 * Is it certain that an operation changed so long ago that CloudStack, whose management servers lag behind
 * one another, shows what it has done? The time in its row was written by the clock of the appliance whose
 * operation it is: another one's may be ahead of ours or behind it. Rows of the daemon before this one name
 * no appliance. A time to come was written before the clock was set back, which a daemon that has just
 * started may have missed.
 */
export function hasSettled(
  {
    clock,
    clockSteps,
  }: { readonly clock: Pick<Clock, 'now' | 'monotonic'>; readonly clockSteps: ClockSteps },
  { applianceId, updatedAt }: Pick<Operation, 'applianceId' | 'updatedAt'>,
  applianceVmId: string | null,
): boolean {
  const since = clock.monotonic() - LIMITS.READ_SETTLE_MS;
  if (clockSteps.hasSteppedSince(since)) return false;
  const agoMs = clock.now() - updatedAt;
  if (agoMs < 0 && clockSteps.hasBegunAfter(since)) return false;
  const differMs = applianceId === applianceVmId || applianceId === '' ? 0 : LIMITS.CLOCKS_AGREE_MS;
  return Math.abs(agoMs) >= LIMITS.READ_SETTLE_MS + differMs;
}
