import type { DaemonError } from '../../core/errors';
import type { Epoch } from '../../model/ledger';
import { queueFull } from './deduplication';

/**
 * How many more operations may wait. Only this process accepts for the appliance in this epoch, so the queue
 * is counted again only when the quota is used up.
 */
export class PendingQuota {
  private epoch = 0;
  private left = 0;

  constructor(private readonly max: number) {}

  /** Is it certain, without another count, that `places` more may wait? */
  isKnown(epoch: Epoch, places: number): boolean {
    return this.epoch === epoch.number && this.left >= places;
  }

  /** Notes a fresh count of the operations that wait. */
  counted(epoch: Epoch, waiting: number): void {
    this.epoch = epoch.number;
    this.left = Math.max(0, this.max - waiting);
  }

  /** Takes a place; false when there is none. */
  take(): boolean {
    if (this.left === 0) return false;
    this.left -= 1;
    return true;
  }

  /** Notes places that were taken without asking, when it was known that there are so many. */
  taken(places: number): void {
    this.left = Math.max(0, this.left - places);
  }

  get full(): DaemonError {
    return queueFull(this.max);
  }
}
