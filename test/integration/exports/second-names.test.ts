import { existsSync, readFileSync } from 'node:fs';
import { link, lstat, mkdir, mkdtemp, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ExportLinks } from '~/server/exports/export-links';
import { exportName } from '~/server/model/export-name';

/** What the next hard link fails with; null: nothing. */
const fault = vi.hoisted(() => ({ code: null as string | null }));
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const failing: typeof real.link = async (...names) => {
    if (fault.code === null) return real.link(...names);
    throw Object.assign(new Error(`${fault.code}: link`), { code: fault.code });
  };
  return { ...real, link: failing };
});

const VOLUME = '00000000-0000-4000-8000-0000000000e9';
const NAME = exportName(VOLUME);
const SECOND = join('/dev/volume-daemon', `7.loop0.${NAME}`);
const TARGET = { name: NAME, volumeId: VOLUME, devicePath: '/dev/loop0', size: 5, dev: null, diskseq: 7 };
const isPossible =
  process.getuid?.() === 0 &&
  / \/dev .* - devtmpfs /.test(readFileSync('/proc/self/mountinfo', 'utf8')) &&
  existsSync('/dev/loop0') &&
  existsSync('/dev/loop1');

let runDir: string;
let links: ExportLinks;
beforeEach(async () => {
  runDir = await mkdtemp(join(tmpdir(), 'second-names-'));
  links = new ExportLinks({ runDir, devDir: '/dev', diskseq: () => 7 }, { apart: true });
});
afterEach(async () => {
  fault.code = null;
  await rm(SECOND, { force: true });
  await rm(runDir, { recursive: true, force: true });
});

it.runIf(isPossible)('a second name is never turned to the node of another disk', async () => {
  await mkdir('/dev/volume-daemon', { recursive: true });
  await link('/dev/loop1', SECOND);
  const error = { code: 'DEVICE_IDENTITY_MISMATCH', message: expect.stringContaining('the disk has left') };
  await expect(links.point(TARGET)).rejects.toMatchObject(error);
  expect((await lstat(SECOND)).ino).toBe((await lstat('/dev/loop1')).ino);
  expect(await links.read(NAME)).toBeNull();
});

it.runIf(isPossible)('one that could not be made is told of, and made by the next publish', async () => {
  fault.code = 'EPERM';
  await links.point(TARGET);
  const plug = join(runDir, 'plugs', `7.loop0.${NAME}`);
  expect(await readlink(plug)).toBe('/dev/loop0');
  expect(await links.withoutSecondNames()).toEqual({
    reason: expect.stringContaining('EPERM'),
    isMendable: true,
  });
  expect(await links.isRight(TARGET)).toBe(false);
  fault.code = null;
  await links.point(TARGET);
  expect(await readlink(plug)).toBe(SECOND);
  expect([await links.isRight(TARGET), await links.withoutSecondNames()]).toEqual([true, null]);
});
