import { describe, expect, it } from 'vitest';
import { deviceName, unitSerial } from '~/server/devices/sysfs/vpd';
import { page } from './guest-tree';

const SERIAL = '0f3c9a517be24d609a44c1d2e3f40516';

const name = (codeSet: number, type: number, text: string) =>
  Buffer.concat([Buffer.from([codeSet, type, 0, text.length]), Buffer.from(text, 'latin1')]);

describe('page 0x80', () => {
  it('is the serial, whole or cut, without its padding', () => {
    expect(unitSerial(page(0x80, Buffer.from(SERIAL)))).toBe(SERIAL);
    expect(unitSerial(page(0x80, Buffer.from(`  ${SERIAL.slice(0, 20)}\0`)))).toBe(SERIAL.slice(0, 20));
  });

  it('says nothing when it is empty, cut off, or another page', () => {
    for (const bytes of [
      Buffer.alloc(0),
      Buffer.from([0, 0x80]),
      page(0x80, Buffer.alloc(0)),
      page(0x83, Buffer.from(SERIAL)),
    ])
      expect(unitSerial(bytes)).toBeNull();
  });

  it('what follows the page is no part of it', () => {
    expect(unitSerial(Buffer.concat([page(0x80, Buffer.from('abc')), Buffer.from('def')]))).toBe('abc');
  });
});

describe('page 0x83', () => {
  it('is the vendor specific name in letters, whatever comes before it', () => {
    const binary = Buffer.from([1, 3, 0, 4, 1, 2, 3, 4]);
    const body = Buffer.concat([binary, name(2, 1, 'QEMU    QEMU HARDDISK   '), name(2, 0, SERIAL)]);
    expect(deviceName(page(0x83, body))).toBe(SERIAL);
  });

  it('a name of the port is not the disk, and a name that is cut off is none', () => {
    expect(deviceName(page(0x83, name(2, 0x10, SERIAL)))).toBeNull();
    expect(deviceName(page(0x83, name(2, 0, SERIAL)).subarray(0, 30))).toBeNull();
    expect(deviceName(page(0x83, Buffer.from([2, 0])))).toBeNull();
  });
});
