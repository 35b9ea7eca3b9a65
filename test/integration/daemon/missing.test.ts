import { rename } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { type LabAppliance, startAppliance } from '~/lab/appliance';
import { ApiClient, type OperationReply } from '~/lab/client';
import type { DaemonProcess } from '~/lab/daemon';
import { send } from './walk';

/**
 * Something is empty, missing or away: the daemon starts or says exactly what is missing, health shows it,
 * and it recovers by itself.
 */
let lab: LabAppliance;
afterEach(() => lab?.close());

interface Health {
  readonly status: string;
  readonly cloudstack_health: string;
  readonly database_health: string;
  readonly device_monitor: string;
  readonly details: {
    readonly settings_notes: readonly string[];
    readonly components: Readonly<Record<string, { readonly status: string; readonly message: string }>>;
  };
}

async function until<T>(read: () => Promise<T>, good: (value: T) => boolean): Promise<T> {
  for (const deadline = performance.now() + 40_000; ; ) {
    const value = await read();
    if (good(value)) return value;
    if (performance.now() > deadline) throw new Error(`never so: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const healthOf = (daemon: DaemonProcess) => new ApiClient(daemon.url).get<Health>('/api/v1/health');
const body = () => ({
  name: 'waits',
  size: 1024 ** 3,
  zone_id: lab.cloud.zoneId,
  disk_offering_id: lab.cloud.diskOfferingId,
});

describe('a missing dependency is reported, and the daemon recovers by itself', () => {
  it('the database is down at the start: 503 and a reason; then ready without a restart', async () => {
    lab = await startAppliance({ env: { NBD_BACKEND: 'none' } });
    await lab.database.kill();
    const daemon = await lab.startDaemon({ until: 'listening', env: { NBD_BACKND: 'nbdkit' } });
    expect((await send(`${daemon.url}/health`)).status).toBe(200);
    expect(await send(`${daemon.url}/api/v1/operations`)).toMatchObject({
      status: 503,
      body: { error: expect.any(String) },
    });
    const { details } = await until(
      () => healthOf(daemon),
      ({ database_health }) => database_health.startsWith('unhealthy'),
    );
    expect(details.components.database?.message).toMatch(
      /ECONNREFUSED 127\.0\.0\.1:\d+ \(no server listens there: .* in DATABASE_DSN\)/,
    );
    const create = { method: 'POST', body: JSON.stringify(body()) };
    for (const [path, init] of [
      ['/api/v1/volumes', create],
      ['/api/v1/operations', {}],
      ['/readyz', {}],
    ] as const)
      expect(await send(daemon.url + path, init), path).toMatchObject({
        status: 503,
        body: { code: 'DATABASE_UNAVAILABLE', error: expect.stringContaining('ECONNREFUSED') },
      });
    expect(details.settings_notes).toEqual([
      'NBD_BACKND is not a setting, and is not read; did you mean NBD_BACKEND?',
    ]);
    // OMA_VM_ID is set; that nobody has looked at it is no reason to ask for it.
    expect(details.components.appliance).toEqual({
      status: 'unknown',
      message: 'not looked at yet: the database comes first',
    });
    await lab.database.restart();
    await until(
      () => send(`${daemon.url}/readyz`),
      ({ status }) => status === 200,
    );
    expect((await send(`${daemon.url}/api/v1/operations`)).text).toBe('[]');
  });

  it('the schema is of a newer version at the start: 503 that names it, in health too; ready when that is over', async () => {
    lab = await startAppliance({ env: { NBD_BACKEND: 'none' } });
    await (await lab.startDaemon()).stop();
    const change = (text: string) => lab.database.query(text, [], 'migratekit_oma');
    await change("INSERT INTO volume_daemon_migrations (id) VALUES ('900-of-tomorrow')");
    const daemon = await lab.startDaemon({ until: 'listening' });
    await until(
      () => healthOf(daemon),
      ({ details }) => details.components.database?.message.includes('900-of-tomorrow') === true,
    );
    const create = { method: 'POST', body: JSON.stringify(body()) };
    expect(await send(`${daemon.url}/api/v1/volumes`, create)).toMatchObject({
      status: 503,
      body: { code: 'DATABASE_UNAVAILABLE', error: expect.stringContaining('900-of-tomorrow') },
    });
    await change("DELETE FROM volume_daemon_migrations WHERE id LIKE '900%'");
    await until(
      () => send(`${daemon.url}/readyz`),
      ({ status }) => status === 200,
    );
  });

  it('no active row in ossea_configs: accepted operations wait and say why; an inserted row is used without a restart', async () => {
    lab = await startAppliance({ env: { NBD_BACKEND: 'none' } });
    await lab.database.query('UPDATE ossea_configs SET is_active = 0', [], 'migratekit_oma');
    const daemon = await lab.startDaemon();
    const api = new ApiClient(daemon.url);
    const health = await until(
      () => healthOf(daemon),
      ({ cloudstack_health }) => cloudstack_health === 'unhealthy',
    );
    expect(health.details.components.cloudstack?.message).toContain('ossea_configs');
    const operation = await api.post<OperationReply>('/api/v1/volumes', body());
    await until(
      () => api.get<{ wait_reason?: string }>(`/api/v1/operations/${operation.id}`),
      ({ wait_reason }) => wait_reason?.includes('ossea_configs') === true,
    );
    await lab.database.query('UPDATE ossea_configs SET is_active = 1', [], 'migratekit_oma');
    await api.end(operation);
  });

  it('CloudStack is down: operations wait, health says so, and everything ends when it is back', async () => {
    lab = await startAppliance({ env: { NBD_BACKEND: 'none' } });
    const daemon = await lab.startDaemon();
    const api = new ApiClient(daemon.url);
    lab.cloud.model.faults.add({ command: '*', kind: 'html', times: 1_000_000 });
    const operation = await api.post<OperationReply>('/api/v1/volumes', body());
    await until(
      () => api.get<{ wait_reason?: string }>(`/api/v1/operations/${operation.id}`),
      ({ wait_reason }) => wait_reason !== undefined && wait_reason !== null,
    );
    lab.cloud.model.faults.clear();
    await api.end(operation);
    expect(lab.cloud.model.volumes.filter(({ name }) => name === 'waits')).toHaveLength(1);
  });

  it('no /sys/block: the device monitor is unhealthy, and healthy again when it is there', async () => {
    lab = await startAppliance({ env: { NBD_BACKEND: 'none' } });
    await rename(lab.guest.sysBlockDir, `${lab.guest.sysBlockDir}.away`);
    const daemon = await lab.startDaemon();
    await until(
      () => healthOf(daemon),
      ({ device_monitor }) => device_monitor.startsWith('unhealthy'),
    );
    await rename(`${lab.guest.sysBlockDir}.away`, lab.guest.sysBlockDir);
    await until(
      () => healthOf(daemon),
      ({ device_monitor }) => device_monitor === 'healthy',
    );
  });

  it('no nbdkit: the attach fails with the reason, nothing is half done, and works once it is there', async () => {
    lab = await startAppliance({ env: { NBD_BACKEND: 'nbdkit', NBD_BINARY: 'no-such-nbdkit' } });
    const daemon = await lab.startDaemon();
    const api = new ApiClient(daemon.url);
    const health = await until(
      () => healthOf(daemon),
      ({ details }) => details.components.export_server?.status === 'unhealthy',
    );
    expect(health.details.components.export_server?.message).toContain('apt-get install nbdkit');
    const { volume_id: volumeId } = await api.end(await api.post<OperationReply>('/api/v1/volumes', body()));
    const attach = await api.post<OperationReply>(`/api/v1/volumes/${volumeId}/attach`, {
      vm_id: lab.cloud.applianceVmId,
    });
    await until(
      () => api.get<{ wait_reason?: string }>(`/api/v1/operations/${attach.id}`),
      ({ wait_reason }) => wait_reason?.includes('nbdkit') === true,
    );
    await daemon.stop();
    const repaired = await lab.startDaemon({ env: { NBD_BACKEND: 'nbdkit', NBD_BINARY: 'nbdkit' } });
    await new ApiClient(repaired.url).end(attach);
    expect(lab.cloud.model.effectsOf(volumeId, 'attach')).toBe(1);
  });

  it('a broken configuration: every mistake at once, exit 1', async () => {
    lab = await startAppliance();
    const start = lab.startDaemon({
      env: { PORT: 'ninety', POLL_INTERVAL: 'often', DATABASE_DSN: 'u:topsecret@nowhere' },
    });
    const message = await start.then(
      () => '',
      (error: Error) => error.message,
    );
    expect(message).toMatch(/PORT: /);
    expect(message).toMatch(/POLL_INTERVAL: /);
    expect(message).toMatch(/DATABASE_DSN: /);
    expect(message).not.toContain('topsecret');
  });
});
