import { describe, expect, it } from 'vitest';
import { DRIFT_KINDS } from '~/server/sync/drift';
import type { Observation } from '~/server/sync/observation';
import { plan } from '~/server/sync/plan';
import { nothing, TABLE, used } from './drift-table';
import {
  APPLIANCE,
  device,
  GIB,
  guest,
  healthy,
  mapping,
  OTHER_VM,
  remote,
  SECOND,
  VOLUME,
  volume,
} from './observations';
import { steps } from './planned-steps';

describe('each drift alone', () => {
  it('a healthy appliance has none', () => {
    expect(plan(healthy())).toEqual([]);
  });

  it.each(TABLE)('%s', (_story, world, kind, expected) => {
    const o = healthy(world);
    expect(plan(o).map(({ drift }) => drift.kind)).toEqual([kind]);
    expect(steps(o)).toEqual([expected]);
  });

  it('the table knows every kind of drift', () => {
    const covered = new Set(TABLE.map(([, , kind]) => kind));
    expect(DRIFT_KINDS.filter((kind) => !covered.has(kind))).toEqual([]);
  });

  it.each(TABLE)('while an operation is in flight, nothing is changed: %s', (_story, world, kind) => {
    const o = healthy({ ...world, busy: new Set([VOLUME]) });
    // Who we are is no volume's affair.
    expect(plan(o)).toHaveLength(kind === 'identity-conflict' ? 1 : 0);
  });
});

describe('a volume that has come here from another VM by hand', () => {
  it.each([
    ['this system uses its disk', { users: used({ kind: 'own', detail: 'line 1' }) }, 'used-by-system'],
    ['its disk has another size', { guest: guest([device({ size: GIB })]) }, 'size-mismatch'],
  ])('%s: the row does not say the other VM any more', (_story, world, kind) => {
    const o = healthy({ ...nothing, mappings: [remote()], ...world });
    expect(plan(o).map(({ drift }) => drift.kind)).toEqual(['stale-mapping', kind]);
    expect(steps(o)).toEqual(['delete-mapping', '']);
  });
});

describe('letters that are reassigned', () => {
  const first = device({ name: 'vdc', diskseq: 2 });
  const second = device({ name: 'vdb', serial: '7d21b6e093fa4c188b57', diskseq: 3 });
  const swapped = healthy({
    volumes: [volume(), volume({ id: SECOND, deviceId: 2 })],
    guest: guest([second, first], 'another boot'),
    mappings: [mapping(), mapping({ volumeId: SECOND, devicePath: '/dev/vdc', diskseq: 8 })],
    exports: [],
    exportsEnabled: false,
    configured: null,
  });

  const displaced = (o: Observation) =>
    plan(o).flatMap(({ drift, steps: list }) =>
      list.flatMap((step) =>
        step.kind === 'rows'
          ? step.effects.map((effect) => [drift.volumeId, effect.kind === 'put-mapping' && effect.displaces])
          : [],
      ),
    );

  it('two volumes that swap letters displace each other by name', () => {
    expect(displaced(swapped)).toEqual([
      [VOLUME, [SECOND]],
      [SECOND, [VOLUME]],
    ]);
  });

  it('the same letters on another appliance with the same database are nothing to them', () => {
    const theirs = ['/dev/vdb', '/dev/vdc'].map((devicePath, index) =>
      mapping({ volumeId: `cccccccc-0000-4000-8000-00000000000${index}`, vmId: OTHER_VM, devicePath }),
    );
    const busy = new Set(theirs.map(({ volumeId }) => volumeId));
    const beside = { ...swapped, mappings: [...swapped.mappings, ...theirs], busy };
    expect(displaced(beside)).toEqual(displaced(swapped));
  });

  it('a volume whose letter belongs to the row of a volume in flight waits for it', () => {
    expect(plan({ ...swapped, busy: new Set([SECOND]) })).toEqual([]);
  });

  it('a size-matched mapping holds as long as the plug is the same, and no longer', () => {
    const mute = { serial: null, serialState: 'absent' as const };
    const bySize = mapping({ serial: null, matchedBy: 'size' });
    expect(plan(healthy({ guest: guest([device(mute)]), mappings: [bySize] }))).toEqual([]);
    const again = guest([device({ ...mute, diskseq: 8 })]);
    const [repair] = plan(healthy({ guest: again, mappings: [bySize] }));
    expect(repair?.drift.kind).toBe('phantom-attach');
    expect(repair?.drift.vmId).toBe(APPLIANCE);
  });
});
