import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import type { ComponentStatus, HealthReport } from '~/server/daemon/daemon';
import { createCatalogue } from '~/server/daemon/metrics/catalogue';
import { JournalObserver } from '~/server/daemon/metrics/journal-observer';
import { type Gathered, Metrics } from '~/server/daemon/metrics/metrics';
import type { JournalEntry, Operation } from '~/server/model/operation';
import type { Drift } from '~/server/sync/drift';
import { syncReport } from '~/test/support/canned';

const ID = '0a1b2c3d-0a1b-4c3d-8e9f-000000000001';

function follow(running: (id: string) => Operation | null = () => null) {
  const registry = new Registry();
  const observer = new JournalObserver(createCatalogue(registry), running);
  let sequence = 0;
  return {
    registry,
    write(at: number, step: string, state: JournalEntry['state'], data: JournalEntry['data'] = {}, id = ID) {
      sequence += 1;
      observer.observe({ id: sequence, operationId: id, sequence, step, state, data, at });
    },
    async samples(name: string): Promise<Record<string, number>> {
      const text = await registry.getSingleMetricAsString(`volume_daemon_${name}`);
      const lines = text.split('\n').filter((line) => !line.startsWith('#') && !line.includes('le="'));
      return Object.fromEntries(
        lines.map((line) => {
          const cut = line.lastIndexOf(' ');
          return [line.slice('volume_daemon_'.length, cut), Number(line.slice(cut))];
        }),
      );
    },
  };
}

describe('the journal as durations', () => {
  it('an attach: each step from its intent or the end of the one before, the device from the answer of CloudStack', async () => {
    const seen = follow();
    seen.write(0, 'operation', 'pending', { type: 'attach' });
    seen.write(100, 'operation', 'executing');
    seen.write(150, 'attach-volume', 'intent');
    seen.write(160, 'attach-volume', 'accepted');
    seen.write(1150, 'attach-volume', 'finished', { outcome: 'ok' });
    seen.write(1250, 'map', 'done');
    seen.write(1300, 'publish', 'done');
    seen.write(1310, 'operation', 'completed');
    expect(await seen.samples('step_duration_seconds')).toMatchObject({
      'step_duration_seconds_sum{type="attach",step="attach-volume"}': 1,
      'step_duration_seconds_sum{type="attach",step="map"}': 0.1,
      'step_duration_seconds_sum{type="attach",step="publish"}': 0.05,
    });
    expect(await seen.samples('device_detection_seconds')).toEqual({
      device_detection_seconds_sum: 0.1,
      device_detection_seconds_count: 1,
    });
    expect(await seen.samples('operation_duration_seconds')).toMatchObject({
      'operation_duration_seconds_sum{type="attach",status="completed"}': 1.31,
    });
    expect(await seen.samples('operations_ended_total')).toEqual({
      'operations_ended_total{type="attach",status="completed"}': 1,
    });
  });

  it('an attach elsewhere, a refused one and a failed job count no device', async () => {
    const seen = follow();
    seen.write(0, 'operation', 'pending', { type: 'attach' });
    seen.write(10, 'attach-volume', 'intent');
    seen.write(20, 'attach-volume', 'finished', { outcome: 'failed' });
    seen.write(30, 'operation', 'failed');
    expect(await seen.samples('device_detection_seconds')).toMatchObject({
      device_detection_seconds_count: 0,
    });
    expect(await seen.samples('operations_ended_total')).toEqual({
      'operations_ended_total{type="attach",status="failed"}': 1,
    });
  });

  it('an operation begun by an earlier process is measured from its acceptance; an unknown one is not measured', async () => {
    const seen = follow((id) => (id === ID ? ({ type: 'detach', createdAt: 0 } as Operation) : null));
    seen.write(5000, 'detach-volume', 'finished', { outcome: 'ok' });
    seen.write(6000, 'operation', 'completed');
    seen.write(6000, 'operation', 'completed', {}, 'unknown');
    expect(await seen.samples('operation_duration_seconds')).toMatchObject({
      'operation_duration_seconds_sum{type="detach",status="completed"}': 6,
      'operation_duration_seconds_count{type="detach",status="completed"}': 1,
    });
  });

  it('a clock that is set back makes no negative duration', async () => {
    const seen = follow();
    seen.write(1000, 'operation', 'pending', { type: 'delete' });
    seen.write(400, 'operation', 'cancelled');
    expect(await seen.samples('operation_duration_seconds')).toMatchObject({
      'operation_duration_seconds_sum{type="delete",status="cancelled"}': 0,
    });
  });
});

it('docs/guides/monitoring.md tells every metric, its labels and its meaning', async () => {
  const registry = new Registry();
  createCatalogue(registry);
  const ours = registry.getMetricsAsArray().filter(({ name }) => name.startsWith('volume_daemon_'));
  const rows = ours.map((metric) => {
    const labels: string[] = Reflect.get(metric, 'labelNames');
    const help: string = Reflect.get(metric, 'help');
    return `| \`${metric.name}\` | ${labels.map((label) => `\`${label}\``).join(', ')} | ${help} |`;
  });
  const document = readFileSync(new URL('../../../docs/guides/monitoring.md', import.meta.url), 'utf8');
  expect(document.split('\n').filter((line) => line.startsWith('| `volume_daemon_'))).toEqual(rows);
});

describe('dependencies', () => {
  const neverSynced = { last: null, lastJudgedAt: null, lastFailure: null };

  async function rendered(
    cloudstack: ComponentStatus,
    epoch: number | null = null,
    more: Pick<Partial<Gathered>, 'devices' | 'sync'> & { readonly drifts?: readonly Partial<Drift>[] } = {},
  ) {
    const health = {
      phase: 'ready',
      cloudstack: { status: cloudstack },
      database: { status: 'healthy' },
      deviceMonitor: { status: 'healthy' },
      exportServer: { status: 'disabled' },
      appliance: { status: 'healthy', epoch },
      drifts: more.drifts ?? [],
      held: [],
      operations: { waiting: [] },
    };
    const { body } = await new Metrics(() => null).render({
      version: '1',
      health: health as unknown as HealthReport,
      counts: null,
      exports: null,
      activeExports: null,
      exportFigures: null,
      freeSlots: null,
      devices: more.devices ?? { devices: 0, failedScans: 0 },
      clockSkewMs: null,
      sync: more.sync ?? neverSynced,
      pool: { inUse: 0, waiting: 0 },
      spans: null,
    });
    return body;
  }

  async function told(cloudstack: ComponentStatus) {
    const body = await rendered(cloudstack);
    const value = (name: string) =>
      Number(body.split(`volume_daemon_dependency_${name}{dependency="cloudstack"} `)[1]?.split('\n')[0]);
    return { up: value('up'), degraded: value('degraded') };
  }

  it.each([
    ['healthy', 1, 0],
    ['disabled', 1, 0],
    ['degraded', 1, 1],
    ['unhealthy', 0, 0],
    ['unknown', 0, 0],
  ] as const)('one that is %s: up %i, degraded %i', async (status, up, degraded) => {
    expect(await told(status)).toEqual({ up, degraded });
  });

  it('whether a sync could judge is told by the owner: one that stands by has none', async () => {
    const sample = /^volume_daemon_last_sync_judged 0$/m;
    expect(await rendered('healthy', 3)).toMatch(sample);
    expect(await rendered('healthy')).not.toMatch(sample);
    const judged = { ...neverSynced, last: syncReport(false, 'schedule') };
    expect(await rendered('healthy', 3, { sync: judged })).not.toMatch(sample);
    const failed = { ...judged, lastFailure: 'no right to read' };
    expect(await rendered('healthy', 3, { sync: failed })).toMatch(sample);
  });

  it('how many operations are held is told by the owner: one that stands by, or lost the database, has none', async () => {
    const sample = /^volume_daemon_operations_held 0$/m;
    expect(await rendered('healthy', 3)).toMatch(sample);
    expect(await rendered('healthy')).not.toMatch(sample);
  });

  it('before a sync could look at everything no kind of drift is said to be none', async () => {
    const sample = (kind: string, count: number) =>
      new RegExp(`^volume_daemon_drifts\\{kind="${kind}"\\} ${count}$`, 'm');
    const drifts = [{ kind: 'used-by-system' as const }];
    const unread = await rendered('unhealthy', 3, { drifts });
    expect(unread).not.toMatch(sample('ghost-disk', 0));
    expect(unread).toMatch(sample('used-by-system', 1));
    const judged = await rendered('healthy', 3, { drifts, sync: { ...neverSynced, lastJudgedAt: 1 } });
    expect(judged).toMatch(sample('ghost-disk', 0));
    expect(judged).toMatch(sample('used-by-system', 1));
  });

  it('before the first look at the guest its disks are not counted', async () => {
    const sample = /^volume_daemon_devices \d/m;
    expect(await rendered('healthy')).toMatch(sample);
    const unseen = { devices: { devices: null, failedScans: 0 } };
    expect(await rendered('healthy', null, unseen)).not.toMatch(sample);
  });
});
