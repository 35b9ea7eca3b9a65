import type { Clock } from '../../core/clock';
import { messageOf } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { unknown } from '../../model/evidence';
import { type Capacity, capacityOf, lookAtSlots, NOT_LOOKED, type SlotSources } from '../../operations/slots';

interface SlotWatchParts extends SlotSources {
  readonly clock: Clock;
  applianceVmId(): string | null;
  /** Volumes of operations that have a slot. */
  coming(): readonly string[];
}

/** Keeps how many more disks this VM takes, so that health and metrics cost nothing. */
export class SlotWatch {
  capacity: Capacity = NOT_LOOKED;
  private lookedAt: number | null = null;
  private looking = false;

  constructor(private readonly parts: SlotWatchParts) {}

  /** The next `refresh` looks again: a disk has come or gone. */
  outdate(): void {
    this.lookedAt = null;
  }

  /** Looks again when that is due. Never throws: what cannot be read is not known, whatever it was before. */
  async refresh(): Promise<void> {
    const { clock, applianceVmId, coming } = this.parts;
    const vmId = applianceVmId();
    const now = clock.monotonic();
    const isFresh = this.lookedAt !== null && now - this.lookedAt < LIMITS.SLOT_REFRESH_MS;
    if (vmId === null || isFresh || this.looking) return;
    this.looking = true;
    this.lookedAt = now;
    try {
      const look = await lookAtSlots(this.parts, vmId, coming().length);
      this.capacity = capacityOf(look, coming());
    } catch (error) {
      const [why, at] = [messageOf(error), clock.now()];
      this.capacity = { guest: unknown(why, at, 'guest'), cloudstack: unknown(why, at, 'cloudstack') };
    } finally {
      this.looking = false;
    }
  }
}
