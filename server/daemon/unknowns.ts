import { LIMITS } from '../core/limits';
import type { Evidence, Witness } from '../model/evidence';

/** By witness: wall clock ms. */
export type UnknownSince = Readonly<Partial<Record<Witness, number>>>;

/** Since when a witness could not tell about a volume, as far as it was asked in this process. */
export class Unknowns {
  private readonly byVolume = new Map<string, UnknownSince>();

  /**
   * Takes note of what the witnesses have said now. The first unknown answer in a row counts.
   *
   * @example
   * unknowns.since(volumeId, [unknown('CloudStack did not answer', now, 'cloudstack')]).cloudstack; // now
   */
  since(volumeId: string, said: readonly Evidence<unknown>[]): UnknownSince {
    const before = this.byVolume.get(volumeId) ?? {};
    const now: Partial<Record<Witness, number>> = {};
    for (const { kind, by, at } of said) if (kind === 'unknown') now[by] = before[by] ?? at;
    this.byVolume.delete(volumeId);
    if (Object.keys(now).length > 0) this.byVolume.set(volumeId, now);
    const [oldest] = this.byVolume.keys();
    if (oldest !== undefined && this.byVolume.size > LIMITS.UNKNOWNS_REMEMBERED) this.byVolume.delete(oldest);
    return now;
  }
}
