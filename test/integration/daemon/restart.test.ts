import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationReply } from '~/lab/client';
import { messageOf } from '~/server/core/errors';
import { Walk } from './walk';

/** The process dies while an operation executes; the next start ends it, without asking CloudStack twice. */
let walk: Walk;

beforeAll(async () => {
  walk = await Walk.begin({
    cloud: { latencies: { create: 400, attach: 400, detach: 400, remove: 400 } },
    env: { NBD_BACKEND: 'none' },
  });
});
afterAll(() => walk?.close());

/** Resolves when CloudStack has taken a job of this kind for the volume (or any, for a create). */
async function untilSubmitted(command: string): Promise<void> {
  const { jobs } = walk.lab.cloud.model;
  const before = [...jobs.values()].filter((job) => job.command === command).length;
  while ([...jobs.values()].filter((job) => job.command === command).length === before)
    await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('kill -9 while CloudStack works', () => {
  it('create: one volume, however often the process is killed', async () => {
    const { model } = walk.lab.cloud;
    const submitted = untilSubmitted('CreateVolumeCmd');
    const operation = await walk.api.post<OperationReply>('/api/v1/volumes', walk.createBody('survivor'));
    await submitted;
    await walk.daemon.kill();
    await walk.restartDaemon();
    const ended = await walk.api.end(operation);
    expect(model.volumes.filter(({ name }) => name === 'survivor')).toHaveLength(1);
    expect(model.effectsOf(ended.volume_id, 'create')).toBe(1);
  });

  it('attach, detach and delete: each effect once', async () => {
    const { model } = walk.lab.cloud;
    const volumeId = await walk.create('kept');
    const steps = [
      {
        command: 'AttachVolumeCmd',
        call: () =>
          walk.api.post<OperationReply>(`/api/v1/volumes/${volumeId}/attach`, { vm_id: walk.appliance }),
      },
      {
        command: 'DetachVolumeCmd',
        call: () => walk.api.post<OperationReply>(`/api/v1/volumes/${volumeId}/detach`),
      },
    ];
    for (const { command, call } of steps) {
      const submitted = untilSubmitted(command);
      const operation = await call();
      await submitted;
      await walk.daemon.kill();
      await walk.restartDaemon();
      await walk.api.end(operation);
    }
    const removal = await walk.api.delete<OperationReply>(`/api/v1/volumes/${volumeId}`);
    while (model.volumes.find(({ id }) => id === volumeId)?.state !== 'Expunging')
      await new Promise((resolve) => setTimeout(resolve, 5));
    await walk.daemon.kill();
    await walk.restartDaemon();
    await walk.api.end(removal);
    expect((['attach', 'detach', 'delete'] as const).map((kind) => model.effectsOf(volumeId, kind))).toEqual([
      1, 1, 1,
    ]);
  });

  it('a lost reply to createVolume finds the volume by its job and makes no second one', async () => {
    const { model } = walk.lab.cloud;
    model.faults.add({ command: 'createVolume', kind: 'drop-reply-after-effect' });
    const volumeId = await walk.create('reply-lost');
    expect(model.volumes.filter(({ name }) => name === 'reply-lost').map(({ id }) => id)).toEqual([volumeId]);
  });

  it('a lost reply and a lost job: nothing is adopted by its name, and what may be left is named', async () => {
    const { model } = walk.lab.cloud;
    model.faults.add({ command: 'createVolume', kind: 'drop-reply-after-effect' });
    model.faults.add({ command: 'createVolume', kind: 'lose-job' });
    const why = await walk.create('all-lost').catch(messageOf);
    expect(why).toContain('nothing was created again');
    // The second call, under the same job id, tells that CloudStack had taken the first, and has made a
    // row before it looks.
    const left = model.volumes.filter(({ name }) => name === 'all-lost').map(({ id }) => id);
    expect(left.length).toBeLessThanOrEqual(2);
    for (const id of left) {
      expect(why).toContain(id);
      expect(model.effectsOf(id, 'delete')).toBe(0);
    }
  });

  it('SIGTERM under load: exit 0, and the next start ends what was accepted', async () => {
    const ids = await Promise.all(['t1', 't2', 't3'].map((name) => walk.create(name)));
    const operations = await Promise.all(
      ids.map((id) =>
        walk.api.post<OperationReply>(`/api/v1/volumes/${id}/attach`, { vm_id: walk.appliance }),
      ),
    );
    expect(await walk.daemon.stop()).toBe(0);
    await walk.restartDaemon();
    await Promise.all(operations.map((operation) => walk.api.end(operation)));
    for (const id of ids) expect(walk.lab.cloud.model.effectsOf(id, 'attach')).toBe(1);
  });
});
