import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { DaemonError } from '~/server/core/errors';
import { partKey } from '~/server/model/part-key';
import { APPLIANCE, OTHER_VM, REMOTE_VOLUME, VOLUME } from '~/test/support/canned';
import { useHttpApp } from '~/test/support/use-http-app';

/**
 * "Volume Operations" and "Operation Tracking" of the specification, and what goes beyond them: waiting,
 * paging, cancelling. HttpApp.send also checks every response against the schema in the OpenAPI document.
 */
const app = useHttpApp();

const V = `/api/v1/volumes/${VOLUME}`;
const SNAPSHOT = '9d0f3a5e-1c2b-4d3e-8f4a-5b6c7d8e9f01';
const CREATE = {
  name: 'my-volume',
  size: 1073741824,
  disk_offering_id: 'c813c642-d946-49e1-9289-c616dd70206a',
  zone_id: '057e86db-c726-4d8c-ab1f-75c5f55d1881',
  metadata: { purpose: 'migration', vm_name: 'test-vm' },
};

describe('requests for operations', () => {
  it.each([
    ['POST', '/api/v1/volumes', CREATE, 'create', CREATE],
    ['POST', `${V}/attach`, { vm_id: APPLIANCE }, 'attach', { volume_id: VOLUME, vm_id: APPLIANCE }],
    [
      'POST',
      `${V}/attach-root`,
      { vm_id: OTHER_VM },
      'attach',
      { volume_id: VOLUME, vm_id: OTHER_VM, device_id: 0, attach_as: 'root' },
    ],
    ['POST', `${V}/detach`, undefined, 'detach', { volume_id: VOLUME }],
    ['POST', `${V}/detach`, { force: true }, 'detach', { volume_id: VOLUME, force: true }],
    ['DELETE', V, undefined, 'delete', { volume_id: VOLUME }],
    ['DELETE', V, { force: false }, 'delete', { volume_id: VOLUME, force: false }],
    ['POST', `${V}/recover`, undefined, 'recover', { volume_id: VOLUME }],
    ['POST', `${V}/resize`, { size: 5368709120 }, 'resize', { volume_id: VOLUME, size: 5368709120 }],
    ['POST', `${V}/snapshots`, undefined, 'snapshot', { volume_id: VOLUME }],
    ['POST', `${V}/snapshots`, { name: 'before' }, 'snapshot', { volume_id: VOLUME, name: 'before' }],
    [
      'POST',
      `${V}/revert`,
      { snapshot_id: SNAPSHOT },
      'revert',
      { volume_id: VOLUME, snapshot_id: SNAPSHOT },
    ],
    [
      'POST',
      '/api/v1/snapshots/group',
      { vm_id: OTHER_VM, volume_ids: [VOLUME, REMOTE_VOLUME], name: 'before' },
      'snapshot-group',
      { vm_id: OTHER_VM, volume_ids: [VOLUME, REMOTE_VOLUME], name: 'before' },
    ],
    ['DELETE', `/api/v1/snapshots/${SNAPSHOT}`, undefined, 'delete-snapshot', { snapshot_id: SNAPSHOT }],
    [
      'POST',
      '/api/v1/cleanup/test-failover',
      { volume_id: VOLUME, test_vm_id: OTHER_VM, oma_vm_id: APPLIANCE, delete_vm: true },
      'cleanup',
      { volume_id: VOLUME, test_vm_id: OTHER_VM, oma_vm_id: APPLIANCE, delete_vm: true, force_clean: false },
    ],
  ])(
    '%s %s is accepted with 201, the operation and its Location',
    async (method, path, body, type, request) => {
      const answer = await app.send(method, path, body === undefined ? {} : { body });
      expect(answer.status).toBe(201);
      expect(answer.json).toMatchObject({ type, status: 'pending', request });
      expect(app.daemon.requests).toEqual([{ type, request, idempotencyKey: null }]);
      const { id } = app.daemon.stored[0] ?? { id: '' };
      expect(answer.headers.location).toBe(`/api/v1/operations/${id}`);
      expect((await app.get(answer.headers.location ?? '')).json).toEqual(answer.json);
    },
  );

  it('a size, a name and a snapshot that are none are refused, each with its field', async () => {
    const refused = async (path: string, body: object) => {
      const { json } = await app.post(path, body);
      const { details } = z
        .object({ details: z.object({ fields: z.array(z.object({ field: z.string() })) }) })
        .parse(json);
      return details.fields.map(({ field }) => field);
    };
    expect(await refused(`${V}/resize`, {})).toEqual(['size']);
    expect(await refused(`${V}/resize`, { size: 0.5 })).toEqual(['size']);
    expect(await refused(`${V}/snapshots`, { name: 'a'.repeat(201) })).toEqual(['name']);
    expect(await refused(`${V}/revert`, { snapshot_id: 'before' })).toEqual(['snapshot_id']);
    for (const volume_ids of [[], [VOLUME, VOLUME], undefined])
      expect(await refused('/api/v1/snapshots/group', { vm_id: OTHER_VM, volume_ids })).toEqual([
        'volume_ids',
      ]);
    expect(app.daemon.requests).toEqual([]);
  });

  it('the snapshots of a volume are listed; those of a volume that is not there are 404', async () => {
    expect((await app.get(`${V}/snapshots`)).json).toMatchObject([{ id: SNAPSHOT, volume_id: VOLUME }]);
    expect((await app.get(`/api/v1/volumes/${SNAPSHOT}/snapshots`)).json).toMatchObject({
      code: 'VOLUME_NOT_FOUND',
    });
  });

  it('a create has an empty volume_id until there is one', async () => {
    expect((await app.post('/api/v1/volumes', CREATE)).json).toMatchObject({ volume_id: '' });
  });

  it('ids are lower-cased, so that one volume has one id', async () => {
    await app.post(`/api/v1/volumes/${VOLUME.toUpperCase()}/attach`, { vm_id: APPLIANCE.toUpperCase() });
    expect(app.daemon.requests[0]?.request).toEqual({ volume_id: VOLUME, vm_id: APPLIANCE });
  });

  it('the Idempotency-Key reaches the engine; an invalid one is reported with other fields', async () => {
    await app.post(`${V}/detach`, undefined, { 'idempotency-key': 'job-7 disk-1' });
    expect(app.daemon.requests[0]?.idempotencyKey).toBe('job-7 disk-1');
    for (const key of [
      '',
      'a'.repeat(129),
      'ü',
      partKey('parts', VOLUME, 0),
      partKey('undo-parts', VOLUME, 12),
    ]) {
      const answer = await app.post(`${V}/attach`, { vm_id: 'x' }, { 'idempotency-key': key });
      expect(answer.json).toMatchObject({
        details: { fields: [{ field: 'Idempotency-Key' }, { field: 'vm_id' }] },
      });
    }
    expect(app.daemon.requests).toHaveLength(1);
  });

  it('are refused with 503 in standby, while reads are answered', async () => {
    app.daemon.phase = 'standby';
    expect((await app.post(`${V}/detach`)).json).toMatchObject({ code: 'STANDBY' });
    expect((await app.get('/api/v1/operations')).status).toBe(200);
  });
});

describe('waiting', () => {
  it.each([
    ['?wait=25s', {}],
    ['?wait=25', {}],
    ['?wait=20000ms', {}],
    ['?wait=999s', {}],
    ['', { prefer: 'respond-async, wait=25' }],
  ])('is answered as soon as the operation ends (%s %j)', async (query, headers: Record<string, string>) => {
    const { id } = await app.daemon.operations.request('detach', { volume_id: VOLUME });
    const waiting = app.get(`/api/v1/operations/${id}${query}`, headers);
    setImmediate(() =>
      app.daemon.move(id, { status: 'completed', response: { volume_id: VOLUME }, completedAt: 1 }),
    );
    expect((await waiting).json).toMatchObject({ status: 'completed', response: { volume_id: VOLUME } });
  });

  it('also works when an operation is requested, which is still a 201', async () => {
    const waiting = app.post(`${V}/detach?wait=25s`);
    await expect.poll(() => app.daemon.stored).toHaveLength(1);
    app.daemon.move(app.daemon.stored[0]?.id ?? '', {
      status: 'failed',
      error: 'Volume is already attached',
      errorCode: 'DEVICE_IN_USE',
    });
    const answer = await waiting;
    expect([answer.status, answer.json]).toMatchObject([
      201,
      { status: 'failed', error: 'Volume is already attached' },
    ]);
    expect(answer.headers['preference-applied']).toBe('wait=25');
  });

  it('answers with the current operation when the time is over', async () => {
    expect((await app.post(`${V}/detach?wait=20ms`)).json).toMatchObject({ status: 'pending' });
  });

  it('ends when the daemon stops', async () => {
    const waiting = app.post(`${V}/detach?wait=25s`);
    await expect.poll(() => app.daemon.stored).toHaveLength(1);
    app.daemon.stop();
    expect((await waiting).status).toBe(201);
  });

  it('never turns an accepted request into an error, even if the database fails meanwhile', async () => {
    const waiting = app.post(`${V}/detach?wait=25s`);
    await expect.poll(() => app.daemon.stored).toHaveLength(1);
    app.daemon.failure = new DaemonError('DATABASE_UNAVAILABLE', 'away');
    app.daemon.stop();
    expect((await waiting).status).toBe(201);
  });

  it.each(['soon', '-1', '25m', '1.5'])('refuses ?wait=%s', async (wait) => {
    const { id } = await app.daemon.operations.request('detach', { volume_id: VOLUME });
    expect((await app.get(`/api/v1/operations/${id}?wait=${wait}`)).json).toMatchObject({
      details: { fields: [{ field: 'wait' }] },
    });
  });
});

describe('operations', () => {
  it('are a bare array, empty when there are none', async () => {
    expect((await app.get('/api/v1/operations')).json).toEqual([]);
  });

  it('are paged by Link, newest first, each exactly once', async () => {
    for (let count = 0; count < 7; count += 1)
      await app.daemon.operations.request('detach', { volume_id: VOLUME });
    const seen: unknown[] = [];
    let next: string | undefined = '/api/v1/operations?limit=3&status=pending';
    for (let pages = 0; next && pages < 10; pages += 1) {
      const answer = await app.get(next);
      seen.push(...(answer.json as { id: string }[]).map(({ id }) => id));
      next = /^<([^>]+)>; rel="next"$/.exec(String(answer.headers.link ?? ''))?.[1];
      if (next) expect(next).toContain('status=pending');
    }
    expect(seen).toEqual(app.daemon.stored.map(({ id }) => id).reverse());
  });

  it('are filtered by type, status, volume, VM and time', async () => {
    await app.daemon.operations.request('detach', { volume_id: VOLUME });
    await app.daemon.operations.request('attach', { volume_id: REMOTE_VOLUME, vm_id: OTHER_VM });
    const count = async (query: string) =>
      ((await app.get(`/api/v1/operations?${query}`)).json as unknown[]).length;
    expect(await count('type=attach')).toBe(1);
    expect(await count('status=completed')).toBe(0);
    expect(await count(`volume_id=${VOLUME.toUpperCase()}`)).toBe(1);
    expect(await count(`vm_id=${OTHER_VM}`)).toBe(1);
    expect(await count('since=2025-08-19T20:30:00Z')).toBe(2);
    expect(await count('since=2025-08-19T20:30:01Z')).toBe(0);
    expect(await count('type=&status=&limit=10&unknown=1')).toBe(2);
  });

  it('with invalid filters are a 400 that names all of them', async () => {
    const answer = await app.get(
      '/api/v1/operations?type=move&status=x&volume_id=1&since=y&limit=0&limit=5&cursor=z',
    );
    const { details } = answer.json as { details: { fields: { field: string }[] } };
    expect(details.fields.map(({ field }) => field).sort()).toEqual([
      'cursor',
      'limit',
      'since',
      'status',
      'type',
      'volume_id',
    ]);
  });

  it('can be cancelled until they have ended', async () => {
    const { id } = await app.daemon.operations.request('detach', { volume_id: VOLUME });
    expect((await app.post(`/api/v1/operations/${id}/cancel`)).json).toMatchObject({ status: 'cancelled' });
    const again = await app.post(`/api/v1/operations/${id}/cancel`);
    expect([again.status, again.json]).toMatchObject([409, { code: 'TOO_LATE_TO_CANCEL' }]);
  });

  it('are a 304 to a client that has the same version', async () => {
    const { id } = await app.daemon.operations.request('detach', { volume_id: VOLUME });
    const path = `/api/v1/operations/${id}`;
    const etag = (await app.get(path)).headers.etag ?? '';
    const same = await app.get(path, { 'if-none-match': `"other", W/${etag}` });
    expect([same.status, same.text]).toEqual([304, '']);
    app.daemon.move(id, { status: 'executing' });
    expect((await app.get(path, { 'if-none-match': etag })).json).toMatchObject({ status: 'executing' });
  });
});
