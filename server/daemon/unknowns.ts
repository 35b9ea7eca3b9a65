import { LIMITS } from '../core/limits';
import type { Evidence, Witness } from '../model/evidence';

/** By witness: since when (wall clock ms) it could not tell. */
export type UnknownSince = Readonly<Partial<Record<Witness, number>>>;

/** Remembers since when a witness could not tell about a volume, as far as it was asked in this process. */
export class Unknowns {
  private readonly byVolume = new Map<string, UnknownSince>();

  /**
   * Records what the witnesses have just said. The first of consecutive unknown answers counts.
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
