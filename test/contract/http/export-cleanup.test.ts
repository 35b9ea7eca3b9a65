import { beforeEach, describe, expect, it } from 'vitest';
import { NOBODY } from '~/test/support/canned';
import { useHttpApp } from '~/test/support/use-http-app';

const app = useHttpApp();
beforeEach(() => {
  const name = `migration-vol-${NOBODY}`;
  app.daemon.orphaned.push({
    name,
    volumeId: NOBODY,
    target: null,
    plug: null,
    published: null,
    since: null,
  });
});

describe('the endpoints of operators for orphaned exports', () => {
  it('count them', async () => {
    expect((await app.get('/api/v1/exports/orphaned/count')).json).toMatchObject({
      orphaned_exports_count: 1,
    });
  });

  it.each([
    ['without a body', undefined, true],
    ['with an empty one', {}, true],
    ['as Go sends nothing', { dry_run: null }, true],
    ['told to', { dry_run: false }, false],
  ])('clean up %s', async (_, body, dryRun) => {
    const { status, json } = await app.post('/api/v1/exports/cleanup', body);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      dry_run: dryRun,
      total_exports: 2,
      orphaned_exports: 1,
      cleaned_exports: dryRun ? 0 : 1,
      failed_cleanups: 0,
      orphaned_export_details: [{ volume_id: NOBODY, device_path: null }],
      cleanup_errors: [],
      database_inconsistencies: [],
    });
    expect(app.daemon.requests).toEqual([{ type: 'withdraw-orphans', request: { dryRun, idleSince: null } }]);
  });

  it.each(['/api/v1/exports/cleanup', '/api/v1/exports/validate', '/api/v1/snapshots/group'])(
    'answer no method but their own, whatever was asked before: %s',
    async (path) => {
      for (const method of ['PUT', 'DELETE', 'GET', 'HEAD', 'DELETE', 'PUT']) {
        const { status, headers } = await app.send(method, path);
        expect([method, status, headers.allow]).toEqual([method, 405, 'POST']);
      }
    },
  );

  it('by age are a dry run too, and need the age', async () => {
    await app.post('/api/v1/exports/cleanup/age', { max_age_hours: 24 });
    expect(app.daemon.requests).toMatchObject([{ request: { dryRun: true, idleSince: expect.any(Number) } }]);
    for (const body of [{}, { max_age_hours: 0 }, { max_age_hours: -1 }, { max_age_hours: '24' }])
      expect((await app.post('/api/v1/exports/cleanup/age', body)).status).toBe(400);
    // Almost dry_run would do more than was asked for.
    const mistyped = await app.post('/api/v1/exports/cleanup', { dryrun: true });
    expect(mistyped.status).toBe(400);
  });
});
