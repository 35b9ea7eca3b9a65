import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLogger } from '~/server/core/log/logger';
import { ClosedExports } from '~/server/exports/closed-exports';
import { ExportLinks } from '~/server/exports/export-links';
import { exportName } from '~/server/model/export-name';

const [FIRST, SECOND] = ['1', '2'].map((digit) => `${digit.repeat(8)}-2222-4333-8444-555555555555`) as [
  string,
  string,
];
const [ONE, TWO] = [exportName(FIRST), exportName(SECOND)];

let dir: string;
let links: ExportLinks;
let closed: ClosedExports;
let warned: string[];
const disk = (name: string) => join(dir, 'dev', name);
const point = (volumeId: string, name: string) =>
  links.point({
    name: exportName(volumeId),
    volumeId,
    devicePath: disk(name),
    size: 5,
    dev: null,
    diskseq: null,
  });
beforeEach(() => {
  warned = [];
  dir = mkdtempSync(join(tmpdir(), 'closed-exports-'));
  mkdirSync(join(dir, 'dev'));
  mkdirSync(join(dir, 'run'));
  for (const name of ['vdb', 'vdc']) writeFileSync(disk(name), '');
  links = new ExportLinks(
    { runDir: join(dir, 'run'), devDir: join(dir, 'dev'), diskseq: () => null },
    { apart: true },
  );
  closed = new ClosedExports(join(dir, 'run', 'exports-closed'), links, {
    ...silentLogger,
    warn: (message) => void warned.push(message),
  });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

it('names where the clients of a closed export may be, also for a process that begins anew', async () => {
  expect(await closed.read(ONE)).toBeNull();
  await closed.add(ONE, disk('vdb'));
  await closed.add(TWO, disk('vdc'));
  await closed.add(ONE, disk('vdb'));
  const again = new ClosedExports(join(dir, 'run', 'exports-closed'), links, silentLogger);
  expect([await again.read(ONE), await again.read(TWO)]).toEqual([disk('vdb'), disk('vdc')]);
  await closed.add(ONE, disk('vdc'));
  expect([await again.read(ONE), await again.read(TWO)]).toEqual([disk('vdc'), null]);
});

it('the clients of a disk are those of the export that has it now, or of the last one that had it', async () => {
  await closed.add(ONE, disk('vdb'));
  await point(SECOND, 'vdb');
  expect(await closed.read(ONE)).toBeNull();
  await links.remove(TWO);
  expect(await closed.read(ONE)).toBe(disk('vdb'));
  await closed.add(TWO, disk('vdb'));
  expect([await closed.read(ONE), await closed.read(TWO)]).toEqual([null, disk('vdb')]);
  expect(readdirSync(join(dir, 'run', 'exports-closed'))).toEqual([TWO]);
});

it('that it cannot be noted keeps no export open', async () => {
  writeFileSync(join(dir, 'run', 'exports-closed'), 'a file');
  await closed.add(ONE, disk('vdb'));
  expect(warned).toEqual(['Clients of a closed export may not be known any more']);
});
