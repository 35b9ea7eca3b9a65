import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { OperationReply } from '~/lab/client';
import { LiveClient } from '~/lab/exports/live-client';
import { send, Walk } from './walk';

/*
 * A detach, or the end of an export, right after a copy: the client has gone and the nbdkit that
 * served it has the disk open still, because it gets no processor (here: it is stopped). The built
 * daemon on real parts.
 */
let walk: Walk;
const stopped = new Set<number>();
beforeAll(async () => {
  walk = await Walk.begin({ env: { NBD_BACKEND: 'nbdkit' } });
});
afterAll(() => walk?.close());
afterEach(() => {
  for (const pid of stopped) process.kill(pid, 'SIGCONT');
  stopped.clear();
});

/** An attached disk with a client, whose process stands still from now on. */
async function served(name: string) {
  const volumeId = await walk.create(name);
  await walk.attach(volumeId);
  // The handshake of the attach has left, too.
  await expect.poll(() => walk.lab.nbdkit.servers()).toEqual([]);
  const client = await LiveClient.open(walk.lab.nbdkit.port, `migration-vol-${volumeId}`);
  await client.write(0, Buffer.alloc(4096, 0x7e));
  const [pid = 0] = await walk.lab.nbdkit.servers();
  process.kill(pid, 'SIGSTOP');
  stopped.add(pid);
  const resume = () => {
    process.kill(pid, 'SIGCONT');
    stopped.delete(pid);
  };
  return { volumeId, client, pid, resume };
}

const whoHasLeft = (pid: number) => new RegExp(`pid ${pid} \\(nbdkit\\)[^;]* has left`);
const askDetach = (volumeId: string) => walk.api.post<OperationReply>(`/api/v1/volumes/${volumeId}/detach`);
const withdraw = (volumeId: string) =>
  send(`${walk.daemon.url}/api/v1/exports/${volumeId}`, { method: 'DELETE' });

describe('a client that has left, whose process still ends', () => {
  it('a detach waits for it, says so, and completes when it has ended', async () => {
    const { volumeId, client, pid, resume } = await served('passing');
    client.vanish('closed');
    const asked = await askDetach(volumeId);
    await expect
      .poll(async () => JSON.stringify(await walk.api.get(`/api/v1/operations/${asked.id}`)))
      .toMatch(whoHasLeft(pid));
    resume();
    expect(await walk.api.end(asked)).toMatchObject({ status: 'completed' });
  });

  it('a detach is refused when it does not end in time, and says who it is; DELETE of the export likewise', async () => {
    const { volumeId, client, pid, resume } = await served('stuck');
    client.vanish('closed');
    await expect(walk.detach(volumeId)).rejects.toThrow(whoHasLeft(pid));
    const { status, body } = await withdraw(volumeId);
    expect([status, body]).toMatchObject([
      409,
      { code: 'DEVICE_IN_USE', error: expect.stringMatching(whoHasLeft(pid)) },
    ]);
    resume();
    await expect.poll(async () => (await withdraw(volumeId)).status).toBe(200);
  });

  it('a client that stays is refused at once', async () => {
    const { volumeId, client, resume } = await served('stays');
    const refused = await askDetach(volumeId).then((asked) =>
      walk.api.get<OperationReply>(`/api/v1/operations/${asked.id}?wait=4s`),
    );
    expect(refused).toMatchObject({ status: 'failed', error: expect.stringMatching(/is in use/) });
    expect((await withdraw(volumeId)).status).toBe(409);
    resume();
    await client.close();
  });
});
