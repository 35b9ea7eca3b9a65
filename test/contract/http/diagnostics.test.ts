import { describe, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { NOBODY, VOLUME } from '~/test/support/canned';
import { useHttpApp } from '~/test/support/use-http-app';

/** The endpoints behind `volumectl check` and `volumectl device`. */
const app = useHttpApp();

describe('the diagnostics over HTTP', () => {
  it('the disks of the guest have their volume, and the root disk is marked', async () => {
    const { json } = await app.get('/api/v1/admin/devices?scan=true');
    expect(json).toMatchObject({ scanned: true });
    expect(json).toHaveProperty('devices.0.device_path');
    expect((await app.get('/api/v1/admin/devices?scan=maybe')).status).toBe(400);
  });

  it('an explanation has every disk with its verdict', async () => {
    expect((await app.get(`/api/v1/admin/correlation/${VOLUME}`)).json).toMatchObject({
      answer: 'found',
      device_path: '/dev/vdb',
      considered: [{ device_path: '/dev/vdb', verdict: 'has the serial of the volume' }],
    });
    expect((await app.get(`/api/v1/admin/correlation/${NOBODY}`)).status).toBe(404);
    expect((await app.get('/api/v1/admin/correlation/vdb')).status).toBe(400);
  });

  it('the checks are a 200 that lists the problems', async () => {
    expect((await app.get('/api/v1/admin/cloudstack')).json).toMatchObject({
      ok: false,
      clock_skew_ms: -120,
      commands: [{ allowed: true }, { name: 'createVolume', allowed: false }, { allowed: null }],
    });
    expect((await app.get('/api/v1/admin/database')).json).toMatchObject({ ok: true, owner: { epoch: 3 } });
  });

  it('zones and offerings are bare arrays, and a 503 when CloudStack is unavailable', async () => {
    expect((await app.get('/api/v1/admin/zones')).json).toMatchObject([{ name: 'zone-1', configured: true }]);
    expect((await app.get('/api/v1/admin/offerings')).json).toMatchObject([
      { customized: true, size_gib: null },
      { customized: false, size_gib: 5 },
    ]);
    app.daemon.failure = new DaemonError('CLOUDSTACK_UNAVAILABLE', 'away');
    expect((await app.get('/api/v1/admin/zones')).status).toBe(503);
  });
});
