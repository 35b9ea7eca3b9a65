import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CloudVolume } from '~/server/cloudstack/cloud';
import { sliceOf, type VolumeFilter } from '~/server/daemon/volumes/volume-list';
import { unknown } from '~/server/model/evidence';
import type { ListedVolume } from '~/server/sync/volume-catalogue';
import { cloudVolume, OTHER_VM } from '~/test/support/canned';
import { listed } from '~/test/support/fake-daemon';

const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const volume = (n: number, fields: Partial<CloudVolume> = {}) => listed(cloudVolume(id(n), fields));
const hidden = (n: number): ListedVolume => ({
  id: id(n),
  volume: unknown('not shown', 0, 'cloudstack'),
});
const ids = (volumes: readonly ListedVolume[], filter: Partial<VolumeFilter>) =>
  sliceOf(volumes, { limit: 10, ...filter }).volumes.map((one) => Number(one.id.slice(-12)));

describe('the filters of the list of volumes', () => {
  const all = [
    volume(1, { name: 'web-1', state: 'Ready', vmId: OTHER_VM }),
    volume(2, { name: 'WEB-2', state: 'Allocated', vmId: null }),
    hidden(3),
    volume(4, { name: 'db', vmId: null, owner: { projectId: id(77), account: null, domainId: null } }),
  ];

  it.each([
    ['a part of the name, in any case', { name: 'Web' }, [1, 2]],
    ['the state', { state: 'Allocated' }, [2]],
    ['the VM', { vmId: OTHER_VM }, [1]],
    ['attached', { attached: true }, [1]],
    ['detached', { attached: false }, [2, 4]],
    ['the project', { projectId: id(77) }, [4]],
    ['several at once', { name: 'web', attached: false }, [2]],
    ['none', {}, [1, 2, 3, 4]],
  ])('%s', (_, filter, expected) => {
    expect(ids(all, filter)).toEqual(expected);
  });

  it('none of them shows a volume of which CloudStack does not say whether it matches', () => {
    for (const filter of [{ name: '' }, { state: 'Ready' }, { attached: false }, { attached: true }])
      expect(ids(all, filter)).not.toContain(3);
  });
});

describe('the pages of the list', () => {
  it('a page that is exactly full is the last one when nothing follows it', () => {
    const three = [volume(1), volume(2), volume(3, { name: 'other' })];
    expect(sliceOf(three, { limit: 3 }).next).toBeNull();
    expect(sliceOf(three, { limit: 2 }).next).toBe(id(2));
    // What follows does not match, so there is no next page.
    expect(sliceOf(three, { limit: 2, name: 'my-' }).next).toBeNull();
  });

  it('go on behind a volume that is gone meanwhile', () => {
    expect(ids([volume(1), volume(3)], { after: id(2) })).toEqual([3]);
    expect(ids([volume(1), volume(3)], { after: id(3) })).toEqual([]);
  });

  it('together show every volume once, whatever comes and goes between two pages', () => {
    const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 40 });
    fc.assert(
      fc.property(numbers, numbers, fc.integer({ min: 1, max: 7 }), (before, meanwhile, limit) => {
        const sorted = (set: readonly number[]) => [...set].sort((a, b) => a - b).map((n) => volume(n));
        const staying = before.filter((n) => meanwhile.includes(n));
        const shown: string[] = [];
        let after: string | undefined;
        for (let page = 0; ; page += 1) {
          const slice = sliceOf(sorted(page % 2 === 0 ? before : meanwhile), { limit, after });
          shown.push(...slice.volumes.map((one) => one.id));
          if (slice.next === null) break;
          after = slice.next;
        }
        expect(new Set(shown).size).toBe(shown.length);
        // The last page may have been read of either set: what is in both is always there.
        expect(shown).toEqual(expect.arrayContaining(staying.map(id)));
      }),
    );
  });
});
