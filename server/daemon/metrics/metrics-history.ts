import type { Clock } from '../../core/clock';
import { LIMITS } from '../../core/limits';
import type { DiskFlow } from '../../exports/export-traffic';
import type { TerminalStatus } from '../../model/operation';
import { type Reduction, SeriesRing, type Span, stepOf } from './series-ring';

/** What is kept: the last hour finely, the last day coarsely. */
const SPANS = {
  hour: { stepMs: LIMITS.HISTORY_HOUR_STEP_MS, steps: 3_600_000 / LIMITS.HISTORY_HOUR_STEP_MS },
  day: { stepMs: LIMITS.HISTORY_DAY_STEP_MS, steps: 86_400_000 / LIMITS.HISTORY_DAY_STEP_MS },
} as const satisfies Record<string, Span>;
export type SpanName = keyof typeof SPANS;
export const SPAN_NAMES = ['hour', 'day'] as const satisfies readonly SpanName[];

/**
 * One value a step, the oldest first; null: not known, because this daemon was not there or could not look.
 */
export type Points = readonly (number | null)[];

export interface MetricsHistoryReport {
  readonly span: SpanName;
  /** Wall clock ms at which the first step begins. */
  readonly from: number;
  readonly stepMs: number;
  /** Ended in the step. */
  readonly operations: Readonly<Record<TerminalStatus, Points>>;
  /** From acceptance to the end, ms. */
  readonly durations: { readonly mean: Points; readonly longest: Points };
  readonly queue: { readonly pending: Points; readonly executing: Points };
  /** Bytes a second. */
  readonly exports: readonly { readonly volumeId: string; readonly read: Points; readonly written: Points }[];
}

/** One look at what is counted. null: not known now. */
export interface QueueLook {
  readonly pending: number | null;
  readonly executing: number | null;
}

/** The same series over each span. */
class Series {
  private readonly rings: Readonly<Record<SpanName, SeriesRing>> = {
    hour: new SeriesRing(SPANS.hour),
    day: new SeriesRing(SPANS.day),
  };

  add(atMs: number, value: number, weight = 1): void {
    for (const name of SPAN_NAMES) this.rings[name].add(atMs, value, weight);
  }

  read(span: SpanName, nowMs: number, reduction: Reduction): Points {
    return this.rings[span].read(nowMs, reduction);
  }
}

interface ExportSeries {
  readonly read: Series;
  readonly written: Series;
  /** The last look, from which the next one counts. */
  last: { readonly atMs: number; readonly flow: DiskFlow };
}

/**
 * What charts are drawn from, since this process has begun. In memory, and bounded: the latest
 * LIMITS.HISTORY_EXPORTS exports with two series of 11 KiB each, and seven other series.
 */
export class MetricsHistory {
  private readonly ends: Readonly<Record<TerminalStatus, Series>> = {
    completed: new Series(),
    failed: new Series(),
    cancelled: new Series(),
  };
  private readonly durations = new Series();
  private readonly pending = new Series();
  private readonly executing = new Series();
  /** By volume, the one that was looked at longest ago first. */
  private readonly exports = new Map<string, ExportSeries>();

  constructor(private readonly clock: Clock) {}

  /** An operation has ended, `durationMs` after it was accepted. */
  readonly ended = (status: TerminalStatus, durationMs: number): void => {
    const now = this.clock.monotonic();
    this.ends[status].add(now, 1);
    this.durations.add(now, durationMs);
  };

  /** Called by every poll of the devices. */
  sample({ pending, executing }: QueueLook, flows: readonly DiskFlow[]): void {
    const now = this.clock.monotonic();
    // That nothing has ended is known from now on, as long as somebody looks.
    for (const series of Object.values(this.ends)) series.add(now, 0);
    if (pending !== null) this.pending.add(now, pending);
    if (executing !== null) this.executing.add(now, executing);
    for (const flow of flows) this.flowed(flow, now);
  }

  report(span: SpanName): MetricsHistoryReport {
    const now = this.clock.monotonic();
    const { stepMs, steps } = SPANS[span];
    const firstStep = stepOf(now, SPANS[span]) - steps + 1;
    const { ends, durations, pending, executing } = this;
    return {
      span,
      from: this.clock.now() - (now - firstStep * stepMs),
      stepMs,
      operations: {
        completed: ends.completed.read(span, now, 'sum'),
        failed: ends.failed.read(span, now, 'sum'),
        cancelled: ends.cancelled.read(span, now, 'sum'),
      },
      durations: {
        mean: durations.read(span, now, 'mean'),
        longest: durations.read(span, now, 'largest'),
      },
      queue: { pending: pending.read(span, now, 'mean'), executing: executing.read(span, now, 'mean') },
      exports: [...this.exports].map(([volumeId, { read, written }]) => ({
        volumeId,
        read: read.read(span, now, 'mean'),
        written: written.read(span, now, 'mean'),
      })),
    };
  }

  /** Only what lies between two looks at one plug is counted; a longer gap is not known. */
  private flowed(flow: DiskFlow, atMs: number): void {
    const { volumeId } = flow;
    const known = this.exports.get(volumeId);
    const series = known ?? { read: new Series(), written: new Series(), last: { atMs, flow } };
    const { last } = series;
    series.last = { atMs, flow };
    this.exports.delete(volumeId);
    this.exports.set(volumeId, series);
    const [oldest] = this.exports.keys();
    if (this.exports.size > LIMITS.HISTORY_EXPORTS && oldest !== undefined) this.exports.delete(oldest);
    const sinceMs = atMs - last.atMs;
    const isSamePlug = last.flow.diskseq === flow.diskseq && last.flow.readBytes <= flow.readBytes;
    if (sinceMs <= 0 || sinceMs > LIMITS.HISTORY_GAP_MS || !isSamePlug) return;
    if (last.flow.writtenBytes > flow.writtenBytes) return;
    series.read.add(atMs, flow.readBytes - last.flow.readBytes, sinceMs / 1000);
    series.written.add(atMs, flow.writtenBytes - last.flow.writtenBytes, sinceMs / 1000);
  }
}
