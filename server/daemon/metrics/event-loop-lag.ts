import { createHistogram } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';
import { everySecond } from '../../core/every-second';

/** prom-client samples too, and counts its interval as lag: its gauges are replaced, and it samples never. */
export const NEVER_MS = 2 ** 31 - 1;

const NS_PER_SECOND = 1e9;
const REPLACED = ['min', 'max', 'mean', 'stddev', 'p50', 'p90', 'p99'] as const;

/**
 * How late the event loop is, under the names of prom-client, since the last scrape: at rest 0. `registry`
 * has prom-client's own gauges.
 */
export function measureEventLoopLag(registry: Registry): void {
  for (const name of REPLACED) registry.removeSingleMetric(`nodejs_eventloop_lag_${name}_seconds`);
  const lags = createHistogram();
  // More samples would cost more than the idle daemon itself.
  everySecond((lateMs) => lags.record(Math.max(1, Math.round((lateMs * NS_PER_SECOND) / 1_000))));
  const gauge = (name: string, help: string, collect: () => void = () => undefined) =>
    new Gauge({ name: `nodejs_eventloop_lag_${name}_seconds`, help, registers: [registry], collect });
  const median = gauge('p50', 'Median lag of the event loop since the last scrape.');
  const most = gauge('p99', '99th percentile of the lag of the event loop since the last scrape.');
  const longest = gauge('max', 'Longest lag of the event loop since the last scrape.', () => {
    median.set(lags.percentile(50) / NS_PER_SECOND);
    most.set(lags.percentile(99) / NS_PER_SECOND);
    longest.set(lags.max / NS_PER_SECOND);
    lags.reset();
  });
}
