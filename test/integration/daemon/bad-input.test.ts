import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { send, Walk } from './walk';

/** Bad input gets a clear 4xx that names every wrong field, and nothing is written. */
let walk: Walk;
let base: string;
const OTHER = '7f9d3c52-0000-4000-8000-000000000001';

beforeAll(async () => {
  walk = await Walk.begin({ env: { NBD_BACKEND: 'none' } });
  base = `${walk.daemon.url}/api/v1`;
});
afterAll(() => walk?.close());

const post = (
  path: string,
  body: string,
  headers: Record<string, string> = { 'content-type': 'application/json' },
) => send(base + path, { method: 'POST', body, headers });
const create = (patch: Record<string, unknown>) =>
  post('/volumes', JSON.stringify({ ...walk.createBody('fine'), ...patch }));
const fieldsOf = (body: Record<string, unknown>) => {
  const details = body.details;
  const list =
    typeof details === 'object' && details !== null && 'fields' in details && Array.isArray(details.fields)
      ? details.fields
      : [];
  return list.map((issue: { field: string }) => issue.field).sort();
};

describe('bad input', () => {
  it.each([
    ['no name', { name: undefined }, ['name']],
    ['an empty name', { name: '' }, ['name']],
    ['a name of 256 characters', { name: 'x'.repeat(256) }, ['name']],
    ['a name with a newline', { name: 'a\nb' }, ['name']],
    ['size 0', { size: 0 }, ['size']],
    ['a negative size', { size: -1 }, ['size']],
    ['half a byte', { size: 1.5 }, ['size']],
    ['a size beyond exact numbers', { size: 1e300 }, ['size']],
    ['a size in words', { size: 'large' }, ['size']],
    ['a zone that is a path', { zone_id: '../x' }, ['zone_id']],
    ['metadata that is a list', { metadata: [1] }, ['metadata']],
    [
      'everything wrong at once',
      { name: '', size: 0, zone_id: 'z', disk_offering_id: 7 },
      ['disk_offering_id', 'name', 'size', 'zone_id'],
    ],
  ])('create with %s: 400 naming the fields', async (_what, patch, fields) => {
    const answer = await create(patch);
    expect(answer.status).toBe(400);
    expect(answer.body).toMatchObject({ code: 'VALIDATION_FAILED', error: expect.any(String) });
    expect(fieldsOf(answer.body)).toEqual(fields);
  });

  it.each(['../x', 'not-a-uuid', "1' OR '1'='1", '%00', 'a'.repeat(4000)])(
    'an id that is no UUID (%s) is refused',
    async (id) => {
      const answer = await post(
        `/volumes/${encodeURIComponent(id)}/attach`,
        JSON.stringify({ vm_id: OTHER }),
      );
      expect([400, 404, 414, 431]).toContain(answer.status);
      expect(answer.status).toBeLessThan(500);
    },
  );

  it('attach without a VM, and with a VM that is no UUID', async () => {
    expect(fieldsOf((await post(`/volumes/${OTHER}/attach`, '{}')).body)).toEqual(['vm_id']);
    expect(fieldsOf((await post(`/volumes/${OTHER}/attach`, '{"vm_id":"x"}')).body)).toEqual(['vm_id']);
  });

  it('malformed JSON, JSON that is no object, an oversized body', async () => {
    expect(await post('/volumes', '{"name":')).toMatchObject({
      status: 400,
      body: { code: 'MALFORMED_JSON' },
    });
    expect((await post('/volumes', '[1,2]')).status).toBe(400);
    expect((await post('/volumes', '')).status).toBe(400);
    expect(await post('/volumes', JSON.stringify({ name: 'x'.repeat(200_000) }))).toMatchObject({
      status: 413,
    });
  });

  it('a wrong method: 405 with Allow; an unknown path: 404; both with an error text', async () => {
    const wrong = await send(`${base}/volumes`, { method: 'PUT' });
    expect(wrong).toMatchObject({
      status: 405,
      body: { code: 'METHOD_NOT_ALLOWED', error: expect.any(String) },
    });
    expect(wrong.headers.get('allow')).toContain('POST');
    expect(await send(`${base}/nowhere`)).toMatchObject({
      status: 404,
      body: { code: 'NOT_FOUND', error: expect.any(String) },
    });
  });

  it('a foreign web page is refused, our own is not', async () => {
    const foreign = { 'content-type': 'text/plain', origin: 'https://evil.example' };
    expect(await post('/admin/force-sync', '', foreign)).toMatchObject({
      status: 403,
      body: { code: 'FORBIDDEN_ORIGIN' },
    });
    expect(await post('/admin/force-sync', '', { 'sec-fetch-site': 'cross-site' })).toMatchObject({
      status: 403,
    });
    expect(
      (
        await post('/admin/force-sync?dry_run=true', '', {
          origin: walk.daemon.url,
          'sec-fetch-site': 'same-origin',
        })
      ).status,
    ).toBe(200);
  });

  it('what existing callers send is accepted: JSON as a form, empty bodies, unknown fields', async () => {
    const asForm = await post('/volumes', JSON.stringify({ ...walk.createBody('as-form'), colour: 'blue' }), {
      'content-type': 'application/x-www-form-urlencoded',
    });
    expect(asForm.status).toBe(201);
    expect(
      (
        await send(`${base}/volumes/${OTHER}/detach`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
        })
      ).status,
    ).toBe(201);
    expect((await send(`${base}/volumes/${OTHER}`, { method: 'DELETE' })).status).toBe(201);
  });

  it('unknown ids: 404 with a code, never a 5xx', async () => {
    for (const [path, code] of [
      [`/operations/${OTHER}`, 'OPERATION_NOT_FOUND'],
      [`/volumes/${OTHER}`, 'VOLUME_NOT_FOUND'],
      [`/volumes/${OTHER}/device`, 'MAPPING_NOT_FOUND'],
      [`/exports/${OTHER}`, 'EXPORT_NOT_FOUND'],
      ['/devices/vdzz/volume', 'MAPPING_NOT_FOUND'],
    ] as const) {
      expect(await send(base + path), path).toMatchObject({ status: 404, body: { code } });
    }
    expect((await send(`${base}/vms/${OTHER}/volumes`)).text).toBe('[]');
    expect((await send(`${base}/vms//volumes`)).text).toBe('[]');
  });

  it('only the three accepted requests were written', async () => {
    expect(await walk.api.get('/api/v1/operations')).toHaveLength(3);
  });
});
