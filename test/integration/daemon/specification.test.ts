import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { OperationReply } from '~/lab/client';
import { send, Walk } from './walk';

/** The examples of the specification, endpoint by endpoint, against the built server. */
let walk: Walk;
let volumeId: string;
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const UUID = /^[0-9a-f-]{36}$/;

beforeAll(async () => {
  walk = await Walk.begin();
});
afterAll(() => walk?.close());

describe('the specification, against the built server', () => {
  it('POST /volumes: 201 with the pending operation; the ended one names the volume twice', async () => {
    const body = { ...walk.createBody('my-volume'), metadata: { purpose: 'migration', vm_name: 'test-vm' } };
    const accepted = await send(`${walk.daemon.url}/api/v1/volumes`, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    });
    expect(accepted.status).toBe(201);
    expect(accepted.headers.get('location')).toBe(`/api/v1/operations/${accepted.body.id}`);
    expect(accepted.body).toMatchObject({
      id: expect.stringMatching(UUID),
      type: 'create',
      status: 'pending',
      volume_id: '',
      request: body,
      created_at: expect.stringMatching(RFC3339),
      updated_at: expect.stringMatching(RFC3339),
    });
    const ended = await walk.api.end(
      await walk.api.get<OperationReply>(`/api/v1/operations/${accepted.body.id}`),
    );
    volumeId = ended.volume_id;
    expect(ended).toMatchObject({
      status: 'completed',
      volume_id: expect.stringMatching(UUID),
      response: { volume_id: volumeId },
      completed_at: expect.stringMatching(RFC3339),
    });
  });

  it('POST /volumes/{id}/attach, GET /operations/{id}: device path in the response', async () => {
    const accepted = await send(`${walk.daemon.url}/api/v1/volumes/${volumeId}/attach`, {
      method: 'POST',
      body: JSON.stringify({ vm_id: walk.appliance }),
    });
    expect(accepted.status).toBe(201);
    expect(accepted.body).toMatchObject({
      type: 'attach',
      status: 'pending',
      volume_id: volumeId,
      vm_id: walk.appliance,
    });
    const ended = await walk.api.end(
      await walk.api.get<OperationReply>(`/api/v1/operations/${accepted.body.id}`),
    );
    expect(ended.response).toMatchObject({
      volume_id: volumeId,
      device_path: walk.lab.guest.devicePath(volumeId),
      message: 'Volume attached successfully',
    });
  });

  it('GET /volumes/{id}/device: the mapping, with volume_id and its alias', async () => {
    expect(await walk.api.get(`/api/v1/volumes/${volumeId}/device`)).toMatchObject({
      id: expect.any(String),
      volume_id: volumeId,
      volume_uuid: volumeId,
      vm_id: walk.appliance,
      device_path: walk.lab.guest.devicePath(volumeId),
      cloudstack_state: 'attached',
      linux_state: 'detected',
      size: 1024 ** 3,
      last_sync: expect.stringMatching(RFC3339),
      created_at: expect.stringMatching(RFC3339),
    });
  });

  it('GET /devices/{path}/volume: by name, by encoded path, and by plain path', async () => {
    for (const path of ['vdb', 'dev%2Fvdb', '%2Fdev%2Fvdb', 'dev/vdb']) {
      expect(await walk.api.get(`/api/v1/devices/${path}/volume`), path).toMatchObject({
        volume_id: volumeId,
      });
    }
    expect((await send(`${walk.daemon.url}/api/v1/devices/vdz/volume`)).status).toBe(404);
  });

  it('GET /volumes/{id}, /vms/{id}/volumes, /devices, /operations', async () => {
    expect(await walk.api.get(`/api/v1/volumes/${volumeId}`)).toMatchObject({
      volume_id: volumeId,
      vm_id: walk.appliance,
      state: 'Ready',
      size: 1024 ** 3,
    });
    expect(await walk.api.get(`/api/v1/vms/${walk.appliance}/volumes`)).toEqual([
      expect.objectContaining({
        volume_id: volumeId,
        vm_id: walk.appliance,
        device_path: walk.lab.guest.devicePath(volumeId),
      }),
    ]);
    expect(await walk.api.get('/api/v1/devices')).toEqual([expect.objectContaining({ volume_id: volumeId })]);
    const operations = await walk.api.get<OperationReply[]>('/api/v1/operations?limit=10');
    expect(operations.map(({ type }) => type)).toEqual(['attach', 'create']);
    expect(await walk.api.get('/api/v1/operations?type=detach')).toEqual([]);
    expect((await send(`${walk.daemon.url}/api/v1/operations?status=splendid`)).status).toBe(400);
  });

  it('GET /exports/{id}: active and named after the volume as soon as the attach is completed', async () => {
    expect(await walk.api.get(`/api/v1/exports/${volumeId}`)).toMatchObject({
      export_name: `migration-vol-${volumeId}`,
      status: 'active',
      port: expect.any(Number),
      volume_id: volumeId,
    });
    expect(await walk.api.get('/api/v1/exports')).toHaveLength(1);
  });

  it('GET /health and /api/v1/health', async () => {
    expect(await walk.api.get('/health')).toMatchObject({
      status: 'healthy',
      service: 'volume-management-daemon',
    });
    // Dependencies are looked at every few seconds: the export server may have been seen before its first
    // start.
    await vi.waitFor(
      async () => expect(await walk.api.get('/api/v1/health')).toMatchObject({ status: 'healthy' }),
      { timeout: 30_000, interval: 100 },
    );
    expect(await walk.api.get('/api/v1/health')).toMatchObject({
      status: 'healthy',
      timestamp: expect.stringMatching(RFC3339),
      cloudstack_health: 'healthy',
      database_health: 'healthy',
      device_monitor: 'healthy',
      details: expect.objectContaining({ implementation_status: expect.any(String) }),
    });
  });

  it('POST /admin/force-sync: message, timestamp, report; a dry run says so', async () => {
    expect(await walk.api.post('/api/v1/admin/force-sync')).toMatchObject({
      message: expect.any(String),
      timestamp: expect.stringMatching(RFC3339),
    });
    const dry = await walk.api.post<{ report: { dry_run: boolean } }>(
      '/api/v1/admin/force-sync?dry_run=true',
    );
    expect(dry.report.dry_run).toBe(true);
  });

  it('POST /volumes/{id}/detach and DELETE /volumes/{id} without a body: 201', async () => {
    const detach = await send(`${walk.daemon.url}/api/v1/volumes/${volumeId}/detach`, { method: 'POST' });
    expect(detach.status).toBe(201);
    await walk.api.end(await walk.api.get<OperationReply>(`/api/v1/operations/${detach.body.id}`));
    expect((await send(`${walk.daemon.url}/api/v1/volumes/${volumeId}/device`)).status).toBe(404);
    expect((await send(`${walk.daemon.url}/api/v1/exports/${volumeId}`)).status).toBe(404);
    const remove = await send(`${walk.daemon.url}/api/v1/volumes/${volumeId}`, { method: 'DELETE' });
    expect(remove.status).toBe(201);
    await walk.api.end(await walk.api.get<OperationReply>(`/api/v1/operations/${remove.body.id}`));
    expect((await send(`${walk.daemon.url}/api/v1/volumes/${volumeId}`)).status).toBe(404);
  });

  it('GET /api/v1/metrics: the counts add up and the error rate is failed of all, in percent', async () => {
    const unknown = '00000000-0000-4000-8000-00000000dead';
    const failing = await walk.api.post<OperationReply>(`/api/v1/volumes/${unknown}/attach`, {
      vm_id: walk.appliance,
    });
    await expect(walk.api.end(failing)).rejects.toThrow(/not found/);
    const metrics = await walk.api.get<Record<string, unknown>>('/api/v1/metrics');
    expect(metrics).toMatchObject({
      total_operations: 5,
      pending_operations: 0,
      active_mappings: 0,
      operations_by_type: { create: 1, attach: 2, detach: 1, delete: 1 },
      operations_by_status: { pending: 0, executing: 0, completed: 4, failed: 1 },
      error_rate_percent: 20,
      average_response_time_ms: expect.any(Number),
    });
  });

  it('attach-root: device id 0 on a stopped VM without a root disk', async () => {
    const { model } = walk.lab.cloud;
    const vm = model.addVm({ name: 'migrated', state: 'Stopped' });
    for (const volume of model.volumes.filter((candidate) => candidate.vmId === vm.id))
      Object.assign(volume, { vmId: null, removed: true });
    const id = await walk.create('root-disk');
    const ended = await walk.api.end(
      await walk.api.post<OperationReply>(`/api/v1/volumes/${id}/attach-root`, { vm_id: vm.id }),
    );
    expect(ended.response).toMatchObject({ device_id: 0, volume_id: id, vm_id: vm.id });
    expect(model.volumes.find((volume) => volume.id === id)).toMatchObject({ vmId: vm.id, deviceId: 0 });
  });
});
