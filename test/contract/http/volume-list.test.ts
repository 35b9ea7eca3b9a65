import { beforeEach, describe, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { unknown } from '~/server/model/evidence';
import { cloudVolume, NOW, OTHER_VM, REMOTE_VOLUME, VOLUME } from '~/test/support/canned';
import { listed } from '~/test/support/fake-daemon';
import { useHttpApp } from '~/test/support/use-http-app';

const app = useHttpApp();
const LIST = '/api/v1/volumes';
const NEXT = 'f0000000-0000-4000-8000-000000000001';

interface List {
  readonly volumes: readonly { readonly volume_id: string }[];
}
const ids = (json: unknown) => (json as List).volumes.map(({ volume_id }) => volume_id);

describe('GET /volumes', () => {
  it('has for each volume what CloudStack, the mapping, the export and the last operation say', async () => {
    app.daemon.operations.request('detach', { volume_id: VOLUME });
    const { json, headers } = await app.get(LIST);
    expect(json).toMatchObject({
      cloudstack: { kind: 'seen', at: '2025-08-19T20:30:00.000Z', age_seconds: 12, why: null, not_shown: 0 },
      volumes: [
        {
          volume_id: REMOTE_VOLUME,
          name: 'other-volume',
          vm_id: OTHER_VM,
          vm_name: 'migrated',
          export: null,
        },
        {
          volume_id: VOLUME,
          name: 'my-volume',
          state: 'Ready',
          state_means: 'is ready',
          size: 5368709120,
          size_gib: 5,
          account: 'admin',
          not_shown: null,
          mapping: { device_path: '/dev/vdb', linux_state: 'detected' },
          export: { export_name: `migration-vol-${VOLUME}`, status: 'active', read_only: false },
          last_operation: { type: 'detach', status: 'pending' },
        },
      ],
    });
    expect(headers.age).toBe('12');
  });

  it('comes in pages, whose Link keeps the filters', async () => {
    app.daemon.listed.push(listed(cloudVolume(NEXT)));
    const first = await app.get(`${LIST}?name=my-&limit=1`);
    expect(ids(first.json)).toEqual([VOLUME]);
    const link = /^<([^>]+)>; rel="next"$/.exec(first.headers.link as string)?.[1] ?? '';
    expect(link).toContain('name=my-');
    const second = await app.get(link);
    expect(ids(second.json)).toEqual([NEXT]);
    expect(second.headers.link).toBeUndefined();
  });

  it.each(['limit=0', 'limit=abc', 'cursor=1', 'state=Redy', 'vm_id=oma', 'attached=perhaps', 'project=p'])(
    '%s is refused',
    async (query) => {
      const { status, json } = await app.get(`${LIST}?${query}`);
      expect([status, json]).toMatchObject([400, { code: 'VALIDATION_FAILED' }]);
    },
  );

  it('is 304 while nothing has changed, however old it has become', async () => {
    const { etag = '' } = (await app.get(LIST)).headers;
    app.daemon.freshness = { at: NOW + 60_000, ageMs: 1_000, unknown: null };
    const again = await app.get(LIST, { 'if-none-match': etag });
    expect([again.status, again.headers.age]).toEqual([304, '1']);
    app.daemon.freshness = { ...app.daemon.freshness, unknown: unknown('away', NOW, 'cloudstack') };
    expect((await app.get(LIST, { 'if-none-match': etag })).status).toBe(200);
  });

  it('says that what it shows may be old, and never gives an empty list for what is not known', async () => {
    app.daemon.freshness = {
      at: NOW,
      ageMs: 90_400,
      unknown: unknown('CloudStack is away', NOW, 'cloudstack'),
    };
    expect((await app.get(LIST)).json).toMatchObject({
      cloudstack: {
        kind: 'unknown',
        why: 'CloudStack is away',
        unknown_since: '2025-08-19T20:30:00.000Z',
        age_seconds: 90,
      },
    });
    app.daemon.failure = new DaemonError('CLOUDSTACK_UNAVAILABLE', 'CloudStack is away');
    expect((await app.get(LIST)).json).toMatchObject({ status: 503, code: 'CLOUDSTACK_UNAVAILABLE' });
  });

  it('shows a mapped volume that CloudStack does not show, and that nothing more is known', async () => {
    app.daemon.listed.splice(1, 1, {
      id: VOLUME,
      volume: unknown('not visible to this key', NOW, 'cloudstack'),
    });
    const { json } = await app.get(LIST);
    expect(json).toMatchObject({
      cloudstack: { not_shown: 1 },
      volumes: [
        {},
        {
          volume_id: VOLUME,
          name: null,
          state: null,
          vm_id: null,
          not_shown: 'not visible to this key',
          mapping: { device_path: '/dev/vdb' },
        },
      ],
    });
    expect(ids((await app.get(`${LIST}?attached=false`)).json)).toEqual([]);
  });
});

describe('GET /volumes/resolve', () => {
  const resolve = (ref: string) => app.get(`${LIST}/resolve?ref=${encodeURIComponent(ref)}`);
  beforeEach(() => app.daemon.listed.push(listed(cloudVolume(NEXT, { name: 'twice' }))));

  it('gives the whole id of the one volume that is meant', async () => {
    expect((await resolve('my-volume')).json).toMatchObject({ volume_id: VOLUME, matched_by: 'name' });
    expect((await resolve('6f1d2c3b')).json).toMatchObject({ volume_id: VOLUME, matched_by: 'id-prefix' });
    expect((await resolve(VOLUME)).json).toMatchObject({ volume_id: VOLUME, matched_by: 'id' });
  });

  it('refuses what means several volumes, or none, and a reference that is none', async () => {
    app.daemon.listed.push(listed(cloudVolume('f1000000-0000-4000-8000-000000000002', { name: 'twice' })));
    expect((await resolve('twice')).json).toMatchObject({
      status: 409,
      code: 'VOLUME_AMBIGUOUS',
      details: { candidates: [{ volume_id: NEXT }, {}] },
    });
    expect((await resolve('nobody')).json).toMatchObject({ status: 409, code: 'VOLUME_NOT_VISIBLE' });
    expect((await app.get(`${LIST}/resolve`)).json).toMatchObject({ code: 'VALIDATION_FAILED' });
    // The path is no volume: it has its own methods, not those of a volume.
    expect((await app.send('DELETE', `${LIST}/resolve`)).status).toBe(405);
  });
});
