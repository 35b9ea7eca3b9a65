import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { findProgram } from '~/lab/packages';
import { silentLogger } from '~/server/core/log/logger';
import type { NbdkitOptions } from '~/server/exports/nbdkit/nbdkit-exports';
import { withLimits } from '~/test/support/with-limits';
import { useNbdkit } from './use-nbdkit';

/** nbdkit that leaves, hangs or cannot serve while the daemon runs: what health and a publish say of it. */
const scene = useNbdkit();
let program: string;

const create = (options: Partial<NbdkitOptions> = {}) => scene.create({ binary: program, ...options });

beforeEach(async () => {
  program = join(scene.dir, 'nbdkit');
  await install('exec "$real" "$@"');
});

/** Puts a program in the place of nbdkit, as an upgrade does. */
async function install(script: string): Promise<void> {
  await writeFile(`${program}.new`, `#!/bin/sh\nreal=${findProgram('nbdkit')}\n${script}\n`);
  await chmod(`${program}.new`, 0o755);
  await rename(`${program}.new`, program);
}

describe('nbdkit while the daemon runs', () => {
  // Whoever has answered lately is believed for a while.
  const doubtful = { NBD_BELIEVED_MS: 0, NBD_REVIVE_BASE_MS: 5 };

  it.each([
    {
      what: 'is removed',
      script: null,
      says: /nbdkit is not installed \(apt-get install nbdkit\)/,
      patience: {},
    },
    {
      what: 'hangs',
      script: 'exec sleep 100',
      says: /nbdkit does not serve: it has not ended within 500 ms/,
      patience: { NBD_HANDSHAKE_TIMEOUT_MS: 500 },
    },
    {
      what: 'lost a library',
      script: 'echo "error while loading shared libraries: libz.so.1" >&2; exit 127',
      says: /nbdkit does not serve: error while loading shared libraries: libz\.so\.1/,
      patience: {},
    },
  ])(
    '$what: health and a publish say that at once, and it is over when it is back',
    ({ script, says, patience }) =>
      withLimits(doubtful, async () => {
        const server = create();
        const target = await scene.disk(0);
        await server.publish(target);
        expect(await server.health()).toMatchObject({ status: 'healthy' });
        if (script === null) await rm(program);
        else await install(script);
        await withLimits(patience, async () => {
          const health = await server.health();
          expect(health).toMatchObject({ status: 'unhealthy', message: expect.stringMatching(says) });
          expect(health.message).not.toContain('port');
          await expect(server.publish(target)).rejects.toMatchObject({
            code: 'EXPORT_SERVER_UNHEALTHY',
            message: expect.stringMatching(says),
          });
        });
        await install('exec "$real" "$@"');
        expect(await server.health()).toMatchObject({ status: 'healthy' });
        await server.publish(target);
      }),
  );

  it('is replaced by another version: health names that one', async () => {
    const server = create();
    expect((await server.health()).version).not.toBe('1.99.7');
    await install('case "$*" in -V) echo "nbdkit 1.99.7";; *) exec "$real" "$@";; esac');
    expect(await server.health()).toMatchObject({
      status: 'healthy',
      version: '1.99.7',
      message: expect.stringContaining('nbdkit 1.99.7'),
    });
  });
});

it('without room for its pid file, which is a hint, a holder serves all the same', async () => {
  await mkdir(join(scene.nbdkit.runDir, 'nbd-holder.pid.tmp'), { recursive: true });
  const server = create();
  expect(await server.health()).toMatchObject({ status: 'healthy', pid: expect.any(Number) });
  await server.publish(await scene.disk(0));
});

it('an address on which nobody can listen is named', async () => {
  await withLimits({ NBD_START_TIMEOUT_MS: 1_500 }, async () => {
    expect((await create({ host: 'no-such-host.invalid' }).health()).message).toMatch(
      /does not stay on no-such-host\.invalid:\d+ \(NBD_HOST, NBD_PORT\): .*(ENOTFOUND|EAI_AGAIN)/,
    );
  });
});

it('a port that another program has is called taken', async () => {
  const other = createServer((socket) => socket.end()).listen(scene.nbdkit.port, '127.0.0.1');
  const health = await create().health();
  expect(health.message).toMatch(new RegExp(`port ${scene.nbdkit.port} is taken by another process`));
  await new Promise((resolve) => other.close(resolve));
});

describe('exports on an address that other machines reach', () => {
  it.each(['0.0.0.0', '::'])('%s: health and the log say so, and clients get in as before', async (host) => {
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
    const server = create({ host, logger });
    const target = await scene.disk(0);
    await server.publish(target);
    const { status, message } = await server.health();
    expect(status).toBe('healthy');
    const shown = host === '::' ? '[::]' : host;
    const addresses = [scene.nbdkit.port, scene.nbdkit.readOnlyPort].map((port) => `${shown}:${port}`).sort();
    expect(message).toContain(`whoever reaches ${addresses.join(', ')} may read and write the exports`);
    await server.health();
    expect(warnings).toEqual(['Other machines may connect to the exports without encryption']);
    expect(await server.probe(target.name)).toMatchObject({ ok: true });
  });

  it.each(['127.0.0.1', '::1'])('on loopback, %s, there is nothing to say', async (host) => {
    const server = create({ host });
    await server.publish(await scene.disk(0));
    expect((await server.health()).message).not.toContain('whoever reaches');
  });
});
