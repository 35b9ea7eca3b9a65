import { describe, expect, it } from 'vitest';
import {
  plugHasLeft,
  plugIsHere,
  unchanged,
  verifiedDevice,
  verifyIdentity,
} from '~/server/devices/identity';
import { isVolumeSerial, lacksSerials, serialNames, shareSerial } from '~/server/devices/serial';
import { BOOT, disk, mappingTo, mute, OTHER, VOLUME } from './worlds';

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
    const missed = { ...mapping, devicePath: 'missing-0a1b2c3d-0a1b-4c3d-8e9f-0a1b2c3d4e5f' };
    expect(verifiedDevice(missed, { devices: [other], bootId: BOOT }).reason).toBe('its disk is gone');
    const replaced = { devices: [{ ...other, path: '/dev/vdb' }], bootId: BOOT };
    expect(verifiedDevice(mapping, replaced)).toMatchObject({
      device: null,
      reason: expect.stringContaining('has serial ffffffffffffffffffff'),
    });
  });

  it('is none where another disk has the serial as well and no plug tells them apart', () => {
    const twin = disk({ name: 'vdc', diskseq: 8 });
    const look = (bootId: string, ...devices: ReturnType<typeof disk>[]) =>
      verifiedDevice(mapping, { devices, bootId });
    expect(look(BOOT, disk(), twin).device).toEqual(disk());
    expect(look('next boot', disk()).device).toEqual(disk());
    expect(look('next boot', disk(), twin)).toEqual({
      device: null,
      reason: `/dev/vdb, /dev/vdc have the same serial ${disk().serial ?? ''}`,
    });
    expect(look(BOOT, disk({ diskseq: null }), twin).device).toBeNull();
  });
});

describe('a plug that cannot be compared', () => {
  const recorded = (fields: Partial<typeof bySize>) => ({ ...bySize, ...fields });

  it.each([
    ['the kernel does not number it', recorded({}), mute({ diskseq: null }), BOOT],
    ['the mapping does not know its boot', recorded({ bootId: null }), mute(), BOOT],
    ['nobody knows any boot', recorded({ bootId: null }), mute(), null],
    ['the guest does not tell its boot', recorded({}), mute(), null],
  ])('proves nothing where there is no serial: %s', (_why, mapped, device, bootId) => {
    expect(verifyIdentity(mapped, device, bootId).ok).toBe(false);
  });

  it('denies nothing where the serial is that of the mapping, whatever blanks it is shown with', () => {
    const shown = disk({ serial: ` ${disk().serial ?? ''} ` });
    expect(verifyIdentity(mapping, shown, BOOT)).toEqual({ ok: true });
    expect(verifyIdentity(mapping, disk({ diskseq: null }), BOOT)).toEqual({ ok: true });
    expect(verifyIdentity({ ...mapping, diskseq: null }, disk(), BOOT)).toEqual({ ok: true });
    expect(verifyIdentity({ ...mapping, bootId: null }, disk({ diskseq: 8 }), null)).toEqual({ ok: true });
  });
});

describe('whether a plug has left, or is here', () => {
  const plug = { diskseq: 7, bootId: BOOT };
  const [seven, eight, unnumbered] = [disk(), disk({ name: 'vdc', diskseq: 8 }), disk({ diskseq: null })];
  const look = (devices: readonly ReturnType<typeof disk>[], bootId: string | null = BOOT) => ({
    devices,
    bootId,
  });

  it('is told by its number, within one boot', () => {
    for (const devices of [[seven], [eight, seven], [seven, eight]])
      expect([plugHasLeft(plug, look(devices)), plugIsHere(plug, look(devices))]).toEqual([false, true]);
    for (const devices of [[], [eight]])
      expect([plugHasLeft(plug, look(devices)), plugIsHere(plug, look(devices))]).toEqual([true, false]);
  });

  it.each([
    ['after a reboot', plug, look([eight], 'next boot'), look([seven], 'next boot')],
    ['of a mapping without a number', { ...plug, diskseq: null }, look([eight]), look([unnumbered])],
    ['of a mapping without a boot', { ...plug, bootId: null }, look([eight]), look([seven])],
    ['where nobody knows any boot', { ...plug, bootId: null }, look([eight], null), look([seven], null)],
  ])('is not known %s', (_when, recorded, without, having) => {
    expect([plugHasLeft(recorded, without), plugIsHere(recorded, having)]).toEqual([false, false]);
  });

  it('is not known to have left while one disk shows no number', () => {
    expect(plugHasLeft(plug, look([eight, unnumbered]))).toBe(false);
  });
});

describe('a device that was looked at before', () => {
  it('is the same while plug, serial and size are; what else has changed is told as it is now', () => {
    const now = disk({ controller: 'virtio9' });
    expect(unchanged(disk(), { devices: [disk({ name: 'vdc', diskseq: 8 }), now] })).toBe(now);
  });

  it.each([
    ['another plug', disk({ diskseq: 8 })],
    ['another serial', disk({ serial: 'ffffffffffffffffffff' })],
    ['no serial any more', mute()],
    ['another size', disk({ size: disk().size + 512 })],
    ['another letter', disk({ name: 'vdc' })],
  ])('is not: it has %s', (_what, now) => {
    expect(unchanged(disk(), { devices: [now] })).toBeNull();
  });

  it('is gone', () => {
    expect(unchanged(disk(), { devices: [] })).toBeNull();
  });
});

describe('what a serial says', () => {
  const whole = VOLUME.replaceAll('-', '');

  it('names a volume in either case, cut or with more behind it, and nobody where either is too short', () => {
    for (const serial of [whole, whole.slice(0, 16), `${whole}0000`, whole.toUpperCase()])
      for (const id of [VOLUME, VOLUME.toUpperCase()]) expect(serialNames(id, serial)).toBe(true);
    expect(serialNames(OTHER, whole)).toBe(false);
    expect(serialNames(VOLUME, whole.slice(0, 15))).toBe(false);
    expect(serialNames('0f3c', whole)).toBe(false);
  });

  it('may be that of two volumes only where their ids begin alike', () => {
    const twin = `${VOLUME.slice(0, 20)}${OTHER.slice(20)}`;
    const near = `${VOLUME.slice(0, 19)}${OTHER.slice(19)}`;
    expect([shareSerial(VOLUME, twin), shareSerial(VOLUME, near)]).toEqual([true, true]);
    expect([shareSerial(VOLUME, VOLUME), shareSerial(VOLUME, OTHER)]).toEqual([false, false]);
  });

  it('may be of a volume only as a number that is long enough', () => {
    expect([isVolumeSerial(whole), isVolumeSerial(whole.slice(0, 16))]).toEqual([true, true]);
    for (const serial of [whole.slice(0, 15), 'abc', '', null, 'drive-scsi0-0-0-1xxx'])
      expect(isVolumeSerial(serial), String(serial)).toBe(false);
  });

  it.each([
    ['no disk shows one', [mute({ root: true }), mute()], true],
    ['only the system’s own shows one', [disk({ root: true }), mute()], true],
    ['one of several shows one', [mute(), disk({ name: 'vdc' })], false],
    [
      'nobody has told yet, and the system’s own shows one',
      [disk({ root: true }), mute({ serialState: 'pending' })],
      false,
    ],
    [
      'nobody has told yet, and the system’s own shows none',
      [mute({ root: true }), mute({ serialState: 'pending' })],
      true,
    ],
    [
      'nobody has told yet, and the system’s own shows that of an emulator',
      [disk({ root: true, serial: 'QM00001' })],
      true,
    ],
    ['there is no disk', [], true],
    [
      'one cannot be read, and another one shows one',
      [mute({ serialState: 'unreadable' }), disk({ name: 'vdc' })],
      false,
    ],
    [
      'one cannot be read, and another one shows none',
      [mute({ serialState: 'unreadable' }), mute({ name: 'vdc' })],
      true,
    ],
    ['one shows the text of an emulator', [disk({ serial: 'drive-scsi0-0-0-1' })], false],
  ] as const)('of a guest: %s', (_what, devices, answer) => {
    expect(lacksSerials(devices)).toBe(answer);
  });
});
