import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ExportLinks } from '~/server/exports/export-links';
import type { ExportTarget } from '~/server/exports/export-server';
import { exportName } from '~/server/model/export-name';

const VOLUME = '11111111-2222-4333-8444-555555555555';
const NAME = exportName(VOLUME);

let dir: string;
let devDir: string;
/** What the kernel says now, by device name. */
let plugs: Map<string, number>;
let links: ExportLinks;
const at = (...parts: string[]) => join(dir, 'run', ...parts);
const make = (apart = true) =>
  new ExportLinks(
    { runDir: join(dir, 'run'), devDir, diskseq: (name) => plugs.get(name) ?? null },
    { apart },
  );
const disk = (name: string) => join(devDir, name);
const target = (fields: Partial<ExportTarget> = {}): ExportTarget => ({
  name: NAME,
  volumeId: VOLUME,
  devicePath: disk('vdb'),
  size: 5,
  dev: '253:16',
  diskseq: 7,
  ...fields,
});
/** Every link below the run directory, with what it says. */
const all = () =>
  ['.', 'exports', 'exports-read-only', 'plugs']
    .filter((folder) => existsSync(at(folder)))
    .flatMap((folder) =>
      readdirSync(at(folder), { withFileTypes: true })
        .filter((one) => one.isSymbolicLink())
        .map(({ name }) => [join(folder, name), readlinkSync(at(folder, name)).replace(`${dir}/`, '')]),
    );

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'export-links-'));
  devDir = join(dir, 'dev');
  mkdirSync(devDir);
  for (const name of ['vdb', 'vdc']) writeFileSync(disk(name), name);
  plugs = new Map([
    ['vdb', 7],
    ['vdc', 8],
  ]);
  mkdirSync(at(), { recursive: true });
  links = make();
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('the link of an export', () => {
  it('leads through the plug of its disk, and is right as long as both say so', async () => {
    expect(await links.isRight(target())).toBe(false);
    await links.point(target());
    expect(all()).toEqual([
      [`exports/${NAME}`, `run/plugs/7.vdb.${NAME}`],
      [`plugs/7.vdb.${NAME}`, 'dev/vdb'],
    ]);
    expect([await links.isRight(target()), await links.read(NAME)]).toEqual([true, disk('vdb')]);
    expect(await links.plug(NAME), 'also another process knows for which plug it was made').toBe(7);
    expect(await links.isRight(target({ diskseq: 9 }))).toBe(false);
    expect(await links.isRight(target({ diskseq: null }))).toBe(false);
    // Whoever saw the disk leave has removed it.
    unlinkSync(at('plugs', `7.vdb.${NAME}`));
    expect(await links.isRight(target())).toBe(false);
    symlinkSync(disk('vdc'), at('plugs', `7.vdb.${NAME}`));
    expect([await links.isRight(target()), await links.leadsTo(target())]).toEqual([false, false]);
  });

  it('leads to the disk itself where plugs are not numbered', async () => {
    plugs.clear();
    await links.point(target({ diskseq: null }));
    expect(all()).toEqual([[`exports/${NAME}`, 'dev/vdb']]);
    expect(await links.plug(NAME)).toBeNull();
    expect(await links.isRight(target({ diskseq: null }))).toBe(true);
    expect(await links.isRight(target({ diskseq: null, devicePath: disk('vdc') }))).toBe(false);
    await links.remove(NAME);
    expect([all(), existsSync(disk('vdb'))], 'the disk itself is not removed').toEqual([[], true]);
  });

  it('is one: a move to another disk, or to another access, leaves nothing of the one before', async () => {
    await links.point(target());
    await links.point(target({ devicePath: disk('vdc'), diskseq: 8 }));
    expect(all()).toEqual([
      [`exports/${NAME}`, `run/plugs/8.vdc.${NAME}`],
      [`plugs/8.vdc.${NAME}`, 'dev/vdc'],
    ]);
    expect(await links.isReadOnly(NAME)).toBe(false);
    await links.point(target({ devicePath: disk('vdc'), diskseq: 8, readOnly: true }));
    expect(all()).toEqual([
      [`exports-read-only/${NAME}`, `run/plugs/8.vdc.${NAME}`],
      [`plugs/8.vdc.${NAME}`, 'dev/vdc'],
    ]);
    expect([await links.isReadOnly(NAME), await links.read(NAME)]).toEqual([true, disk('vdc')]);
    expect(await links.names()).toEqual([NAME]);
    await links.point(target());
    expect(all().map(([name]) => name)).toEqual([`exports/${NAME}`, `plugs/7.vdb.${NAME}`]);
    // Left behind by a crash: the way through which the export does not lead.
    symlinkSync(disk('vdc'), at('plugs', `8.vdc.${NAME}`));
    expect(await links.isRight(target({ devicePath: disk('vdc'), diskseq: 8 }))).toBe(false);
    unlinkSync(at('plugs', `8.vdc.${NAME}`));
    await links.remove(NAME);
    expect([all(), await links.isReadOnly(NAME), await links.read(NAME)]).toEqual([[], false, null]);
    await links.remove(NAME);
  });

  it('is the same in one folder where the server decides by something else', async () => {
    links = make(false);
    await links.point(target({ readOnly: true }));
    expect(all().map(([name]) => name)).toEqual([`exports/${NAME}`, `plugs/7.vdb.${NAME}`]);
    expect([await links.isReadOnly(NAME), await links.names()]).toEqual([false, [NAME]]);
  });

  it('of a disk that was seen to leave does not come to life again when its plug is made anew', async () => {
    await links.point(target());
    unlinkSync(at('plugs', `7.vdb.${NAME}`));
    const seen: string[] = [];
    plugs.get = (name) => {
      // The last look before anything leads anywhere: the old link must be gone by then.
      seen.push(
        existsSync(at('plugs', `7.vdb.${NAME}`)) && existsSync(at('exports', NAME)) ? 'leads' : 'closed',
      );
      return name === 'vdb' ? 7 : undefined;
    };
    await links.point(target());
    expect(seen).toEqual(['closed', 'closed']);
  });

  it('is not made where the disk has left while its plug was made', async () => {
    let looks = 0;
    plugs.get = () => {
      looks += 1;
      return looks === 1 ? 7 : 9;
    };
    await expect(links.point(target())).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    expect([await links.read(NAME), all()]).toEqual([null, []]);
  });

  it('is made also where a crash has left half of it', async () => {
    mkdirSync(at('exports'));
    symlinkSync(disk('vdc'), at(`.${NAME}.new`));
    mkdirSync(at('plugs'));
    symlinkSync(disk('vdc'), at('plugs', `7.vdb.${NAME}`));
    await links.point(target());
    expect(all()).toEqual([
      [`exports/${NAME}`, `run/plugs/7.vdb.${NAME}`],
      [`plugs/7.vdb.${NAME}`, 'dev/vdb'],
    ]);
  });
});

describe('the disk of an export', () => {
  const UNNUMBERED = { diskseq: null };

  it.each<[string, Partial<ExportTarget>, () => void]>([
    ['lies outside of the device folder', { ...UNNUMBERED, devicePath: '/etc/passwd' }, () => {}],
    [
      'lies in a folder of it',
      { ...UNNUMBERED, devicePath: '/DEV/mapper/x' },
      () => {
        mkdirSync(disk('mapper'));
        writeFileSync(disk('mapper/x'), '');
      },
    ],
    ['is the folder itself', { ...UNNUMBERED, devicePath: '/DEV' }, () => {}],
    ['leads out of it', { ...UNNUMBERED, devicePath: '/DEV/..' }, () => {}],
    ['has no node', { ...UNNUMBERED, devicePath: '/DEV/vdz' }, () => {}],
    [
      'has a node that is a link',
      { ...UNNUMBERED, devicePath: '/DEV/vdl' },
      () => symlinkSync(disk('vdb'), disk('vdl')),
    ],
    ['is another plug by now', { diskseq: 6 }, () => {}],
    ['has left: the kernel shows no plug there', {}, () => plugs.clear()],
  ])('is refused where it %s', async (_what, fields, happens) => {
    happens();
    const wrong = target({
      ...fields,
      devicePath: (fields.devicePath ?? disk('vdb')).replace('/DEV', devDir),
    });
    await expect(links.verify(wrong)).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    await expect(links.point(wrong)).rejects.toMatchObject({ code: 'DEVICE_IDENTITY_MISMATCH' });
    expect(all()).toEqual([]);
  });

  it('is told from another one in its place', async () => {
    const node = await links.verify(target());
    expect(await links.verify(target())).toBe(node);
    expect(await links.verify(target({ devicePath: disk('vdc'), diskseq: 8 }))).not.toBe(node);
    expect(await links.verify(target({ diskseq: null }))).toBe(node);
  });
});

describe('at the start', () => {
  it('stays what leads to a disk that is there; what leads elsewhere, or to none, goes', async () => {
    await links.point(target());
    const second = exportName('22222222-2222-4333-8444-555555555555');
    const third = exportName('33333333-2222-4333-8444-555555555555');
    symlinkSync(disk('vdz'), at('exports', second));
    mkdirSync(at('exports-read-only'));
    symlinkSync('/etc/passwd', at('exports-read-only', third));
    symlinkSync(disk('vdb'), at('exports', 'somebody'));
    writeFileSync(at('exports', 'a file'), '');
    mkdirSync(at('exports', 'a folder'));
    symlinkSync(disk('vdc'), at('plugs', `8.vdc.${second}`));
    expect((await links.sweep()).sort()).toEqual(['a file', second, third, 'somebody'].sort());
    expect(all()).toEqual([
      [`exports/${NAME}`, `run/plugs/7.vdb.${NAME}`],
      [`plugs/7.vdb.${NAME}`, 'dev/vdb'],
    ]);
    expect(existsSync(at('exports', 'a folder'))).toBe(true);
  });

  it('stays one that cannot be written, where the server decides by the folder', async () => {
    await links.point(target({ readOnly: true }));
    expect([await links.sweep(), await links.isReadOnly(NAME)]).toEqual([[], true]);
  });

  it('goes whatever a server before this one has left in a folder that nobody looks at any more', async () => {
    await links.point(target({ readOnly: true }));
    links = make(false);
    expect(await links.sweep()).toEqual([NAME]);
    expect(all()).toEqual([]);
  });

  it('a plug that was removed says where its export led, and is no leftover to come back', async () => {
    await links.point(target());
    unlinkSync(at('plugs', `7.vdb.${NAME}`));
    expect(await links.read(NAME)).toBe(disk('vdb'));
    expect(await links.sweep()).toEqual([NAME]);
    expect(all()).toEqual([]);
  });
});

it('on a real machine only a block device is a disk, and only the one of that number', async () => {
  const real = new ExportLinks({ runDir: at(), devDir: '/dev', diskseq: () => null }, { apart: true });
  const refusal = (name: string, dev: string | null) =>
    real.verify({ devicePath: `/dev/${name}`, dev, diskseq: null }).then(
      () => 'none',
      (error: unknown) => String(error),
    );
  expect(await refusal('null', null)).toContain('it is not a block device');
  const block = readdirSync('/dev').find((name) => statSync(`/dev/${name}`).isBlockDevice());
  if (block === undefined) return;
  expect(await refusal(block, null)).toBe('none');
  expect(await refusal(block, '4095:1')).toContain('the device is 4095:1');
});

it('a link that cannot be removed is not said to be', async () => {
  mkdirSync(at('exports', NAME), { recursive: true });
  await expect(links.remove(NAME)).rejects.toMatchObject({ code: 'EXPORT_CONFIG_FAILED' });
});
