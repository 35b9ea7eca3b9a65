import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BACKENDS, type Backend, NBDKIT_DEFAULTS, startBackend } from '~/lab/exports/backends';
import { nbdClients } from '~/lab/exports/clients';
import { startNbdkit } from '~/lab/nbdkit';
import { findProgram } from '~/lab/packages';
import { ownsSocket } from '~/server/devices/sysfs/process-table';
import { listeningSockets } from '~/server/devices/sysfs/socket-table';
import type { ExportServer, ExportTarget } from '~/server/exports/export-server';
import { NbdkitExports } from '~/server/exports/nbdkit/nbdkit-exports';
import { exportName } from '~/server/model/export-name';

/*
 * What becomes of a client in the middle of a copy (nbdcopy, which stands still because nobody reads what it
 * has read): rows of the table in docs/reference/exports.md that the contract suite does not make.
 */
const run = promisify(execFile);
const SIZE = 64 * 1024 ** 2;
let dir: string;
let devDir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'volume-live-'));
  devDir = join(dir, 'dev');
  await mkdir(devDir);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function disk(index: number, letter: string): Promise<ExportTarget> {
  const volumeId = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
  const devicePath = join(devDir, letter);
  await writeFile(devicePath, Buffer.alloc(SIZE, index));
  return { name: exportName(volumeId), volumeId, devicePath, size: SIZE, dev: null, diskseq: null };
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe.each(BACKENDS)('a client of %s in the middle of a copy', (kind) => {
  let backend: Backend;
  let server: ExportServer;
  let clients: ReturnType<typeof nbdClients>;
  beforeEach(async () => {
    backend = await startBackend(kind, { dir, devDir });
    server = backend.create();
    clients = nbdClients({ port: backend.port, dir });
  });
  afterEach(async () => {
    await clients.close();
    await server.close();
    await backend.stop();
  });

  async function begin(name: string) {
    const copy = await clients.begin(name);
    await until(async () => (await server.clients(name)).connected.length > 0);
    return copy;
  }

  it('carries on when everybody who accepts clients is killed at once; a new daemon starts them again', async () => {
    const [one, two] = [await disk(1, 'vdb'), await disk(2, 'vdc')];
    await server.publish(one);
    const copy = await begin(one.name);
    const accepting = (await backend.pids()).filter(
      (pid) => ownsSocket(pid, listeningSockets(backend.port)) === true,
    );
    expect(accepting.length).toBeGreaterThan(0);
    for (const pid of accepting) process.kill(pid, 'SIGKILL');
    server = backend.create();
    await server.publish(two);
    expect(await clients.firstByte(two.name)).toBe(2);
    expect(await copy.finish()).toEqual({ bytes: SIZE, complete: true });
  });

  it('whose disk disappears and gives its letter to another: not a byte of the other one', async () => {
    const one = await disk(1, 'vdb');
    await server.publish(one);
    const copy = spawn('nbdcopy', ['--connections=1', '--', clients.uri(one.name), '-'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    await until(async () => (await server.clients(one.name)).connected.length > 0);
    await rm(one.devicePath);
    await server.withdraw(one.name);
    const two = await disk(2, 'vdb');
    await server.publish(two);
    let foreign = 0;
    for await (const chunk of copy.stdout) if (!chunk.equals(Buffer.alloc(chunk.length, 1))) foreign += 1;
    expect(foreign).toBe(0);
    expect(await clients.firstByte(two.name)).toBe(2);
    expect(await clients.firstByte(one.name)).toEqual(expect.any(String));
  });
});

describe('an upgrade of the package under a copy', () => {
  it('the holder is replaced, then its socket by one with a second port: no copy is cut', async ({
    skip,
  }) => {
    if (!findProgram('systemd-socket-activate')) skip('systemd-socket-activate is not installed');
    const nbdkit = await startNbdkit({ runDir: join(dir, 'run') });
    const { port, readOnlyPort } = nbdkit;
    const clients = nbdClients({ port, dir });
    // The unit of the socket: whatever is called is started by somebody else. Nobody calls systemctl.
    const server = new NbdkitExports({
      ...NBDKIT_DEFAULTS,
      ...nbdkit,
      devDir,
      unit: 'lab.socket',
    });
    let socket = await activate(port);
    try {
      const [one, two] = [await disk(1, 'vdb'), await disk(2, 'vdc')];
      await server.publish(one);
      const copies = [await clients.begin(one.name)];
      await until(async () => (await server.clients(one.name)).connected.length === 1);
      await expect(server.publish({ ...two, readOnly: true })).rejects.toMatchObject({
        code: 'EXPORT_SERVER_UNHEALTHY',
        message: expect.stringMatching(
          /NBD_READ_ONLY_PORT.*lab\.socket a second ListenStream=.*systemctl restart/,
        ),
      });
      expect(await server.list()).toHaveLength(1);
      // `systemctl stop` of the service: SIGKILL for the holder alone. A client that comes now waits.
      for (const pid of await nbdkit.holders()) process.kill(pid, 'SIGKILL');
      expect(await clients.size(one.name)).toBe(SIZE);
      copies.push(await clients.begin(one.name));
      await until(async () => (await server.clients(one.name)).connected.length === 2);
      // `systemctl restart` of the socket unit, whose new version has two ports.
      await end(socket);
      for (const pid of await nbdkit.holders()) process.kill(pid, 'SIGKILL');
      await until(async () => listeningSockets(port).size === 0);
      socket = await activate(port, readOnlyPort);
      await server.publish({ ...two, readOnly: true });
      expect((await run('nbdinfo', [`nbd://127.0.0.1:${readOnlyPort}/${two.name}`])).stdout).toMatch(
        /is_read_only: true/,
      );
      for (const copy of copies) expect(await copy.finish()).toEqual({ bytes: SIZE, complete: true });
    } finally {
      await clients.close();
      await end(socket);
      await nbdkit.stop();
    }

    /** The part of systemd: it has the sockets and starts the holder again whenever it ends. */
    async function activate(...ports: number[]): Promise<ChildProcess> {
      // As after a boot, the folders are not there yet.
      const [writable, readOnly] = ['exports', 'exports-read-only'].map((name) => join(nbdkit.runDir, name));
      const holder = `${process.execPath} ${nbdkit.holder} --exports=${writable} --exports-read-only=${readOnly}`;
      const listen = ports.flatMap((one) => ['--listen', `127.0.0.1:${one}`]);
      const again = ['sh', '-c', `while :; do ${holder}; done`];
      const unit = spawn('systemd-socket-activate', [...listen, ...again], { stdio: 'ignore' });
      await until(async () => ports.every((one) => listeningSockets(one).size > 0));
      return unit;
    }
  });
});

async function end(unit: ChildProcess): Promise<void> {
  if (unit.exitCode !== null || unit.signalCode !== null) return;
  unit.kill('SIGKILL');
  await once(unit, 'exit');
}
