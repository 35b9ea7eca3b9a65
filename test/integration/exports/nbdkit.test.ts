import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LiveClient } from '~/lab/exports/live-client';
import { findProgram } from '~/lab/packages';
import { freePort } from '~/lab/ports';
import { processIdentity } from '~/server/devices/sysfs/kernel-files';
import type { NbdkitExports } from '~/server/exports/nbdkit/nbdkit-exports';
import { withLimits } from '~/test/support/with-limits';
import { firstByteOf, SIZE, until, useNbdkit } from './use-nbdkit';

/** The real nbdkit and its holder: bounds, deaths, and what live clients notice. */
const run = promisify(execFile);
const scene = useNbdkit();
let server: NbdkitExports;
beforeEach(() => {
  server = scene.create();
});
afterEach(() => server.close());

/**
 * What the heaps of a process's threads have in use, bytes: with glibc each begins at a multiple of 64 MiB.
 */
async function threadHeapBytes(pid: number): Promise<number[]> {
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8');
  const writable = maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0\s*$/gm);
  return [...writable]
    .map(([, start, end]) => ({ start: Number(`0x${start}`), end: Number(`0x${end}`) }))
    .filter(({ start }) => start % (64 * 1024 ** 2) === 0)
    .map(({ start, end }) => end - start);
}

/** A client that has connected and says nothing. */
async function silent(): Promise<Socket> {
  const socket = connect(scene.nbdkit.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'data');
  return socket;
}

describe('a link that cannot be put in its place', () => {
  it('is not served under another name', async () => {
    const target = await scene.disk(0);
    const path = join(scene.nbdkit.runDir, 'exports', target.name);
    await mkdir(join(path, 'in the way'), { recursive: true });
    await expect(server.publish(target)).rejects.toMatchObject({ code: 'EXPORT_CONFIG_FAILED' });
    expect(await readdir(join(scene.nbdkit.runDir, 'exports'))).toEqual([target.name]);
    expect(await scene.complaintOf({ ...target, name: `.${target.name}.new` })).not.toBe('');
    await rm(path, { recursive: true });
    await server.publish(target);
    expect(await scene.complaintOf(target)).toBe('');
  });
});

describe('a connection that stands by for the next publish', () => {
  /** Its process. */
  async function standBy(): Promise<number> {
    await server.health();
    await until(async () => (await scene.nbdkit.servers()).length === 0);
    // It is looked at for longer than it stands by for a publish.
    await withLimits({ NBD_STANDBY_MS: 60_000 }, async () => server.anticipate());
    for (;;) {
      const [pid] = await scene.nbdkit.servers();
      if (pid !== undefined) return pid;
    }
  }

  it('is all that the publish needs', async () => {
    const one = await scene.disk(0);
    const pid = await standBy();
    await server.publish(one);
    expect(server.figures).toMatchObject({ probes: 1, probeFailures: 0 });
    await until(async () => !(await scene.nbdkit.servers()).includes(pid));
    expect(await scene.complaintOf(one)).toBe('');
  });

  it('is no client, and is ended when clients are counted', async () => {
    const one = await scene.disk(0);
    await server.publish(one);
    await standBy();
    expect(await server.clients(one.name)).toEqual({ connected: [], leaving: [] });
    expect(await scene.nbdkit.servers()).toEqual([]);
    await server.publish(one);
  });

  it('is replaced where it has died', async () => {
    const one = await scene.disk(0);
    process.kill(await standBy(), 'SIGKILL');
    await server.publish(one);
    expect(await scene.complaintOf(one)).toBe('');
  });

  it('proves the disk that is there when it is asked, not when it was made', async () => {
    const [one, other] = [await scene.disk(0), await scene.disk(1)];
    await server.publish(one);
    await standBy();
    await rename(other.devicePath, one.devicePath);
    await server.publish(one);
    const client = await scene.open(one);
    expect(await firstByteOf(client)).toBe(2);
    await client.close();
  });
});

describe('a holder that somebody else has started, as systemd does after a boot', () => {
  it('serves the first export although nobody has made the folder of exports yet', async () => {
    await mkdir(scene.nbdkit.runDir, { recursive: true });
    const folder = join(scene.nbdkit.runDir, 'exports');
    const words = [
      `--exports=${folder}`,
      `--exports-read-only=${folder}-read-only`,
      `--listen=127.0.0.1:${scene.nbdkit.port}`,
      `--listen-read-only=127.0.0.1:${scene.nbdkit.readOnlyPort}`,
    ];
    const pidFile = join(scene.nbdkit.runDir, 'nbd-holder.pid');
    spawn(process.execPath, [scene.nbdkit.holder, ...words, `--pid-file=${pidFile}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await scene.nbdkit.untilPaired();
    const target = await scene.disk(0);
    await server.publish(target);
    expect(await scene.complaintOf(target)).toBe('');
  });
});

describe('a holder of systemd that was not started anew after a change of the settings', () => {
  it('is named by health with what differs: it lets in whom the new settings would not', async () => {
    await server.publish(await scene.disk(0));
    await scene.nbdkit.untilPaired();
    const same = scene.create({ unit: 'lab.socket' });
    expect(await same.health()).toMatchObject({ status: 'healthy' });
    const changed = scene.create({ unit: 'lab.socket', maxConnections: 8, maxBytesPerSecond: 1_000_000 });
    expect(await changed.health()).toMatchObject({
      status: 'degraded',
      message: expect.stringMatching(
        /NBD_MAX_CONNECTIONS, NBD_MAX_BYTES_PER_SECOND.*systemctl restart lab\.service/,
      ),
    });
  });
});

describe('a holder of systemd that cannot run with its settings', () => {
  it('says why in one line, and not ten times a second: systemd starts it again at once', async () => {
    const keys = join(scene.dir, 'tls');
    await mkdir(join(keys, 'keys.psk'), { recursive: true });
    const folder = join(scene.nbdkit.runDir, 'exports');
    const words = [
      `--exports=${folder}`,
      `--exports-read-only=${folder}-read-only`,
      '--tls=on',
      `--tls-dir=${keys}`,
    ];
    const begun = performance.now();
    const holder = spawn(process.execPath, [scene.nbdkit.holder, ...words], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, LISTEN_FDS: '2' },
    });
    const said: Buffer[] = [];
    holder.stderr.on('data', (chunk: Buffer) => said.push(chunk));
    const [code] = await once(holder, 'close');
    expect(code).toBe(1);
    expect(performance.now() - begun).toBeGreaterThan(1_500);
    expect(Buffer.concat(said).toString()).toMatch(/^[^\n]*keys\.psk[^\n]*\n$/);
  });
});

describe('a holder that may not look into the processes of the one before it', () => {
  it('does not take their clients for some that never ask for an export', async ({ skip }) => {
    if (process.getuid?.() !== 0 || !findProgram('setpriv')) skip('it takes root and setpriv');
    const one = await scene.disk(0);
    await server.publish(one);
    const client = await scene.open(one);
    process.kill(await scene.nbdkit.oneOfThePair(), 'SIGTERM');
    await until(async () => (await scene.nbdkit.holders()).length === 0);
    const folder = join(scene.nbdkit.runDir, 'exports');
    const words = [
      `--exports=${folder}`,
      `--exports-read-only=${folder}-read-only`,
      `--listen=127.0.0.1:${scene.nbdkit.port}`,
      `--listen-read-only=127.0.0.1:${scene.nbdkit.readOnlyPort}`,
      '--handshake-ms=300',
    ];
    // As in the sandbox of the unit: root without any capability.
    spawn(
      'setpriv',
      ['--bounding-set=-all', '--inh-caps=-all', process.execPath, scene.nbdkit.holder, ...words],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    await scene.nbdkit.untilPaired();
    // By now the time of those who never ask has passed, for all that were there before.
    await once(await silent(), 'close');
    expect(await firstByteOf(client)).toBe(1);
    await client.close();
  });
});

describe('who is let in', () => {
  it('one client more than all exports together may have is told so in its own language, and gets in later', async () => {
    server = scene.create({ maxConnections: 2 });
    const one = await scene.disk(0);
    await server.publish(one);
    // Nobody waits for the farewell of our own handshake.
    await until(async () => (await scene.nbdkit.servers()).length === 0);
    const clients = [await scene.open(one), await scene.open(one)];
    expect(await scene.complaintOf(one)).toMatch(/server policy prevents/);
    expect(await server.probe(one.name)).toMatchObject({
      ok: false,
      reason: 'denied',
      message: expect.stringMatching(/the server says: 2 clients are connected.*NBD_MAX_CONNECTIONS/),
    });
    await clients[0]?.close();
    await until(async () => (await scene.complaintOf(one)) === '');
    await clients[1]?.close();
  });

  it('processes of other users that look like clients take nobody’s place', async ({ skip }) => {
    if (process.getuid?.() !== 0) skip('it takes root');
    server = scene.create({ maxConnections: 2 });
    const words = ['-c', 'read -r line; exit', 'nbdkit', `dir=${join(scene.nbdkit.runDir, 'exports')}`];
    const likenesses = [1, 2].map(() => spawn('sh', words, { uid: 65_534, gid: 65_534 }));
    try {
      await Promise.all(likenesses.map((one) => once(one, 'spawn')));
      const one = await scene.disk(0);
      await server.publish(one);
      const client = await scene.open(one);
      expect(await firstByteOf(client)).toBe(1);
      await client.close();
    } finally {
      for (const one of likenesses) one.kill('SIGKILL');
    }
  });

  it('one client more than an export may have is ended; the others, and those of other exports, carry on', async () => {
    server = scene.create({ maxPerExport: 1 });
    const [one, two] = [await scene.disk(0), await scene.disk(1)];
    await Promise.all([server.publish(one), server.publish(two)]);
    await until(async () => (await scene.nbdkit.servers()).length === 0);
    const stays = await scene.open(one);
    const other = await scene.open(two);
    const surplus = await scene.open(one);
    await expect(
      (async () => {
        for (;;) await surplus.read(0, 512);
      })(),
    ).rejects.toThrow();
    expect(await firstByteOf(stays)).toBe(1);
    expect(await firstByteOf(other)).toBe(2);
    expect((await server.clients(one.name)).connected.length).toBe(1);
    await Promise.all([stays.close(), other.close()]);
  });

  it('a client that says nothing does not keep its place for ever, and is no client of any export', async () => {
    server = scene.create({ handshakeMs: 300 });
    const one = await scene.disk(0);
    await server.publish(one);
    const socket = await silent();
    expect((await server.clients(one.name)).connected.length).toBe(0);
    await once(socket, 'close');
  });

  it('force cuts the clients of that export, and nobody else', async () => {
    const [one, two] = [await scene.disk(0), await scene.disk(1)];
    await Promise.all([server.publish(one), server.publish(two)]);
    const [cut, stays] = [await scene.open(one), await scene.open(two)];
    await server.withdraw(one.name, { force: true });
    await expect(cut.read(0, 512)).rejects.toThrow();
    expect(await firstByteOf(stays)).toBe(2);
    await stays.close();
  });
});

describe('an export that is closed after its device has become that of another one', () => {
  it('has no clients any more, and force cuts none of the other', async () => {
    const [gone, other] = [await scene.disk(0), await scene.disk(1)];
    await server.publish(gone);
    await rename(other.devicePath, gone.devicePath);
    const moved = { ...other, devicePath: gone.devicePath };
    await server.publish(moved);
    const client = await scene.open(moved);
    await server.withdraw(gone.name);
    expect((await server.clients(gone.name)).connected).toEqual([]);
    await server.withdraw(gone.name, { force: true });
    expect(await firstByteOf(client)).toBe(2);
    expect((await server.clients(moved.name)).connected).toHaveLength(1);
    await server.withdraw(moved.name, { force: true });
    await expect(client.read(0, 512)).rejects.toThrow();
  });
});

describe('the clients of an export that was closed under them', () => {
  it('are known to a daemon that was restarted, which cuts them by force', async () => {
    const one = await scene.disk(0);
    await server.publish(one);
    const client = await scene.open(one);
    await server.withdraw(one.name);
    const next = scene.create();
    expect((await next.clients(one.name)).connected).toHaveLength(1);
    expect(await firstByteOf(client)).toBe(1);
    await scene.create().withdraw(one.name, { force: true });
    await expect(client.read(0, 512)).rejects.toThrow();
  });

  it('are not those of the export that has the device now, also for a daemon that was restarted', async () => {
    const [gone, other] = [await scene.disk(0), await scene.disk(1)];
    await server.publish(gone);
    await server.withdraw(gone.name);
    await rename(other.devicePath, gone.devicePath);
    const moved = { ...other, devicePath: gone.devicePath };
    await server.publish(moved);
    const client = await scene.open(moved);
    const next = scene.create();
    await next.withdraw(gone.name, { force: true });
    expect((await next.clients(gone.name)).connected).toEqual([]);
    expect(await firstByteOf(client)).toBe(2);
    await client.close();
  });
});

describe('the memory of a session', () => {
  it('the buffers of requests lie in the heap, where copies are quick, from the first client on', async () => {
    const one = await scene.disk(0);
    await server.publish(one);
    await until(async () => (await scene.nbdkit.servers()).length === 0);
    const client = await scene.open(one);
    await client.read(0, SIZE);
    const [pid = 0] = await scene.nbdkit.servers();
    expect(Math.max(...(await threadHeapBytes(pid)))).toBeGreaterThan(SIZE);
    await client.close();
  });
});

describe('the holder', () => {
  it('either of the two dies: the other has the socket, and starts another', async () => {
    const one = await scene.disk(0);
    await server.publish(one);
    const client = await scene.open(one);
    for (let round = 0; round < 4; round += 1) {
      process.kill(await scene.nbdkit.oneOfThePair(round), 'SIGKILL');
      const next = await scene.open(one);
      expect(await firstByteOf(next)).toBe(1);
      await next.close();
      expect((await server.clients(one.name)).connected.length).toBe(1);
    }
    expect(await firstByteOf(client)).toBe(1);
    await client.close();
  });

  it('a twin whose holder died while it began says so in one line, and ends', async () => {
    const folder = join(scene.nbdkit.runDir, 'exports');
    const words = [`--exports=${folder}`, `--exports-read-only=${folder}-read-only`];
    const twin = spawn(process.execPath, [scene.nbdkit.holder, ...words], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    twin.disconnect();
    const said: Buffer[] = [];
    twin.stderr?.on('data', (chunk: Buffer) => said.push(chunk));
    expect((await once(twin, 'exit'))[0]).toBe(1);
    await expect
      .poll(() => Buffer.concat(said).toString())
      .toBe('the other holder is gone, and the socket with it\n');
  });

  it('asked to end, both end; live clients carry on, and the next publish starts it again', async () => {
    const one = await scene.disk(0);
    await server.publish(one);
    const client = await scene.open(one);
    process.kill(await scene.nbdkit.oneOfThePair(), 'SIGTERM');
    await until(async () => (await scene.nbdkit.holders()).length === 0);
    expect(await firstByteOf(client)).toBe(1);
    await scene.create().publish(one);
    expect((await server.clients(one.name)).connected.length).toBe(1);
    await client.close();
  });

  it('is replaced by a daemon that was restarted with other settings, wherever it listens; nobody is cut', async () => {
    const one = await scene.disk(0);
    await server.publish(one);
    const client = await scene.open(one);
    const before = await scene.nbdkit.untilPaired();
    const port = await freePort();
    const next = scene.create({ maxConnections: 2, port });
    expect((await next.health()).status).toBe('healthy');
    for (const pid of before) expect(await scene.nbdkit.holders()).not.toContain(pid);
    await expect(scene.open(one)).rejects.toThrow();
    await next.publish(one);
    expect(await firstByteOf(client)).toBe(1);
    // Nobody waits for the farewell of our own handshake.
    await until(async () => (await scene.nbdkit.servers()).length === 1);
    const second = await scene.open(one, port);
    await until(async () => (await scene.nbdkit.servers()).length === 2);
    await expect(LiveClient.open(port, one.name)).rejects.toThrow();
    await Promise.all([client.close(), second.close()]);
  });

  it('is found again by a daemon that was restarted, also when the pid file names somebody else', async () => {
    const one = await scene.disk(0);
    await server.publish(one);
    const before = (await scene.nbdkit.untilPaired()).sort();
    const bystander = spawn('sleep', ['600']);
    await once(bystander, 'spawn');
    await writeFile(join(scene.nbdkit.runDir, 'nbd-holder.pid'), `${bystander.pid}\n`);
    const next = scene.create();
    expect((await next.health()).status).toBe('healthy');
    expect((await next.health()).pid).not.toBe(bystander.pid);
    await next.publish(one);
    expect(bystander.exitCode).toBeNull();
    expect((await scene.nbdkit.holders()).sort()).toEqual(before);
    bystander.kill();
  });
});

describe('whose process it is', () => {
  it('an nbdkit of somebody else that has the disk open is no client of ours; ours are, until they leave', async () => {
    const one = await scene.disk(0);
    await server.publish(one);
    const foreign = spawn('nbdkit', ['-f', '-U', join(scene.dir, 'foreign.sock'), 'file', one.devicePath]);
    await once(foreign, 'spawn');
    const outsider = spawn('nbdinfo', ['--size', `nbd+unix:///?socket=${join(scene.dir, 'foreign.sock')}`]);
    await once(outsider, 'exit');
    expect(await server.clientProcesses()).toEqual(new Map());
    const client = await scene.open(one);
    const [pid = 0] = await scene.nbdkit.servers();
    expect(await server.clientProcesses()).toEqual(new Map([[processIdentity('/proc', pid), 'connected']]));
    expect((await server.clients(one.name)).connected.length).toBe(1);
    await client.close();
    await until(async () => (await server.clientProcesses()).size === 0);
    foreign.kill();
  });
});

describe('a read-only export', () => {
  it('is refused to writers, who are told so; it has its own port, and the other one does not know it', async () => {
    const one = await scene.disk(0);
    await server.publish({ ...one, readOnly: true });
    const uri = (port: number) => `nbd://127.0.0.1:${port}/${one.name}`;
    const port = server.portOf({ readOnly: true });
    expect((await run('nbdinfo', [uri(port)])).stdout).toMatch(/is_read_only: true/);
    const source = join(scene.dir, 'source');
    await writeFile(source, Buffer.alloc(SIZE, 0x7e));
    await expect(run('nbdcopy', [source, uri(port)])).rejects.toThrow(/read-only/);
    const client = await LiveClient.open(port, one.name);
    await expect(client.write(0, Buffer.alloc(512, 0x7e))).rejects.toThrow();
    expect((await readFile(one.devicePath)).equals(Buffer.alloc(SIZE, 1))).toBe(true);
    expect(await scene.complaintOf(one)).toMatch(/no export named|No such file/);
  });

  it('outlives its holder, and is found again by a daemon that was restarted', async () => {
    const one = await scene.disk(0);
    await server.publish({ ...one, readOnly: true });
    const port = server.portOf({ readOnly: true });
    const client = await LiveClient.open(port, one.name);
    process.kill(await scene.nbdkit.oneOfThePair(), 'SIGKILL');
    const next = await LiveClient.open(port, one.name);
    expect(await firstByteOf(next)).toBe(1);
    expect(await scene.create().probe(one.name)).toMatchObject({ ok: true, readOnly: true });
    expect(await firstByteOf(client)).toBe(1);
    expect((await scene.create().clients(one.name)).connected.length).toBe(2);
    await Promise.all([client.close(), next.close()]);
  });
});
