import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { APPLIANCE, OTHER_VM, VOLUME } from '~/test/support/canned';
import { useHttpApp } from '~/test/support/use-http-app';

/**
 * The existing callers, as strict as they are: a Go client that decodes into typed structs (dates RFC 3339,
 * whole numbers, metadata string to string), shell scripts with curl -d and jq, and a classifier that
 * searches error messages for phrases.
 */
const app = useHttpApp();

const V = `/api/v1/volumes/${VOLUME}`;
const goTime = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/);
const goOperation = z.object({
  id: z.string().min(1),
  type: z.string(),
  status: z.enum(['pending', 'executing', 'completed', 'failed', 'cancelled']),
  volume_id: z.string(),
  vm_id: z.string().nullish(),
  request: z.record(z.string(), z.unknown()),
  response: z.record(z.string(), z.unknown()).nullish(),
  error: z.string().nullish(),
  created_at: goTime,
  updated_at: goTime,
  completed_at: goTime.nullish(),
});
const goDevice = z.object({
  id: z.string(),
  volume_id: z.string().min(1),
  vm_id: z.string(),
  device_path: z.string().min(1),
  cloudstack_state: z.string(),
  linux_state: z.string(),
  size: z.int(),
  last_sync: goTime,
  created_at: goTime,
  updated_at: goTime,
});
const goExport = z.object({
  id: z.string(),
  volume_id: z.string(),
  export_name: z.string(),
  device_path: z.string(),
  port: z.int(),
  status: z.string(),
  created_at: goTime,
  updated_at: goTime,
  metadata: z.record(z.string(), z.string()),
});
const goError = z.object({
  error: z.string().min(1),
  code: z.string().min(1),
  details: z.unknown().optional(),
});

describe('the Go client', () => {
  it('gets 201 and an operation for every change, also for DELETE, and can poll it', async () => {
    const attach = await app.post(`${V}/attach`, { vm_id: APPLIANCE });
    const answers = [
      attach,
      await app.post(`${V}/attach-root`, { vm_id: OTHER_VM }),
      await app.post(`${V}/detach`),
      await app.post(`${V}/detach`, '', { 'content-type': 'application/json' }),
      await app.send('DELETE', V),
    ];
    for (const { status, json } of answers) {
      expect(status).toBe(201);
      goOperation.parse(json);
    }
    const { id } = goOperation.parse(attach.json);
    app.daemon.move(id, {
      status: 'completed',
      response: { volume_id: VOLUME, device_path: '/dev/vdb', message: 'ok' },
      completedAt: 1,
    });
    const ended = goOperation.parse((await app.get(`/api/v1/operations/${id}`)).json);
    expect(ended.response).toMatchObject({ device_path: '/dev/vdb' });
  });

  it('decodes devices, volumes of a VM and exports', async () => {
    goDevice.parse((await app.get(`${V}/device`)).json);
    const ofVm = z.array(
      z.object({
        volume_id: z.string(),
        vm_id: z.literal(APPLIANCE),
        device_path: z.string(),
        attached_at: goTime,
      }),
    );
    expect(ofVm.parse((await app.get(`/api/v1/vms/${APPLIANCE}/volumes`)).json)).toHaveLength(1);
    // A failover whose VM was never made.
    expect(await app.get('/api/v1/vms//volumes')).toMatchObject({ status: 200, json: [] });
    goExport.parse((await app.get(`/api/v1/exports/${VOLUME}`)).json);
    z.array(goExport).parse((await app.get('/api/v1/exports?vm_name=&status=')).json);
    goExport.parse(
      (
        await app.post('/api/v1/exports', {
          volume_id: VOLUME,
          vm_name: 'vm',
          vm_id: OTHER_VM,
          disk_number: 0,
        })
      ).json,
    );
  });

  it('decodes every kind of error', async () => {
    const errors = [
      await app.get('/api/v1/operations/x'),
      await app.get('/nope'),
      await app.send('PUT', V),
      await app.post('/api/v1/volumes', '{'),
      await app.get('/health', { host: 'evil.example' }),
    ];
    expect(errors.map(({ json }) => goError.parse(json).code)).toEqual([
      'VALIDATION_FAILED',
      'NOT_FOUND',
      'METHOD_NOT_ALLOWED',
      'MALFORMED_JSON',
      'FORBIDDEN_HOST',
    ]);
  });

  it('finds the phrases its classifier looks for', async () => {
    const missing = goError.parse((await app.get('/api/v1/devices/vdz/volume')).json).error;
    expect(missing.toLowerCase()).toContain('not found');
  });
});

describe('scripts with curl and jq', () => {
  const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

  it.each([
    ['as a form', FORM],
    ['as text', { 'content-type': 'text/plain' }],
    ['without a type', {}],
    ['with a charset', { 'content-type': 'application/json; charset=utf-8' }],
  ])('may send JSON %s', async (_, headers) => {
    expect((await app.post(`${V}/attach`, `{"vm_id":"${APPLIANCE}"}`, headers)).status).toBe(201);
  });

  it.each(['', ' \n', 'null', '{}', '{"later":1}', '\ufeff{}'])(
    'may send %j to detach and DELETE',
    async (body) => {
      expect((await app.post(`${V}/detach`, body, FORM)).status).toBe(201);
      expect((await app.send('DELETE', V, { body, headers: FORM })).status).toBe(201);
    },
  );

  it('read the health with curl -f and find the keys that jq selects', async () => {
    expect((await app.get('/health')).json).toMatchObject({
      status: 'healthy',
      service: 'volume-management-daemon',
    });
    expect((await app.get('/api/v1/health')).json).toMatchObject({
      details: { implementation_status: 'production_ready' },
    });
  });

  it('may use HEAD, and get no body', async () => {
    for (const path of ['/health', '/api/v1/health', '/api/v1/operations']) {
      const answer = await app.send('HEAD', path);
      expect([answer.status, answer.text]).toEqual([200, '']);
    }
    expect((await app.send('HEAD', '/nope')).status).toBe(404);
  });

  it('may add a final slash', async () => {
    expect((await app.get('/api/v1/operations/')).status).toBe(200);
  });
});
