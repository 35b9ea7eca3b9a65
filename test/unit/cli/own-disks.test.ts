import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isNamed, localDisks } from '~/cli/local-disks';
import { addOwnDisk, identityFor, readList, removeOwnDisk } from '~/cli/own-disks-file';
import { LIMITS } from '~/server/core/limits';

let dir: string;
const path = () => join(dir, 'volume-daemon/own-disks');
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'own-'));
  process.env.ETC_DIR = dir;
  process.env.SYS_BLOCK_DIR = join(dir, 'sys');
  process.env.DEV_DIR = join(dir, 'dev');
});
afterEach(() => {
  for (const name of ['ETC_DIR', 'SYS_BLOCK_DIR', 'DEV_DIR']) delete process.env[name];
  rmSync(dir, { recursive: true });
});

function put(file: string, content: string | Buffer): void {
  mkdirSync(dirname(join(dir, file)), { recursive: true });
  writeFileSync(join(dir, file), content);
}

function page(code: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0, code, 0, body.length]), body]);
}

const named = (word: string) => identityFor(word, localDisks());

describe('volumectl device own', () => {
  it('adds once, keeps what others wrote, and removes', () => {
    const abc = named('abc');
    expect(readList()).toEqual({ disks: [], problems: [] });
    expect(addOwnDisk(abc)).toBe(true);
    expect(addOwnDisk(abc)).toBe(false);
    writeFileSync(path(), '# ours\nserial abc # db\nnonsense');
    expect(addOwnDisk(named('/dev/disk/by-path/pci-1'))).toBe(true);
    expect(readFileSync(path(), 'utf8')).toBe('# ours\nserial abc # db\nnonsense\n/dev/disk/by-path/pci-1\n');
    expect(readList().problems).toHaveLength(1);
    expect(removeOwnDisk(abc)).toBe(true);
    expect(removeOwnDisk(abc)).toBe(false);
    expect(readFileSync(path(), 'utf8')).toBe('# ours\nnonsense\n/dev/disk/by-path/pci-1\n');
  });

  it('two changes at the same time do not lose one of them: the second is refused, and says so', () => {
    addOwnDisk(named('abc'));
    writeFileSync(`${path()}.new`, '');
    for (const change of [addOwnDisk, removeOwnDisk])
      expect(() => change(named('abd'))).toThrow('somebody else is changing the list');
    expect(readFileSync(path(), 'utf8')).toBe('serial abc\n');
    rmSync(`${path()}.new`);
    expect(addOwnDisk(named('abc'))).toBe(false);
    expect(addOwnDisk(named('abd'))).toBe(true);
  });

  it('the mode that the operator gave it stays, and a new one can be read by everybody whatever the umask', () => {
    const umask = process.umask(0o077);
    try {
      addOwnDisk(named('abc'));
      expect(statSync(path()).mode & 0o777).toBe(0o644);
      chmodSync(path(), 0o600);
      addOwnDisk(named('abd'));
      expect(statSync(path()).mode & 0o777).toBe(0o600);
    } finally {
      process.umask(umask);
    }
  });

  it('is changed where a link leads', () => {
    mkdirSync(dirname(path()), { recursive: true });
    writeFileSync(join(dir, 'kept'), 'serial one\n');
    symlinkSync(join(dir, 'kept'), path());
    expect(addOwnDisk(named('abc'))).toBe(true);
    expect(lstatSync(path()).isSymbolicLink()).toBe(true);
    expect(readFileSync(join(dir, 'kept'), 'utf8')).toBe('serial one\nserial abc\n');
  });

  it('a line that would not be read is not said to be listed', () => {
    put(
      'volume-daemon/own-disks',
      Array.from({ length: LIMITS.OWN_DISKS }, (_, n) => `serial s${n}\n`).join(''),
    );
    expect(() => addOwnDisk(named('abc'))).toThrow('disks can be listed');
    expect(readList().disks).toHaveLength(LIMITS.OWN_DISKS);
  });

  it('a letter is listed by what names the disk for good: its serial, on each bus, else its place', () => {
    put('sys/vdb/serial', '0f3c9a517be24d609a44');
    put('sys/sda/device/vpd_pg80', page(0x80, Buffer.from(' 7d21b6e093fa4c188b57 ')));
    put('sys/sdb/device/vpd_pg83', page(0x83, Buffer.from([2, 0, 0, 4, 0x61, 0x62, 0x63, 0x64])));
    put('sys/xvdc/size', '1');
    put('sys/nvme0n1/size', '1');
    put('sys/hda/size', '1');
    for (const [node, link] of [
      ['xvdc', 'by-path/xen-vbd-51744'],
      ['nvme0n1', 'by-id/nvme-eui.01'],
    ] as const) {
      put(`dev/${node}`, '');
      mkdirSync(dirname(join(dir, 'dev/disk', link)), { recursive: true });
      symlinkSync(join(dir, 'dev', node), join(dir, 'dev/disk', link));
    }
    expect(named('/dev/vdb')).toEqual({ by: 'serial', value: '0f3c9a517be24d609a44' });
    expect(named('vdb1')).toEqual(named('/dev/vdb'));
    expect(named('sda')).toEqual({ by: 'serial', value: '7d21b6e093fa4c188b57' });
    expect(named('sdb2')).toEqual({ by: 'serial', value: 'abcd' });
    expect(named('/dev/xvdc')).toEqual({ by: 'link', value: '/dev/disk/by-path/xen-vbd-51744' });
    expect(named('nvme0n1p2')).toEqual({ by: 'link', value: '/dev/disk/by-id/nvme-eui.01' });
    expect(() => named('hda')).toThrow('neither a serial nor a place');
  });

  it('tells which disk a line names now, also by the id of the volume', () => {
    put('sys/vdb/serial', '0f3c9a517be24d609a44');
    const [disk] = localDisks();
    const isIt = (word: string) => disk !== undefined && isNamed(named(word), disk);
    expect(isIt('0F3C9A517BE24D609A44')).toBe(true);
    expect(isIt('0f3c9a51-7be2-4d60-9a44-000000000000')).toBe(true);
    expect(isIt('0f3c9a517be24d609a45')).toBe(false);
  });

  it('what looks like a letter is a serial where a disk has it', () => {
    put('sys/vdb/serial', 'vdata1');
    expect(named('vdata1')).toEqual({ by: 'serial', value: 'vdata1' });
  });

  it.each(['/dev/vdb', 'vdb', 'sda1', 'nvme0n1', 'hdc'])('refuses %j when there is no such disk', (word) => {
    expect(() => named(word)).toThrow(`has no disk ${word}`);
  });

  it.each(['/dev/disk/by-uuid/x', '/dev/mapper/x', 'a b', ''])('refuses %j', (word) => {
    expect(() => named(word)).toThrow(/not understood|no serial/);
  });
});
