import { expect, it } from 'vitest';
import type { ComponentHealth, ComponentStatus } from '~/server/daemon/daemon';
import { type HealthSources, healthReport } from '~/server/daemon/health/health';
import { toOperation } from '~/server/database/rows';
import type { Drift } from '~/server/sync/drift';
import { APPLIANCE, NOW, syncReport, VOLUME } from '~/test/support/canned';

const operation = (status: string) =>
  toOperation({
    id: 'op',
    sequence: 1,
    appliance_id: APPLIANCE,
    type: 'detach',
    status,
    volume_id: VOLUME,
    vm_id: null,
    request: { volume_id: VOLUME },
    response: null,
    error: null,
    error_code: null,
    created_at: new Date(NOW),
    updated_at: new Date(NOW),
    completed_at: null,
    next_attempt_at: null,
  });
const clock = { now: () => NOW, monotonic: () => 61_500, sleep: async () => undefined };
const is = (status: ComponentStatus): ComponentHealth => ({ status, message: status });
const monitor = (
  statuses: Partial<Record<'database' | 'cloudstack' | 'exportServer', ComponentStatus>> = {},
) => ({
  of: (name: 'database' | 'cloudstack' | 'exportServer') => is(statuses[name] ?? 'healthy'),
});
const engine: NonNullable<HealthSources['engine']> = {
  epoch: { applianceId: APPLIANCE, number: 3 },
  status: () => [],
  heldOperations: () => [],
  refusals: () => [],
};
const appliance: HealthSources['appliance'] = {
  vmId: APPLIANCE,
  source: 'OMA_VM_ID',
  conflicts: [],
  unread: null,
  contradicted: null,
  verdict: 'confirmed',
};
const report = syncReport(false, 'schedule');
const synced = (...actions: Drift['action'][]): HealthSources['sync'] => ({
  last: {
    ...report,
    drifts: actions.flatMap((action) => report.drifts.map((drift) => ({ ...drift, action }))),
  },
  lastJudgedAt: NOW,
  lastJudgedMonotonic: 61_000,
  lastFailure: null,
});
const SOUND: HealthSources = {
  clock,
  phase: 'ready',
  monitor: monitor(),
  deviceMonitor: is('healthy'),
  access: is('healthy'),
  appliance,
  engine,
  owner: 'here',
  pending: 0,
  sync: synced(),
  reconcileIntervalMs: 60_000,
  startedAt: NOW - 60_000,
  startedMonotonic: 1_000,
  pollIntervalMs: 2_000,
  settingsNotes: [],
};

it.each<[what: string, sources: Partial<HealthSources>, status: string]>([
  ['all is well', {}, 'healthy'],
  [
    'what sync repairs, plans or left is told by its report',
    { sync: synced('repaired', 'planned') },
    'healthy',
  ],
  ['a drift that needs a person', { sync: synced('repaired', 'reported') }, 'degraded'],
  ['a drift that could not be repaired', { sync: synced('failed') }, 'degraded'],
  [
    'an operation that is held',
    { engine: { ...engine, heldOperations: () => [operation('pending')] } },
    'degraded',
  ],
  [
    'the row of an operation is refused',
    { engine: { ...engine, refusals: () => [{ operation: operation('pending'), reason: 'a trigger' }] } },
    'degraded',
  ],
  ['the database is away', { monitor: monitor({ database: 'unhealthy' }) }, 'unhealthy'],
  ['the clocks of database and daemon differ', { monitor: monitor({ database: 'degraded' }) }, 'degraded'],
  ['CloudStack is away', { monitor: monitor({ cloudstack: 'unhealthy' }) }, 'degraded'],
  ['nobody has looked at CloudStack', { monitor: monitor({ cloudstack: 'unknown' }) }, 'degraded'],
  ['nobody has looked at the database', { monitor: monitor({ database: 'unknown' }) }, 'degraded'],
  ['nobody has looked at the exports', { monitor: monitor({ exportServer: 'unknown' }) }, 'degraded'],
  ['there are no exports', { monitor: monitor({ exportServer: 'disabled' }) }, 'healthy'],
  ['the disks cannot be read', { deviceMonitor: is('unhealthy') }, 'degraded'],
  ['the tokens are not known', { access: is('degraded') }, 'degraded'],
  ['another daemon owns the appliance', { phase: 'standby' }, 'degraded'],
  ['the VM is not known', { appliance: { ...appliance, vmId: null } }, 'degraded'],
  ['sources name several VMs', { appliance: { ...appliance, conflicts: ['two'] } }, 'degraded'],
  [
    'CloudStack has not been asked for the VM',
    { appliance: { ...appliance, verdict: 'unverified' } },
    'healthy',
  ],
])('%s', (_what, sources, status) => {
  expect(healthReport({ ...SOUND, ...sources }).status).toBe(status);
});

it.each<[what: string, sources: Partial<HealthSources>, status: string, message: string]>([
  ['confirmed', {}, 'healthy', `${APPLIANCE} (from OMA_VM_ID, confirmed)`],
  [
    'not asked',
    { appliance: { ...appliance, verdict: 'unverified' } },
    'unknown',
    '(from OMA_VM_ID, unverified)',
  ],
  ['refuted', { appliance: { ...appliance, verdict: 'refuted' } }, 'unhealthy', 'CloudStack has no VM'],
  ['conflicts', { appliance: { ...appliance, conflicts: ['one', 'two'] } }, 'degraded', 'one; two'],
  ['no VM', { appliance: { ...appliance, vmId: null } }, 'unhealthy', 'unknown: set OMA_VM_ID'],
  [
    'at the start',
    { appliance: { ...appliance, vmId: null }, phase: 'starting' },
    'unknown',
    'not looked at yet',
  ],
  ['at the start, named', { phase: 'starting' }, 'healthy', 'confirmed'],
])('the appliance: %s', (_what, sources, status, message) => {
  const told = healthReport({ ...SOUND, ...sources }).appliance;
  expect([told.status, told.message]).toEqual([status, expect.stringContaining(message)]);
});

it('tells only the drifts that somebody has to see to, and how long the daemon runs by the clock that nobody sets', () => {
  const told = healthReport({ ...SOUND, sync: synced('repaired', 'reported', 'failed', 'planned') });
  expect(told.drifts.map(({ action }) => action)).toEqual(['reported', 'failed']);
  expect(told).toMatchObject({ uptimeSeconds: 60, at: NOW, appliance: { epoch: 3, owner: 'here' } });
});

it('tells what operations wait for', () => {
  const waiting = { step: 'attach-volume', reason: 'CloudStack is away', attempt: 2, nextAttemptAt: NOW };
  const running = [
    { operation: operation('executing'), waiting: null },
    { operation: { ...operation('executing'), id: 'other' }, waiting },
  ];
  const told = healthReport({
    ...SOUND,
    pending: 4,
    engine: { ...engine, status: () => running },
  }).operations;
  expect(told).toMatchObject({ pending: 4, executing: 2, waiting: [{ id: 'other', ...waiting }] });
});
