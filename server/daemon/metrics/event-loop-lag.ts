import { createHistogram } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';
import { everySecond } from '../../core/every-second';

/** Between two samples: more of them would cost more than the idle daemon itself. */
const INTERVAL_MS = 1_000;
/** prom-client samples too, and counts its interval as lag: its gauges are replaced, and it samples never. */
export const NEVER_MS = 2 ** 31 - 1;

const REPLACED = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'] as const;

/**
 * How late the event loop is, under the names of prom-client, since the last scrape: at rest 0. `registry` has
 * prom-client's own gauges.
 */
export function measureEventLoopLag(registry: Registry): void {
  for (const name of REPLACED) registry.removeSingleMetric(`nodejs_eventloop_lag_${name}_seconds`);
  const between = createHistogram();
  let last = performance.now();
  everySecond(() => {
    const now = performance.now();
    between.record(Math.max(1, Math.round((now - last) * 1e6)));
    last = now;
  });
  const gauge = (name: string, help: string, collect: () => void = () => undefined) =>
    new Gauge({ name: `nodejs_eventloop_lag_${name}_seconds`, help, registers: [registry], collect });
  const median = gauge('p50', 'Median lag of the event loop since the last scrape.');
  const most = gauge('p99', '99th percentile of the lag of the event loop since the last scrape.');
  const longest = gauge('max', 'Longest lag of the event loop since the last scrape.', () => {
    median.set(lagSeconds(between.percentile(50)));
    most.set(lagSeconds(between.percentile(99)));
    longest.set(lagSeconds(between.max));
    between.reset();
  });
}

/** The time between two samples less the interval at which they are due; 0 without a sample. */
export function lagSeconds(nanoseconds: number): number {
  const lag = nanoseconds / 1e9 - INTERVAL_MS / 1000;
  return Number.isFinite(lag) ? Math.max(0, lag) : 0;
}
