import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExportReply, OperationReply } from '~/lab/client';
import { send, Walk } from './walk';

/**
 * What the programs do that call the daemon today: initial and incremental migration, test failover,
 * rollback, cleanup after a failed execution, job deletion. The sequences are theirs; the promises are ours.
 */
let walk: Walk;

beforeAll(async () => {
  walk = await Walk.begin();
});
afterAll(() => walk?.close());

/** Links with their times, rows, and the holder of the port: whatever a touch of an export would change. */
async function exportState(): Promise<string> {
  const folder = join(walk.lab.dir, 'run/exports');
  const links = await Promise.all(
    (await readdir(folder))
      .sort()
      .map(async (name) => [
        name,
        (await lstat(join(folder, name))).mtimeMs,
        await readlink(join(folder, name)),
      ]),
  );
  // What flows is looked at all the time, and no change.
  const rows = (await walk.api.get<{ traffic: unknown }[]>('/api/v1/exports')).map(
    ({ traffic, ...row }) => row,
  );
  return JSON.stringify({
    links,
    rows,
    ...(await reloads()),
    holders: await walk.lab.nbdkit.holders(),
  });
}

/** How often the daemon has made the server read its configuration. */
async function reloads(): Promise<{ reloads: number; restarts: number }> {
  const { text } = await send(`${walk.daemon.url}/metrics`);
  const value = (name: string) => {
    const found = new RegExp(`^volume_daemon_${name}(?:\\{[^}]*\\})? (\\d+)`, 'm').exec(text)?.[1];
    if (found === undefined) throw new Error(`/metrics does not tell ${name}`);
    return Number(found);
  };
  return { reloads: value('export_reloads_total'), restarts: value('export_restarts_total') };
}

function cleanUp(vm: string, volumeId: string, deleteVm: boolean): Promise<OperationReply> {
  return walk.api.post<OperationReply>('/api/v1/cleanup/test-failover', {
    test_vm_id: vm,
    volume_id: volumeId,
    oma_vm_id: walk.appliance,
    delete_vm: deleteVm,
    force_clean: false,
  });
}

/** Is each volume exported from the device it has now? */
async function expectExported(volumeIds: readonly string[]): Promise<void> {
  for (const id of volumeIds)
    expect(await walk.api.get(`/api/v1/exports/${id}`)).toMatchObject({
      status: 'active',
      device_path: walk.lab.guest.devicePath(id),
    });
  const report = await walk.api.post<{ results: { volume_id: string; ok: boolean }[] }>(
    '/api/v1/exports/validate',
  );
  for (const id of volumeIds)
    expect(report.results.find((result) => result.volume_id === id)).toMatchObject({ ok: true });
}

const detachCall = (id: string) => walk.api.post<OperationReply>(`/api/v1/volumes/${id}/detach`);
const attachCall = (id: string, vm: string) =>
  walk.api.post<OperationReply>(`/api/v1/volumes/${id}/attach`, { vm_id: vm });

describe('the callers that exist', () => {
  it('A, initial migration: create, attach, and the export is there at once', async () => {
    const created = await walk.api.post<OperationReply>('/api/v1/volumes', {
      ...walk.createBody('migration-vm1-disk-2000', 6 * 1024 ** 3),
      metadata: { migration_job_id: 'job-1', vmware_capacity_bytes: '1' },
    });
    const volumeId = String((await walk.api.end(created)).response?.volume_id);
    const attached = await walk.attach(volumeId);
    expect(attached.response?.device_path).toBe(walk.lab.guest.devicePath(volumeId));
    const found = await walk.api.get<ExportReply>(`/api/v1/exports/${volumeId}`);
    expect(found).toMatchObject({ status: 'active', export_name: `migration-vol-${volumeId}` });
  });

  it('B, incremental: a mapped volume is found by its device and needs no attach; attaching again is a success without a second attach', async () => {
    const volumeId = await walk.create('incremental');
    expect((await send(`${walk.daemon.url}/api/v1/volumes/${volumeId}/device`)).status).toBe(404);
    await walk.attach(volumeId);
    expect(await walk.api.get(`/api/v1/volumes/${volumeId}/device`)).toMatchObject({
      device_path: walk.lab.guest.devicePath(volumeId),
    });
    await walk.attach(volumeId);
    expect(walk.lab.cloud.model.effectsOf(volumeId, 'attach')).toBe(1);
  });

  it('C, test failover with three disks: between a VM and nowhere no file, link, row or reload changes', async () => {
    const { model } = walk.lab.cloud;
    const vm = model.addVm({ name: 'failover-c', state: 'Stopped' }).id;
    // The caller deletes the root disk that the VM came with.
    for (const volume of model.volumes.filter((candidate) => candidate.vmId === vm))
      Object.assign(volume, { vmId: null, removed: true });
    const disks = await Promise.all(['os', 'data-1', 'data-2'].map((name) => walk.create(`c-${name}`)));
    for (const id of disks) await walk.attach(id);
    const [os = '', ...data] = disks;
    await walk.detach(os);
    const before = await exportState();
    await walk.api.end(
      await walk.api.post<OperationReply>(`/api/v1/volumes/${os}/attach-root`, { vm_id: vm }),
    );
    expect(await exportState()).toBe(before);
    for (const id of data) {
      await walk.detach(id);
      const withdrawn = await exportState();
      await walk.attach(id, vm);
      expect(await exportState()).toBe(withdrawn);
    }
    expect(await walk.api.get(`/api/v1/vms/${vm}/volumes`)).toHaveLength(3);
    // E, rollback: detach all from the VM, then attach all to the appliance, fired at once.
    const failedOver = await exportState();
    const detaching = await Promise.all(disks.map(detachCall));
    await Promise.all(detaching.map((operation) => walk.api.end(operation)));
    expect(await exportState()).toBe(failedOver);
    const attaching = await Promise.all(disks.map((id) => attachCall(id, walk.appliance)));
    await Promise.all(attaching.map((operation) => walk.api.end(operation)));
    await expectExported(disks);
  });

  it('D, live failover of one disk: the export server is never reloaded, here or on all its other ways', async () => {
    const vm = walk.lab.cloud.model.addVm({ name: 'failover-d', state: 'Stopped' }).id;
    const other = walk.lab.cloud.model.addVm({ name: 'failover-d2', state: 'Stopped' }).id;
    const disk = await walk.create('d-disk');
    const counts = async () => {
      const { reloads: signals, restarts } = await reloads();
      return signals + restarts;
    };
    const start = await counts();
    await walk.attach(disk);
    await expectExported([disk]);
    await walk.detach(disk);
    await walk.attach(disk, vm);
    await walk.detach(disk);
    await walk.attach(disk, other);
    await walk.detach(disk);
    await walk.attach(disk);
    expect(await counts()).toBe(start);
    await expectExported([disk]);
  });

  it('F, failed execution: detach from the VM and attach to the appliance fired for all disks without waiting', async () => {
    const vm = walk.lab.cloud.model.addVm({ name: 'failover-f', state: 'Stopped' }).id;
    const disks = await Promise.all(['os', 'data-1', 'data-2'].map((name) => walk.create(`f-${name}`)));
    await Promise.all(disks.map((id) => walk.attach(id, vm)));
    const operations: OperationReply[] = [];
    for (const id of disks) operations.push(await detachCall(id), await attachCall(id, walk.appliance));
    await Promise.all(operations.map((operation) => walk.api.end(operation)));
    for (const id of disks) {
      expect(walk.lab.cloud.model.effectsOf(id, 'attach')).toBe(2);
      expect(walk.lab.cloud.model.effectsOf(id, 'detach')).toBe(1);
    }
    expect(new Set(disks.map((id) => walk.lab.guest.devicePath(id))).size).toBe(3);
    await expectExported(disks);
  });

  it('F, cleanup without waiting: detach and attach fired back to back run in that order', async () => {
    const volumeId = await walk.create('f-disk');
    await walk.attach(volumeId);
    const operations = [
      await detachCall(volumeId),
      await attachCall(volumeId, walk.appliance),
      await detachCall(volumeId),
      await attachCall(volumeId, walk.appliance),
    ];
    expect(new Set(operations.map(({ id }) => id)).size).toBe(4);
    await Promise.all(operations.map((operation) => walk.api.end(operation)));
    expect(walk.lab.cloud.model.effectsOf(volumeId, 'attach')).toBe(3);
    expect(walk.lab.cloud.model.effectsOf(volumeId, 'detach')).toBe(2);
    expect(await walk.api.get(`/api/v1/volumes/${volumeId}/device`)).toMatchObject({
      linux_state: 'detected',
    });
  });

  it('a repeated request joins the one in flight, and an Idempotency-Key finds it again later', async () => {
    const volumeId = await walk.create('twice');
    const [first, second] = await Promise.all([
      attachCall(volumeId, walk.appliance),
      attachCall(volumeId, walk.appliance),
    ]);
    expect(second.id).toBe(first.id);
    await walk.api.end(first);
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'detach-1' };
    const url = `${walk.daemon.url}/api/v1/volumes/${volumeId}/detach`;
    const once = await send(url, { method: 'POST', headers });
    await walk.api.end(await walk.api.get<OperationReply>(`/api/v1/operations/${once.body.id}`));
    expect((await send(url, { method: 'POST', headers })).body.id).toBe(once.body.id);
    expect(
      await send(`${walk.daemon.url}/api/v1/volumes/${await walk.create('other')}/detach`, {
        method: 'POST',
        headers,
      }),
    ).toMatchObject({ status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } });
  });

  it('H, job deletion: DELETE of an attached volume detaches it first; deleting again is a success', async () => {
    const volumeId = await walk.create('h-disk');
    await walk.attach(volumeId);
    await walk.remove(volumeId);
    expect(walk.lab.guest.devicePath(volumeId)).toBeNull();
    expect(walk.lab.cloud.model.effectsOf(volumeId, 'delete')).toBe(1);
    await walk.remove(volumeId);
    expect(walk.lab.cloud.model.effectsOf(volumeId, 'delete')).toBe(1);
  });

  it('G, one-call cleanup: from the test VM back to the appliance, and the VM with nothing left but its root disk goes', async () => {
    const vm = walk.lab.cloud.model.addVm({ name: 'failover-g', state: 'Stopped' }).id;
    const volumeId = await walk.create('g-disk');
    await walk.attach(volumeId, vm);
    const ended = await walk.api.end(await cleanUp(vm, volumeId, true));
    expect(ended.response).toMatchObject({
      device_path: walk.lab.guest.devicePath(volumeId),
      vm_deleted: true,
    });
    await expectExported([volumeId]);
  });

  it('G, one-call cleanup: the VM stays while it has another data disk', async () => {
    const vm = walk.lab.cloud.model.addVm({ name: 'failover-g1', state: 'Stopped' }).id;
    const [volumeId, other] = [await walk.create('g1-disk'), await walk.create('g1-other')];
    await walk.attach(volumeId, vm);
    await walk.attach(other, vm);
    const ended = await walk.api.end(await cleanUp(vm, volumeId, true));
    expect(ended.response).toMatchObject({ vm_deleted: false });
    expect(walk.lab.cloud.model.vms.find(({ id }) => id === vm)?.state).toBe('Stopped');
  });

  it('G, one-call cleanup for every disk of a VM at once', async () => {
    const vm = walk.lab.cloud.model.addVm({ name: 'failover-g2', state: 'Stopped' }).id;
    const disks = await Promise.all(['os', 'data-1'].map((name) => walk.create(`g-${name}`)));
    await Promise.all(disks.map((id) => walk.attach(id, vm)));
    const operations = await Promise.all(disks.map((id) => cleanUp(vm, id, false)));
    await Promise.all(operations.map((operation) => walk.api.end(operation)));
    await expectExported(disks);
  });
});
