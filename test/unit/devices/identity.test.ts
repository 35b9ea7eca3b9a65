import { describe, expect, it } from 'vitest';
import { verifiedDevice, verifyIdentity } from '~/server/devices/identity';
import { BOOT, disk, mappingTo, mute } from './worlds';

const mapping = mappingTo(disk());
const bySize = mappingTo(mute());

describe('a mapping still means its device', () => {
  const table = [
    ['nothing has changed', mapping, disk(), BOOT],
    [
      'the serial is shown in another case',
      mapping,
      disk({ serial: (disk().serial ?? '').toUpperCase() }),
      BOOT,
    ],
    [
      'after a reboot the serial proves it, though diskseq counts anew',
      mapping,
      disk({ diskseq: 2 }),
      'next boot',
    ],
    ['the serial is not read yet, but it is the same plug', mapping, mute({ serialState: 'pending' }), BOOT],
    [
      'the serial cannot be read, but it is the same plug',
      mapping,
      mute({ serialState: 'unreadable' }),
      BOOT,
    ],
    ['without serials it is the same plug of the same boot', bySize, mute(), BOOT],
    [
      'before kernel 5.15 the serial alone proves it',
      mappingTo(disk({ diskseq: null })),
      disk({ diskseq: null }),
      BOOT,
    ],
  ] as const;
  it.each(table)('%s', (_story, recorded, device, bootId) => {
    expect(verifyIdentity(recorded, device, bootId)).toEqual({ ok: true });
  });
});

describe('a mapping no longer means the device', () => {
  const table = [
    ['the device is gone', mapping, undefined, BOOT, /is gone/],
    [
      'same letter, another serial',
      mapping,
      disk({ serial: '7d21b6e093fa4c188b57' }),
      BOOT,
      /has serial 7d21b6e093fa4c188b57/,
    ],
    [
      'same letter and diskseq, another serial',
      mapping,
      disk({ serial: 'x'.repeat(20) }),
      BOOT,
      /has serial/,
    ],
    ['same serial, plugged again', mapping, disk({ diskseq: 8 }), BOOT, /was plugged again/],
    ['the serial has gone', mapping, mute(), BOOT, /has serial none/],
    [
      'the serial is not read yet on another plug',
      mapping,
      mute({ serialState: 'pending', diskseq: 8 }),
      BOOT,
      /cannot be read/,
    ],
    [
      'the serial is not read yet after a reboot',
      mapping,
      mute({ serialState: 'pending' }),
      'next boot',
      /cannot be read/,
    ],
    ['without serials: another plug', bySize, mute({ diskseq: 8 }), BOOT, /not certainly/],
    ['without serials: the same diskseq in another boot', bySize, mute(), 'next boot', /not certainly/],
    ['without serials: the boot is not known', bySize, mute(), null, /not certainly/],
    [
      'neither serial nor diskseq were recorded',
      mappingTo(mute({ diskseq: null })),
      mute(),
      BOOT,
      /holds no identity/,
    ],
  ] as const;
  it.each(table)('%s', (_story, recorded, device, bootId, reason) => {
    const identity = verifyIdentity(recorded, device, bootId);
    expect(identity.ok).toBe(false);
    expect(identity.ok ? '' : identity.reason).toMatch(reason);
  });
});

describe('the verified device of a mapping', () => {
  const other = disk({ name: 'vdc', path: '/dev/vdc', serial: 'ffffffffffffffffffff', diskseq: 9 });

  it('is the one at its path, when it is still the disk of the mapping', () => {
    const snapshot = { devices: [other, disk()], bootId: BOOT };
    expect(verifiedDevice(mapping, snapshot)).toEqual({ device: disk(), reason: null });
  });

  it('is none, with the reason, when nothing is at the path or another disk is', () => {
    const { device, reason } = verifiedDevice(mapping, { devices: [other], bootId: BOOT });
    expect([device, reason]).toEqual([null, '/dev/vdb is gone']);
    const replaced = { devices: [{ ...other, path: '/dev/vdb' }], bootId: BOOT };
    expect(verifiedDevice(mapping, replaced)).toMatchObject({
      device: null,
      reason: expect.stringContaining('has serial ffffffffffffffffffff'),
    });
  });
});
