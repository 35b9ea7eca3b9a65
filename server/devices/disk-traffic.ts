import { LIMITS } from '../core/limits';
import type { DiskCounters } from './disk-counters';

interface Sample {
  /** Monotonic ms. */
  readonly at: number;
  readonly counters: DiskCounters;
}

/** What was seen of one plug, by the monotonic clock. At most a handful of samples are kept. */
export interface TrafficHistory {
  /** Of the first sample. */
  readonly since: number;
  /** When the counters were last seen to have changed; null: never since `since`. */
  readonly lastIo: number | null;
  /** Oldest first; the first is as old as the window of the rate, where there is one. */
  readonly samples: readonly [Sample, ...Sample[]];
}

/** What flows to and from a disk. */
export interface Traffic {
  /** Bytes since the disk was plugged in. */
  readonly readBytes: number;
  readonly writtenBytes: number;
  /** Bytes a second over the last LIMITS.TRAFFIC_WINDOW_MS; null until two samples are far enough apart. */
  readonly readRate: number | null;
  readonly writeRate: number | null;
  /** ms since the last change was seen (the I/O itself ended at that time or before); null: none was seen. */
  readonly lastIoAgoMs: number | null;
  /** For how long the disk has been observed; a longer silence cannot be known. */
  readonly observedForMs: number;
}

/**
 * Adds a sample. Null when the counters are lower than before: they are then not those of the disk that was
 * observed, or have wrapped, and totals made from them would be wrong. Pure.
 *
 * @example
 * const history = observe(begin(first, 0), second, 2_000);
 */
export function observe(
  history: TrafficHistory,
  counters: DiskCounters,
  monotonic: number,
): TrafficHistory | null {
  const last = lastOf(history);
  const before = last.counters;
  if (
    counters.readBytes < before.readBytes ||
    counters.writtenBytes < before.writtenBytes ||
    counters.requests < before.requests
  )
    return null;
  const at = Math.max(monotonic, last.at);
  const moved =
    counters.inFlight > 0 ||
    counters.requests > before.requests ||
    counters.readBytes > before.readBytes ||
    counters.writtenBytes > before.writtenBytes;
  return {
    since: history.since,
    lastIo: moved ? at : history.lastIo,
    samples: withSample(history.samples, { at, counters }),
  };
}

/** The first sample of a plug. Requests under way are I/O; what has ended before is not known in time. */
export function begin(counters: DiskCounters, monotonic: number): TrafficHistory {
  return {
    since: monotonic,
    lastIo: counters.inFlight > 0 ? monotonic : null,
    samples: [{ at: monotonic, counters }],
  };
}

/** Pure; `monotonic` is now. */
export function trafficOf(history: TrafficHistory, monotonic: number): Traffic {
  const [first] = history.samples;
  const last = lastOf(history);
  const spanMs = last.at - first.at;
  const rate = (of: (counters: DiskCounters) => number) =>
    spanMs < LIMITS.TRAFFIC_SPACING_MS ? null : ((of(last.counters) - of(first.counters)) * 1_000) / spanMs;
  return {
    readBytes: last.counters.readBytes,
    writtenBytes: last.counters.writtenBytes,
    readRate: rate(({ readBytes }) => readBytes),
    writeRate: rate(({ writtenBytes }) => writtenBytes),
    lastIoAgoMs: history.lastIo === null ? null : Math.max(0, monotonic - history.lastIo),
    observedForMs: Math.max(0, monotonic - history.since),
  };
}

/** For how long the disk has certainly been silent: since the last I/O, or since the first look. */
export function quietForMs({ lastIoAgoMs, observedForMs }: Traffic): number {
  return lastIoAgoMs ?? observedForMs;
}

function lastOf({ samples }: TrafficHistory): Sample {
  return samples.at(-1) ?? samples[0];
}

/** Looks between two polls replace the latest sample; of those older than the window one stays. */
function withSample(samples: TrafficHistory['samples'], sample: Sample): TrafficHistory['samples'] {
  const before = samples.at(-2);
  const last = samples.at(-1);
  const close = before && last && last.at - before.at < LIMITS.TRAFFIC_SPACING_MS;
  const [first, ...rest] = [...(close ? samples.slice(0, -1) : samples), sample];
  const windowStart = sample.at - LIMITS.TRAFFIC_WINDOW_MS;
  const outside = rest.filter(({ at }) => at <= windowStart).length;
  const [base, ...kept] = outside === 0 ? [first, ...rest] : rest.slice(outside - 1);
  return base ? [base, ...kept] : [sample];
}
