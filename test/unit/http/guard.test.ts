import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { CLOSED, OPEN } from '~/server/daemon/access/access';
import { setCurrentDaemon } from '~/server/daemon/current';
import { fillGuardSettings, setGuardSettings } from '~/server/http/request/guard-settings';
import { VOLUME } from '~/test/support/canned';
import { tokenAccess } from '~/test/support/token-access';
import { useHttpApp } from '~/test/support/use-http-app';

const app = useHttpApp();

const DETACH = `/api/v1/volumes/${VOLUME}/detach`;

describe('hosts', () => {
  it.each([
    'localhost:8090',
    '127.0.0.1:1',
    '[::1]:8090',
    '10.0.0.5:8090',
    'LOCALHOST',
    'oma.localhost',
    'localhost.',
  ])('accepts %s', async (host) => {
    expect((await app.get('/health', { host })).status).toBe(200);
  });

  it.each([
    'evil.example',
    'evil.example:8090',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'a b',
    '[::1',
  ])('refuses %j', async (host) => {
    const answer = await app.get('/api/v1/operations', { host });
    expect([answer.status, answer.json]).toMatchObject([403, { code: 'FORBIDDEN_HOST' }]);
  });

  it('accepts a configured name, in upper and lower case', async () => {
    fillGuardSettings({ host: '127.0.0.1', allowedHosts: ['OMA.example'] }, OPEN);
    expect((await app.get('/health', { host: 'oma.EXAMPLE:8090' })).status).toBe(200);
  });
});

describe('a question mark that is encoded in a path', () => {
  it.each([
    ['/api/v1/devices/%3Fvdb/volume', 400, 'VALIDATION_FAILED'],
    [`/api/v1/volumes/${VOLUME}%3fforce=true`, 400, 'VALIDATION_FAILED'],
    ['/api/v1/operations%3Flimit=1', 404, 'NOT_FOUND'],
    ['/health%3F', 404, 'NOT_FOUND'],
  ])('begins no query: %s is %i', async (path, status, code) => {
    const answer = await app.get(path);
    expect([answer.status, answer.json]).toMatchObject([status, { code }]);
    expect(app.daemon.requests).toEqual([]);
  });

  it('is text in a query', async () => {
    expect((await app.get('/api/v1/operations?find=%3F')).status).toBe(200);
  });
});

describe('web pages', () => {
  it.each([
    ['another site', { origin: 'https://evil.example' }],
    ['a sandbox', { origin: 'null' }],
    ['another port of this machine', { origin: 'http://localhost:3000' }],
    ['a fetch without origin', { 'sec-fetch-site': 'cross-site' }],
    ['a form', { origin: 'http://evil.example', 'content-type': 'application/x-www-form-urlencoded' }],
  ])('%s cannot detach a volume', async (_, headers) => {
    const answer = await app.post(DETACH, '', headers);
    expect([answer.status, answer.json]).toMatchObject([403, { code: 'FORBIDDEN_ORIGIN' }]);
    expect(app.daemon.requests).toEqual([]);
  });

  it('a page of the daemon can', async () => {
    const headers = { origin: `http://127.0.0.1:${app.port}`, 'sec-fetch-site': 'same-origin' };
    expect((await app.post(DETACH, '', headers)).status).toBe(201);
  });

  it('a link on another site may open the page, but not the API', async () => {
    const visit = {
      'sec-fetch-site': 'cross-site',
      'sec-fetch-mode': 'navigate',
      'sec-fetch-dest': 'document',
    };
    expect((await app.get('/', visit)).status).toBe(200);
    expect((await app.get('/api/v1/health', visit)).status).toBe(403);
    expect((await app.get('/', { ...visit, 'sec-fetch-dest': 'iframe' })).status).toBe(403);
  });

  it('no response may be framed, sniffed or cached, and none has a CORS header', async () => {
    for (const path of ['/', '/docs', '/health', '/api/v1/operations', '/nope']) {
      const { headers } = await app.get(path);
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'cache-control': 'no-store',
      });
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
      // The bundle of /docs writes style attributes; inline scripts are allowed nowhere.
      const policy = String(headers['content-security-policy']);
      expect(policy.replace(path === '/docs' ? "style-src 'self' 'unsafe-inline'" : '', '')).not.toContain(
        'unsafe',
      );
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
  });
});

describe('the token', () => {
  const folder = mkdtempSync(join(tmpdir(), 'token-'));
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, 'sesame-1234\n');
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeEach(() => setGuardSettings({ allowedHosts: [], access: tokenAccess({ tokenFile }) }));

  it.each([
    ['nothing', {}],
    ['another', { authorization: 'Bearer sesame-1235' }],
    ['a longer one', { authorization: 'Bearer sesame-12345' }],
    ['basic', { authorization: 'Basic sesame-1234' }],
    ['an empty one', { authorization: 'Bearer ' }],
  ])('refuses %s', async (_, headers) => {
    const answer = await app.post(DETACH, '', headers);
    expect([answer.status, answer.json]).toMatchObject([401, { code: 'UNAUTHORIZED' }]);
    expect(answer.headers['www-authenticate']).toContain('Bearer');
    expect(answer.text).not.toContain('sesame');
    expect(app.daemon.requests).toEqual([]);
  });

  it('accepts the right one, and asks a supervisor for none', async () => {
    expect((await app.post(DETACH, '', { authorization: 'bearer sesame-1234' })).status).toBe(201);
    for (const path of ['/health', '/livez', '/readyz']) expect((await app.get(path)).status).toBe(200);
  });

  it('before the configuration was read nobody is let in', async () => {
    setGuardSettings({ allowedHosts: [], access: CLOSED });
    expect((await app.get('/api/v1/health')).status).toBe(401);
    expect((await app.get('/health')).status).toBe(200);
  });
});

describe('before and after the daemon', () => {
  it('only liveness is answered until the daemon has been built', async () => {
    setCurrentDaemon(null);
    expect((await app.get('/health')).status).toBe(200);
    expect((await app.get('/livez')).json).toMatchObject({ status: 'starting' });
    for (const path of ['/readyz', '/api/v1/health', '/api/v1/operations', '/', '/nope']) {
      const answer = await app.get(path);
      expect([answer.status, answer.json]).toMatchObject([503, { code: 'STARTING' }]);
    }
  });

  it.each(['standby', 'stopping', 'starting'] as const)(
    'in phase %s the daemon is live but not ready',
    async (phase) => {
      app.daemon.phase = phase;
      expect((await app.get('/livez')).json).toMatchObject({ status: phase });
      expect((await app.get('/readyz')).status).toBe(503);
      expect((await app.get('/api/v1/health')).json).toMatchObject({
        status: 'degraded',
        details: { phase },
      });
    },
  );
});

describe('request ids', () => {
  it('keeps a safe one and replaces any other', async () => {
    expect((await app.get('/health', { 'x-request-id': 'abc-1.2_3' })).headers['x-request-id']).toBe(
      'abc-1.2_3',
    );
    for (const id of ['a b', 'a"b', '<x>', 'a'.repeat(65)]) {
      expect((await app.get('/health', { 'x-request-id': id })).headers['x-request-id']).toMatch(
        /^[0-9a-f-]{36}$/,
      );
    }
  });

  it('are in the body of errors', async () => {
    expect((await app.get('/nope', { 'x-request-id': 'find-me' })).json).toMatchObject({
      request_id: 'find-me',
    });
  });
});
