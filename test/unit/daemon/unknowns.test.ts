import { expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import { Unknowns } from '~/server/daemon/unknowns';
import { seen, unknown } from '~/server/model/evidence';

it('an unknown answer counts from the first in a row, by volume and witness', () => {
  const unknowns = new Unknowns();
  expect(unknowns.since('a', [unknown('away', 10, 'cloudstack'), seen(1, 10, 'guest')])).toEqual({
    cloudstack: 10,
  });
  expect(unknowns.since('a', [unknown('away', 20, 'cloudstack'), unknown('busy', 20, 'guest')])).toEqual({
    cloudstack: 10,
    guest: 20,
  });
  expect(unknowns.since('b', [unknown('away', 25, 'cloudstack')])).toEqual({ cloudstack: 25 });
  expect(unknowns.since('a', [seen(1, 30, 'cloudstack')])).toEqual({});
  expect(unknowns.since('a', [unknown('away', 40, 'cloudstack')])).toEqual({ cloudstack: 40 });
});

it('remembers a bounded number of volumes, the last ones', () => {
  const unknowns = new Unknowns();
  for (let index = 0; index <= LIMITS.UNKNOWNS_REMEMBERED; index += 1)
    unknowns.since(`v${index}`, [unknown('away', index, 'guest')]);
  expect(unknowns.since('v1', [unknown('away', 9_999, 'guest')])).toEqual({ guest: 1 });
  expect(unknowns.since('v0', [unknown('away', 9_999, 'guest')])).toEqual({ guest: 9_999 });
});
