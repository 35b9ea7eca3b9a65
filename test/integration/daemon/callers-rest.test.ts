import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExportReply, OperationReply } from '~/lab/client';
import { startSimulator } from '~/lab/cloudstack/http';
import { CallCount, LATER } from './calls';
import { send, Walk } from './walk';

/**
 * The rest of what calls the daemon today (see ./callers.test.ts for the engines): live failover, cleanups,
 * scripts, operators with curl, changes around the daemon. Every call that any caller makes is made here, and
 * counted.
 */
let walk: Walk;
const calls = new CallCount();

beforeAll(async () => {
  walk = await Walk.begin();
  calls.begin(walk.daemon.url);
});
afterAll(() => {
  calls.end();
  return walk?.close();
});

const detachCall = (id: string) => walk.api.post<OperationReply>(`/api/v1/volumes/${id}/detach`);
const attachCall = (id: string, vm: string) =>
  walk.api.post<OperationReply>(`/api/v1/volumes/${id}/attach`, { vm_id: vm });

describe('the callers that exist, continued', () => {
  it('D, live failover: the last increment, then the disks move to the new VM, the first as its root', async () => {
    const { model } = walk.lab.cloud;
    const vm = model.addVm({ name: 'failover-d', state: 'Stopped' });
    for (const root of model.volumes.filter(({ vmId }) => vmId === vm.id))
      Object.assign(root, { vmId: null, removed: true });
    const disks = await Promise.all(['d-os', 'd-data'].map((name) => walk.create(name)));
    for (const id of disks) await walk.attach(id);
    for (const [index, id] of disks.entries()) {
      const device = await walk.api.get<{ device_path: string }>(`/api/v1/volumes/${id}/device`);
      expect(
        await walk.api.get(`/api/v1/devices/${encodeURIComponent(device.device_path)}/volume`),
      ).toMatchObject({
        volume_id: id,
      });
      expect(await walk.api.get(`/api/v1/exports/${id}`)).toMatchObject({ status: 'active' });
      await walk.detach(id);
      if (index > 0) await walk.attach(id, vm.id);
      else
        await walk.api.end(
          await walk.api.post<OperationReply>(`/api/v1/volumes/${id}/attach-root`, { vm_id: vm.id }),
        );
    }
    expect(disks.map((id) => model.volumes.find((volume) => volume.id === id))).toMatchObject([
      { vmId: vm.id, deviceId: 0 },
      { vmId: vm.id },
    ]);
  });

  it('F, the other order: all are detached without waiting, then all attached', async () => {
    const disks = await Promise.all(['f-1', 'f-2'].map((name) => walk.create(name)));
    for (const id of disks) await walk.attach(id);
    const fired = [
      ...(await Promise.all(disks.map(detachCall))),
      ...(await Promise.all(disks.map((id) => attachCall(id, walk.appliance)))),
    ];
    await Promise.all(fired.map((operation) => walk.api.end(operation)));
    for (const id of disks)
      expect(await walk.api.get(`/api/v1/volumes/${id}/device`)).toMatchObject({ linux_state: 'detected' });
  });

  it('I, the scripts: detach and delete, waited for or fired one after the other', async () => {
    const [waited, fired] = await Promise.all([walk.create('i-waited'), walk.create('i-fired')]);
    expect((await send(`${walk.daemon.url}/health`)).status).toBe(200);
    await walk.attach(waited);
    await walk.detach(waited);
    await walk.remove(waited);
    await walk.attach(fired);
    const operations = [
      await detachCall(fired),
      await walk.api.delete<OperationReply>(`/api/v1/volumes/${fired}`),
    ];
    for (const operation of operations) await walk.api.end(operation);
    for (const id of [waited, fired]) expect(walk.lab.cloud.model.effectsOf(id, 'delete')).toBe(1);
    // cleanup_orphaned_volumes.sh: what is gone already is not an error.
    expect((await send(`${walk.daemon.url}/api/v1/volumes/${fired}`, { method: 'DELETE' })).status).toBe(201);
  });

  it('J and K, old cleanups: detaching what is not attached is a success, and the delete after it too', async () => {
    const volumeId = await walk.create('j-disk');
    const answer = await send(`${walk.daemon.url}/api/v1/volumes/${volumeId}/detach`, { method: 'POST' });
    expect(answer.status).toBe(201);
    const detached = await walk.api.get<OperationReply>(`/api/v1/operations/${answer.body.id}`);
    expect((await walk.api.end(detached)).status).toBe('completed');
    await walk.remove(volumeId);
    expect((await send(`${walk.daemon.url}/api/v1/volumes/${volumeId}/device`)).status).toBe(404);
  });

  it('exports by hand: withdrawn, listed without it, published again under the same name', async () => {
    const volumeId = await walk.create('export-disk');
    await walk.attach(volumeId);
    const url = `${walk.daemon.url}/api/v1/exports/${volumeId}`;
    expect((await send(url, { method: 'DELETE' })).status).toBe(200);
    expect((await send(url)).status).toBe(404);
    const listed = await walk.api.get<ExportReply[]>('/api/v1/exports?vm_name=&status=');
    expect(listed.map(({ export_name }) => export_name)).not.toContain(`migration-vol-${volumeId}`);
    const body = { volume_id: volumeId, vm_name: 'vm1', vm_id: walk.appliance, disk_number: 0 };
    expect(await walk.api.post('/api/v1/exports', body)).toMatchObject({
      export_name: `migration-vol-${volumeId}`,
      status: 'active',
    });
    expect(await walk.api.post('/api/v1/exports/validate')).toMatchObject({ valid: true });
  });

  it('operators with curl and jq find the keys they pick', async () => {
    expect(await walk.api.get('/api/v1/health')).toMatchObject({
      cloudstack_health: 'healthy',
      database_health: 'healthy',
      device_monitor: 'healthy',
      details: { implementation_status: 'production_ready' },
    });
    const figures = await walk.api.get<Record<string, unknown>>('/api/v1/metrics');
    for (const name of [
      'total_operations',
      'error_rate_percent',
      'average_response_time_ms',
      'active_mappings',
    ])
      expect(figures[name]).toEqual(expect.any(Number));
    const operations = await walk.api.get<OperationReply[]>('/api/v1/operations?status=pending&limit=5');
    expect(operations).toEqual(expect.any(Array));
    const [first] = await walk.api.get<OperationReply[]>('/api/v1/operations?status=completed&limit=1');
    expect(await walk.api.get(`/api/v1/volumes/${first?.volume_id ?? ''}`).catch(String)).toBeTruthy();
    expect(await walk.api.post('/api/v1/admin/force-sync')).toMatchObject({ message: expect.any(String) });
  });

  it('L, a changed configuration takes effect with the next operation, without a restart', async () => {
    const { cloud, database } = walk.lab;
    const point = (to: Pick<typeof cloud, 'url' | 'apiKey' | 'secretKey'>) =>
      database.query('UPDATE migratekit_oma.ossea_configs SET api_url = ?, api_key = ?, secret_key = ?', [
        to.url,
        to.apiKey,
        to.secretKey,
      ]);
    const other = await startSimulator();
    try {
      await point(other);
      const body = { disk_offering_id: other.diskOfferingId, zone_id: other.zoneId, size: 1024 ** 3 };
      await expect
        .poll(
          async () => {
            const name = `l-${Date.now()}`;
            const asked = await walk.api.post<OperationReply>('/api/v1/volumes', { ...body, name });
            await walk.api.end(asked).catch(() => undefined);
            return other.model.volumes.some((volume) => volume.name === name);
          },
          { timeout: 50_000, interval: 500 },
        )
        .toBe(true);
    } finally {
      await point(cloud);
      await other.stop();
    }
  });

  it('M, a reboot that changes the letters: mappings and exports are right again, by themselves', async () => {
    const disks = await Promise.all(['m-1', 'm-2', 'm-3'].map((name) => walk.create(name)));
    for (const id of disks) await walk.attach(id);
    const before = disks.map((id) => walk.lab.guest.devicePath(id));
    await walk.daemon.stop();
    await walk.lab.guest.reboot();
    await walk.restartDaemon();
    calls.begin(walk.daemon.url);
    expect(disks.map((id) => walk.lab.guest.devicePath(id))).not.toEqual(before);
    for (const id of disks) {
      await expect
        .poll(
          () => send(`${walk.daemon.url}/api/v1/volumes/${id}/device`).then(({ body }) => body.device_path),
          {
            timeout: 50_000,
          },
        )
        .toBe(walk.lab.guest.devicePath(id));
      await expect
        .poll(() => send(`${walk.daemon.url}/api/v1/exports/${id}`).then(({ body }) => body.status), {
          timeout: 50_000,
        })
        .toBe('active');
    }
  });

  it('E and G, back from a test VM: its volumes are asked for, and one call brings each back', async () => {
    const vm = walk.lab.cloud.model.addVm({ name: 'failover-g', state: 'Stopped' }).id;
    const volumeId = await walk.create('g-disk');
    await walk.attach(volumeId, vm);
    const there = await walk.api.get<{ volume_id: string }[]>(`/api/v1/vms/${vm}/volumes`);
    expect(there.map(({ volume_id }) => volume_id)).toEqual([volumeId]);
    const body = {
      test_vm_id: vm,
      volume_id: volumeId,
      oma_vm_id: walk.appliance,
      delete_vm: false,
      force_clean: false,
    };
    const ended = await walk.api.end(
      await walk.api.post<OperationReply>('/api/v1/cleanup/test-failover', body),
    );
    expect(ended.response).toMatchObject({ device_path: walk.lab.guest.devicePath(volumeId) });
  });

  it('E, a volume that the daemon before this one has left on the test VM without a mapping is found and detached', async () => {
    const { model } = walk.lab.cloud;
    const vm = model.addVm({ name: 'failover-e', state: 'Stopped' }).id;
    const volumeId = await walk.create('e-left');
    const left = model.volumes.find(({ id }) => id === volumeId);
    Object.assign(left ?? {}, { vmId: vm, deviceId: 1, state: 'Ready' });
    const url = `/api/v1/vms/${vm}/volumes`;
    // The last operation has ended moments ago: the list may be older than that.
    await expect
      .poll(() => walk.api.get<{ volume_id: string }[]>(url).then((all) => all.map((one) => one.volume_id)), {
        timeout: 60_000,
      })
      .toEqual([volumeId]);
    await walk.api.end(await walk.api.post<OperationReply>(`/api/v1/volumes/${volumeId}/detach`));
    expect(left?.vmId).toBeNull();
    expect(await walk.api.get(url)).toEqual([]);
  });

  it('every call that a caller makes was made, and answered; what was never specified is not found', async () => {
    for (const [method, path] of LATER)
      expect(await send(walk.daemon.url + path, { method })).toMatchObject({
        status: 404,
        body: { code: 'NOT_FOUND', error: expect.stringContaining('not found') },
      });
    // Snapshots are known by now; changing one is not.
    const snapshot = `${walk.daemon.url}/api/v1/snapshots/6f1d2c3b-4a59-4687-9786-a5b4c3d2e1f0`;
    expect(await send(snapshot, { method: 'PUT' })).toMatchObject({
      status: 405,
      body: { code: 'METHOD_NOT_ALLOWED' },
    });
    console.log(calls.summary());
    expect(calls.missing()).toEqual([]);
  });
});
