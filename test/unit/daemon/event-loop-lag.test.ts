import { collectDefaultMetrics, Registry } from 'prom-client';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { measureEventLoopLag, NEVER_MS } from '~/server/daemon/metrics/event-loop-lag';

// One timer samples for all: the first test that measures makes it.
beforeAll(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: 0 });
});
afterAll(() => {
  vi.useRealTimers();
});

it('the gauges have the names of prom-client, each once, and a scrape before the first sample reads 0', async () => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: NEVER_MS });
  measureEventLoopLag(registry);
  const text = await registry.metrics();
  for (const name of ['p50', 'p99', 'max'])
    expect(text.match(new RegExp(`^nodejs_eventloop_lag_${name}_seconds (.+)$`, 'gm'))).toEqual([
      `nodejs_eventloop_lag_${name}_seconds 0`,
    ]);
});

it('a second that takes longer is told once, by the next scrape', async () => {
  // The tick that is pending was planned by the real clock: let it pass, so that the next is
  // planned by this one.
  const now = vi.spyOn(performance, 'now').mockReturnValue(5_000);
  vi.advanceTimersByTime(1_000);
  try {
    const registry = new Registry();
    measureEventLoopLag(registry);
    now.mockReturnValue(6_240);
    vi.advanceTimersByTime(1_000);
    const longest = async () =>
      Number(/^nodejs_eventloop_lag_max_seconds (.+)$/m.exec(await registry.metrics())?.[1]);
    expect(await longest()).toBeCloseTo(0.24, 2);
    expect(await longest()).toBe(0);
  } finally {
    now.mockRestore();
  }
});
