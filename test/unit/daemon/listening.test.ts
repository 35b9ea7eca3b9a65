import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { prepareListening } from '~/server/daemon/listening';

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
