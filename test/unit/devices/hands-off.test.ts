import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Device } from '~/server/devices/device';
import { isOwnSerial } from '~/server/devices/own-disks';
import { expectedSerial } from '~/server/devices/serial';
import { HandsOff } from '~/server/devices/sysfs/hands-off';
import { disk, VOLUME } from './worlds';

let dir: string;
let handsOff: HandsOff;
const at = (name: string) => join(dir, name);
const SERIAL = expectedSerial(VOLUME);
const EXPORTED = { ...disk(), serial: SERIAL };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'hands-off-'));
  handsOff = new HandsOff({
    marksDir: at('marks'),
    udevDir: at('udev'),
    rulesDirs: [at('rules')],
    cmdline: at('cmdline'),
  });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function install(): void {
  for (const name of ['udev', 'rules']) mkdirSync(at(name));
  writeFileSync(at('rules/59-volume-daemon.rules'), '');
}

describe('whether the tools of this system leave exported disks alone', () => {
  it('is not known without udev', () => {
    expect(handsOff.state([disk()])).toMatchObject({ answer: 'unknown' });
  });

  it('no, without the rules', () => {
    mkdirSync(at('udev'));
    expect(handsOff.state([])).toMatchObject({
      answer: 'no',
      reason: expect.stringContaining('not installed'),
    });
  });

  it('yes while nothing is exported, whatever else is plugged in', () => {
    install();
    expect(handsOff.state([disk()])).toMatchObject({ answer: 'yes' });
  });

  it('no, with the name of an exported disk that udev has treated as any other', () => {
    install();
    handsOff.keep(EXPORTED);
    writeFileSync(at('udev/b253:16'), 'E:ID_FS_TYPE=LVM2_member\n');
    expect(handsOff.state([disk()])).toMatchObject({
      answer: 'no',
      reason: expect.stringMatching(/^\/dev\/vdb: /),
    });
    writeFileSync(at('udev/b253:16'), 'E:VOLUME_DAEMON_HANDS_OFF=1\n');
    expect(handsOff.state([disk()])).toMatchObject({ answer: 'yes' });
  });

  it('is not known where what udev has noted of an exported disk cannot be read', () => {
    install();
    handsOff.keep(EXPORTED);
    mkdirSync(at('udev/b253:16'));
    expect(handsOff.state([disk()])).toMatchObject({
      answer: 'unknown',
      reason: expect.stringContaining('EISDIR'),
    });
  });

  it.each<[cmdline: string, risk: string | null]>([
    ['root=UUID=0a1b ro quiet\n', 'root=UUID=0a1b'],
    ['BOOT_IMAGE=/vmlinuz root=/dev/vda1 root=LABEL=cloudimg-rootfs', 'root=LABEL=cloudimg-rootfs'],
    ['root=PARTUUID=0a1b root=/dev/disk/by-id/virtio-0f3c9a517be24d609a44-part1 ro', null],
    ['root=/dev/vda1 resume=UUID=0a1b', null],
    ['', null],
  ])('yes, and whether a boot may take it for the disk of this system: %j', (cmdline, risk) => {
    install();
    writeFileSync(at('cmdline'), cmdline);
    expect(handsOff.state([disk()]).reason).toBe('0 exported disk(s) are left alone');
    handsOff.keep(EXPORTED);
    writeFileSync(at('udev/b253:16'), 'E:VOLUME_DAEMON_HANDS_OFF=1\n');
    const { answer, reason } = handsOff.state([disk()]);
    expect(answer).toBe('yes');
    if (risk === null) expect(reason).toBe('1 exported disk(s) are left alone');
    else expect(reason).toContain(`looks for ${risk} on all disks`);
  });

  it('yes, when the rules have found it on the list of own disks', () => {
    install();
    handsOff.keep(EXPORTED);
    writeFileSync(at('udev/b253:16'), 'E:VOLUME_DAEMON_HANDS_OFF=0\n');
    expect(handsOff.state([disk()])).toMatchObject({ answer: 'yes' });
  });

  it('no, when the disk could not be named to udev', () => {
    install();
    writeFileSync(at('marks'), 'a file in place of the folder');
    handsOff.keep(EXPORTED);
    expect(handsOff.state([disk()])).toMatchObject({
      answer: 'no',
      reason: expect.stringContaining('EEXIST'),
    });
  });
});

describe('a folder of marks that could not be written for a while', () => {
  it('no, until the disk could be named: that another disk has gone, and its mark with it, is no answer', () => {
    install();
    writeFileSync(at('marks'), 'a file in place of the folder');
    handsOff.keep(EXPORTED);
    const other = { ...disk(), serial: 'bbbbbbbb-2222-2222-2' };
    rmSync(at('marks'));
    handsOff.keep(other);
    expect(handsOff.state([EXPORTED])).toMatchObject({ answer: 'no' });
    handsOff.dropUnplugged([EXPORTED]);
    expect(readdirSync(at('marks'))).toEqual([SERIAL]);
    writeFileSync(at('udev/b253:16'), 'E:VOLUME_DAEMON_HANDS_OFF=1\n');
    expect(handsOff.state([EXPORTED])).toMatchObject({ answer: 'yes' });
  });

  it('yes, where it has kept the mark of the disk: one that is there is not written again', () => {
    install();
    handsOff.keep(EXPORTED);
    const mark = join(at('marks'), SERIAL);
    utimesSync(mark, 1, 1);
    handsOff.keep(EXPORTED);
    expect(statSync(mark).mtimeMs).toBe(1_000);
  });

  it('is forgotten with the disk', () => {
    install();
    writeFileSync(at('marks'), 'a file in place of the folder');
    handsOff.keep(EXPORTED);
    handsOff.dropUnplugged([]);
    rmSync(at('marks'));
    expect(handsOff.state([])).toMatchObject({ answer: 'yes' });
  });

  it('is not known when it cannot be read: health says so instead of failing', () => {
    install();
    writeFileSync(at('marks'), 'a file in place of the folder');
    expect(handsOff.state([disk()])).toMatchObject({
      answer: 'unknown',
      reason: expect.stringContaining('ENOTDIR'),
    });
  });
});

describe('the marks of exported disks', () => {
  const other: Device = { ...disk(), name: 'sda', path: '/dev/sda', serial: 'bbbbbbbb-2222-2222-2' };
  const marks = () => (existsSync(at('marks')) ? readdirSync(at('marks')).sort() : []);

  it('stay while the disk is plugged in, whatever form its serial has', () => {
    for (const device of [EXPORTED, other, EXPORTED]) handsOff.keep(device);
    handsOff.dropUnplugged([other, EXPORTED]);
    expect(marks()).toEqual([SERIAL, other.serial].sort());
    handsOff.dropUnplugged([other]);
    expect(marks()).toEqual([other.serial]);
    handsOff.dropUnplugged([]);
    expect(marks()).toEqual([]);
  });

  it.each(['pending', 'unreadable'] as const)('stay while a serial is %s: it may be that disk', (state) => {
    handsOff.keep(EXPORTED);
    handsOff.dropUnplugged([{ ...other, serial: null, serialState: state }]);
    expect(marks()).toEqual([SERIAL]);
  });

  it('name a Xen disk, which has no serial, by its place and size', () => {
    const xen: Device = {
      ...disk(),
      bus: 'xen',
      controller: 'vbd-51728',
      size: 1024 ** 3,
      serial: null,
      serialState: 'absent',
    };
    handsOff.keep(xen);
    expect(marks()).toEqual(['vbd-51728-2097152']);
    handsOff.dropUnplugged([{ ...xen, controller: 'vbd-51744' }]);
    expect(marks()).toEqual([]);
  });

  it.each([null, '', '../../etc/passwd', 'QEMU_HARDDISK', 'a/b'])('%j makes none', (serial) => {
    handsOff.keep({ ...EXPORTED, serial });
    handsOff.dropUnplugged([]);
    expect(existsSync(at('marks'))).toBe(false);
  });
});

describe('the helper of the udev rules', () => {
  const asked = (list: string | null, ...args: string[]) => {
    if (list !== null) writeFileSync(at('list'), list);
    const env = { PATH: process.env.PATH ?? '', OWN_DISKS: at('list') };
    return spawnSync('sh', ['packaging/udev/is-own-disk', ...args], { env }).status === 0;
  };

  it.each<[string | null, string[], boolean]>([
    [null, [SERIAL], false],
    ['', [SERIAL], false],
    [`serial ${SERIAL}`, [SERIAL], true],
    [`# serial ${SERIAL}\n`, [SERIAL], false],
    [`serial ${SERIAL.toUpperCase()} # ours\n`, [SERIAL], true],
    [`serial ${VOLUME}\n`, [SERIAL], true],
    ['serial other\n', [SERIAL], false],
    ['/dev/disk/by-path/pci-0000:00:07.0\n', [SERIAL, 'pci-0000:00:07.0'], true],
    ['/dev/disk/by-path/pci-0000:00:07.0\n', [SERIAL, 'pci-0000:00:08.0'], false],
    ['/dev/disk/by-path/virtio-pci-0000:00:07.0\n', [SERIAL, 'pci-0000:00:07.0'], true],
    ['/dev/disk/by-path/virtio-pci-0000:00:07.0-part1\n', [SERIAL, 'pci-0000:00:07.0'], true],
    ['/dev/disk/by-path/virtio-pci-0000:00:07.0\n', [SERIAL, 'pci-0000:00:08.0'], false],
    ['/dev/disk/by-path/virtio-pci-0000:00:07.0\n', [SERIAL], false],
    ['/dev/disk/by-path/\n', [SERIAL], false],
    ['/dev/disk/by-path/virtio-\n', [SERIAL], false],
    [`/dev/disk/by-id/virtio-${SERIAL}\n`, [SERIAL], true],
    ['serial $(touch /tmp/x)\n*\n', [SERIAL], false],
    [`\ufeffserial ${SERIAL}\n`, [SERIAL], true],
    [`serial\u00a0${SERIAL}\u2003# für uns\n`, [SERIAL], true],
    [`# für uns\nserial ${VOLUME}\n`, [SERIAL], true],
  ])('%j %j: %s', (list, args, own) => {
    expect(asked(list, ...args)).toBe(own);
  });

  it('a list that is no file protects every disk, and holds nobody', () => {
    execFileSync('mkfifo', [at('list')]);
    expect(asked(null, SERIAL)).toBe(true);
  });

  it('knows the serials of a disk on whatever bus, as the daemon does', () => {
    const whole = VOLUME.replaceAll('-', '');
    const forms = [
      SERIAL,
      VOLUME,
      whole,
      VOLUME.slice(0, 20),
      SERIAL.toUpperCase(),
      SERIAL.slice(0, 15),
      'abc',
    ];
    for (const listed of forms)
      for (const shown of [...forms, `f${SERIAL.slice(1)}`])
        expect(asked(`serial ${listed}\n`, shown), `${listed} ${shown}`).toBe(isOwnSerial(listed, shown));
  });
});
