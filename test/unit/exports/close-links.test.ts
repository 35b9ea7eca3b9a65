import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let dir: string;
const at = (name: string) => join(dir, name);
const FOLDERS = ['exports', 'exports-read-only'];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'close-links-'));
  for (const name of ['bin', ...FOLDERS]) mkdirSync(at(name));
  for (const folder of FOLDERS)
    for (const disk of ['vda', 'vdb', 'vdaa']) symlinkSync(`/dev/${disk}`, at(`${folder}/to-${disk}`));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** What is left of the links when this disk has left. `code` is that of `systemctl is-active`; null: there is none. */
function leave(disk: string, code: number | null): string[] {
  if (code !== null) writeFileSync(at('bin/systemctl'), `#!/bin/sh\nexit ${code}\n`, { mode: 0o755 });
  for (const program of ['readlink', 'rm']) symlinkSync(`/bin/${program}`, at(`bin/${program}`));
  const env = { PATH: at('bin'), RUN_DIR: dir };
  expect(spawnSync('/bin/sh', ['packaging/udev/close-links', disk], { env }).error).toBeUndefined();
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

  it('that was not exported: nothing is closed', () => {
    expect(leave('vdc', 3)).toEqual(left('vda', 'vdaa', 'vdb'));
  });

  it('and nothing was ever exported', () => {
    for (const folder of FOLDERS) rmSync(at(folder), { recursive: true });
    for (const folder of FOLDERS) mkdirSync(at(folder));
    expect(leave('vda', 3)).toEqual([]);
  });
});
