import { describe, expect, it } from 'vitest';
import type { DriftKind } from '~/server/sync/drift';
import type { Observation } from '~/server/sync/observation';
import { leftOpen, plan } from '~/server/sync/plan';
import { detached, nothing, proven, served, untold } from './drift-table';
import {
  device,
  GIB,
  guest,
  healthy,
  mapping,
  OTHER_VM,
  ROOT,
  record,
  remote,
  VOLUME,
  volume,
} from './observations';
import { steps } from './planned-steps';

describe('what is not known is not judged', () => {
  const unread = device({ serial: null, serialState: 'pending' });
  const hung = device({ serial: null, serialState: 'unreadable' });
  const twins = [device(), device({ name: 'vdc', diskseq: 8 })];
  const SILENCES: readonly [story: string, world: Partial<Observation>][] = [
    ['CloudStack is away and everything else fits', { volumes: null }],
    [
      'a volume on another VM that nothing proves to be ours: it gets no row',
      { ...nothing, volumes: [volume({ vmId: OTHER_VM })], guest: guest([]) },
    ],
    [
      'a volume of ours on the VM of another daemon: that one maps it',
      {
        ...nothing,
        volumes: [volume({ vmId: OTHER_VM })],
        guest: guest([]),
        ours: new Set([VOLUME]),
        otherAppliances: new Map([[OTHER_VM, { runs: false }]]),
      },
    ],
    [
      'attached here, the row names an appliance whose daemon runs: that one hands it over',
      {
        ...nothing,
        mappings: [remote()],
        otherAppliances: new Map([[OTHER_VM, { runs: true }]]),
      },
    ],
    [
      'a volume of ours that CloudStack attaches or deletes on another VM just now',
      {
        ...nothing,
        volumes: ['Attaching', 'Expunging'].map((state) => volume({ vmId: OTHER_VM, state })),
        guest: guest([]),
        ours: new Set([VOLUME]),
      },
    ],
    [
      'CloudStack is away: gone is not yet a phantom',
      { volumes: null, guest: guest([]), configured: served(null) },
    ],
    [
      'CloudStack is away: nobody knows where the volume of another VM is',
      { ...nothing, volumes: null, mappings: [remote()] },
    ],
    ['the guest cannot be read', { guest: null }],
    [
      'the guest cannot be read, and the row of what is attached here names another VM',
      { ...nothing, mappings: [remote()], guest: null },
    ],
    ['a disk has not told its serial yet', { guest: guest([unread]) }],
    [
      'a disk has not told its serial yet and the volume is detached',
      { ...nothing, ...detached, guest: guest([unread]) },
    ],
    [
      'a disk has its serial, and another one, which may be its new plug, has not told',
      { ...nothing, guest: guest([device(), device({ ...unread, name: 'vdc', diskseq: 8 })]) },
    ],
    [
      'the same of a mapping whose plug has left',
      {
        guest: guest([device({ diskseq: 8 }), device({ ...hung, name: 'vdc', diskseq: 9 })]),
        configured: served(null),
      },
    ],
    ['two disks claim the volume', { ...nothing, guest: guest(twins) }],
    [
      "the system's own disk has the serial",
      { ...nothing, guest: { ...guest([]), devices: [{ ...ROOT, ...device({ name: 'vda' }), root: true }] } },
    ],
    ['the root volume of the appliance', { ...nothing, volumes: [volume({ type: 'ROOT' })] }],
    [
      'the root volume of another VM, in a guest that does not tell what `/` stands on: it may be our own',
      {
        ...nothing,
        volumes: [volume({ vmId: OTHER_VM, type: 'ROOT', deviceId: 0 })],
        guest: guest([untold]),
      },
    ],
    ['the export server cannot be read', { configured: null, probes: new Map() }],
    ['exports are off', { exportsEnabled: false, configured: [], exports: [], probes: new Map() }],
    [
      'withdrawn on purpose',
      {
        configured: [],
        probes: new Map(),
        exports: [record({ status: 'pending', metadata: { withdrawn: 'true' } })],
      },
    ],
    [
      'CloudStack is attaching it right now',
      { ...nothing, volumes: [volume({ vmId: null, state: 'Attaching' })] },
    ],
    [
      'CloudStack is creating it right now',
      { ...nothing, volumes: [volume({ vmId: null, state: 'Creating' })], guest: guest([]) },
    ],
    [
      'a volume on another VM, mapped there',
      { ...nothing, volumes: [volume({ vmId: OTHER_VM })], mappings: [remote()], guest: guest([]) },
    ],
    [
      'a volume of somebody else has been migrated for hours',
      {
        ...nothing,
        volumes: [volume({ vmId: OTHER_VM, state: 'Migrating' })],
        guest: guest([]),
        stuckBefore: new Map([[VOLUME, 'Migrating']]),
      },
    ],
    [
      'an upload of somebody else waits for its content',
      {
        ...nothing,
        volumes: [volume({ vmId: null, deviceId: null, state: 'UploadError' })],
        guest: guest([]),
        stuckBefore: new Map([[VOLUME, 'UploadError']]),
      },
    ],
    [
      'the row of another appliance of this database, whose key sees what ours does not',
      {
        ...nothing,
        volumes: [],
        absent: proven,
        mappings: [remote()],
        guest: guest([]),
        otherAppliances: new Map([[OTHER_VM, { runs: false }]]),
      },
    ],
    [
      'what an earlier try left behind is in use by now',
      {
        ...nothing,
        volumes: [volume({ vmId: OTHER_VM })],
        mappings: [remote()],
        guest: guest([]),
        unclaimed: new Map([[VOLUME, 'the operation']]),
      },
    ],
    [
      'what an earlier try left behind cannot be seen: nothing is said of it',
      { ...nothing, volumes: [], guest: guest([]), unclaimed: new Map([[VOLUME, 'the operation']]) },
    ],
    [
      'a disk whose serial no volume of CloudStack can have',
      { ...nothing, volumes: [], guest: guest([device({ serial: 'a-config-drive' })]) },
    ],
    [
      'it is being resized, and the guest does not show it yet',
      { volumes: [volume({ size: 6 * GIB, state: 'Resizing' })] },
    ],
    ['a detached volume', { ...nothing, ...detached, guest: guest([]) }],
    [
      'CloudStack works on a volume here that has no row yet',
      { ...nothing, volumes: [volume({ state: 'Attaching' })] },
    ],
    [
      'CloudStack works on a volume that has a row here, and its export leads to its disk',
      { volumes: [volume({ vmId: null, state: 'Attaching' })] },
    ],
    [
      'CloudStack works on a volume that has a row here, and a disk has not told its serial yet',
      { volumes: [volume({ vmId: null, state: 'Attaching' })], guest: guest([unread]) },
    ],
    [
      'CloudStack works on a volume that has a row for another VM',
      {
        ...nothing,
        volumes: [volume({ vmId: null, state: 'Attaching' })],
        mappings: [remote()],
        guest: guest([]),
      },
    ],
    [
      'a disk of the system itself, which nobody has mapped',
      { ...nothing, users: new Map([['/dev/vdb', [{ kind: 'own', detail: 'serial 0f3c' }]]]) },
    ],
  ];

  it.each(SILENCES)('%s', (_story, world) => {
    expect(plan(healthy(world))).toEqual([]);
  });

  it('while CloudStack is away, an absence that was proven before counts for nothing', () => {
    expect(plan(healthy({ volumes: null, absent: proven }))).toEqual([]);
  });

  it('while CloudStack is away, a moved disk that has become smaller keeps the size that fitted', () => {
    const smaller = device({ name: 'vdc', size: 4 * GIB });
    const o = healthy({ volumes: null, guest: guest([smaller]), configured: [] });
    const sizes = plan(o).flatMap(({ steps: list }) =>
      list.flatMap((step): (number | string | false)[] =>
        step.kind === 'rows'
          ? step.effects.map((effect) => effect.kind === 'put-mapping' && effect.mapping.size)
          : [step.kind],
      ),
    );
    expect(sizes).toEqual([5 * GIB]);
  });

  it('an export that was withdrawn on purpose stays withdrawn when the letter moves', () => {
    const withdrawn = record({ status: 'pending', metadata: { withdrawn: 'true' } });
    const o = healthy({ guest: guest([device({ name: 'vdc' })]), exports: [withdrawn], configured: [] });
    expect(steps(o)).toEqual(['put-mapping detected /dev/vdc']);
  });

  it('while CloudStack is away, a serial that names two mapped volumes tells nothing of either', () => {
    const twin = `${VOLUME.slice(0, 24)}000000000000`;
    const twins = [mapping(), mapping({ volumeId: twin, devicePath: '/dev/vdc', diskseq: 8 })];
    const o = healthy({
      volumes: null,
      guest: guest([device({ name: 'vdd', diskseq: 3 })], 'another boot'),
      mappings: twins,
      exports: [],
      configured: [],
    });
    expect(plan(o)).toEqual([]);
  });

  it('a volume on another VM whose id begins alike does not keep one from its disk here', () => {
    const twin = volume({ id: `${VOLUME.slice(0, 24)}000000000000`, vmId: OTHER_VM });
    const o = healthy({ ...nothing, volumes: [volume(), twin] });
    expect(steps(o)).toEqual(['put-mapping detected /dev/vdb, publish /dev/vdb']);
  });

  it('a disk that provably belongs to another mapping is not reassigned, even by its serial', () => {
    const twin = `${VOLUME.slice(0, 24)}000000000000`;
    const o = healthy({ volumes: [volume(), volume({ id: twin })] });
    expect(plan(o)).toEqual([]);
  });
});

describe('a drift of before that no plan names any more', () => {
  const hung = device({ name: 'vdc', diskseq: 8, serial: null, serialState: 'unreadable' });
  const gone = { volumes: [], absent: proven };
  const moving = [volume({ state: 'Migrating' })];
  it.each<[what: string, kind: DriftKind, world: Partial<Observation>, isOpen: boolean]>([
    ['its volume is worked on', 'stale-mapping', { busy: new Set([VOLUME]) }, true],
    ['all of it can be seen', 'ghost-disk', {}, false],
    ['CloudStack is moving the volume', 'resized', { volumes: moving }, true],
    ['of the volume itself nothing is left open', 'not-visible', { volumes: moving }, false],
    ['any disk may be that of the volume', 'unmapped-volume', { guest: guest([hung]) }, true],
    ['the volume is not shown', 'unmapped-volume', { volumes: [], guest: guest([hung]) }, true],
    ['the volume has left', 'unmapped-volume', { ...detached, guest: guest([hung]) }, false],
    ['the volume is no more', 'unmapped-volume', { ...gone, guest: guest([hung]) }, false],
    ['it has left, and its disk may have stayed', 'ghost-disk', { ...detached, guest: guest([hung]) }, true],
    ['it is no more, and its disk may have stayed', 'ghost-disk', { ...gone, guest: guest([hung]) }, true],
  ])('%s: %s', (_what, kind, world, isOpen) => {
    const o = healthy({ ...nothing, ...world });
    expect(leftOpen(o)({ kind, volumeId: VOLUME })).toBe(isOpen);
    expect(leftOpen(o)({ kind, volumeId: null })).toBe(false);
  });
});
