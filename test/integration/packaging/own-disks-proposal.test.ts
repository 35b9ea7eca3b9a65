import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseIdentity } from '~/server/devices/own-disks';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'own-disks-'));
  // Everything is mounted, whichever disk is asked about.
  put('bin/lsblk', '#!/bin/sh\nprintf " disk\\n/data part\\n"\n');
  chmodSync(join(root, 'bin/lsblk'), 0o755);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(path: string, content: string | Buffer): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

/** Page 0x80 of a SCSI disk: four bytes, then the serial, padded. */
function page80(serial: string): Buffer {
  const body = Buffer.from(serial, 'latin1');
  return Buffer.concat([Buffer.from([0, 0x80, 0, body.length]), body]);
}

/** What the installation proposes: the identities behind `# proposed:`. */
function proposed(): string[] {
  // Without arguments the script of the package only defines its functions.
  const script = `. ${resolve('packaging/deb/postinst')}; propose_own_disks ${root}/list ${root}/sys ${root}/dev`;
  const { status, stderr } = spawnSync('sh', ['-c', script], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${join(root, 'bin')}:${process.env.PATH}` },
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const text = readFileSync(join(root, 'list'), 'utf8');
  return [...text.matchAll(/^# proposed: (.*?) # \/dev\/\w+ at the installation: \/data/gm)].map(
    ([, identity = '']) => identity,
  );
}

describe('the disks that the installation proposes as own', () => {
  it('a virtio disk by its serial, a SCSI disk by page 0x80', () => {
    put('sys/vdb/serial', '0f3c9a517be24d609a44');
    put('sys/sda/device/vpd_pg80', page80('7d21b6e093fa4c188b57a9b8c7d6e5f4'));
    put('sys/sdb/device/vpd_pg80', page80('  c4b0aa175d2e4f93\0\0'));
    const identities = proposed();
    expect(identities).toEqual([
      'serial 0f3c9a517be24d609a44',
      'serial 7d21b6e093fa4c188b57a9b8c7d6e5f4',
      'serial c4b0aa175d2e4f93',
    ]);
    for (const identity of identities) expect(parseIdentity(identity)).toBeTypeOf('object');
  });

  it('a disk without a serial, or with one that no line can hold, by its place', () => {
    put('sys/sda/device/model', 'QEMU HARDDISK');
    put('sys/sdb/device/vpd_pg80', page80('two words'));
    put('sys/xvdb/size', '1');
    for (const [name, place] of [
      ['sda', 'pci-0000:00:05.0-scsi-0:0:0:0'],
      ['sdb', 'pci-0000:00:05.0-scsi-0:0:0:1'],
    ] as const) {
      put(`dev/${name}`, '');
      mkdirSync(join(root, 'dev/disk/by-path'), { recursive: true });
      symlinkSync(`../../${name}`, join(root, 'dev/disk/by-path', place));
    }
    const identities = proposed();
    // xvdb has neither: nothing that names it would still name it after a reboot.
    expect(identities).toEqual([
      '/dev/disk/by-path/pci-0000:00:05.0-scsi-0:0:0:0',
      '/dev/disk/by-path/pci-0000:00:05.0-scsi-0:0:0:1',
    ]);
    for (const identity of identities) expect(parseIdentity(identity)).toBeTypeOf('object');
  });

  it('no disk that nobody uses, and nothing over a list that is there', () => {
    put('sys/vdb/serial', '0f3c9a517be24d609a44');
    put('bin/lsblk', '#!/bin/sh\nprintf " disk\\n part\\n"\n');
    expect(proposed()).toEqual([]);
    put('bin/lsblk', '#!/bin/sh\nprintf "/data disk\\n"\n');
    expect(proposed()).toEqual([]);
  });
});
