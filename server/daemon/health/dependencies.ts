import { skewText } from '../../cloudstack/wire/clock-skew';
import { systemClock } from '../../core/clock';
import { DaemonError } from '../../core/errors';
import { LIMITS } from '../../core/limits';
import { CLOUDSTACK_VERIFIED } from '../../core/log/log-events';
import type { Logger } from '../../core/log/logger';
import { type OwnDisks, ownDiskText } from '../../devices/own-disks';
import type { HandsOffState } from '../../devices/sysfs/hands-off';
import { type Capacity, capacityText, freeSlots } from '../../operations/slots';
import type { Adapters } from '../adapters';
import type { ComponentHealth } from '../daemon';
import { HealthMonitor } from './health';

/** Probes every dependency periodically, and logs changes. */
export function watchDependencies(
  { cloud, exports }: Adapters,
  database: () => Promise<ComponentHealth>,
  logger: Logger,
): HealthMonitor {
  return new HealthMonitor(
    systemClock,
    {
      database: {
        everyMs: LIMITS.HEALTH_DATABASE_MS,
        look: database,
      },
      cloudstack: {
        everyMs: LIMITS.HEALTH_CLOUDSTACK_MS,
        look: () => lookAtCloud(cloud),
      },
      exportServer: {
        everyMs: LIMITS.HEALTH_EXPORTS_MS,
        look: async () => exportHealth(await exports.health()),
      },
    },
    (probe, health) => {
      // As health calls it.
      const name = probe === 'exportServer' ? 'export_server' : probe;
      if (name === 'cloudstack' && health.status === 'healthy')
        logger.info(CLOUDSTACK_VERIFIED, { detail: health.message });
      else if (health.status === 'unhealthy')
        logger.error('A dependency is unhealthy', { dependency: name, reason: health.message });
      else
        logger.info('A dependency has changed', {
          dependency: name,
          status: health.status,
          detail: health.message,
        });
    },
  );
}

/** Asks CloudStack. Throws what it cannot be asked for. */
export async function lookAtCloud(
  cloud: Pick<Adapters['cloud'], 'capabilities' | 'statistics'>,
): Promise<ComponentHealth> {
  try {
    const { version } = await cloud.capabilities();
    return cloudHealth(version, cloud.statistics().clockSkewMs);
  } catch (error) {
    if (!(error instanceof DaemonError) || error.code !== 'DATABASE_UNAVAILABLE') throw error;
    // Its address and its keys are there: nobody has asked it, so nobody is to look for the fault in it. The
    // reason is not always one of the whole database: the right to read this one table may be missing.
    return { status: 'unknown', message: `not known, its URL and keys cannot be read: ${error.message}` };
  }
}

/** When the clocks differ, requests are signed by CloudStack's: that works, but health should show it. */
function cloudHealth(version: string | null, clockSkewMs: number | null): ComponentHealth {
  const answers = `CloudStack ${version ?? 'of unknown version'}`;
  const details = { clock_skew_ms: clockSkewMs === null ? null : Math.round(clockSkewMs) };
  if (clockSkewMs === null || Math.abs(clockSkewMs) < LIMITS.CLOCK_SKEW_WARN_MS)
    return { status: 'healthy', message: answers, details };
  return { status: 'degraded', message: `${answers}; ${skewText(clockSkewMs)}`, details };
}

function exportHealth(health: Awaited<ReturnType<Adapters['exports']['health']>>): ComponentHealth {
  const { status, message, version, pid, staleUntilRestart } = health;
  return { status, message, details: { version, pid, stale_until_restart: staleUntilRestart } };
}

/**
 * The health of a database that does its work. Pure. `apart`: how the clocks differ; `unnoted`: why
 * the state folder does not learn how far it has come.
 */
export function databaseHealth(apart: string | null, unnoted: string | null): ComponentHealth {
  const problems = [
    ...(apart === null ? [] : [`${apart}: nothing is deleted by age`]),
    ...(unnoted === null
      ? []
      : [
          `how far it has come is not noted in the state folder (${unnoted}): after a crash a restored one is not noticed`,
        ]),
  ];
  const takes = 'answers, and takes reads and writes';
  return problems.length === 0
    ? { status: 'healthy', message: takes }
    : { status: 'degraded', message: `${takes}, but ${problems.join('; ')}` };
}

interface DiskKeeping {
  readonly capacity: Capacity;
  readonly handsOff: HandsOffState;
  readonly ownDisks: OwnDisks;
}

/**
 * The health of the device watcher, how many more disks this VM takes (a full VM is in order), the list of
 * own disks, and whether the tools of this system leave the exported disks alone.
 */
export function deviceHealth(
  health: ReturnType<Adapters['watcher']['health']>,
  { capacity, handsOff, ownDisks }: DiskKeeping,
): ComponentHealth {
  const { status, message, devices, lastScanAt, eventsProcessed } = health;
  const problems = ownDisks.problems.map((problem) => `list of own disks, ${problem}`);
  const needsPerson = handsOff.answer === 'no' || problems.length > 0;
  return {
    status: status === 'healthy' && needsPerson ? 'degraded' : status,
    // Whatever the answer: who reads nothing of it takes that for a yes.
    message: [
      message,
      capacityText(capacity),
      `hands off migrated disks: ${handsOff.answer}, ${handsOff.reason}`,
      ...problems,
    ].join('; '),
    details: {
      device_count: devices,
      last_scan_at: lastScanAt === null ? null : new Date(lastScanAt).toISOString(),
      events_processed: eventsProcessed,
      free_slots: freeSlots(capacity),
      hands_off: `${handsOff.answer}: ${handsOff.reason}`,
      own_disks: ownDisks.disks.map(ownDiskText),
      own_disks_problems: [...ownDisks.problems],
    },
  };
}
