import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { NBDKIT_DEFAULTS } from '~/lab/exports/backends';
import { createExportServer } from '~/server/exports/create-export-server';
import { exportName } from '~/server/model/export-name';

const [ONE, TWO] = ['10000000-0000-4000-8000-000000000001', '20000000-0000-4000-8000-000000000002'];
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'no-exports-'));
  for (const folder of ['exports', 'exports-read-only']) mkdirSync(join(dir, folder));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const create = (backend: 'none' | 'nbdkit', readOnlyPort: number) =>
  createExportServer({
    ...NBDKIT_DEFAULTS,
    backend,
    host: '127.0.0.1',
    port: 10_809,
    readOnlyPort,
    holder: '/nowhere/nbd-holder.mjs',
    runDir: dir,
    devDir: dir,
    sysBlockDir: join(dir, 'sys'),
    configDir: join(dir, 'conf.d'),
    baseConfig: join(dir, 'config'),
    pidFile: join(dir, 'pid'),
    binary: null,
    manage: 'own',
    restartPolicy: 'preserve',
  });

it('switched off, the links of before are known and can be closed: a server that still runs would follow them to another disk', async () => {
  symlinkSync(join(dir, 'vdb'), join(dir, 'exports', exportName(ONE)));
  symlinkSync(join(dir, 'vdc'), join(dir, 'exports-read-only', exportName(TWO)));
  const exports = create('none', 10_810);
  const listed = await exports.list();
  expect(listed.map(({ volumeId, target }) => [volumeId, target])).toEqual([
    [ONE, join(dir, 'vdb')],
    [TWO, join(dir, 'vdc')],
  ]);
  for (const { name } of listed) await exports.withdraw(name);
  expect(await exports.list()).toEqual([]);
  expect(['exports', 'exports-read-only'].flatMap((folder) => readdirSync(join(dir, folder)))).toEqual([]);
});

it('nbdkit that was found, with one port for both kinds of exports, says which setting to change and starts nothing', async () => {
  expect(await create('nbdkit', 10_809).health()).toMatchObject({
    status: 'unhealthy',
    message: expect.stringMatching(/NBD_READ_ONLY_PORT is 10809, as NBD_PORT is.*set another one/),
    pid: null,
  });
});
