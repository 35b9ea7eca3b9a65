import { describe, expect, it, vi } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { APPLIANCE, NOBODY, OTHER_VM, REMOTE_VOLUME, VOLUME } from '~/test/support/canned';
import { useHttpApp } from '~/test/support/use-http-app';

/**
 * "API Documentation" of the specification, endpoint by endpoint. HttpApp.send also checks every response
 * against the schema in the OpenAPI document.
 */
const app = useHttpApp();

const V = `/api/v1/volumes/${VOLUME}`;
describe('volumes and devices', () => {
  it('a volume has the data of CloudStack and the guest, its export and its last operation', async () => {
    await app.daemon.operations.request('attach', { volume_id: VOLUME, vm_id: APPLIANCE });
    expect((await app.get(V)).json).toMatchObject({
      volume_id: VOLUME,
      vm_id: APPLIANCE,
      device_path: '/dev/vdb',
      state: 'Ready',
      cloudstack_data: { id: VOLUME, name: 'my-volume', type: 'DATADISK', zonename: 'zone-1', deviceid: 1 },
      linux_data: { device_path: '/dev/vdb', controller: 'virtio4' },
      last_operation: { type: 'attach', status: 'pending' },
      export: { export_name: `migration-vol-${VOLUME}` },
    });
  });

  it('a mapping has every key of the specification', async () => {
    expect((await app.get(`${V}/device`)).json).toMatchObject({
      id: '42',
      volume_id: VOLUME,
      vm_id: APPLIANCE,
      device_path: '/dev/vdb',
      cloudstack_state: 'attached',
      linux_state: 'detected',
      size: 5368709120,
      last_sync: '2025-08-19T20:30:00.000Z',
      created_at: '2025-08-19T20:30:00.000Z',
    });
  });

  it.each(['vdb', 'dev%2Fvdb', '%2Fdev%2Fvdb', '%2fdev%2fvdb', 'dev/vdb', '/dev/vdb'])(
    'the device %s is found',
    async (path) => {
      expect((await app.get(`/api/v1/devices/${path}/volume`)).json).toMatchObject({ volume_id: VOLUME });
    },
  );

  it('all mappings, and those of one VM, are bare arrays', async () => {
    expect((await app.get('/api/v1/devices')).json).toHaveLength(2);
    expect((await app.get('/api/v1/devices')).headers.link).toBeUndefined();
    expect((await app.get(`/api/v1/vms/${OTHER_VM}/volumes`)).json).toMatchObject([
      { volume_id: REMOTE_VOLUME, vm_id: OTHER_VM, state: 'attached', cloudstack_data: null },
    ]);
    expect((await app.get(`/api/v1/vms/${NOBODY}/volumes`)).json).toEqual([]);
  });

  it('a volume of a VM has a field more only where something speaks against its row', async () => {
    const path = `/api/v1/vms/${OTHER_VM}/volumes`;
    const [old] = (await app.get(path)).json as Record<string, unknown>[];
    expect(Object.keys(old ?? {}).sort()).toEqual(
      ['attached_at', 'cloudstack_data', 'device_path', 'size', 'state', 'vm_id', 'volume_id'].sort(),
    );
    app.daemon.doubt = 'CloudStack shows it detached';
    expect((await app.get(path)).json).toMatchObject([{ ...old, doubt: 'CloudStack shows it detached' }]);
    app.daemon.doubt = null;
  });

  it('a list of mappings that is longer than a page leads on', async () => {
    const first = await app.get('/api/v1/devices?limit=1');
    const link = /^<([^>]+)>; rel="next"$/.exec(first.headers.link as string)?.[1] ?? '';
    const second = await app.get(link);
    expect([first.json, second.json].flat()).toEqual((await app.get('/api/v1/devices')).json);
    expect(second.headers.link).toBeUndefined();
  });

  it.each([
    'limit=0',
    'limit=abc',
    'cursor=1',
    'cursor=%00',
    'cursor=L2Rldi92ZGI',
    'cursor=L2Rldi92ZGIKYQ==',
    `cursor=${'a'.repeat(2000)}`,
  ])('a page %s is refused, and the field named', async (query) => {
    const { status, json } = await app.get(`/api/v1/devices?${query}`);
    const [field] = query.split('=');
    expect([status, json]).toMatchObject([
      400,
      { code: 'VALIDATION_FAILED', details: { fields: [{ field }] } },
    ]);
  });

  it('what does not exist is a 404 with a code, what cannot be read is a 503', async () => {
    const code = async (path: string) => (await app.get(path)).json;
    expect(await code(`/api/v1/volumes/${NOBODY}`)).toMatchObject({ status: 404, code: 'VOLUME_NOT_FOUND' });
    expect(await code(`/api/v1/volumes/${NOBODY}/device`)).toMatchObject({
      status: 404,
      code: 'MAPPING_NOT_FOUND',
    });
    expect(await code('/api/v1/devices/vdz/volume')).toMatchObject({
      status: 404,
      code: 'MAPPING_NOT_FOUND',
    });
    for (const id of [NOBODY, 'op-12345678-1234-1234-1234-123456789012'])
      expect(await code(`/api/v1/operations/${id}`)).toMatchObject({
        status: 404,
        code: 'OPERATION_NOT_FOUND',
      });
    expect(await code(`/api/v1/exports/${NOBODY}`)).toMatchObject({ status: 404, code: 'EXPORT_NOT_FOUND' });
    app.daemon.failure = new DaemonError('DATABASE_UNAVAILABLE', 'The database is away');
    expect(await code(`${V}/device`)).toMatchObject({ status: 503, code: 'DATABASE_UNAVAILABLE' });
    expect(await code(`/api/v1/operations/${NOBODY}`)).toMatchObject({ status: 503 });
  });
});

describe('exports', () => {
  // HttpApp.send fails for a code that the document does not name.
  it.each(['CLOUDSTACK_UNAVAILABLE', 'CLOUDSTACK_AUTH', 'VOLUME_NOT_VISIBLE', 'DEVICE_TOO_SMALL'] as const)(
    'the document says that publishing may end with %s: the size of the volume is asked for',
    async (code) => {
      app.daemon.failure = new DaemonError(code, 'as the export service says it');
      expect((await app.post('/api/v1/exports', { volume_id: VOLUME })).json).toMatchObject({ code });
    },
  );

  it('are listed, read, published, withdrawn and validated', async () => {
    expect((await app.get('/api/v1/exports?status=active&vm_name=')).json).toMatchObject([
      { volume_id: VOLUME, port: 10809 },
    ]);
    expect((await app.get(`/api/v1/exports/${VOLUME}`)).json).toMatchObject({
      export_name: `migration-vol-${VOLUME}`,
      status: 'active',
    });
    const published = await app.post('/api/v1/exports', {
      volume_id: VOLUME,
      vm_name: 'vm',
      vm_id: OTHER_VM,
      disk_number: 2,
      device_path: '/dev/sda',
    });
    expect([published.status, published.json]).toMatchObject([
      201,
      { metadata: { vm_name: 'vm', vm_id: OTHER_VM, disk_number: '2' } },
    ]);
    expect((await app.send('DELETE', `/api/v1/exports/${VOLUME}?force=true`)).json).toMatchObject({
      existed: true,
    });
    expect((await app.send('DELETE', `/api/v1/exports/${NOBODY}`)).json).toMatchObject({ existed: false });
    await app.send('DELETE', `/api/v1/exports/${VOLUME}?force=true`, { body: { force: false } });
    await app.send('DELETE', `/api/v1/exports/${VOLUME}`, { body: { force: true } });
    expect(
      app.daemon.requests.filter(({ type }) => type === 'withdraw').map(({ request }) => request),
    ).toEqual([
      { volume_id: VOLUME, force: true },
      { volume_id: NOBODY, force: false },
      { volume_id: VOLUME, force: false },
      { volume_id: VOLUME, force: true },
    ]);
    expect((await app.post('/api/v1/exports/validate')).json).toMatchObject({
      valid: true,
      results: [{ volume_id: VOLUME, ok: true }],
    });
  });

  it('of a volume that is not attached here are a 404', async () => {
    expect((await app.post('/api/v1/exports', { volume_id: NOBODY })).json).toMatchObject({
      code: 'MAPPING_NOT_FOUND',
    });
  });
});

describe('the service', () => {
  it('has a health report with exactly the keys of the specification, and more under details', async () => {
    const health = (await app.get('/api/v1/health')).json;
    expect(Object.keys(health as object)).toEqual([
      'status',
      'timestamp',
      'cloudstack_health',
      'database_health',
      'device_monitor',
      'details',
    ]);
    expect(health).toMatchObject({
      status: 'healthy',
      cloudstack_health: 'healthy',
      database_health: 'healthy',
      device_monitor: 'healthy',
      details: { implementation_status: 'production_ready', polling_interval: '2s', device_count: 1 },
    });
  });

  it('has the metrics of the specification', async () => {
    expect((await app.get('/api/v1/metrics')).json).toMatchObject({
      timestamp: '2025-08-19T20:30:00.000Z',
      total_operations: 1547,
      pending_operations: 3,
      active_mappings: 12,
      operations_by_type: { create: 423, attach: 512, detach: 489, delete: 123 },
      operations_by_status: { pending: 3, executing: 0, completed: 1523, failed: 21 },
      average_response_time_ms: 2340.5,
      error_rate_percent: 1.36,
    });
  });

  it('has Prometheus metrics, the dashboard and the API page', async () => {
    expect((await app.get('/metrics')).headers['content-type']).toBe(
      'text/plain; version=0.0.4; charset=utf-8',
    );
    for (const path of ['/', '/docs']) {
      const { text, headers } = await app.get(path);
      expect(text).toContain('<!doctype html>');
      expect(text, 'nothing from other origins').not.toMatch(/https?:\/\//);
      expect(text, 'no inline script or style').not.toMatch(/<script(?![^>]*src=)|<style| on\w+=| style=/);
      expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'; /);
    }
  });

  it('has its OpenAPI document', async () => {
    expect((await app.get('/api/v1/openapi.json')).json).toMatchObject({
      openapi: '3.1.0',
      info: { version: '2.0.0' },
    });
  });

  it.each([
    ['', false],
    ['?dry_run=true', true],
    ['?dry_run=0', false],
  ])('force-sync%s replies with the report', async (query, dryRun) => {
    const answer = await app.post(`/api/v1/admin/force-sync${query}`);
    expect(answer.json).toMatchObject({
      report: {
        dry_run: dryRun,
        drifts: [{ kind: 'letter-moved', action: dryRun ? 'planned' : 'repaired' }],
      },
    });
    expect(app.daemon.requests).toEqual([{ type: 'sync', request: { dryRun, reason: 'force-sync' } }]);
  });

  it('force-sync in standby is a 503, and an unknown dry_run a 400', async () => {
    expect((await app.post('/api/v1/admin/force-sync?dry_run=maybe')).status).toBe(400);
    app.daemon.phase = 'standby';
    expect((await app.post('/api/v1/admin/force-sync')).json).toMatchObject({ code: 'STANDBY' });
  });

  it('an unexpected failure is a 500 with the request id and nothing else', async () => {
    const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    app.daemon.failure = new TypeError('secret internals');
    const answer = await app.get(`${V}/device`, { 'x-request-id': 'trace-me' });
    const logged = written.mock.calls.map(([line]) => String(line)).join('');
    written.mockRestore();
    expect([answer.status, answer.json]).toMatchObject([500, { code: 'INTERNAL', request_id: 'trace-me' }]);
    expect(answer.text).not.toContain('secret internals');
    expect(logged).toContain('trace-me');
  });
});
