import { describe, expect, it } from 'vitest';
import {
  type Correlation,
  correlate,
  expectedSerial,
  rootDevices,
  serialNames,
} from '~/server/devices/correlation';
import { disk, event, GIB, type MappingLike, mappingTo, mute, OTHER, SUBMIT, VOLUME, world } from './worlds';

/** `vdb by serial`, `waiting`, `DEVICE_AMBIGUOUS`: what a table row says. */
function short(answer: Correlation): string {
  if (answer.kind === 'found') return `${answer.device.name} by ${answer.matchedBy}`;
  return answer.kind === 'refused' ? answer.code : answer.kind;
}

const strange = { serial: expectedSerial(OTHER), diskseq: 8 };
const dashed = VOLUME.slice(0, 20);

/** Attached here as CloudStack says; its disk may not have come yet. */
const coming = (id: string) => ({ id, size: null });

describe('correlation by serial', () => {
  const table: readonly [story: string, given: ReturnType<typeof world>, answer: string][] = [
    ['the exact serial', world([disk()]), 'vdb by serial'],
    [
      'the serial in upper case',
      world([disk({ serial: expectedSerial(VOLUME).toUpperCase() })]),
      'vdb by serial',
    ],
    [
      'the serial padded with blanks',
      world([disk({ serial: `${expectedSerial(VOLUME)}  ` })]),
      'vdb by serial',
    ],
    ['the whole UUID as serial', world([disk({ serial: VOLUME })]), 'vdb by serial'],
    ['a dashed UUID cut at 20 bytes', world([disk({ serial: dashed })]), 'vdb by serial'],
    [
      'a serial cut below 16 digits names nobody',
      world([disk({ serial: expectedSerial(VOLUME).slice(0, 15) })]),
      'waiting',
    ],
    ['no device yet', world([]), 'waiting'],
    ['only the serial of another volume', world([disk(strange)]), 'waiting'],
    [
      'the serial among equal disks',
      world([disk(strange), disk({ name: 'vdc', diskseq: 9 })]),
      'vdc by serial',
    ],
    ['the serial on two devices', world([disk(), disk({ name: 'vdc', diskseq: 8 })]), 'DEVICE_AMBIGUOUS'],
    ['a larger device within the tolerance', world([disk({ size: 8 * GIB })]), 'vdb by serial'],
    [
      'a device larger than the tolerance',
      world([disk({ size: 8 * GIB + 512 })]),
      'DEVICE_IDENTITY_MISMATCH',
    ],
    ['a device that is one sector too small', world([disk({ size: 5 * GIB - 512 })]), 'DEVICE_TOO_SMALL'],
    [
      'a volume of which CloudStack does not say how large it is',
      world([disk()], { volume: { id: VOLUME, size: null } }),
      'waiting',
    ],
    ['no event at all (after a restart)', world([disk()], { events: [] }), 'vdb by serial'],
    [
      'nothing was submitted: it was attached already',
      world([disk()], { submittedAt: null }),
      'vdb by serial',
    ],
    [
      'the letter of a stale mapping',
      world([disk()], { mappings: [mappingTo(disk({ ...strange, diskseq: 3 }))] }),
      'vdb by serial',
    ],
    [
      'a disk that is provably mapped to another volume',
      world([disk()], { mappings: [mappingTo(mute({ diskseq: 7 }))] }),
      'DEVICE_IDENTITY_MISMATCH',
    ],
    ["the system's own disk", world([disk({ name: 'vda' })]), 'DEVICE_IDENTITY_MISMATCH'],
    [
      'an old match while a new disk has not told its serial: it may be the twin of a ghost',
      world([mute({ name: 'vdc', diskseq: 8, serialState: 'pending' })], { before: [disk()] }),
      'waiting',
    ],
    [
      'a new match while a disk that came with it is being read: it may be the twin of ours',
      world([disk(), mute({ name: 'vdc', diskseq: 8, serialState: 'pending' })]),
      'waiting',
    ],
    [
      'a new match while a disk that came with it does not tell its serial for good',
      world([disk(), mute({ name: 'vdc', diskseq: 8, serialState: 'unreadable' })]),
      'vdb by serial',
    ],
    [
      'a new match while a disk that was there before is being read',
      world([disk()], { before: [mute({ name: 'vdc', diskseq: 8, serialState: 'pending' })] }),
      'vdb by serial',
    ],
  ];
  it.each(table)('%s', (_story, given, answer) => {
    expect(short(correlate(given))).toBe(answer);
  });
});

describe('correlation by size', () => {
  const vdc = mute({ name: 'vdc', diskseq: 8 });
  const table: readonly [story: string, given: ReturnType<typeof world>, answer: string][] = [
    ['the only new disk, of exactly the size', world([mute()]), 'vdb by size'],
    ['the only new disk, larger within the tolerance', world([mute({ size: 8 * GIB })]), 'vdb by size'],
    ['a disk larger than the tolerance', world([mute({ size: 8 * GIB + 512 })]), 'waiting'],
    ['a disk that is one sector too small', world([mute({ size: 5 * GIB - 512 })]), 'waiting'],
    ['two new disks that fit', world([mute(), vdc]), 'DEVICE_AMBIGUOUS'],
    ['two new disks of which one fits', world([mute({ size: GIB }), vdc]), 'vdc by size'],
    ['a disk that was there before', world([], { before: [mute()] }), 'waiting'],
    ['a disk that was there before and a new one', world([vdc], { before: [mute()] }), 'vdc by size'],
    [
      'an event just inside the 5 s window',
      world([mute()], { events: [event('added', mute(), SUBMIT - 5_000)] }),
      'vdb by size',
    ],
    [
      'a disk that came in those 5 s, but before the last look ahead of the submit',
      world([], { before: [mute()], events: [event('added', mute(), SUBMIT - 100)] }),
      'waiting',
    ],
    ['a new disk, when nobody looked before the submit', world([mute()], { disksBefore: null }), 'waiting'],
    [
      'a new disk after a reboot of a guest that had none of its size',
      world([mute()], { disksBefore: { bootId: 'earlier', disks: [mute({ size: GIB })] } }),
      'vdb by size',
    ],
    [
      "a new disk after a reboot of a guest that had one of its size, nobody's",
      world([mute()], { disksBefore: { bootId: 'earlier', disks: [vdc] } }),
      'waiting',
    ],
    ['a stale event', world([mute()], { events: [event('added', mute(), SUBMIT - 5_001)] }), 'waiting'],
    [
      'the event of an earlier plug of the letter',
      world([mute()], { events: [event('added', mute({ diskseq: 6 }))] }),
      'waiting',
    ],
    ['only a removal', world([mute()], { events: [event('removed', mute())] }), 'waiting'],
    ['a disk mapped to another volume', world([mute()], { mappings: [mappingTo(mute())] }), 'waiting'],
    [
      'a letter whose mapping is of an earlier plug: the disk of that volume may have been plugged again',
      world([mute()], { mappings: [mappingTo(mute({ diskseq: 6 }))] }),
      'waiting',
    ],
    [
      'a letter whose mapping is of an earlier boot: the disk of that volume is as new as ours',
      world([mute()], { mappings: [mappingTo(mute(), { bootId: 'earlier' })] }),
      'waiting',
    ],
    [
      'another letter whose mapping is of an earlier boot',
      world([vdc], { mappings: [mappingTo(mute(), { bootId: 'earlier' })] }),
      'waiting',
    ],
    [
      'a mapping of an earlier boot whose disk was larger than this one',
      world([mute()], { mappings: [mappingTo(mute({ size: 6 * GIB }), { bootId: 'earlier' })] }),
      'waiting',
    ],
    [
      'a new disk, beside a volume that is attached here and has neither mapping nor disk',
      world([mute()], { attachedHere: [coming(VOLUME), coming(OTHER)] }),
      'waiting',
    ],
    [
      'a new disk, beside one of the size that CloudStack had plugged here before and nothing maps',
      world([mute()], { attachedHere: [coming(VOLUME), { id: OTHER, size: 5 * GIB }] }),
      'waiting',
    ],
    [
      'a new disk, beside another size that CloudStack had plugged here before and nothing maps',
      world([mute()], { attachedHere: [coming(VOLUME), { id: OTHER, size: 6 * GIB }] }),
      'vdb by size',
    ],
    [
      'the same after a reboot: the one that was plugged before is as new as ours',
      world([mute()], {
        disksBefore: { bootId: 'earlier', disks: [] },
        attachedHere: [coming(VOLUME), { id: OTHER, size: 6 * GIB }],
      }),
      'waiting',
    ],
    [
      'the same while an operation attaches that one anew',
      world([mute()], { attachedHere: [{ id: OTHER, size: 6 * GIB }, coming(OTHER)] }),
      'waiting',
    ],
    [
      'a mapping of an earlier boot, and CloudStack had plugged its volume of another size before',
      world([mute()], {
        mappings: [mappingTo(mute(), { bootId: 'earlier' })],
        attachedHere: [{ id: OTHER, size: 6 * GIB }],
      }),
      'vdb by size',
    ],
    [
      'a new disk, beside a volume that is attached here and has its disk',
      world([vdc], {
        before: [mute()],
        mappings: [mappingTo(mute())],
        attachedHere: [coming(OTHER)],
      }),
      'vdc by size',
    ],
    [
      'a new disk while any disk shows a serial',
      world([mute()], { before: [disk({ name: 'vdc', ...strange })] }),
      'waiting',
    ],
    [
      "the serial of the system's own disk counts for nothing",
      world([mute()], { before: [disk({ name: 'vda', ...strange })] }),
      'vdb by size',
    ],
    ['a serial that is not read yet', world([mute({ serialState: 'pending' })]), 'waiting'],
    ['a new disk whose serial cannot be read', world([mute({ serialState: 'unreadable' })]), 'waiting'],
    [
      'an old disk whose serial cannot be read holds nobody up',
      world([vdc], { before: [mute({ serialState: 'unreadable' })] }),
      'vdc by size',
    ],
    ["the system's own disk appears", world([mute({ name: 'vda' })]), 'waiting'],
    ['neither serial nor diskseq', world([mute({ diskseq: null })]), 'DEVICE_IDENTITY_MISMATCH'],
    [
      'attached already, and the mapping proves the disk',
      world([], { before: [mute()], mappings: [mappingTo(mute(), { volumeId: VOLUME })], submittedAt: null }),
      'vdb by size',
    ],
    ['attached already, without a mapping', world([], { before: [mute()], submittedAt: null }), 'waiting'],
    [
      'attached anew while the guest still has the ghost of the last attach',
      world([], { before: [mute()], mappings: [mappingTo(mute(), { volumeId: VOLUME })] }),
      'waiting',
    ],
    [
      'its own disk, correlated twice in one attach',
      world([mute()], { mappings: [mappingTo(mute(), { volumeId: VOLUME })] }),
      'vdb by size',
    ],
  ];
  it.each(table)('%s', (_story, given, answer) => {
    expect(short(correlate(given))).toBe(answer);
  });
});

describe('a refusal', () => {
  it('names every candidate and why, and chooses none', () => {
    const answer = correlate(
      world([mute(), mute({ name: 'vdc', diskseq: 8 })], { before: [mute({ name: 'vda' })] }),
    );
    expect(answer).toEqual({
      kind: 'refused',
      code: 'DEVICE_AMBIGUOUS',
      reason: '2 new devices without a serial fit: /dev/vdb, /dev/vdc',
      considered: [
        { path: '/dev/vda', serial: null, size: 5 * GIB, diskseq: 7, verdict: "is the system's own disk" },
        {
          path: '/dev/vdb',
          serial: null,
          size: 5 * GIB,
          diskseq: 7,
          verdict: 'is new, not mapped to another volume, and its size fits',
        },
        {
          path: '/dev/vdc',
          serial: null,
          size: 5 * GIB,
          diskseq: 8,
          verdict: 'is new, not mapped to another volume, and its size fits',
        },
      ],
    });
  });

  it('does not depend on the order of the devices', () => {
    const given = world([mute(), disk({ name: 'vdc', diskseq: 8 }), disk({ name: 'vdd', ...strange })]);
    const turned = { ...given, devices: [...given.devices].reverse() };
    expect(short(correlate(turned))).toBe(short(correlate(given)));
    expect(short(correlate(given))).toBe('vdc by serial');
    expect(correlate(given).considered.map(({ verdict }) => verdict)).toEqual([
      'is new, not mapped to another volume, and its size fits',
      'has the serial of the volume and a fitting size',
      'has the serial of another volume',
    ]);
  });
});

describe('two attaches at once', () => {
  it('with serials each finds its own disk, whatever the letters', () => {
    const both = [disk({ name: 'vdc', diskseq: 8 }), disk({ name: 'vdb', ...strange })];
    expect(short(correlate(world(both)))).toBe('vdc by serial');
    expect(short(correlate(world(both, { volume: { id: OTHER, size: 5 * GIB } })))).toBe('vdb by serial');
  });

  it('without serials neither is guessed', () => {
    const both = [mute(), mute({ name: 'vdc', diskseq: 8 })];
    expect(short(correlate(world(both)))).toBe('DEVICE_AMBIGUOUS');
    expect(short(correlate(world(both, { volume: { id: OTHER, size: 5 * GIB } })))).toBe('DEVICE_AMBIGUOUS');
  });
});

describe('a disk swapped between two polls', () => {
  it('is not taken for the one that had the letter before', () => {
    const now = disk({ ...strange, diskseq: 9 });
    const events = [event('removed', disk()), event('added', now)];
    expect(short(correlate(world([], { devices: [now], events })))).toBe('waiting');
  });
});

describe('the serial of a volume', () => {
  it('is the first 20 characters of its UUID without dashes, in lower case', () => {
    expect(expectedSerial('B3BB9310-1B59-4F62-97E8-CEFFFDFE3804')).toBe('b3bb93101b594f6297e8');
  });

  it('is not an empty, blank or missing text', () => {
    expect([null, '', '   ', '-'.repeat(20)].map((serial) => serialNames(VOLUME, serial))).toEqual([
      false,
      false,
      false,
      false,
    ]);
  });
});

describe('the root disk', () => {
  it('is what the guest says holds /', () => {
    const devices = [disk({ name: 'vda', root: false }), disk({ name: 'vdb', root: true })];
    expect([...rootDevices({ devices })]).toEqual(['vdb']);
  });

  it('is none when / is on something else', () => {
    expect(rootDevices({ devices: [disk({ root: false })] }).size).toBe(0);
  });

  it('is not known where the guest does not say: a name proves nothing', () => {
    expect(rootDevices({ devices: [disk({ name: 'vda' }), disk()] }).size).toBe(0);
  });
});

describe('two volumes whose ids begin alike show one serial', () => {
  const ALIKE = `${VOLUME.slice(0, 24)}000000000000`;

  it.each([
    ['mapped', { mappings: [mappingTo(disk({ name: 'vdz' }), { volumeId: ALIKE })] }],
    ['attached', { attachedHere: [coming(ALIKE)] }],
  ])("so the only disk with it is nobody's while the other is %s here", (_, others) => {
    const answer = correlate(world([disk()], others));
    expect(answer).toMatchObject({ kind: 'refused', code: 'DEVICE_AMBIGUOUS' });
    expect(answer.reason).toContain(ALIKE);
  });

  it('a bus that shows the whole id tells them apart', () => {
    const whole = disk({ name: 'sdb', serial: VOLUME.replaceAll('-', ''), bus: 'virtio-scsi' });
    const answer = correlate(world([whole], { attachedHere: [coming(ALIKE)] }));
    expect(answer).toMatchObject({ kind: 'found', device: { name: 'sdb' } });
  });
});

describe('a disk with the serial of the volume that did not come with this attach', () => {
  const old = disk();
  const told = (fields: Parameters<typeof world>[1] = {}) => {
    const answer = correlate(world([], { before: [old], ...fields }));
    return answer.kind === 'found' ? answer.unproven : answer.kind;
  };
  const own = mappingTo(old, { volumeId: VOLUME });

  it('is proven by its mapping to this very plug, and by nothing less', () => {
    expect(told({ mappings: [own] })).toBe(false);
    expect(told({ mappings: [mappingTo(disk({ name: 'vdz', diskseq: 99 })), own] })).toBe(false);
    expect(told()).toBe(true);
    const theirs = mappingTo(old, { serial: OTHER.replaceAll('-', '').slice(0, 20) });
    expect(told({ mappings: [theirs] }), 'a row of another volume').toBe(true);
    for (const less of [{ devicePath: '/dev/vdz' }, { diskseq: 8 }, { diskseq: null }, { bootId: 'earlier' }])
      expect(told({ mappings: [{ ...own, ...less }] }), JSON.stringify(less)).toBe(true);
    const unnumbered = disk({ diskseq: null });
    const answer = correlate(
      world([], { before: [unnumbered], mappings: [mappingTo(unnumbered, { volumeId: VOLUME })] }),
    );
    expect(answer).toMatchObject({ kind: 'found', unproven: true });
  });

  it('needs no proof where it has come with this attach', () => {
    expect(correlate(world([disk()]))).toMatchObject({ kind: 'found', unproven: false });
  });
});

it.each(['pending', 'unreadable'] as const)(
  'a new disk that fits is not taken by its size while the serial of another one is %s: that one may be the volume',
  (serialState) => {
    const other = mute({ name: 'vdc', diskseq: 9, serialState });
    expect(short(correlate(world([mute(), other])))).toBe('waiting');
    expect(short(correlate(world([mute()], { before: [other] })))).toBe(
      serialState === 'pending' ? 'waiting' : 'vdb by size',
    );
  },
);

describe('a new disk without a serial after a reboot of the guest', () => {
  const vdz = mute({ name: 'vdz', path: '/dev/vdz', diskseq: 4 });
  const before = { bootId: 'earlier', disks: [vdz] };
  const found = mute({ name: 'vdc', path: '/dev/vdc', diskseq: 9 });
  /** The disk of before is mapped, and found again as vdc. */
  const mapped = (fields: Partial<MappingLike>) => {
    const again = mappingTo(found);
    const earlier = mappingTo(vdz, { bootId: 'earlier', ...fields });
    return short(
      correlate(
        world([mute()], {
          before: [found],
          disksBefore: before,
          mappings: [
            { ...again, volumeId: OTHER },
            { ...earlier, volumeId: VOLUME },
          ],
        }),
      ),
    );
  };

  it('is not one of those that were mapped before it, each to its very plug', () => {
    expect(mapped({})).toBe('vdb by size');
    for (const other of [{ devicePath: '/dev/vdy' }, { diskseq: 5 }, { bootId: 'another' }])
      expect(mapped(other), JSON.stringify(other)).toBe('waiting');
  });
});
