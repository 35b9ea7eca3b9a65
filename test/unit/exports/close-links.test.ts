import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let dir: string;
const at = (name: string) => join(dir, name);
const FOLDERS = ['exports', 'exports-read-only'];
/** Links that are named after the plug of a disk. */
const PLUGS = ['5.vda.to-first', '5.vda.to-second', '57.vda.to-next'];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'close-links-'));
  for (const name of ['bin', 'plugs', 'second-names', ...FOLDERS]) mkdirSync(at(name));
  for (const name of PLUGS) {
    symlinkSync('/dev/vda', at(`plugs/${name}`));
    writeFileSync(at(`second-names/${name}`), '');
  }
  for (const folder of FOLDERS)
    for (const disk of ['vda', 'vdb', 'vdaa']) symlinkSync(`/dev/${disk}`, at(`${folder}/to-${disk}`));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/**
 * What is left of the links to disks when this disk has left. `code` is that of `systemctl is-active`;
 * null: there is none.
 */
function leave(disk: string, code: number | null, diskseq: readonly string[] = []): string[] {
  if (code !== null) writeFileSync(at('bin/systemctl'), `#!/bin/sh\nexit ${code}\n`, { mode: 0o755 });
  for (const program of ['readlink', 'rm']) symlinkSync(`/bin/${program}`, at(`bin/${program}`));
  const env = { PATH: at('bin'), RUN_DIR: dir, SECOND_NAMES: at('second-names') };
  expect(
    spawnSync('/bin/sh', ['packaging/udev/close-links', disk, ...diskseq], { env }).error,
  ).toBeUndefined();
  return FOLDERS.flatMap((folder) => readdirSync(at(folder)).map((name) => `${folder}/${name}`)).sort();
}

describe('a disk leaves', () => {
  const left = (...disks: string[]) =>
    FOLDERS.flatMap((folder) => disks.map((disk) => `${folder}/to-${disk}`)).sort();

  it.each([3, 1, null])(
    'while no daemon runs (%j): the exports that led to it are closed, and no others',
    (code) => {
      expect(leave('vda', code)).toEqual(left('vdaa', 'vdb'));
    },
  );

  it('while one runs: it looks by itself, and may have made a new link for the next disk of this name', () => {
    expect(leave('vda', 0)).toEqual(left('vda', 'vdaa', 'vdb'));
  });

  it.each([0, 3, null])('whoever runs (%j): what is named after its plug goes, and no other plug', (code) => {
    leave('vda', code, ['5']);
    for (const folder of ['plugs', 'second-names'])
      expect(readdirSync(at(folder))).toEqual(['57.vda.to-next']);
  });

  it.each([[[]], [['']], [['*']], [['../exports/to-vda']], [['4']]])(
    'under %j, which is no number of a plug here: all plugs stay',
    (diskseq) => {
      leave('vda', 0, diskseq);
      for (const folder of ['plugs', 'second-names']) expect(readdirSync(at(folder)).sort()).toEqual(PLUGS);
    },
  );

  it('that was not exported: nothing is closed', () => {
    expect(leave('vdc', 3)).toEqual(left('vda', 'vdaa', 'vdb'));
  });

  it('and nothing was ever exported', () => {
    for (const folder of FOLDERS) rmSync(at(folder), { recursive: true });
    for (const folder of FOLDERS) mkdirSync(at(folder));
    expect(leave('vda', 3)).toEqual([]);
  });
});
