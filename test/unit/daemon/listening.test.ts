import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listenProblem, prepareListening, STOP_SIGNALS } from '~/server/daemon/listening';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'listening-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the address the server takes', () => {
  it('is the one that was checked, not the default of all interfaces', () => {
    const env: Record<string, string | undefined> = {};
    prepareListening({ host: '127.0.0.1', port: 8090, socketPath: null }, env);
    expect(env).toMatchObject({ HOST: '127.0.0.1', PORT: '8090' });
  });

  it('an answer that waits for CloudStack does not hold the end of the process until systemd kills it', () => {
    const env: Record<string, string | undefined> = {};
    prepareListening({ host: '127.0.0.1', port: 8090, socketPath: null }, env);
    const unit = readFileSync('packaging/systemd/volume-daemon.service', 'utf8');
    const killedAfterMs = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]) * 1_000;
    expect(Number(env.NITRO_SHUTDOWN_TIMEOUT)).toBeLessThan(killedAfterMs);
  });

  it('a terminal that is closed lets the daemon drain, as SIGTERM does: the next one need not wait for its lease', () => {
    const env: Record<string, string | undefined> = {};
    prepareListening({ host: '127.0.0.1', port: 8090, socketPath: null }, env);
    expect(env.NITRO_SHUTDOWN_SIGNALS?.split(' ')).toEqual([...STOP_SIGNALS]);
    expect(STOP_SIGNALS).toContain('SIGHUP');
  });

  it('a socket that a killed daemon left behind does not keep the next one from listening', async () => {
    const socketPath = join(folder, 'api.sock');
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(join(folder, 'first.sock'), resolve));
    // Closing a server removes the name it was bound to; renamed, the socket stays as after a kill.
    renameSync(join(folder, 'first.sock'), socketPath);
    await new Promise((resolve) => dead.close(resolve));
    expect(existsSync(socketPath)).toBe(true);

    const env: Record<string, string | undefined> = {};
    prepareListening({ host: '127.0.0.1', port: 8090, socketPath }, env);
    expect(env.NITRO_UNIX_SOCKET).toBe(socketPath);
    expect(existsSync(socketPath)).toBe(false);
  });

  it('the socket of a daemon that runs is left alone: whoever is started beside it ends, and takes nobody from it', async () => {
    const socketPath = join(folder, 'api.sock');
    const alive = createServer();
    await new Promise<void>((resolve) => alive.listen(socketPath, resolve));
    prepareListening({ host: '127.0.0.1', port: 8090, socketPath }, {});
    expect(existsSync(socketPath)).toBe(true);
    await new Promise((resolve) => alive.close(resolve));
  });

  it('a file that is no socket is never removed', () => {
    const socketPath = join(folder, 'precious');
    writeFileSync(socketPath, 'data');
    prepareListening({ host: '127.0.0.1', port: 8090, socketPath }, {});
    expect(existsSync(socketPath)).toBe(true);
  });
});

describe('that the server cannot listen', () => {
  const http = { host: '127.0.0.1', port: 8090, socketPath: null };
  const listening = (port: number) =>
    new Promise<{ server: Server; error: Error | null }>((resolve) => {
      const server = createServer();
      server.once('error', (error) => resolve({ server, error }));
      server.listen(port, '127.0.0.1', () => resolve({ server, error: null }));
    });

  it('because the port is taken names the setting, and how to find out by whom', async () => {
    const { server } = await listening(0);
    const { port } = server.address() as AddressInfo;
    const { error } = await listening(port);
    expect(listenProblem(error, { ...http, port })).toMatch(
      new RegExp(`^PORT: listen EADDRINUSE.*127.0.0.1:${port}; ss -ltnp 'sport = :${port}'`),
    );
    server.close();
  });

  it('names the setting that says where, and is told from every other error', () => {
    const error = (code: string) => Object.assign(new Error(`listen ${code}`), { code, syscall: 'listen' });
    expect(listenProblem(error('EADDRNOTAVAIL'), http)).toMatch(/^HOST: /);
    expect(listenProblem(error('EACCES'), { ...http, port: 80 })).toMatch(/^PORT: .*1024/);
    expect(listenProblem(error('EACCES'), { ...http, socketPath: join(folder, 'x') })).toBe(
      'UNIX_SOCKET: listen EACCES',
    );
    expect(listenProblem(error('EACCES'), { ...http, socketPath: '/none/x' })).toBe(
      'UNIX_SOCKET: the folder of /none/x is not there',
    );
    expect(listenProblem(new TypeError('x is undefined'), http)).toBeNull();
  });
});
