import { execFile } from 'node:child_process';
import { readdir, readFile, realpath, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExportReply } from '~/lab/client';
import { LiveClient } from '~/lab/exports/live-client';
import { freePort } from '~/lab/ports';
import { send, Walk } from './walk';

/**
 * Exports over HTTP that are not as an attach makes them: read-only, and with a limit. The built
 * daemon on real parts.
 */
const run = promisify(execFile);
const MIB = 1024 ** 2;
let walk: Walk;
let volumeId: string;
beforeAll(async () => {
  walk = await Walk.begin({
    env: { NBD_BACKEND: 'nbdkit', NBD_MAX_BYTES_PER_SECOND: String(64 * MIB), NBD_MAX_PER_EXPORT: '4' },
  });
  volumeId = await walk.create('shared');
  await walk.attach(volumeId);
});
afterAll(() => walk?.close());

const publish = (read_only: boolean) =>
  send(`${walk.daemon.url}/api/v1/exports`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ volume_id: volumeId, read_only }),
  });
const read = () => walk.api.get<ExportReply>(`/api/v1/exports/${volumeId}`);
const name = () => `migration-vol-${volumeId}`;

describe('a read-only export over HTTP', () => {
  it('is answered with its port; a writer is refused there, and finds nothing on the other port', async () => {
    const { readOnlyPort, port } = walk.lab.nbdkit;
    expect((await publish(true)).body).toMatchObject({
      read_only: true,
      port: readOnlyPort,
      status: 'active',
    });
    const client = await LiveClient.open(readOnlyPort, name());
    await expect(client.write(0, Buffer.alloc(512, 0x7e))).rejects.toThrow();
    await client.close();
    await expect(LiveClient.open(port, name())).rejects.toThrow();
    expect((await run('nbdinfo', [`nbd://127.0.0.1:${readOnlyPort}/${name()}`])).stdout).toMatch(
      /is_read_only: true/,
    );
  });

  it('stays read-only when sync brings it back, and when the daemon restarts', async () => {
    await rm(join(walk.lab.dir, 'run/exports-read-only', name()));
    await walk.api.post('/api/v1/admin/force-sync');
    expect(await read()).toMatchObject({ read_only: true, status: 'active' });
    await walk.daemon.stop();
    await rm(join(walk.lab.dir, 'run/exports-read-only', name()));
    await walk.restartDaemon();
    await walk.api.post('/api/v1/admin/force-sync');
    expect(await walk.api.post('/api/v1/exports/validate')).toMatchObject({ valid: true });
    expect(await read()).toMatchObject({ read_only: true, port: walk.lab.nbdkit.readOnlyPort });
    await expect(LiveClient.open(walk.lab.nbdkit.port, name())).rejects.toThrow();
  });

  it('changes its access only while nobody is connected, who carries on meanwhile', async () => {
    const client = await LiveClient.open(walk.lab.nbdkit.readOnlyPort, name());
    const refused = await publish(false);
    expect([refused.status, refused.body]).toMatchObject([409, { code: 'DEVICE_IN_USE' }]);
    expect((await publish(true)).body).toMatchObject({ read_only: true });
    expect(await client.read(0, 512)).toHaveLength(512);
    await client.close();
    await expect
      .poll(async () => (await publish(false)).body)
      .toMatchObject({
        read_only: false,
        port: walk.lab.nbdkit.port,
      });
    const writer = await LiveClient.open(walk.lab.nbdkit.port, name());
    await writer.write(0, Buffer.alloc(512, 0x7e));
    await writer.close();
  });
});

describe('a limit of bytes a second', () => {
  it('is in force for the process of each client: its share of the export', async () => {
    const client = await LiveClient.open(walk.lab.nbdkit.port, name());
    const commands = await Promise.all(
      (await walk.lab.nbdkit.servers()).map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8')),
    );
    expect(commands.length).toBeGreaterThan(0);
    for (const command of commands) {
      expect(command.split('\0')).toContain('--filter=rate');
      expect(command.split('\0')).toContain(`rate=${(64 * MIB * 8) / 4}`);
    }
    expect(await client.read(0, 4 * MIB)).toHaveLength(4 * MIB);
    await client.close();
  });
});

describe('while no daemon ran, a disk has left and another one has its letter', () => {
  it('its export is closed at the start, although the database is away and no inventory tells what was there', async () => {
    const { dir } = walk.lab;
    const other = await walk.create('next');
    await walk.attach(other);
    const folder = join(dir, 'run/exports');
    const next = await realpath(join(folder, `migration-vol-${other}`));
    await walk.daemon.stop();
    await rm(join(dir, 'state/inventory'), { recursive: true });
    // As an earlier version has made it: it leads to whatever has the letter.
    await rm(join(folder, name()));
    await symlink(next, join(folder, name()));
    const DATABASE_DSN = `nobody:nothing@tcp(127.0.0.1:${await freePort()})/none`;
    await walk.restartDaemon({ env: { DATABASE_DSN }, until: 'listening' });
    await expect.poll(() => readdir(folder), { timeout: 10_000 }).toEqual([`migration-vol-${other}`]);
    await expect(LiveClient.open(walk.lab.nbdkit.port, name())).rejects.toThrow();
    const client = await LiveClient.open(walk.lab.nbdkit.port, `migration-vol-${other}`);
    await client.close();
  });
});
