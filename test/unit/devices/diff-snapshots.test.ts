import { describe, expect, it } from 'vitest';
import type { Device } from '~/server/devices/device';
import { diffSnapshots } from '~/server/devices/diff-snapshots';
import { disk, GIB, mute } from './worlds';

function changes(
  before: Device[],
  after: Device[],
  boots: [string | null, string | null] = ['b', 'b'],
): string[] {
  const found = diffSnapshots({ bootId: boots[0], devices: before }, { bootId: boots[1], devices: after });
  return found.map(({ type, device }) => `${type} ${device.name}#${device.diskseq}`);
}

const pending = { serial: null, serialState: 'pending' } as const;

describe('two looks at the guest', () => {
  const table: readonly [story: string, before: Device[], after: Device[], events: string[]][] = [
    ['nothing has changed', [disk()], [disk()], []],
    ['a disk appears', [], [disk()], ['added vdb#7']],
    ['a disk disappears', [disk()], [], ['removed vdb#7']],
    [
      'the letter is reused between two looks: same size, same serial state',
      [mute()],
      [mute({ diskseq: 8 })],
      ['removed vdb#7', 'added vdb#8'],
    ],
    [
      'removals come first',
      [disk(), disk({ name: 'vdc', diskseq: 8 })],
      [disk({ diskseq: 9 })],
      ['removed vdb#7', 'removed vdc#8', 'added vdb#9'],
    ],
    ['a disk is resized', [disk()], [disk({ size: 6 * GIB })], ['changed vdb#7']],
    ['a pending serial becomes known', [disk(pending)], [disk()], []],
    ['a pending serial turns out to be absent', [disk(pending)], [mute()], []],
    ['a read serial becomes unreadable', [disk()], [mute({ serialState: 'unreadable' })], []],
    [
      'another serial on the same diskseq is another disk',
      [disk()],
      [disk({ serial: 'other' })],
      ['removed vdb#7', 'added vdb#7'],
    ],
    [
      'without diskseq another serial is another disk',
      [disk({ diskseq: null })],
      [disk({ diskseq: null, serial: 'other' })],
      ['removed vdb#null', 'added vdb#null'],
    ],
    [
      'without diskseq a serial that is pending again is another disk',
      [disk({ diskseq: null })],
      [disk({ diskseq: null, ...pending })],
      ['removed vdb#null', 'added vdb#null'],
    ],
    ['with diskseq a serial that is pending again (restart) is the same disk', [disk()], [disk(pending)], []],
    [
      'without diskseq a serial that is still pending is the same disk',
      [disk({ diskseq: null, ...pending })],
      [disk({ diskseq: null, ...pending })],
      [],
    ],
    [
      'without diskseq a serial that cannot be read any more is the same disk',
      [disk({ diskseq: null })],
      [mute({ diskseq: null, serialState: 'unreadable' })],
      [],
    ],
    [
      'without diskseq a disk that has no serial is not the one that had one',
      [disk({ diskseq: null })],
      [mute({ diskseq: null })],
      ['removed vdb#null', 'added vdb#null'],
    ],
  ];
  it.each(table)('%s', (_story, before, after, events) => {
    expect(changes(before, after)).toEqual(events);
  });

  it('another boot replaces every disk, even with the same letter, serial and diskseq', () => {
    expect(changes([disk()], [disk()], ['b', 'c'])).toEqual(['removed vdb#7', 'added vdb#7']);
  });

  it('an unknown boot is no reboot', () => {
    expect(changes([disk()], [disk()], [null, 'c'])).toEqual([]);
    expect(changes([disk()], [disk()], ['b', null])).toEqual([]);
  });
});
