import type { Clock } from '../core/clock';
import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import { type Evidence, type Seen, seen, type Unknown, unknown } from '../model/evidence';
import type { CounterReader, Plug } from './disk-counters';
import { begin, observe, quietForMs, type Traffic, type TrafficHistory, trafficOf } from './disk-traffic';

interface MonitorParts {
  readonly counters: CounterReader;
  readonly clock: Clock;
}

/**
 * What flows to and from disks, by the kernel's counters: whichever program causes it. `sample` is called by
 * the device poll; every question looks once more. A disk is remembered by its plug, so one that gets the
 * letter of another begins anew.
 */
export class TrafficMonitor {
  /** `lost`: its counters went backwards. */
  private readonly histories = new Map<string, TrafficHistory | { readonly lost: string }>();

  constructor(private readonly parts: MonitorParts) {}

  /** Looks at these disks, and forgets all others. What it found, in their order. */
  sample(plugs: readonly Plug[]): (Seen<Traffic> | Unknown)[] {
    const keys = new Set(plugs.map(keyOf));
    for (const key of this.histories.keys()) if (!keys.has(key)) this.histories.delete(key);
    return plugs.map((plug) => this.look(plug));
  }

  /** The traffic of this plug now; unknown when it has left or its counters are not certainly its own. */
  look(plug: Plug): Seen<Traffic> | Unknown {
    const { counters, clock } = this.parts;
    const now = counters.read(plug);
    const monotonic = clock.monotonic();
    if (now.kind !== 'seen') return unknown(now.kind === 'absent' ? now.proof : now.why, now.at, now.by);
    const key = keyOf(plug);
    const before = this.histories.get(key);
    const after =
      before === undefined || 'lost' in before
        ? (before ?? begin(now.value, monotonic))
        : (observe(before, now.value, monotonic) ?? {
            lost: `the counters of ${plug.path} went backwards, so what they count is not known`,
          });
    this.histories.set(key, after);
    if ('lost' in after) return unknown(after.lost, now.at, now.by);
    return seen(trafficOf(after, monotonic), now.at, now.by);
  }

  /**
   * The same for a decision that depends on silence. What a client has written may still be in the page
   * cache, where no counter shows it; so a disk that looks idle is flushed, and looked at again. Unknown when
   * the flush fails. Never throws.
   */
  async settled(plug: Plug): Promise<Evidence<Traffic>> {
    const { counters, clock } = this.parts;
    const before = this.look(plug);
    if (before.kind !== 'seen' || !isIdle(before)) return before;
    try {
      await counters.flush(plug);
    } catch (error) {
      return unknown(`${plug.path} cannot be flushed: ${messageOf(error)}`, clock.now(), 'guest');
    }
    return this.look(plug);
  }
}

/** No I/O for LIMITS.CLIENT_IDLE_MS, and that is certain. Pure. */
export function isIdle(traffic: Evidence<Traffic>): boolean {
  return traffic.kind === 'seen' && quietForMs(traffic.value) >= LIMITS.CLIENT_IDLE_MS;
}

function keyOf({ name, diskseq }: Plug): string {
  return `${name}#${diskseq}`;
}
