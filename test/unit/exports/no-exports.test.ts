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

it('switched off, the links of before are known and can be closed: a server that still runs would follow them to another disk', async () => {
  symlinkSync(join(dir, 'vdb'), join(dir, 'exports', exportName(ONE)));
  symlinkSync(join(dir, 'vdc'), join(dir, 'exports-read-only', exportName(TWO)));
  const exports = createExportServer({
    ...NBDKIT_DEFAULTS,
    backend: 'none',
    host: '127.0.0.1',
    port: 10_809,
    readOnlyPort: 10_810,
    holder: '/nowhere/nbd-holder.mjs',
    runDir: dir,
    devDir: dir,
    sysBlockDir: join(dir, 'sys'),
    configDir: join(dir, 'conf.d'),
    baseConfig: join(dir, 'config'),
    pidFile: join(dir, 'pid'),
    binary: null,
    manage: 'auto',
    restartPolicy: 'preserve',
  });
  const listed = await exports.list();
  expect(listed.map(({ volumeId, target }) => [volumeId, target])).toEqual([
    [ONE, join(dir, 'vdb')],
    [TWO, join(dir, 'vdc')],
  ]);
  for (const { name } of listed) await exports.withdraw(name);
  expect(await exports.list()).toEqual([]);
  expect(['exports', 'exports-read-only'].flatMap((folder) => readdirSync(join(dir, folder)))).toEqual([]);
});
