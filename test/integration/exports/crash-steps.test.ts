import { execFile } from 'node:child_process';
import { link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nbdServerExports } from '~/lab/exports/backends';
import { freeze, interceptSteps } from '~/lab/exports/frozen-steps';
import { LiveClient } from '~/lab/exports/live-client';
import { type NbdServer, startNbdServer } from '~/lab/nbd-server';
import type { ExportServer, ExportTarget } from '~/server/exports/export-server';
import { parse } from '~/server/exports/nbd-server/nbd-config';
import { exportName } from '~/server/model/export-name';

/*
 * The daemon dies before any step that it makes on the way through three change sets. Whatever it leaves: the
 * server never reads a half-written file and never serves a wrong disk, and the next start repairs
 * everything. Every third step, another third each time; all of them with EXPORT_CRASH_STEPS=all.
 */
const STRIDE = process.env.EXPORT_CRASH_STEPS === 'all' ? 1 : 3;
const FIRST = 1 + (Date.now() % STRIDE);
const run = promisify(execFile);
const SIZE = 1024 ** 2;
let dir: string;
let devDir: string;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'volume-crash-'));
  devDir = join(dir, 'dev');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

interface Disk {
  readonly target: ExportTarget;
  readonly file: string;
  readonly fill: number;
}

async function disk(index: number, letter: string): Promise<Disk> {
  const volumeId = `00000000-0000-4000-8000-${String(index).padStart(12, '0')}`;
  const file = join(dir, `volume-${index}`);
  await writeFile(file, Buffer.alloc(SIZE, index));
  const devicePath = join(devDir, letter);
  return {
    target: { name: exportName(volumeId), volumeId, devicePath, size: SIZE, dev: null, diskseq: null },
    file,
    fill: index,
  };
}

/**
 * A and B are exported, C is plugged; then B and C change places of being exported, C with the letter of B.
 */
async function script(server: ExportServer, [a, b, c, d]: readonly Disk[]): Promise<void> {
  if (!a || !b || !c || !d) throw new Error('four disks');
  await server.publish(c.target);
  await server.withdraw(b.target.name);
  await rm(b.target.devicePath);
  await link(d.file, d.target.devicePath);
  await server.publish(d.target);
}

async function disks(): Promise<Disk[]> {
  await rm(devDir, { recursive: true, force: true });
  await mkdir(devDir, { recursive: true });
  const all = [await disk(1, 'vdb'), await disk(2, 'vdc'), await disk(3, 'vdd'), await disk(4, 'vdc')];
  for (const one of all.slice(0, 3)) await link(one.file, one.target.devicePath);
  return all;
}

/** The first byte behind a name, null when nobody is let in. */
async function behind(port: number, name: string): Promise<number | null> {
  try {
    const client = await LiveClient.open(port, name);
    const [byte] = await client.read(0, 512);
    await client.close();
    return byte ?? null;
  } catch {
    return null;
  }
}

/** Never another disk than that of the volume; nothing at all for a volume without a device. */
async function expectNoWrongDisk(port: number, all: readonly Disk[]): Promise<void> {
  const devices = await devicesNow(all);
  for (const one of all) {
    const seen = await behind(port, one.target.name);
    expect([devices.has(one) ? one.fill : null, null]).toContain(seen);
  }
}

/** Which disks are plugged: the content of the device tells. */
async function devicesNow(all: readonly Disk[]): Promise<Set<Disk>> {
  const plugged = new Set<Disk>();
  for (const one of all) {
    const content = await readFile(one.target.devicePath).catch(() => null);
    if (content?.[0] === one.fill) plugged.add(one);
  }
  return plugged;
}

/** What the first sync of a new daemon does: publish what is attached, withdraw what is not. */
async function repair(server: ExportServer, all: readonly Disk[]): Promise<void> {
  const plugged = await devicesNow(all);
  for (const { name } of await server.list())
    if (![...plugged].some(({ target }) => target.name === name)) await server.withdraw(name);
  await Promise.all([...plugged].map(({ target }) => server.publish(target)));
}

async function expectRepaired(server: ExportServer, all: readonly Disk[]): Promise<void> {
  const plugged = await devicesNow(all);
  expect((await server.list()).map(({ name }) => name).sort()).toEqual(
    [...plugged].map(({ target }) => target.name).sort(),
  );
  for (const one of all)
    expect(await behind(server.port, one.target.name)).toBe(plugged.has(one) ? one.fill : null);
  expect((await server.health()).status).toBe('healthy');
}

describe('a daemon that dies before any of its steps', () => {
  let restore = () => {};
  afterEach(() => restore());

  it('nbd-server: files, links and signals', async () => {
    const nbd: NbdServer = await startNbdServer({ dir: join(dir, 'nbd') });
    const create = () => nbdServerExports(nbd, { dir, devDir });
    restore = await interceptSteps();
    const seen = new Set<string>();
    try {
      for (let stopAt = FIRST; ; stopAt += STRIDE) {
        const all = await disks();
        const first = create();
        await repair(first, all.slice(0, 2));
        await first.withdraw(all[2]?.target.name ?? '');
        const dying = create();
        const { stopped, steps } = await freeze(stopAt, () => script(dying, all));
        const what = steps.at(-1) ?? '';
        seen.add(what);
        for (const file of await readdir(nbd.configDir))
          if (file.endsWith('.conf')) {
            const [section] = parse(await readFile(join(nbd.configDir, file), 'utf8'));
            expect(section?.values, `${file} before step ${stopAt} (${what})`).toMatchObject({ fua: 'true' });
          }
        await expectNoWrongDisk(nbd.port, all);
        if (stopped && ['writeFile', 'sync', 'close', 'rename'].includes(what)) {
          // systemd starts the server again before the daemon: it reads what is there.
          await nbd.stop();
          await run('nbd-server', ['-C', nbd.baseConfig, '-p', nbd.pidFile]);
          while ((await behind(nbd.port, all[0]?.target.name ?? '')) === null)
            await new Promise((resolve) => setTimeout(resolve, 20));
          await expectNoWrongDisk(nbd.port, all);
        }
        const next = create();
        await repair(next, all);
        await expectRepaired(next, all);
        expect((await readdir(nbd.configDir)).filter((name) => !name.endsWith('.conf'))).toEqual([]);
        if (!stopped) {
          console.log(
            `nbd-server: ${steps.length} steps, died before number ${FIRST} and every ${STRIDE}. after it (${[...seen].sort().join(', ')}), repaired every time`,
          );
          expect(steps.length).toBeGreaterThan(20);
          break;
        }
        for (const { target } of all) await next.withdraw(target.name);
      }
    } finally {
      restore();
      await nbd.stop();
    }
  }, 300_000);
});
