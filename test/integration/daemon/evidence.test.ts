import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { OperationReply } from '~/lab/client';
import type { HealthReply, SyncReply } from '~/server/http/schemas/service';
import type { VolumeEvidenceReply } from '~/server/http/schemas/volumes';
import { send, Walk } from './walk';

/**
 * What the daemon says while it cannot look, and the way back from the trash: the built daemon on real parts.
 */
let walk: Walk;
let volumeId: string;
beforeAll(async () => {
  walk = await Walk.begin({ env: { DELETE_MODE: 'trash' } });
  volumeId = await walk.create('evidence');
  await walk.attach(volumeId);
});
afterAll(() => walk?.close());

const evidence = () => walk.api.get<VolumeEvidenceReply>(`/api/v1/volumes/${volumeId}/evidence`);
const force = () => walk.api.post<SyncReply>('/api/v1/admin/force-sync');
const sync = async () => (await walk.api.get<HealthReply>('/api/v1/health')).details.components.sync;

async function gauge(name: string): Promise<number> {
  const { text } = await send(`${walk.daemon.url}/metrics`);
  const line = text.split('\n').find((one) => one.startsWith(`volume_daemon_${name} `));
  return Number(line?.split(' ')[1]);
}

describe('while CloudStack is away', () => {
  it('is known what is known: the others still say theirs, and since when CloudStack does not', async () => {
    expect((await force()).report.judged).toBe(true);
    expect(await evidence()).toMatchObject({
      cloudstack: { kind: 'seen', value: { state: 'Ready', vm_id: walk.appliance } },
      guest: { kind: 'seen' },
      database: { kind: 'seen', value: { linux_state: 'detected' } },
      export_server: { kind: 'seen' },
    });
    walk.lab.cloud.model.restart({ downFor: 3_600_000 });
    const first = await evidence();
    expect(first).toMatchObject({
      cloudstack: { kind: 'unknown', value: null, why: expect.stringContaining('CloudStack') },
      guest: { kind: 'seen' },
      database: { kind: 'seen' },
      export_server: { kind: 'seen' },
    });
    const second = await evidence();
    expect(second.cloudstack.unknown_since).toBe(first.cloudstack.unknown_since);
    expect(Date.parse(second.cloudstack.at)).toBeGreaterThan(Date.parse(first.cloudstack.at));
    expect((await send(`${walk.daemon.url}/api/v1/volumes/${volumeId}`)).status).toBe(503);
  });

  it('a sync judges nothing, says so everywhere, and does not count', async () => {
    const before = await gauge('last_sync_timestamp_seconds');
    const { message, report } = await force();
    expect([report.judged, message]).toEqual([false, expect.stringContaining('not judged: cloudstack')]);
    expect(await gauge('last_sync_judged')).toBe(0);
    expect(await gauge('last_sync_timestamp_seconds')).toBe(before);
    expect(await sync()).toMatchObject({
      status: 'degraded',
      message: expect.stringMatching(/^not judged since 20\d\d-/),
      details: { not_judged_since: new Date(before * 1000).toISOString() },
    });
    expect((await walk.api.get<HealthReply>('/api/v1/health')).status).not.toBe('healthy');
  });

  it('and once it is back, the next sync ends that', async () => {
    walk.lab.cloud.model.restart();
    expect((await force()).report.judged).toBe(true);
    expect(await gauge('last_sync_judged')).toBe(1);
    expect(await sync()).toMatchObject({ status: 'healthy' });
    expect(await evidence()).toMatchObject({ cloudstack: { kind: 'seen', unknown_since: null } });
  });
});

it('what is deleted with DELETE_MODE=trash comes back, and can be attached again', async () => {
  await walk.detach(volumeId);
  const deleted = await walk.remove(volumeId);
  expect(deleted).toMatchObject({ status: 'completed', response: { recoverable: true } });
  expect(await evidence()).toMatchObject({
    cloudstack: { value: { state: 'Destroy', state_means: 'is deleted and not yet expunged' } },
  });
  const recover = () => walk.api.post<OperationReply>(`/api/v1/volumes/${volumeId}/recover`);
  const ended = await walk.api.end(await recover());
  expect(ended).toMatchObject({
    type: 'recover',
    status: 'completed',
    response: { volume_id: volumeId, state: 'Ready', message: 'Volume recovered' },
  });
  expect(walk.lab.cloud.model.effectsOf(volumeId, 'recover')).toBe(1);
  const again = await walk.api.end(await recover());
  expect(again.response).toMatchObject({ message: expect.stringContaining('was not deleted') });
  expect(await walk.attach(volumeId)).toMatchObject({ status: 'completed' });
  // That it was not deleted is looked at for a while before it is believed.
}, 120_000);

it('while the database is away the evidence says so, with a 200', async () => {
  await walk.lab.database.kill();
  // On a busy machine one read of CloudStack may take too long, which is said, too.
  await vi.waitFor(
    async () => {
      const away = await send(`${walk.daemon.url}/api/v1/volumes/${volumeId}/evidence`);
      expect(away.status).toBe(200);
      expect(away.body).toMatchObject({
        cloudstack: { kind: 'seen' },
        database: { kind: 'unknown', remedy: 'volumectl check database' },
      });
    },
    { timeout: 30_000, interval: 500 },
  );
  await walk.lab.database.restart();
});
