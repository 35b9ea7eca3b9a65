import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { MetricsHistory } from '~/server/daemon/metrics/metrics-history';
import { SeriesRing } from '~/server/daemon/metrics/series-ring';

describe('a ring of steps', () => {
  const ring = () => new SeriesRing({ stepMs: 10, steps: 4 });

  it('knows nothing of steps without a value, and that is not zero', () => {
    const series = ring();
    expect(series.read(0, 'sum')).toEqual([null, null, null, null]);
    series.add(5, 0);
    series.add(25, 3);
    expect(series.read(25, 'sum')).toEqual([null, 0, null, 3]);
  });

  it('gives sum, mean by weight and largest', () => {
    const series = ring();
    series.add(1, 10, 1);
    series.add(2, 50, 2);
    expect(series.read(9, 'sum').at(-1)).toBe(60);
    expect(series.read(9, 'mean').at(-1)).toBe(20);
    expect(series.read(9, 'largest').at(-1)).toBe(50);
  });

  it('forgets what is older than its span, also when nobody wrote for long', () => {
    const series = ring();
    for (const at of [0, 10, 20, 30, 40]) series.add(at, at);
    expect(series.read(40, 'sum')).toEqual([10, 20, 30, 40]);
    expect(series.read(59, 'sum')).toEqual([20, 30, 40, null]);
    expect(series.read(1_000_000, 'sum')).toEqual([null, null, null, null]);
    series.add(1_000_005, 7);
    expect(series.read(1_000_005, 'sum')).toEqual([null, null, null, 7]);
  });

  it('drops a value from before its span, and keeps a late one within it', () => {
    const series = ring();
    series.add(100, 1);
    series.add(85, 2);
    series.add(10, 9);
    expect(series.read(100, 'sum')).toEqual([null, 2, null, 1]);
  });
});

describe('the history of figures', () => {
  const begin = (atMs = 0) => {
    const time = { atMs };
    const clock = { monotonic: () => time.atMs, now: () => 1_000_000 + time.atMs, sleep: async () => {} };
    return { clock, time, history: new MetricsHistory(clock) };
  };
  const idle = { pending: 0, executing: 0 };
  const flow = (writtenBytes: number, diskseq = 1) => ({
    volumeId: 'v',
    diskseq,
    readBytes: 0,
    writtenBytes,
  });
  const last = (points: readonly (number | null)[]) => points.at(-1);

  it('counts what ended, with mean and longest duration, in both spans', () => {
    const { history } = begin();
    history.sample(idle, []);
    history.ended('completed', 1_000);
    history.ended('completed', 3_000);
    history.ended('failed', 500);
    for (const span of ['hour', 'day'] as const) {
      const { operations, durations } = history.report(span);
      expect([last(operations.completed), last(operations.failed), last(operations.cancelled)]).toEqual([
        2, 1, 0,
      ]);
      expect([last(durations.mean), last(durations.longest)]).toEqual([1_500, 3_000]);
    }
  });

  it('says since when: the first step begins a span ago, and the wall clock only labels it', () => {
    const { clock, history } = begin(7_200_000);
    const { from, stepMs, operations } = history.report('hour');
    expect(operations.completed).toHaveLength(3_600_000 / stepMs);
    const end = from + operations.completed.length * stepMs;
    expect(end).toBeGreaterThan(clock.now() - 1);
    expect(end - clock.now()).toBeLessThanOrEqual(stepMs);
  });

  it('an unknown queue stays unknown', () => {
    const { history } = begin();
    history.sample({ pending: null, executing: null }, []);
    const { queue } = history.report('hour');
    expect([last(queue.pending), last(queue.executing)]).toEqual([null, null]);
  });

  it('a rate is what flowed between two looks at one plug', () => {
    const { time, history } = begin();
    history.sample(idle, [flow(1_000)]);
    expect(last(history.report('hour').exports[0]?.written ?? [])).toBeNull();
    time.atMs = 2_000;
    history.sample(idle, [flow(5_000)]);
    expect(last(history.report('hour').exports[0]?.written ?? [])).toBe(2_000);
  });

  it.each([
    ['another plug', flow(9_000, 2), 2_000],
    ['a counter that went back', flow(10), 2_000],
    ['a gap in which nobody looked', flow(9_000), LIMITS.HISTORY_GAP_MS + 1],
  ])('nothing is said over %s', (_, next, atMs) => {
    const { time, history } = begin();
    history.sample(idle, [flow(1_000)]);
    time.atMs = atMs;
    history.sample(idle, [next]);
    expect(last(history.report('hour').exports[0]?.written ?? [])).toBeNull();
  });

  it('remembers the latest exports only', () => {
    const { history } = begin();
    for (let n = 0; n < LIMITS.HISTORY_EXPORTS + 5; n += 1)
      history.sample(idle, [{ ...flow(0), volumeId: `volume ${n}` }]);
    const kept = history.report('day').exports.map(({ volumeId }) => volumeId);
    expect(kept).toHaveLength(LIMITS.HISTORY_EXPORTS);
    expect(kept[0]).toBe('volume 5');
  });
});
