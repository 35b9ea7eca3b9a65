import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addOwnDisk, readList, removeOwnDisk } from '~/cli/own-disks-file';

let dir: string;
const path = () => join(dir, 'volume-daemon/own-disks');
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'own-'));
  process.env.ETC_DIR = dir;
});
afterEach(() => {
  delete process.env.ETC_DIR;
  rmSync(dir, { recursive: true });
});

describe('volumectl device own', () => {
  it('adds once, keeps what others wrote, and removes', () => {
    expect(readList()).toEqual({ disks: [], problems: [] });
    expect(addOwnDisk('abc')).toBe(true);
    expect(addOwnDisk('abc')).toBe(false);
    writeFileSync(path(), '# ours\nserial abc # db\nnonsense');
    expect(addOwnDisk('/dev/disk/by-path/pci-1')).toBe(true);
    expect(readFileSync(path(), 'utf8')).toBe('# ours\nserial abc # db\nnonsense\n/dev/disk/by-path/pci-1\n');
    expect(readList().problems).toHaveLength(1);
    expect(removeOwnDisk('abc')).toBe(true);
    expect(removeOwnDisk('abc')).toBe(false);
    expect(readFileSync(path(), 'utf8')).toBe('# ours\nnonsense\n/dev/disk/by-path/pci-1\n');
  });

  it.each(['/dev/vdb', 'vdb', 'sda1', '/dev/disk/by-uuid/x', 'a b', ''])('refuses %j', (word) => {
    expect(() => addOwnDisk(word)).toThrow(/not understood|no serial/);
  });
});
