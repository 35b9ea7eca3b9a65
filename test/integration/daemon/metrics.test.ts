import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { exportName } from '~/server/model/export-name';
import { send, Walk } from './walk';

/** /metrics of the built daemon on real parts, and what packaging/ makes of it. */
let walk: Walk;
let text = '';

beforeAll(async () => {
  walk = await Walk.begin();
  const volumeId = await walk.create('measured');
  await walk.attach(volumeId);
  await walk.api.post('/api/v1/exports/validate');
  await walk.api.post('/api/v1/admin/force-sync');
  await exportElsewhere();
  // Refused by CloudStack: an error to count. Last, because what others write is counted again when
  // something has happened here.
  await walk.attach('00000000-0000-4000-8000-000000000000').catch(() => undefined);
  text = (await send(`${walk.daemon.url}/metrics`)).text;
});
afterAll(() => walk?.close());

const DATABASE = 'migratekit_oma';

/** Another appliance with the same database has an export that has failed. */
async function exportElsewhere(): Promise<void> {
  const [theirs, theirVm] = ['20000000-0000-4000-8000-000000000002', '30000000-0000-4000-8000-000000000003'];
  const { database } = walk.lab;
  await database.query(
    `INSERT INTO ${DATABASE}.device_mappings (volume_id, vm_id, device_path, cloudstack_state, linux_state, size)
      VALUES (?, ?, '/dev/vdb', 'attached', 'detected', 1073741824)`,
    [theirs, theirVm],
  );
  await database.query(
    `INSERT INTO ${DATABASE}.nbd_exports (volume_id, export_name, device_path, port, status)
      VALUES (?, ?, '/dev/vdb', 10809, 'failed')`,
    [theirs, exportName(theirs)],
  );
}

const value = (sample: string) => {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${sample} `));
  return line === undefined ? null : Number(line.slice(sample.length));
};

it('reports what has happened and what is there now', () => {
  const epoch = `epoch{appliance="${walk.appliance}"}`;
  const samples = [
    'operations_ended_total{type="create",status="completed"}',
    'operations_ended_total{type="attach",status="completed"}',
    'operations_ended_total{type="attach",status="failed"}',
    'operations{status="completed"}',
    'device_detection_seconds_count',
    'step_duration_seconds_count{type="attach",step="publish"}',
    'mappings',
    'exports{status="active"}',
    'exports{status="failed"}',
    epoch,
    'devices',
    'drifts{kind="ghost-disk"}',
    'oldest_operation_age_seconds{status="executing"}',
    'dependency_up{dependency="database"}',
    'phase{phase="ready"}',
    'export_clients',
    'device_events_total{type="added"}',
  ];
  const told = Object.fromEntries(samples.map((sample) => [sample, value(`volume_daemon_${sample}`)]));
  expect(told).toEqual({
    'operations_ended_total{type="create",status="completed"}': 1,
    'operations_ended_total{type="attach",status="completed"}': 1,
    'operations_ended_total{type="attach",status="failed"}': 1,
    'operations{status="completed"}': 2,
    device_detection_seconds_count: 1,
    'step_duration_seconds_count{type="attach",step="publish"}': 1,
    mappings: 2,
    'exports{status="active"}': 1,
    'exports{status="failed"}': 0,
    [epoch]: expect.any(Number),
    devices: 2,
    'drifts{kind="ghost-disk"}': 0,
    'oldest_operation_age_seconds{status="executing"}': 0,
    'dependency_up{dependency="database"}': 1,
    'phase{phase="ready"}': 1,
    export_clients: 0,
    'device_events_total{type="added"}': 1,
  });
  for (const sample of [
    'cloudstack_calls_total{command="attachVolume"}',
    'export_probes_total',
    'last_sync_timestamp_seconds',
  ])
    expect(value(`volume_daemon_${sample}`), sample).toBeGreaterThan(0);
  // How many wait just now depends on the moment.
  expect(value('volume_daemon_database_requests_waiting')).toBeGreaterThanOrEqual(0);
  // A link is an export: nbdkit is told nothing.
  const reads = ['reloads', 'restarts'].map((what) => value(`volume_daemon_export_${what}_total`));
  expect(reads).toEqual([0, 0]);
  expect(value('nodejs_eventloop_lag_p99_seconds')).not.toBeNull();
});

describe('packaging/', () => {
  const read = (path: string) => readFileSync(new URL(`../../../packaging/${path}`, import.meta.url), 'utf8');

  /** Names with their labels, from the sample lines and, for what has no sample yet, the TYPE lines. */
  function exposed(): Set<string> {
    const names = new Set<string>();
    for (const [, name = '', type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
      names.add(name);
      if (type === 'histogram') for (const end of ['bucket', 'sum', 'count']) names.add(`${name}_${end}`);
    }
    return names;
  }

  function expressions(): string[] {
    const dashboard: unknown = JSON.parse(read('grafana/volume-daemon.json'));
    const found: string[] = [];
    const walkOver = (node: unknown): void => {
      if (Array.isArray(node)) node.forEach(walkOver);
      else if (typeof node === 'object' && node !== null)
        for (const [key, part] of Object.entries(node)) {
          if (key === 'expr' && typeof part === 'string') found.push(part);
          else walkOver(part);
        }
    };
    walkOver(dashboard);
    const rules = [...read('prometheus/volume-daemon.rules.yml').matchAll(/^\s+expr: (.+)$/gm)];
    return [...found, ...rules.map(([, expression = '']) => expression)];
  }

  it('uses only metrics that /metrics has', () => {
    const names = exposed();
    const asked = expressions().flatMap((expression) =>
      [...expression.matchAll(/\b(?:volume_daemon|nodejs|process)_\w+/g)].map(([name]) => name),
    );
    expect(asked.length).toBeGreaterThan(50);
    expect([...new Set(asked)].filter((name) => !names.has(name))).toEqual([]);
  });

  it('tells in the figures of now nothing of a phase or a version that has ended', () => {
    // A range keeps the last value of each label that it has seen: 'starting' beside 'ready'.
    const { panels } = z
      .object({
        panels: z.array(
          z.object({
            type: z.string(),
            title: z.string(),
            targets: z.array(z.object({ instant: z.boolean().default(false) })).default([]),
          }),
        ),
      })
      .parse(JSON.parse(read('grafana/volume-daemon.json')));
    const figures = panels.filter(({ type }) => type === 'stat');
    expect(figures.map(({ title }) => title)).toContain('Phase');
    expect(figures.filter(({ targets }) => targets.some(({ instant }) => !instant))).toEqual([]);
  });

  it('uses all of our metrics', () => {
    const asked = expressions().join('\n');
    const ours = [...text.matchAll(/^# TYPE (volume_daemon_\w+)/gm)].map(([, name = '']) => name);
    expect(ours.length).toBeGreaterThan(25);
    expect(ours.filter((name) => !asked.includes(name))).toEqual([]);
  });
});

it('answers while the database is away, without the figures that only the database has', async () => {
  await walk.lab.database.kill();
  try {
    await expect
      .poll(
        async () => {
          const answer = await send(`${walk.daemon.url}/metrics`);
          text = answer.text;
          return [answer.status, value('volume_daemon_dependency_up{dependency="database"}')];
        },
        { timeout: 60_000 },
      )
      .toEqual([200, 0]);
    expect(value('volume_daemon_exports{status="active"}')).toBeNull();
    // Its URL and keys are in the database: nobody has asked CloudStack, and one alert is enough.
    await expect
      .poll(
        async () => {
          text = (await send(`${walk.daemon.url}/metrics`)).text;
          return value('volume_daemon_dependency_up{dependency="cloudstack"}');
        },
        { timeout: 60_000 },
      )
      .toBeNull();
    expect(value('volume_daemon_dependency_up{dependency="exports"}')).toBe(1);
    expect(value('volume_daemon_operations_ended_total{type="create",status="completed"}')).toBe(1);
  } finally {
    await walk.lab.database.restart();
  }
});
