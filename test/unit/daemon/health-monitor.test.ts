import { describe, expect, it } from 'vitest';
import { systemClock } from '~/server/core/clock';
import { DaemonError } from '~/server/core/errors';
import type { ComponentHealth, ComponentStatus } from '~/server/daemon/daemon';
import { deviceHealth, lookAtCloud } from '~/server/daemon/health/dependencies';
import { HealthMonitor } from '~/server/daemon/health/health';
import { unknown } from '~/server/model/evidence';

it('a dependency is in its status since it was first found in it, whatever its words are since', async () => {
  let now = 1_000;
  const clock = {
    now: () => now,
    monotonic: () => now,
    sleep: async (ms: number) => {
      now += ms;
    },
  };
  const statuses: ComponentStatus[] = ['healthy', 'unhealthy', 'unhealthy', 'healthy'];
  const told: [status: ComponentStatus, since: number | undefined][] = [];
  const changes: ComponentStatus[] = [];
  const never = new Promise<ComponentHealth>(() => undefined);
  const looked = new Promise<void>((resolve) => {
    const look = async (): Promise<ComponentHealth> => {
      const before = monitor.of('database');
      if (before.status !== 'unknown') told.push([before.status, before.since]);
      const status = statuses.shift();
      if (status !== undefined) return { status, message: `look at ${now}` };
      resolve();
      return never;
    };
    const silent = { everyMs: 60_000, look: () => never };
    const probes = { database: { everyMs: 1_000, look }, cloudstack: silent, exportServer: silent };
    const monitor = new HealthMonitor(clock, probes, (_, { status }) => changes.push(status));
    monitor.start();
  });
  await looked;
  expect(told).toEqual([
    ['healthy', 1_000],
    ['unhealthy', 2_000],
    ['unhealthy', 2_000],
    ['healthy', 4_000],
  ]);
  expect(changes, 'told once each').toEqual(['healthy', 'unhealthy', 'healthy']);
});

it('is looked at again at once when there is news of it', async () => {
  let looks = 0;
  const looked = new Promise<void>((resolve) => {
    const look = async (): Promise<ComponentHealth> => {
      looks += 1;
      if (looks === 2) resolve();
      return { status: 'healthy', message: 'answers' };
    };
    const silent = { everyMs: 60_000, look: () => new Promise<ComponentHealth>(() => undefined) };
    const probes = { database: { everyMs: 60_000, look }, cloudstack: silent, exportServer: silent };
    const clock = {
      ...systemClock,
      sleep: (_ms: number, signal?: AbortSignal) => {
        if (looks === 1) setImmediate(() => monitor.doubt('database'));
        return new Promise<void>((wake) => signal?.addEventListener('abort', () => wake(), { once: true }));
      },
    };
    const monitor = new HealthMonitor(clock, probes, () => undefined);
    monitor.start();
  });
  await looked;
});

it('is stopped although a dependency does not answer, and tells nothing of an answer that comes later', async () => {
  const told: string[] = [];
  let answer: (health: ComponentHealth) => void = () => {};
  const answered = new Promise<ComponentHealth>((resolve) => {
    answer = resolve;
  });
  const silent = { everyMs: 60_000, look: () => answered };
  const probes = { database: silent, cloudstack: silent, exportServer: silent };
  const monitor = new HealthMonitor(systemClock, probes, (name) => told.push(name));
  monitor.start();
  monitor.stop();
  answer({ status: 'unhealthy', message: 'timeout' });
  await answered;
  await new Promise((resolve) => setImmediate(resolve));
  expect(told).toEqual([]);
});

it('CloudStack that cannot be asked because the database is away is not known, and not unhealthy', async () => {
  const failing = (error: Error) => ({
    capabilities: () => Promise.reject(error),
    statistics: () => ({ calls: 0, errors: 0, clockSkewMs: null, clockSkewSource: null }),
  });
  // The whole database may be there, and only this one table be closed.
  const away = new DaemonError('DATABASE_UNAVAILABLE', 'The database is away: SELECT command denied');
  expect(await lookAtCloud(failing(away))).toEqual({
    status: 'unknown',
    message: 'not known, its URL and keys cannot be read: The database is away: SELECT command denied',
  });
  const down = new Error('CloudStack did not answer listCapabilities: ECONNREFUSED');
  await expect(lookAtCloud(failing(down))).rejects.toBe(down);
});

describe('the health of the device watcher', () => {
  const unlooked = unknown('nobody has looked', 0, 'guest');
  const keeping = {
    capacity: { guest: unlooked, cloudstack: unlooked },
    handsOff: { answer: 'yes', reason: '0 exported disk(s) are left alone' },
    ownDisks: { disks: [], problems: [] },
  } as const;
  const seen = { status: 'healthy', message: '', devices: 0, eventsProcessed: 0, failedScans: 0 } as const;
  const lastScanAt = Date.UTC(2026, 7, 19, 20, 30, 0, 7);

  it('the time of the last look is written like every other time of the API', () => {
    const timeOf = (at: number | null) =>
      deviceHealth({ ...seen, lastScanAt: at }, keeping).details?.last_scan_at;
    expect(timeOf(lastScanAt)).toBe('2026-08-19T20:30:00.007Z');
    expect(timeOf(null)).toBeNull();
  });

  it.each([
    ['yes', '0 exported disk(s) are left alone', 'healthy'],
    ['unknown', 'udev does not run here', 'healthy'],
    ['no', 'the rules are not installed', 'degraded'],
  ] as const)('whether the udev rules work is said, also when it is "%s"', (answer, reason, status) => {
    const health = deviceHealth({ ...seen, lastScanAt }, { ...keeping, handsOff: { answer, reason } });
    expect(health).toMatchObject({
      status,
      message: expect.stringContaining(`hands off migrated disks: ${answer}, ${reason}`),
    });
  });
});
