import { beforeEach, describe, expect, it } from 'vitest';
import { namedEndpoints } from '~/server/http/endpoints/registry';
import { openApiDocument } from '~/server/http/openapi';
import { NOBODY, OTHER_VM, VOLUME } from '~/test/support/canned';
import { useHttpApp } from '~/test/support/use-http-app';

/**
 * A mistyped name must not run what it was meant to prevent: every mutating route of the OpenAPI document.
 */
const app = useHttpApp();

interface Documented {
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly content: Record<string, { readonly example?: object }> };
}
const document = openApiDocument('test') as { paths: Record<string, Record<string, Documented>> };

const CHANGES = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods)
    .filter(([method]) => method !== 'get')
    .map(([method, { parameters, requestBody }]) => ({
      method: method.toUpperCase(),
      path,
      query: parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name),
      example: requestBody?.content['application/json']?.example ?? {},
    })),
);

type Change = (typeof CHANGES)[number];

let operation: string;
beforeEach(async () => {
  await app.post('/api/v1/volumes', {
    name: 'one',
    size: 1073741824,
    disk_offering_id: NOBODY,
    zone_id: OTHER_VM,
  });
  operation = app.daemon.stored[0]?.id ?? '';
  app.daemon.requests.length = 0;
});

function addressOf({ path }: Change): string {
  return path
    .replace('{volume_id}', VOLUME)
    .replace('{id}', path.includes('/operations/') ? operation : VOLUME);
}

/** The fields that a refusal names; fails when the request had any effect. */
async function refusedFields(change: Change, query: string, body: object = change.example) {
  const before = JSON.stringify(app.daemon.stored);
  const answer = await app.send(change.method, `${addressOf(change)}?${query}`, { body });
  expect(answer.status, answer.text).toBe(400);
  expect(answer.json).toMatchObject({ code: 'VALIDATION_FAILED' });
  expect(app.daemon.requests).toEqual([]);
  expect(JSON.stringify(app.daemon.stored)).toBe(before);
  return (answer.json as { details: { fields: { field: string; nearest?: string }[] } }).details.fields;
}

describe.each(CHANGES)('$method $path', (change) => {
  it.each([
    ['nonsense=1', 'nonsense'],
    ['nonsense', 'nonsense'],
    ['=1', '(empty name)'],
    ['__proto__=1', '__proto__'],
    ['nonsense=1&nonsense=2', 'nonsense'],
    ['amp;dry_run=true', 'amp;dry_run'],
  ])('refuses ?%s and does nothing', async (query, field) => {
    expect(await refusedFields(change, query)).toEqual([expect.objectContaining({ field })]);
  });

  it('names the known name next to a mistyped one, also in the query for a field of the body', async () => {
    for (const name of [...change.query, ...Object.keys(change.example)]) {
      for (const typed of [name.toUpperCase(), `${name}s`, name.replace('_', '')]) {
        if (change.query.includes(typed)) continue;
        expect(await refusedFields(change, `${typed}=true`)).toContainEqual(
          expect.objectContaining({ field: typed, nearest: name }),
        );
      }
    }
  });

  it('refuses to wait where it does not', async () => {
    if (change.query.includes('wait')) return;
    expect(await refusedFields(change, 'wait=5')).toEqual([expect.objectContaining({ field: 'wait' })]);
  });

  it('refuses a known name without a value, and one that is given twice', async () => {
    for (const name of change.query) {
      for (const query of [name, `${name}=`, `${name}=1&${name}=0`, `${name}=true&${name}`])
        expect(await refusedFields(change, query)).toEqual([expect.objectContaining({ field: name })]);
    }
  });

  it('refuses a body that asks for a dry run where there is none, and does nothing', async () => {
    const body = { ...change.example, dryRun: true };
    expect(await refusedFields(change, '', body)).toContainEqual(
      expect.objectContaining({ field: 'dryRun' }),
    );
    if ('dry_run' in change.example || /force-sync|exports\/cleanup/.test(change.path)) return;
    expect(await refusedFields(change, '', { ...change.example, dry_run: true })).toEqual([
      { field: 'dry_run', message: 'is not known here: this request has no dry_run' },
    ]);
    if (/retry|abandon/.test(change.path)) return;
    const real = await app.send(change.method, addressOf(change), {
      body: { ...change.example, dry_run: false },
    });
    expect([real.status < 300, real.json]).toMatchObject([true, { ignored: ['dry_run'] }]);
  });

  it('refuses a body that gives a name twice, wherever in it, and does nothing', async () => {
    for (const [field, twice] of [
      ['nonsense', '"nonsense":1,"nonsense":1'],
      ['dry_run', String.raw`"dry_run":null,"x":"}\\\"{","dry_\u0072un" : null`],
      ['nonsense.b', '"nonsense":[{"a":"b"},{"a":["b"]}, {"b":{},"a":0,"b":[]}]'],
    ] as const) {
      const body = `${JSON.stringify({ ...change.example, y: 1 }).slice(0, -1)},${twice}}`;
      const answer = await app.send(change.method, addressOf(change), { body });
      expect([answer.status, answer.json], body).toMatchObject([400, { code: 'VALIDATION_FAILED' }]);
      expect((answer.json as { details: { fields: object[] } }).details.fields).toContainEqual({
        field,
        message: 'must be given only once',
      });
      expect(app.daemon.requests).toEqual([]);
    }
  });

  it('accepts unknown fields of the body, and names them in the answer', async () => {
    if (/retry|abandon/.test(change.path)) app.daemon.move(operation, { held: 'its row is not understood' });
    const body = { ...change.example, nonsense: 1, Force_Now: null, 'half\ud800': 1 };
    const answer = await app.send(change.method, addressOf(change), { body });
    expect(answer.status, answer.text).toBeLessThan(300);
    // Half a character would make the answer unreadable for many programs.
    expect(answer.json).toMatchObject({ ignored: ['nonsense', 'Force_Now', 'half\ufffd'] });
    const plain = await app.send('GET', `/api/v1/operations/${operation}`);
    expect(plain.json).not.toHaveProperty('ignored');
  });
});

describe('POST /api/v1/admin/force-sync', () => {
  const sync = '/api/v1/admin/force-sync';

  it.each(['dryrun', 'dry-run', 'Dry_Run', 'dryRun'])('refuses %s in the body', async (typed) => {
    const answer = await app.post(sync, { [typed]: true });
    expect(answer.json).toMatchObject({
      code: 'VALIDATION_FAILED',
      details: { fields: [{ field: typed, nearest: 'dry_run' }] },
    });
    expect(app.daemon.requests).toEqual([]);
  });

  it.each([
    ['', { dry_run: true }],
    ['?dry_run=true', {}],
    ['?dry_run=false', { dry_run: true }],
  ])('%s %o is a dry run', async (query, body) => {
    expect((await app.post(`${sync}${query}`, body)).json).toMatchObject({ report: { dry_run: true } });
  });
});

describe('POST /api/v1/exports', () => {
  it.each(['readonly', 'readOnly', 'read-only', 'Read_Only'])(
    'refuses %s: it would be writable',
    async (typed) => {
      const answer = await app.post('/api/v1/exports', { volume_id: VOLUME, [typed]: true });
      expect(answer.json).toMatchObject({
        code: 'VALIDATION_FAILED',
        details: { fields: [{ field: typed, nearest: 'read_only' }] },
      });
      expect(app.daemon.requests).toEqual([]);
    },
  );
});

it('covers every endpoint that is not a GET', () => {
  const mutating = namedEndpoints().filter(({ endpoint }) => endpoint.method !== 'GET');
  expect(CHANGES).toHaveLength(mutating.length);
  expect(CHANGES.length).toBeGreaterThan(12);
});

it('reads take empty and unknown names as before', async () => {
  expect((await app.get('/api/v1/operations?status=&nonsense=1')).status).toBe(200);
});
