import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf, includesRole, ROLES, type Role, tokensText } from '~/server/daemon/access/tokens';
import { changesSomething } from '~/server/http/endpoints/endpoint';
import { endpoints } from '~/server/http/endpoints/registry';
import { setGuardSettings } from '~/server/http/request/guard-settings';
import { VOLUME } from '~/test/support/canned';
import { collect } from '~/test/support/http-app';
import { tokenAccess } from '~/test/support/token-access';
import { useHttpApp } from '~/test/support/use-http-app';

/** Every endpoint, asked by everybody there is. */
const app = useHttpApp();
const folder = mkdtempSync(join(tmpdir(), 'roles-'));
const tokensFile = join(folder, 'tokens.json');
const createdAt = '2026-01-15T12:00:00.000Z';
writeFileSync(
  tokensFile,
  tokensText(
    ROLES.map((role) => ({ name: `the-${role}`, role, sha256: digestOf(`token-${role}`), createdAt })),
  ),
);
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => setGuardSettings({ allowedHosts: [], access: tokenAccess({ tokensFile }) }));

const bearer = (role: Role) => ({ authorization: `Bearer token-${role}` });

/** Status and problem. Of an answer that is no error only the beginning is read: a stream has no end. */
async function ask(method: string, path: string, headers: Record<string, string>) {
  const response = await app.open(method, path.replaceAll(/\{\w+\}/g, VOLUME), { headers });
  const status = response.statusCode ?? 0;
  if (status >= 400) return { status, problem: (await collect(response)).json };
  response.destroy();
  return { status, problem: null };
}

describe.each(endpoints().map((endpoint) => ({ ...endpoint, name: `${endpoint.method} ${endpoint.path}` })))(
  '$name needs $access',
  ({ method, path, access }) => {
    it('of a caller without a token', async () => {
      const { status, problem } = await ask(method, path, {});
      if (access === 'open') expect([401, 403]).not.toContain(status);
      else expect([status, problem]).toMatchObject([401, { code: 'UNAUTHORIZED' }]);
    });

    it.each(ROLES)('of a token with the role %s', async (role) => {
      const { status, problem } = await ask(method, path, bearer(role));
      if (access === 'open' || includesRole(role, access)) expect([401, 403]).not.toContain(status);
      else {
        expect([status, problem]).toMatchObject([
          403,
          { code: 'FORBIDDEN_ROLE', details: { needed: access, role, name: `the-${role}` } },
        ]);
        expect(app.daemon.requests).toEqual([]);
      }
    });
  },
);

it('what changes something needs more than read, but for a check', () => {
  const changing = endpoints().filter(changesSomething);
  expect(
    changing.filter(({ access }) => access === 'read' || access === 'open').map(({ path }) => path),
  ).toEqual(['/api/v1/exports/validate']);
});

it('a path that does not exist tells nobody without a token so', async () => {
  expect((await ask('GET', '/nope', {})).status).toBe(401);
  expect((await ask('GET', '/nope', bearer('read'))).status).toBe(404);
});

describe('who asked', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  const detach = (headers: Record<string, string>) =>
    app.post(`/api/v1/volumes/${VOLUME}/detach`, undefined, headers);

  it('is in the operation, and in the list', async () => {
    const { json } = await detach({ ...bearer('operate'), 'x-request-id': 'mine', traceparent });
    const asked = { actor: 'the-operate', request_id: 'mine', traceparent };
    expect(json).toMatchObject(asked);
    expect((await app.get('/api/v1/operations', bearer('read'))).json).toMatchObject([asked]);
  });

  it('is in a log line, when a change is no operation; an operation has its own lines', async () => {
    const given = { ...bearer('admin'), 'x-request-id': 'mine', traceparent };
    await detach(given);
    await app.get('/api/v1/exports', given);
    await app.post('/api/v1/admin/force-sync?dry_run=true', undefined, given);
    const path = '/api/v1/admin/force-sync';
    expect(app.logged).toEqual([
      {
        message: 'A change was asked for',
        fields: { method: 'POST', path, actor: 'the-admin', request_id: 'mine', traceparent },
      },
    ]);
  });

  it.each([
    ['not in its form', 'nonsense'],
    ['of zeros', `00-${'0'.repeat(32)}-b7ad6b7169203331-01`],
    ['too long', `${traceparent}${'0'.repeat(80)}`],
  ])('a traceparent %s is as none', async (_, given) => {
    const { status, json } = await detach({ ...bearer('operate'), traceparent: given });
    expect([status, json]).toMatchObject([201, { actor: 'the-operate' }]);
    expect(json).not.toHaveProperty('traceparent');
  });
});

it('a caller is told who it is and what it may do', async () => {
  for (const role of ROLES) {
    const response = await app.open('GET', '/api/v1/whoami', { headers: bearer(role) });
    expect((await collect(response)).json).toEqual({ name: `the-${role}`, role });
  }
});
