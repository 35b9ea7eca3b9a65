import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NBDKIT_DEFAULTS } from '~/lab/exports/backends';
import { type Nbdkit, startNbdkit } from '~/lab/nbdkit';
import { ensurePackages } from '~/lab/packages';
import { systemClock } from '~/server/core/clock';
import type { ExportTarget } from '~/server/exports/export-server';
import { NbdkitExports, type NbdkitOptions } from '~/server/exports/nbdkit/nbdkit-exports';
import { exportName } from '~/server/model/export-name';

/** Encrypted exports, as docs/reference/exports.md shows them, with independent clients. */
const run = promisify(execFile);
const SIZE = 1024 ** 2;
let dir: string;
let tlsDir: string;
let nbdkit: Nbdkit;
let target: ExportTarget;

beforeEach(async () => {
  ensurePackages(['openssl', 'nbdcopy', 'nbdinfo']);
  dir = await mkdtemp(join(tmpdir(), 'volume-tls-'));
  tlsDir = join(dir, 'tls');
  await mkdir(join(dir, 'dev'));
  await mkdir(tlsDir, { mode: 0o700 });
  nbdkit = await startNbdkit({ runDir: join(dir, 'run') });
  const volumeId = '00000000-0000-4000-8000-000000000001';
  const devicePath = join(dir, 'dev', 'vdb');
  await writeFile(devicePath, Buffer.alloc(SIZE, 0x5a));
  target = { name: exportName(volumeId), volumeId, devicePath, size: SIZE, dev: null, diskseq: null };
});
afterEach(async () => {
  await nbdkit.stop();
  await rm(dir, { recursive: true, force: true });
});

const create = (tls: 'off' | 'on' | 'require', options: Partial<NbdkitOptions> = {}) =>
  new NbdkitExports({ ...NBDKIT_DEFAULTS, ...nbdkit, devDir: join(dir, 'dev'), tls, tlsDir, ...options });

const openssl = (...args: string[]) => run('openssl', args, { cwd: tlsDir });

/** A certificate authority, and a certificate that it signs for each name. */
async function certificates(...names: string[]): Promise<void> {
  const subject = (name: string) => ['-subj', `/CN=${name}`];
  await openssl(
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '2',
    ...subject('exports CA'),
    '-keyout',
    'ca-key.pem',
    '-out',
    'ca-cert.pem',
  );
  for (const name of names) {
    await openssl(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      ...subject('localhost'),
      '-keyout',
      `${name}-key.pem`,
      '-out',
      `${name}.csr`,
    );
    await openssl(
      'x509',
      '-req',
      '-days',
      '2',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca-cert.pem',
      '-CAkey',
      'ca-key.pem',
      '-out',
      `${name}-cert.pem`,
    );
  }
}

/** nbdcopy to a file; what was read, or what it complains about. */
async function copied(uri: string): Promise<string> {
  const file = join(dir, 'copy');
  return run('nbdcopy', ['--', uri, file]).then(
    async () => ((await readFile(file)).equals(Buffer.alloc(SIZE, 0x5a)) ? 'all of it' : 'something else'),
    (error: unknown) => (error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)),
  );
}

const plain = () => `nbd://127.0.0.1:${nbdkit.port}/${target.name}`;
const withKeys = () =>
  `nbds://daemon@127.0.0.1:${nbdkit.port}/${target.name}?tls-psk-file=${tlsDir}/keys.psk`;
const withCertificates = () => `nbds://localhost:${nbdkit.port}/${target.name}?tls-certificates=${tlsDir}`;

describe('TLS of the exports', () => {
  it('pre-shared keys, required: nobody is let in without, and our own check speaks TLS', async () => {
    await writeFile(join(tlsDir, 'keys.psk'), `daemon:${'5a'.repeat(32)}\n`, { mode: 0o600 });
    const server = create('require');
    await server.publish(target);
    expect(await server.probe(target.name)).toMatchObject({ ok: true, size: SIZE });
    expect(await copied(plain())).toMatch(/TLS/);
    expect(await copied(withKeys())).toBe('all of it');
    expect(await server.health()).toMatchObject({ status: 'healthy' });
  });

  it('pre-shared keys, allowed: both get in', async () => {
    await writeFile(join(tlsDir, 'keys.psk'), `daemon:${'5a'.repeat(32)}\n`, { mode: 0o600 });
    await create('on').publish(target);
    expect(await copied(plain())).toBe('all of it');
    expect(await copied(withKeys())).toBe('all of it');
  });

  it('certificates: a client that trusts the authority gets in', async () => {
    await certificates('server');
    await create('require').publish(target);
    expect(await copied(withCertificates())).toBe('all of it');
    expect(await copied(plain())).toMatch(/TLS/);
  });

  it('certificates that have expired, or will soon, are named by health before a client meets them', async () => {
    await certificates('server');
    const inDays = (days: number) =>
      create('require', {
        clock: { ...systemClock, now: () => Date.now() + days * 86_400_000 },
      }).health();
    expect(await inDays(0)).toMatchObject({ status: 'healthy' });
    expect(await inDays(1.95)).toMatchObject({
      status: 'degraded',
      message: expect.stringMatching(/; ca-cert\.pem expires at 2.*Z; server-cert\.pem expires at 2.*Z$/),
    });
    expect(await inDays(3)).toMatchObject({
      status: 'degraded',
      message: expect.stringMatching(/; ca-cert\.pem has expired at 2.*Z; server-cert\.pem has expired at/),
    });
    expect((await inDays(-1)).message).toMatch(/server-cert\.pem is not valid before/);
    const [ca, server] = await Promise.all(
      ['ca-cert.pem', 'server-cert.pem'].map((name) => readFile(join(tlsDir, name), 'utf8')),
    );
    // The authority that takes over from it, and one that will.
    await certificates();
    const next = await readFile(join(tlsDir, 'ca-cert.pem'), 'utf8');
    await writeFile(join(tlsDir, 'ca-cert.pem'), `${ca}${next}`);
    await writeFile(join(tlsDir, 'server-cert.pem'), `${server}${next}`);
    expect(await inDays(0)).toMatchObject({ status: 'healthy' });
  });

  it('certificates of clients, too: one that has none is refused', async () => {
    await certificates('server', 'client');
    await create('require').publish(target);
    expect(await copied(withCertificates())).toBe('all of it');
    const stranger = join(dir, 'stranger');
    await mkdir(stranger);
    await writeFile(join(stranger, 'ca-cert.pem'), await readFile(join(tlsDir, 'ca-cert.pem')));
    expect(
      await copied(`nbds://localhost:${nbdkit.port}/${target.name}?tls-certificates=${stranger}`),
    ).not.toBe('all of it');
  });

  it('a daemon that does not know that TLS is required is told what to set', async () => {
    await writeFile(join(tlsDir, 'keys.psk'), `daemon:${'5a'.repeat(32)}\n`, { mode: 0o600 });
    await create('require').publish(target);
    expect(await create('off').probe(target.name)).toMatchObject({
      ok: false,
      reason: 'tls',
      message: expect.stringMatching(/TLS required \(error 5\).*NBD_TLS/),
    });
  });

  it('missing or broken keys: the reason names the file, and never what is in it', async () => {
    const server = create('require');
    await expect(server.publish(target)).rejects.toMatchObject({
      code: 'EXPORT_SERVER_UNHEALTHY',
      message: expect.stringContaining(tlsDir),
    });
    await writeFile(join(tlsDir, 'keys.psk'), 'daemon:not-hexadecimal-secret\n');
    const error = await server.publish(target).catch((reason: unknown) => reason);
    expect(String(error)).toContain('keys.psk');
    expect(String(error)).not.toContain('secret');
  });
});
