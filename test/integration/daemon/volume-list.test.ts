import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { send, Walk } from './walk';

/**
 * The list of all volumes on the built daemon: what operations did is in it at once, and a CloudStack
 * that is away is told.
 */
let walk: Walk;
beforeAll(async () => {
  walk = await Walk.begin();
});
afterAll(() => walk?.close());

interface Summary {
  readonly volume_id: string;
  readonly name: string | null;
  readonly state: string | null;
  readonly vm_id: string | null;
  readonly mapping: { readonly device_path: string } | null;
}
interface List {
  readonly cloudstack: { readonly kind: string; readonly age_seconds: number; readonly why: string | null };
  readonly volumes: readonly Summary[];
}

const list = (query = '') => walk.api.get<List>(`/api/v1/volumes${query}`);
const one = async (id: string) => (await list()).volumes.find(({ volume_id }) => volume_id === id);
/** Every call is reset before it has an effect. */
const away = () =>
  walk.lab.cloud.model.faults.add({ command: '*', kind: 'fail-before-effect', times: 1_000_000 });
const resolve = (ref: string) => send(`${walk.daemon.url}/api/v1/volumes/resolve?ref=${ref}`);

describe('the list of volumes', () => {
  it('shows what an operation has done as soon as it has ended, without another look at all volumes', async () => {
    const id = await walk.create('listed');
    expect(await one(id)).toMatchObject({ name: 'listed', vm_id: null, last_operation: { type: 'create' } });
    await walk.attach(id);
    expect(await one(id)).toMatchObject({
      state: 'Ready',
      vm_id: walk.appliance,
      mapping: { device_path: walk.lab.guest.devicePath(id), linux_state: 'detected' },
      export: { export_name: `migration-vol-${id}`, status: 'active' },
      last_operation: { type: 'attach', status: 'completed' },
    });
    await walk.detach(id);
    expect(await one(id)).toMatchObject({ vm_id: null, mapping: null, export: null });
    await walk.remove(id);
    expect((await one(id))?.state ?? 'not there').not.toBe('Ready');
  });

  it('comes in pages of which the Link leads to the next, and is 304 while nothing changes', async () => {
    for (const name of ['page-1', 'page-2', 'page-3']) await walk.create(name);
    const first = await fetch(`${walk.daemon.url}/api/v1/volumes?name=page-&limit=2`);
    const { volumes } = (await first.json()) as List;
    const path = /<([^>]+)>; rel="next"/.exec(first.headers.get('link') ?? '')?.[1] ?? '';
    const second = await walk.api.get<List>(path);
    const names = [...volumes, ...second.volumes].map(({ name }) => name).sort();
    expect(names).toEqual(['page-1', 'page-2', 'page-3']);
    const headers = { 'if-none-match': first.headers.get('etag') ?? '' };
    expect((await fetch(first.url, { headers })).status).toBe(304);
    expect(first.headers.get('age')).toMatch(/^\d+$/);
  });

  it('a name means one volume, or is refused with all that it may mean', async () => {
    const id = await walk.create('unique');
    expect(await resolve('unique')).toMatchObject({
      status: 200,
      body: { volume_id: id, matched_by: 'name' },
    });
    expect(await resolve(id.slice(0, 8))).toMatchObject({ body: { volume_id: id, matched_by: 'id-prefix' } });
    const twin = await walk.create('unique');
    const refused = await resolve('unique');
    expect(refused).toMatchObject({ status: 409, body: { code: 'VOLUME_AMBIGUOUS' } });
    expect(JSON.stringify(refused.body)).toContain(twin);
    // CloudStack is asked each time: a volume that was made around the daemon counts at once.
    const { inventory } = walk.lab.cloud.model;
    const { id: around } = inventory.addVolume({
      name: 'around',
      size: 1024 ** 3,
      zoneId: walk.lab.cloud.zoneId,
      diskOfferingId: walk.lab.cloud.diskOfferingId,
    });
    expect(await resolve('around')).toMatchObject({ status: 200, body: { volume_id: around } });
  });

  it('while CloudStack is away says so with why, goes on showing what was seen, and resolves nothing', async () => {
    const before = (await list()).volumes.length;
    away();
    const report = await walk.api.post<{ report: { judged: boolean } }>('/api/v1/admin/force-sync');
    expect(report.report.judged).toBe(false);
    const { cloudstack, volumes } = await list();
    expect(cloudstack).toMatchObject({ kind: 'unknown', why: expect.any(String) });
    expect(volumes).toHaveLength(before);
    expect(await resolve('around')).toMatchObject({ status: 503, body: { code: 'CLOUDSTACK_UNAVAILABLE' } });
    walk.lab.cloud.model.faults.clear();
    await walk.api.post('/api/v1/admin/force-sync');
    expect((await list()).cloudstack).toMatchObject({ kind: 'seen', why: null });
  });

  it('is an error as long as CloudStack has never answered', async () => {
    away();
    await walk.daemon.stop();
    await walk.restartDaemon();
    const answer = await send(`${walk.daemon.url}/api/v1/volumes`);
    expect(answer).toMatchObject({ status: 503, body: { code: 'CLOUDSTACK_UNAVAILABLE' } });
    walk.lab.cloud.model.faults.clear();
    await expect
      .poll(async () => (await send(`${walk.daemon.url}/api/v1/volumes`)).status, {
        timeout: 50_000,
        interval: 500,
      })
      .toBe(200);
  });
});
