import { describe, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { NOBODY, syncReport, VOLUME } from '~/test/support/canned';
import { useHttpApp } from '~/test/support/use-http-app';

const app = useHttpApp();
const V = `/api/v1/volumes/${VOLUME}`;

describe('what is known of a volume', () => {
  it('is part of the volume: each witness for itself', async () => {
    expect((await app.get(V)).json).toMatchObject({
      evidence: {
        volume_id: VOLUME,
        cloudstack: { kind: 'seen', by: 'cloudstack', value: { state: 'Ready', state_means: 'is ready' } },
        guest: { kind: 'seen', by: 'guest', value: { device_path: '/dev/vdb' } },
        database: { kind: 'seen', by: 'database', value: { linux_state: 'detected' } },
        export_server: { kind: 'seen', by: 'export-server', value: { clients: 0 } },
      },
    });
  });

  it('is a 200 of its own, also for a volume that nobody can see, with since when and what to do', async () => {
    const answer = await app.get(`/api/v1/volumes/${NOBODY}/evidence`);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({
      cloudstack: {
        kind: 'unknown',
        value: null,
        why: 'CloudStack does not show it to this key',
        unknown_since: '2025-08-19T20:29:00.000Z',
        remedy: expect.stringContaining('volumectl check cloudstack'),
      },
      database: { kind: 'absent', proof: 'there is no row of this volume' },
    });
  });

  it('also while everything else fails', async () => {
    app.daemon.failure = new DaemonError('CLOUDSTACK_UNAVAILABLE', 'CloudStack is away');
    expect((await app.get(V)).status).toBe(503);
    expect((await app.get(`${V}/evidence`)).status).toBe(200);
    expect((await app.get('/api/v1/volumes/vdb/evidence')).status).toBe(400);
  });

  it('the times of the looks alone make no other volume: its ETag is weak', async () => {
    const { etag = '' } = (await app.get(V)).headers;
    expect(etag).toMatch(/^W\/"/);
    expect((await app.get(V, { 'if-none-match': etag })).status).toBe(304);
  });
});

describe('a sync that could not look', () => {
  it('says so in its message, and that the drifts are those of before', async () => {
    app.daemon.sync.run = async ({ dryRun, reason }) => {
      const report = syncReport(dryRun, reason);
      const drifts = report.drifts.map((drift) => ({
        ...drift,
        action: 'reported' as const,
        notJudgedSince: 0,
      }));
      return { ...report, judged: false, unavailable: ['cloudstack: away'], drifts };
    };
    const { json } = await app.post('/api/v1/admin/force-sync?dry_run=true');
    expect(json).toMatchObject({
      message: expect.stringContaining('not judged: cloudstack: away'),
      report: { judged: false, drifts: [{ not_judged_since: '1970-01-01T00:00:00.000Z' }] },
    });
    expect(json).not.toMatchObject({ message: expect.stringContaining('no drift') });
  });
});
