import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import {
  mkdir,
  mkdtemp,
  open as openFile,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NBDKIT_DEFAULTS } from '~/lab/exports/backends';
import { LiveClient } from '~/lab/exports/live-client';
import { type Nbdkit, startNbdkit } from '~/lab/nbdkit';
import { findProgram } from '~/lab/packages';
import { freePort } from '~/lab/ports';
import { processIdentity } from '~/server/devices/sysfs/kernel-files';
import { hasOpen } from '~/server/devices/sysfs/process-table';
import type { ExportTarget } from '~/server/exports/export-server';
import { NbdkitExports, type NbdkitOptions } from '~/server/exports/nbdkit/nbdkit-exports';
import { exportName } from '~/server/model/export-name';
import { withLimits } from '~/test/support/with-limits';

/** The real nbdkit and its holder: bounds, deaths, and what live clients notice. */
const run = promisify(execFile);
const SIZE = 1024 ** 2;
let dir: string;
let devDir: string;
let nbdkit: Nbdkit;
let server: NbdkitExports;

const create = (options: Partial<NbdkitOptions> = {}) =>
  new NbdkitExports({ ...NBDKIT_DEFAULTS, ...nbdkit, devDir, ...options });

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'volume-nbdkit-'));
  devDir = join(dir, 'dev');
  await mkdir(devDir);
  nbdkit = await startNbdkit({ runDir: join(dir, 'run') });
  server = create();
});
afterEach(async () => {
  await server.close();
  await nbdkit.stop();
  await rm(dir, { recursive: true, force: true });
});

async function disk(index: number): Promise<ExportTarget> {
  const volumeId = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
  const devicePath = join(devDir, `vd${'bcd'[index]}`);
  await writeFile(devicePath, Buffer.alloc(SIZE, index + 1));
  return { name: exportName(volumeId), volumeId, devicePath, size: SIZE, dev: null, diskseq: null };
}

const open = ({ name }: ExportTarget) => LiveClient.open(nbdkit.port, name);
const firstByteOf = async (client: LiveClient) => (await client.read(0, 512))[0];

/** What an independent client complains about, '' when it is let in. */
async function complaintOf({ name }: ExportTarget): Promise<string> {
  return run('nbdinfo', ['--size', `nbd://127.0.0.1:${nbdkit.port}/${name}`]).then(
    () => '',
    (error: unknown) => (error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)),
  );
}

/** The pid of the holder or of its twin, in turn. */
async function oneOfThePair(round = 0): Promise<number> {
  const pair = await nbdkit.untilPaired();
  const pid = pair[round % pair.length];
  // The number 0 would mean this process and its whole group.
  if (pid === undefined) throw new Error('no holder is left');
  return pid;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

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
  const socket = connect(nbdkit.port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'data');
  return socket;
}

describe('a link that cannot be put in its place', () => {
  it('is not served under another name', async () => {
    const target = await disk(0);
    const path = join(nbdkit.runDir, 'exports', target.name);
    await mkdir(join(path, 'in the way'), { recursive: true });
    await expect(server.publish(target)).rejects.toMatchObject({ code: 'EXPORT_CONFIG_FAILED' });
    expect(await readdir(join(nbdkit.runDir, 'exports'))).toEqual([target.name]);
    expect(await complaintOf({ ...target, name: `.${target.name}.new` })).not.toBe('');
    await rm(path, { recursive: true });
    await server.publish(target);
    expect(await complaintOf(target)).toBe('');
  });
});

describe('a connection that stands by for the next publish', () => {
  /** Its process. */
  async function standBy(): Promise<number> {
    await server.health();
    await until(async () => (await nbdkit.servers()).length === 0);
    server.anticipate();
    await until(async () => (await nbdkit.servers()).length === 1);
    return (await nbdkit.servers())[0] ?? 0;
  }

  it('is all that the publish needs', async () => {
    const one = await disk(0);
    const pid = await standBy();
    await server.publish(one);
    expect(server.figures).toMatchObject({ probes: 1, probeFailures: 0 });
    await until(async () => !(await nbdkit.servers()).includes(pid));
    expect(await complaintOf(one)).toBe('');
  });

  it('is no client, and is ended when clients are counted', async () => {
    const one = await disk(0);
    await server.publish(one);
    await standBy();
    expect(await server.clients(one.name)).toEqual({ connected: [], leaving: [] });
    expect(await nbdkit.servers()).toEqual([]);
    await server.publish(one);
  });

  it('is replaced where it has died', async () => {
    const one = await disk(0);
    process.kill(await standBy(), 'SIGKILL');
    await server.publish(one);
    expect(await complaintOf(one)).toBe('');
  });

  it('proves the disk that is there when it is asked, not when it was made', async () => {
    const [one, other] = [await disk(0), await disk(1)];
    await server.publish(one);
    await standBy();
    await rename(other.devicePath, one.devicePath);
    await server.publish(one);
    const client = await open(one);
    expect(await firstByteOf(client)).toBe(2);
    await client.close();
  });
});

describe('a holder that somebody else has started, as systemd does after a boot', () => {
  it('serves the first export although nobody has made the folder of exports yet', async () => {
    await mkdir(nbdkit.runDir, { recursive: true });
    const folder = join(nbdkit.runDir, 'exports');
    const words = [
      `--exports=${folder}`,
      `--exports-read-only=${folder}-read-only`,
      `--listen=127.0.0.1:${nbdkit.port}`,
      `--listen-read-only=127.0.0.1:${nbdkit.readOnlyPort}`,
    ];
    const pidFile = join(nbdkit.runDir, 'nbd-holder.pid');
    spawn(process.execPath, [nbdkit.holder, ...words, `--pid-file=${pidFile}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await nbdkit.untilPaired();
    const target = await disk(0);
    await server.publish(target);
    expect(await complaintOf(target)).toBe('');
  });
});

describe('a holder of systemd that was not started anew after a change of the settings', () => {
  it('is named by health with what differs: it lets in whom the new settings would not', async () => {
    await server.publish(await disk(0));
    await nbdkit.untilPaired();
    const same = create({ unit: 'lab.socket' });
    expect(await same.health()).toMatchObject({ status: 'healthy' });
    const changed = create({ unit: 'lab.socket', maxConnections: 8, maxBytesPerSecond: 1_000_000 });
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
    const keys = join(dir, 'tls');
    await mkdir(join(keys, 'keys.psk'), { recursive: true });
    const folder = join(nbdkit.runDir, 'exports');
    const words = [
      `--exports=${folder}`,
      `--exports-read-only=${folder}-read-only`,
      '--tls=on',
      `--tls-dir=${keys}`,
    ];
    const begun = performance.now();
    const holder = spawn(process.execPath, [nbdkit.holder, ...words], {
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
    const one = await disk(0);
    await server.publish(one);
    const client = await open(one);
    process.kill(await oneOfThePair(), 'SIGTERM');
    await until(async () => (await nbdkit.holders()).length === 0);
    const folder = join(nbdkit.runDir, 'exports');
    const words = [
      `--exports=${folder}`,
      `--exports-read-only=${folder}-read-only`,
      `--listen=127.0.0.1:${nbdkit.port}`,
      `--listen-read-only=127.0.0.1:${nbdkit.readOnlyPort}`,
      '--handshake-ms=300',
    ];
    // As in the sandbox of the unit: root without any capability.
    spawn('setpriv', ['--bounding-set=-all', '--inh-caps=-all', process.execPath, nbdkit.holder, ...words], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    await nbdkit.untilPaired();
    // By now the time of those who never ask has passed, for all that were there before.
    await once(await silent(), 'close');
    expect(await firstByteOf(client)).toBe(1);
    await client.close();
  });
});

describe('who is let in', () => {
  it('one client more than all exports together may have is told so in its own language, and gets in later', async () => {
    server = create({ maxConnections: 2 });
    const one = await disk(0);
    await server.publish(one);
    // Nobody waits for the farewell of our own handshake.
    await until(async () => (await nbdkit.servers()).length === 0);
    const clients = [await open(one), await open(one)];
    expect(await complaintOf(one)).toMatch(/server policy prevents/);
    expect(await server.probe(one.name)).toMatchObject({
      ok: false,
      reason: 'denied',
      message: expect.stringMatching(/the server says: 2 clients are connected.*NBD_MAX_CONNECTIONS/),
    });
    await clients[0]?.close();
    await until(async () => (await complaintOf(one)) === '');
    await clients[1]?.close();
  });

  it('processes of other users that look like clients take nobody’s place', async ({ skip }) => {
    if (process.getuid?.() !== 0) skip('it takes root');
    server = create({ maxConnections: 2 });
    const words = ['-c', 'read -r line; exit', 'nbdkit', `dir=${join(nbdkit.runDir, 'exports')}`];
    const likenesses = [1, 2].map(() => spawn('sh', words, { uid: 65_534, gid: 65_534 }));
    try {
      await Promise.all(likenesses.map((one) => once(one, 'spawn')));
      const one = await disk(0);
      await server.publish(one);
      const client = await open(one);
      expect(await firstByteOf(client)).toBe(1);
      await client.close();
    } finally {
      for (const one of likenesses) one.kill('SIGKILL');
    }
  });

  it('one client more than an export may have is ended; the others, and those of other exports, carry on', async () => {
    server = create({ maxPerExport: 1 });
    const [one, two] = [await disk(0), await disk(1)];
    await Promise.all([server.publish(one), server.publish(two)]);
    await until(async () => (await nbdkit.servers()).length === 0);
    const stays = await open(one);
    const other = await open(two);
    const surplus = await open(one);
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
    server = create({ handshakeMs: 300 });
    const one = await disk(0);
    await server.publish(one);
    const socket = await silent();
    expect((await server.clients(one.name)).connected.length).toBe(0);
    await once(socket, 'close');
  });

  it('force cuts the clients of that export, and nobody else', async () => {
    const [one, two] = [await disk(0), await disk(1)];
    await Promise.all([server.publish(one), server.publish(two)]);
    const [cut, stays] = [await open(one), await open(two)];
    await server.withdraw(one.name, { force: true });
    await expect(cut.read(0, 512)).rejects.toThrow();
    expect(await firstByteOf(stays)).toBe(2);
    await stays.close();
  });
});

describe('an export that is closed after its device has become that of another one', () => {
  it('has no clients any more, and force cuts none of the other', async () => {
    const [gone, other] = [await disk(0), await disk(1)];
    await server.publish(gone);
    await rename(other.devicePath, gone.devicePath);
    const moved = { ...other, devicePath: gone.devicePath };
    await server.publish(moved);
    const client = await open(moved);
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
    const one = await disk(0);
    await server.publish(one);
    const client = await open(one);
    await server.withdraw(one.name);
    const next = create();
    expect((await next.clients(one.name)).connected).toHaveLength(1);
    expect(await firstByteOf(client)).toBe(1);
    await create().withdraw(one.name, { force: true });
    await expect(client.read(0, 512)).rejects.toThrow();
  });

  it('are not those of the export that has the device now, also for a daemon that was restarted', async () => {
    const [gone, other] = [await disk(0), await disk(1)];
    await server.publish(gone);
    await server.withdraw(gone.name);
    await rename(other.devicePath, gone.devicePath);
    const moved = { ...other, devicePath: gone.devicePath };
    await server.publish(moved);
    const client = await open(moved);
    const next = create();
    await next.withdraw(gone.name, { force: true });
    expect((await next.clients(gone.name)).connected).toEqual([]);
    expect(await firstByteOf(client)).toBe(2);
    await client.close();
  });
});

describe('the memory of a session', () => {
  it('the buffers of requests lie in the heap, where copies are quick, from the first client on', async () => {
    const one = await disk(0);
    await server.publish(one);
    await until(async () => (await nbdkit.servers()).length === 0);
    const client = await open(one);
    await client.read(0, SIZE);
    const [pid = 0] = await nbdkit.servers();
    expect(Math.max(...(await threadHeapBytes(pid)))).toBeGreaterThan(SIZE);
    await client.close();
  });
});

describe('the holder', () => {
  it('either of the two dies: the other has the socket, and starts another', async () => {
    const one = await disk(0);
    await server.publish(one);
    const client = await open(one);
    for (let round = 0; round < 4; round += 1) {
      process.kill(await oneOfThePair(round), 'SIGKILL');
      const next = await open(one);
      expect(await firstByteOf(next)).toBe(1);
      await next.close();
      expect((await server.clients(one.name)).connected.length).toBe(1);
    }
    expect(await firstByteOf(client)).toBe(1);
    await client.close();
  });

  it('asked to end, both end; live clients carry on, and the next publish starts it again', async () => {
    const one = await disk(0);
    await server.publish(one);
    const client = await open(one);
    process.kill(await oneOfThePair(), 'SIGTERM');
    await until(async () => (await nbdkit.holders()).length === 0);
    expect(await firstByteOf(client)).toBe(1);
    await create().publish(one);
    expect((await server.clients(one.name)).connected.length).toBe(1);
    await client.close();
  });

  it('is replaced by a daemon that was restarted with other settings, wherever it listens; nobody is cut', async () => {
    const one = await disk(0);
    await server.publish(one);
    const client = await open(one);
    const before = await nbdkit.untilPaired();
    const port = await freePort();
    const next = create({ maxConnections: 2, port });
    expect((await next.health()).status).toBe('healthy');
    for (const pid of before) expect(await nbdkit.holders()).not.toContain(pid);
    await expect(open(one)).rejects.toThrow();
    await next.publish(one);
    expect(await firstByteOf(client)).toBe(1);
    // Nobody waits for the farewell of our own handshake.
    await until(async () => (await nbdkit.servers()).length === 1);
    const second = await LiveClient.open(port, one.name);
    await until(async () => (await nbdkit.servers()).length === 2);
    await expect(LiveClient.open(port, one.name)).rejects.toThrow();
    await Promise.all([client.close(), second.close()]);
  });

  it('is found again by a daemon that was restarted, also when the pid file names somebody else', async () => {
    const one = await disk(0);
    await server.publish(one);
    const before = (await nbdkit.untilPaired()).sort();
    const bystander = spawn('sleep', ['600']);
    await once(bystander, 'spawn');
    await writeFile(join(nbdkit.runDir, 'nbd-holder.pid'), `${bystander.pid}\n`);
    const next = create();
    expect((await next.health()).status).toBe('healthy');
    expect((await next.health()).pid).not.toBe(bystander.pid);
    await next.publish(one);
    expect(bystander.exitCode).toBeNull();
    expect((await nbdkit.holders()).sort()).toEqual(before);
    bystander.kill();
  });
});

describe('whose process it is', () => {
  it('an nbdkit of somebody else that has the disk open is no client of ours; ours are, until they leave', async () => {
    const one = await disk(0);
    await server.publish(one);
    const foreign = spawn('nbdkit', ['-f', '-U', join(dir, 'foreign.sock'), 'file', one.devicePath]);
    await once(foreign, 'spawn');
    const outsider = spawn('nbdinfo', ['--size', `nbd+unix:///?socket=${join(dir, 'foreign.sock')}`]);
    await once(outsider, 'exit');
    expect(await server.clientProcesses()).toEqual(new Map());
    const client = await open(one);
    const [pid = 0] = await nbdkit.servers();
    expect(await server.clientProcesses()).toEqual(new Map([[processIdentity('/proc', pid), 'connected']]));
    expect((await server.clients(one.name)).connected.length).toBe(1);
    await client.close();
    await until(async () => (await server.clientProcesses()).size === 0);
    foreign.kill();
  });
});

describe('a read-only export', () => {
  it('is refused to writers, who are told so; it has its own port, and the other one does not know it', async () => {
    const one = await disk(0);
    await server.publish({ ...one, readOnly: true });
    const uri = (port: number) => `nbd://127.0.0.1:${port}/${one.name}`;
    const port = server.portOf({ readOnly: true });
    expect((await run('nbdinfo', [uri(port)])).stdout).toMatch(/is_read_only: true/);
    const source = join(dir, 'source');
    await writeFile(source, Buffer.alloc(SIZE, 0x7e));
    await expect(run('nbdcopy', [source, uri(port)])).rejects.toThrow(/read-only/);
    const client = await LiveClient.open(port, one.name);
    await expect(client.write(0, Buffer.alloc(512, 0x7e))).rejects.toThrow();
    expect((await readFile(one.devicePath)).equals(Buffer.alloc(SIZE, 1))).toBe(true);
    expect(await complaintOf(one)).toMatch(/no export named|No such file/);
  });

  it('outlives its holder, and is found again by a daemon that was restarted', async () => {
    const one = await disk(0);
    await server.publish({ ...one, readOnly: true });
    const port = server.portOf({ readOnly: true });
    const client = await LiveClient.open(port, one.name);
    process.kill(await oneOfThePair(), 'SIGKILL');
    const next = await LiveClient.open(port, one.name);
    expect(await firstByteOf(next)).toBe(1);
    expect(await create().probe(one.name)).toMatchObject({ ok: true, readOnly: true });
    expect(await firstByteOf(client)).toBe(1);
    expect((await create().clients(one.name)).connected.length).toBe(2);
    await Promise.all([client.close(), next.close()]);
  });
});

describe('a disk leaves and another one gets its letter, while the daemon hangs', () => {
  /** What the udev rule runs when a disk has left; systemd calls the daemon active. */
  async function tellUdev(target: ExportTarget): Promise<void> {
    await mkdir(join(dir, 'bin'), { recursive: true });
    await writeFile(join(dir, 'bin', 'systemctl'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
    const env = { PATH: `${join(dir, 'bin')}:${process.env.PATH}`, RUN_DIR: nbdkit.runDir };
    const [name, diskseq] = [basename(target.devicePath), String(target.diskseq)];
    await run('/bin/sh', ['packaging/udev/close-links', name, diskseq], { env });
  }

  it('nobody gets in under the old name, and the next one has an export of its own', async () => {
    let plug = 7;
    server = create({ diskseq: () => plug });
    const one = { ...(await disk(0)), diskseq: 7 };
    await server.publish(one);
    expect(await complaintOf(one)).toBe('');
    await rm(one.devicePath);
    await tellUdev(one);
    await writeFile(one.devicePath, Buffer.alloc(SIZE, 0x66));
    plug = 8;
    expect(await complaintOf(one)).not.toBe('');
    const next = { ...(await disk(1)), devicePath: one.devicePath, diskseq: 8 };
    await server.publish(next);
    expect((await create().list()).map(({ name, plug: number }) => [name, number])).toContainEqual([
      next.name,
      8,
    ]);
    // It was told late of the first one.
    await tellUdev(one);
    expect(await complaintOf(next)).toBe('');
    expect(await complaintOf(one)).not.toBe('');
    await server.withdraw(one.name);
    await server.withdraw(next.name);
    expect(await readdir(join(nbdkit.runDir, 'plugs'))).toEqual([]);
  });

  it('and the daemon goes on with a publish of the one that has left: its link does not come to life meanwhile', async () => {
    const plugs = [7];
    const leads: boolean[] = [];
    const one = { ...(await disk(0)), diskseq: 7 };
    server = create({
      diskseq: () => {
        leads.push(existsSync(join(nbdkit.runDir, 'exports', one.name)));
        return plugs.shift() ?? 7;
      },
    });
    await server.publish(one);
    await tellUdev(one);
    // It leaves right after it was verified.
    plugs.push(7, 8);
    leads.length = 0;
    await expect(server.publish(one)).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    expect(leads).toEqual([false, false]);
    expect(await complaintOf(one)).not.toBe('');
  });

  it('a kernel that shows the plug no more has no disk there', async () => {
    server = create({ diskseq: () => null });
    const one = { ...(await disk(0)), diskseq: 7 };
    await expect(server.publish(one)).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    expect(await complaintOf(one)).not.toBe('');
  });

  it('what a crash has left of plugs is removed at the next start, and what exports lead through is not', async () => {
    server = create({ diskseq: () => 7 });
    const one = { ...(await disk(0)), diskseq: 7 };
    await server.publish(one);
    const folder = join(nbdkit.runDir, 'plugs');
    const used = await readdir(folder);
    await symlink(one.devicePath, join(folder, `6.vdb.${one.name}`));
    server = create({ diskseq: () => 7 });
    await server.publish(one);
    expect(await readdir(folder)).toEqual(used);
    expect(await complaintOf(one)).toBe('');
  });
});

/**
 * Makes or removes the node and the disk of a loop device, as the kernel does with a disk that comes or
 * leaves.
 */
const loopControl = (request: 'ADD' | 'REMOVE', number: number) =>
  run('python3', [
    '-c',
    `import fcntl; fcntl.ioctl(open('/dev/loop-control', 'rb'), ${request === 'ADD' ? '0x4c80' : '0x4c81'}, ${number})`,
  ]);

/** A number of a loop device that nobody has, made; why there is none otherwise. */
async function freeLoop(): Promise<number | string> {
  try {
    const mounts = await readFile('/proc/self/mountinfo', 'utf8');
    if (!/ \/dev .* - devtmpfs /.test(mounts)) return '/dev has no nodes of the kernel';
    await run('setpriv', ['--bounding-set=-all', '--inh-caps=-all', 'true']);
    const number = 70_000 + (process.pid % 30_000);
    await loopControl('ADD', number);
    return number;
  } catch (error) {
    return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  }
}

describe('a disk of the kernel leaves, and nobody has been told yet when the next one has its name', () => {
  const ended: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const end of ended.splice(0).reverse()) await end().catch(() => {});
  });

  it('nobody gets it under the old export, and a daemon that starts then gives it one of its own', async (context) => {
    const number = await freeLoop();
    if (typeof number === 'string') return context.skip(number);
    const name = `loop${number}`;
    const devicePath = `/dev/${name}`;
    ended.push(() => loopControl('REMOVE', number));
    const read = async (file: string) => (await readFile(`/sys/block/${name}/${file}`, 'utf8')).trim();
    const plugIn = async (content: number) => {
      const file = join(dir, `disk-${content}`);
      await writeFile(file, Buffer.alloc(SIZE, content));
      await run('losetup', [devicePath, file]);
    };
    await plugIn(1);
    ended.push(() => run('losetup', ['--detach', devicePath]));

    // What the unit of the exports has: no capabilities.
    const binary = join(dir, 'nbdkit');
    const script = '#!/bin/sh\nexec setpriv --bounding-set=-all --inh-caps=-all nbdkit "$@"\n';
    await writeFile(binary, script, { mode: 0o755 });
    const plugNumber = Number(await read('diskseq'));
    let diskseq: number | null = plugNumber;
    server = create({ binary, devDir: '/dev', diskseq: () => diskseq });
    const volumeId = '00000000-0000-4000-8000-000000000009';
    const one = { name: exportName(volumeId), volumeId, devicePath, size: SIZE, dev: await read('dev') };
    const target = { ...one, diskseq: plugNumber };
    await server.publish(target);
    ended.push(() => server.withdraw(one.name));
    const client = await open(target);
    expect(await firstByteOf(client)).toBe(1);
    await client.close();
    await until(async () => (await nbdkit.servers()).length === 0);
    const link = join(nbdkit.runDir, 'exports', one.name);
    const before = await readlink(link);
    await server.publish(target);
    expect(await readlink(link)).toBe(before);

    await run('losetup', ['--detach', devicePath]);
    await loopControl('REMOVE', number);
    await loopControl('ADD', number);
    await plugIn(2);
    diskseq = Number(await read('diskseq'));
    expect(diskseq).not.toBe(plugNumber);
    expect(await readlink(link)).toBe(before);
    expect(await complaintOf(target)).not.toBe('');

    // A daemon that starts now finds a link that leads to no disk.
    server = create({ binary, devDir: '/dev', diskseq: () => diskseq });
    await expect(server.publish(target)).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    expect(await server.list()).toEqual([]);
    expect(existsSync(join('/dev/volume-daemon', basename(before)))).toBe(false);
    const next = { ...target, diskseq };
    await server.publish(next);
    const nextClient = await open(next);
    expect(await firstByteOf(nextClient)).toBe(2);
    await nextClient.close();
  }, 60_000);
});

describe('an export that an earlier version has made, which leads to the disk itself', () => {
  it('stays when the server does not answer, and leads to the second name of the node from then on', async (context) => {
    const number = await freeLoop();
    if (typeof number === 'string') return context.skip(number);
    try {
      const volumeId = '00000000-0000-4000-8000-000000000009';
      const [devicePath, name] = [`/dev/loop${number}`, exportName(volumeId)];
      const plug = join(nbdkit.runDir, 'plugs', `7.loop${number}.${name}`);
      const link = join(nbdkit.runDir, 'exports', name);
      for (const path of [plug, link]) await mkdir(dirname(path), { recursive: true });
      await symlink(devicePath, plug);
      await symlink(plug, link);
      const dev = (await readFile(`/sys/block/loop${number}/dev`, 'utf8')).trim();
      const target = { name, volumeId, devicePath, size: SIZE, dev, diskseq: 7 };
      await withLimits({ NBD_START_TIMEOUT_MS: 200 }, async () => {
        server = create({ devDir: '/dev', diskseq: () => 7, holder: join(dir, 'not there') });
        await expect(server.publish(target)).rejects.toMatchObject({ code: 'EXPORT_SERVER_UNHEALTHY' });
      });
      const second = join('/dev/volume-daemon', basename(plug));
      expect([await readlink(link), await readlink(plug), existsSync(second)]).toEqual([plug, second, true]);
      await server.withdraw(name);
      expect(existsSync(second)).toBe(false);
    } finally {
      await loopControl('REMOVE', number);
    }
  }, 60_000);
});

describe('a disk of the kernel has left, and no other has come', () => {
  it('who still has it open by the second name of its node is found', async (context) => {
    const folder = '/dev/volume-daemon';
    const path = join(folder, '7.vdzz.migration-vol-00000000-0000-4000-8000-000000000009');
    if (process.getuid?.() !== 0) return context.skip('only root makes names in /dev');
    await mkdir(folder, { recursive: true });
    await writeFile(path, '');
    const file = await openFile(path);
    try {
      expect(hasOpen(process.pid, '/dev/vdzz')).toBe(true);
      await rm(path);
      expect(hasOpen(process.pid, '/dev/vdzz')).toBe(true);
      expect(hasOpen(process.pid, '/dev/vdz')).toBe(false);
    } finally {
      await file.close();
    }
    expect(hasOpen(process.pid, '/dev/vdzz')).toBe(false);
  });
});

describe('proof of an export', () => {
  it('a disk that was swapped for another of the same size before the server opened it is noticed', async () => {
    const one = await disk(0);
    const other = join(dir, 'other');
    await writeFile(other, Buffer.alloc(SIZE, 0x66));
    await server.publish(one);
    await server.withdraw(one.name);
    // The disk changes after its node was looked at, before the handshake.
    const renamed: Promise<void>[] = [];
    server = create({
      diskseq: () => {
        if (renamed.length === 0) renamed.push(rename(other, one.devicePath));
        return null;
      },
    });
    await expect(server.publish(one)).rejects.toMatchObject({
      code: 'DEVICE_IDENTITY_MISMATCH',
      message: expect.stringContaining('another disk'),
    });
    expect(renamed).toHaveLength(1);
    expect(await complaintOf(one)).not.toBe('');
    expect(await server.list()).toEqual([]);
  });

  it('another plug of a disk under the same letter is not published', async () => {
    const one = await disk(0);
    server = create({ diskseq: () => 8 });
    await expect(server.publish({ ...one, diskseq: 7 })).rejects.toMatchObject({
      code: 'DEVICE_IDENTITY_MISMATCH',
      message: expect.stringContaining('diskseq 8 instead of 7'),
    });
    await server.publish({ ...one, diskseq: 8 });
  });
});
