import { request } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { endpoints } from '~/server/http/endpoints/registry';
import { VOLUME } from '~/test/support/canned';
import { useHttpApp } from '~/test/support/use-http-app';

const app = useHttpApp();

const V = `/api/v1/volumes/${VOLUME}`;
const fieldsOf = (json: unknown) =>
  (json as { details: { fields: { field: string }[] } }).details.fields.map(({ field }) => field);

describe('bodies', () => {
  it.each(['{', '{"vm_id":', "{'vm_id':1}", '{"a":1}x', 'vm_id=1', '\u0000', 'NaN'])(
    '%j is MALFORMED_JSON',
    async (body) => {
      const answer = await app.post(`${V}/attach`, body, {
        'content-type': 'application/x-www-form-urlencoded',
      });
      expect([answer.status, answer.json]).toMatchObject([400, { code: 'MALFORMED_JSON' }]);
    },
  );

  it.each(['[]', '"text"', '7', 'true'])('%s is not an object', async (body) => {
    expect(fieldsOf((await app.post(`${V}/attach`, body)).json)).toEqual(['']);
  });

  it('that are not UTF-8 are refused', async () => {
    const answer = await app.post(
      `${V}/attach`,
      Buffer.from([0x7b, 0xff, 0xfe, 0x7d]).toString('latin1'),
      {},
    );
    expect(answer.status).toBe(400);
  });

  it.each([
    ['multipart', '--x\r\n\r\n{}\r\n--x--', { 'content-type': 'multipart/form-data; boundary=x' }],
    ['compressed', '{}', { 'content-encoding': 'gzip' }],
    ['XML', '<a/>', { 'content-type': 'application/xml' }],
  ])('%s is a 415', async (_, body, headers: Record<string, string>) => {
    const answer = await app.post(`${V}/attach`, body, headers);
    expect([answer.status, answer.json]).toMatchObject([415, { code: 'UNSUPPORTED_MEDIA_TYPE' }]);
  });

  it('that are too large are a 413, with and without a declared length', async () => {
    const body = ' '.repeat(LIMITS.BODY_BYTES + 1);
    expect((await app.post(`${V}/detach`, body)).json).toMatchObject({ code: 'BODY_TOO_LARGE' });
    const chunked = await new Promise<number>((resolve, reject) => {
      const sending = request(
        { port: app.port, host: '127.0.0.1', method: 'POST', path: `${V}/detach` },
        (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      );
      sending.on('error', reject);
      for (let sent = 0; sent <= LIMITS.BODY_BYTES; sent += 8192) sending.write(' '.repeat(8192));
      sending.end();
    });
    expect(chunked).toBe(413);
    expect((await app.post(`${V}/detach`, ' '.repeat(LIMITS.BODY_BYTES))).status).toBe(201);
  });

  it('that never end do not block the daemon: the next request is served', async () => {
    const socket = connect(app.port, '127.0.0.1');
    socket.write(`POST ${V}/detach HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{`);
    await new Promise((resolve) => socket.once('connect', resolve));
    expect((await app.get('/health')).status).toBe(200);
    socket.destroy();
    expect(app.daemon.requests).toEqual([]);
  });

  it('that are deeply nested are refused', async () => {
    const deep = `{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`;
    expect((await app.post('/api/v1/volumes', deep)).status).toBe(400);
  });

  // Each of them used to hold everybody up for seconds, so that the lease of the owner could end.
  it('that are hard to judge hold nobody up', { timeout: 15_000 }, async () => {
    const deep = `${'{"a":'.repeat(3_000)}{${Array(7_000).fill('"a":1').join(',')}}${'}'.repeat(3_000)}`;
    const long = JSON.stringify({ name: `${'a'.repeat(LIMITS.BODY_BYTES - 20)}\n` });
    for (let times = 0; times < 20; times += 1) {
      const repeated = fieldsOf((await app.post('/api/v1/volumes', deep)).json);
      expect(repeated.filter((field) => field.startsWith('a.a.'))).toEqual([
        `${'a.'.repeat(40)}`.slice(0, 64),
      ]);
      expect(fieldsOf((await app.post('/api/v1/volumes', long)).json)).toContain('name');
    }
  });

  it('with numbers out of range are refused, naming the field', async () => {
    for (const size of ['1e400', '9007199254740993', '-0.1', '1e-7']) {
      expect(fieldsOf((await app.post('/api/v1/volumes', `{"size":${size}}`)).json)).toContain('size');
    }
  });
});

describe('queries', () => {
  it('a field given twice is refused where it is known, and ignored where it is not', async () => {
    expect(fieldsOf((await app.get('/api/v1/operations?limit=1&limit=2')).json)).toEqual(['limit']);
    expect((await app.get('/api/v1/operations?x=1&x=2')).status).toBe(200);
    expect((await app.get('/livez?limit=1&limit=2')).status).toBe(200);
  });
});

describe('paths', () => {
  it.each([
    '..%2Fx',
    '%2e%2e',
    'x',
    '%00',
    `${VOLUME}%0a`,
    `${VOLUME}%20`,
    '%zz',
    '%c0%ae',
    "'%20or%201=1--",
    'a'.repeat(4000),
  ])('the volume %j is a 400', async (id) => {
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['GET', '/device'],
      ['POST', '/detach'],
    ] as const) {
      const answer = await app.send(method, `/api/v1/volumes/${id}${path}`);
      expect([answer.status, fieldsOf(answer.json)]).toEqual([400, ['id']]);
    }
  });

  it.each(['..%2F..%2Fetc%2Fpasswd', 'dev%2F..%2Fvdb', '%2e%2e', 'vdb%00', 'v%20b', '%zz'])(
    'the device %j is a 400',
    async (path) => {
      expect((await app.get(`/api/v1/devices/${path}/volume`)).status).toBe(400);
    },
  );

  it.each([
    '/api/v1/volumes/../x',
    '/api',
    '/api/v1',
    '/api/v2/volumes',
    '/.env',
    '//health',
    '/api/v1/devices/vdb',
    '/api/v1/devices/volume',
  ])('%s does not exist', async (path) => {
    expect((await app.get(path)).json).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('every endpoint refuses other methods and lists its own', async () => {
    for (const { path } of endpoints()) {
      const real = path.replace(/\{(id|volume_id)\}/, VOLUME).replace('{path}', 'vdb');
      for (const method of ['PUT', 'PATCH', 'OPTIONS']) {
        const answer = await app.send(method, real);
        expect([answer.status, answer.json]).toMatchObject([405, { code: 'METHOD_NOT_ALLOWED' }]);
        expect(answer.headers.allow).toBeTruthy();
      }
    }
    expect((await app.get('/api/v1/admin/force-sync')).headers.allow).toBe('POST');
    expect((await app.post('/api/v1/operations')).headers.allow).toBe('GET, HEAD');
  });
});
