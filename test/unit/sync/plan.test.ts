import { describe, expect, it } from 'vitest';
import type { Holder } from '~/server/devices/device';
import { exportName } from '~/server/model/export-name';
import { DRIFT_KINDS, type DriftKind } from '~/server/sync/drift';
import type { Observation } from '~/server/sync/observation';
import { plan } from '~/server/sync/plan';
import {
  APPLIANCE,
  answers,
  device,
  GIB,
  guest,
  healthy,
  mapping,
  OTHER_VM,
  ROOT,
  record,
  remote,
  SECOND,
  SILENT,
  VOLUME,
  volume,
} from './observations';

const NAME = exportName(VOLUME);
const served = (target: string | null) => [
  { name: NAME, volumeId: VOLUME, target, plug: null, published: null },
];
const nothing: Partial<Observation> = { mappings: [], exports: [], configured: [], probes: new Map() };
const { root: _, ...untold } = device();
const detached = { volumes: [volume({ vmId: null, deviceId: null })] };
const proven = new Map([[VOLUME, 'CloudStack says that this id names nothing']]);
const missing = mapping({ linuxState: 'missing', devicePath: `missing-${VOLUME}` });
const used = (holder: Holder) => new Map([['/dev/vdb', [holder]]]);

/** One drift alone: what the views say, the drift's name, and what is done about it ('' = reported only). */
const TABLE: readonly [story: string, world: Partial<Observation>, kind: DriftKind, steps: string][] = [
  ['the guest kept the disk of a detached volume', detached, 'ghost-disk', 'withdraw, delete-mapping'],
  ['the same without a row: there is nothing to repair', { ...nothing, ...detached }, 'ghost-disk', ''],
  [
    'the guest kept the system disk of a migrated machine, which another VM runs from now',
    { ...nothing, volumes: [volume({ vmId: OTHER_VM, type: 'ROOT', deviceId: 0 })] },
    'ghost-disk',
    '',
  ],
  [
    'the guest kept the disk of a volume that is on another VM now',
    { ...nothing, volumes: [volume({ vmId: OTHER_VM })], mappings: [remote()] },
    'ghost-disk',
    '',
  ],
  [
    'the same, and the daemon of that VM runs no more',
    {
      ...nothing,
      volumes: [volume({ vmId: OTHER_VM })],
      mappings: [remote()],
      otherAppliances: new Map([[OTHER_VM, { runs: false }]]),
    },
    'ghost-disk',
    '',
  ],
  [
    'the guest kept the disk of a volume that is proven to be deleted',
    { volumes: [], absent: proven },
    'ghost-disk',
    'withdraw, delete-mapping',
  ],
  [
    'a mapped volume that CloudStack does not show: row and export stay, whatever else is in the list',
    { volumes: [volume({ id: SECOND, vmId: null })], hidden: new Map([[VOLUME, 'the list is empty']]) },
    'not-visible',
    '',
  ],
  [
    'the same for a volume of another VM',
    { ...nothing, volumes: [], mappings: [remote()], guest: guest([]), hidden: new Map([[VOLUME, 'empty']]) },
    'not-visible',
    '',
  ],
  [
    'the guest has a disk of which the key sees no volume: nobody is told to take it away',
    { ...nothing, volumes: [] },
    'not-visible',
    '',
  ],
  [
    'what an earlier try of a create may have left behind',
    { ...nothing, ...detached, guest: guest([]), unclaimed: new Map([[VOLUME, 'the operation']]) },
    'unclaimed-volume',
    '',
  ],
  [
    'CloudStack says attached, the guest has no such disk',
    { guest: guest([]) },
    'phantom-attach',
    'withdraw, put-mapping missing, set-export-status failed',
  ],
  [
    'a known phantom whose export leads somewhere again',
    { guest: guest([]), mappings: [missing], exports: [record({ status: 'failed' })] },
    'phantom-attach',
    'withdraw',
  ],
  [
    'a known phantom is reported and not touched again',
    { guest: guest([]), mappings: [missing], exports: [record({ status: 'failed' })], configured: [] },
    'phantom-attach',
    '',
  ],
  [
    'a volume attached by hand whose disk this system has mounted',
    { ...nothing, users: used({ kind: 'mount', detail: '/data' }) },
    'used-by-system',
    '',
  ],
  [
    'a mapped disk that was mounted after its export: no new clients',
    { users: used({ kind: 'mount', detail: '/data' }) },
    'used-by-system',
    'withdraw, set-export-status failed',
  ],
  [
    'an exported disk that a process of this system only reads stays exported',
    { users: used({ kind: 'open', detail: 'pid 9 (md5sum)', readOnly: true }) },
    'used-by-system',
    '',
  ],
  ['an exported disk whose users cannot be seen stays exported', { users: new Map() }, 'used-by-system', ''],
  [
    'a disk whose users cannot be seen is neither mapped nor exported',
    { ...nothing, users: used({ kind: 'unknown', detail: '/proc is not there' }) },
    'used-by-system',
    '',
  ],
  [
    'a disk whose users cannot be seen has another letter after a reboot: its row follows, and nothing is published',
    { users: new Map(), guest: guest([device({ name: 'vdc', diskseq: 3 })], 'another boot') },
    'used-by-system',
    'withdraw, set-export-status failed, put-mapping detected /dev/vdc',
  ],
  [
    'an own disk that somebody has mapped and exported all the same',
    { users: used({ kind: 'own', detail: 'line 1' }) },
    'used-by-system',
    'withdraw, set-export-status failed',
  ],
  ['a phantom that was never mapped', { ...nothing, guest: guest([]) }, 'phantom-attach', ''],
  [
    'a phantom whose row names another VM',
    { ...nothing, guest: guest([]), mappings: [remote()] },
    'phantom-attach',
    'put-mapping missing',
  ],
  [
    'another letter after a reboot',
    { guest: guest([device({ name: 'vdc', diskseq: 3 })], 'another boot') },
    'letter-moved',
    'put-mapping detected /dev/vdc, publish /dev/vdc',
  ],
  [
    'the same letter, plugged again',
    { guest: guest([device({ diskseq: 9 })]) },
    'letter-moved',
    'put-mapping detected /dev/vdb, publish /dev/vdb',
  ],
  [
    'a missing disk has come',
    { mappings: [missing], exports: [record({ status: 'failed' })], configured: [] },
    'letter-moved',
    'put-mapping detected /dev/vdb, publish /dev/vdb',
  ],
  [
    'the disk has grown',
    { guest: guest([device({ size: 6 * GIB })]), volumes: [volume({ size: 6 * GIB })] },
    'resized',
    'put-mapping detected /dev/vdb, publish /dev/vdb',
  ],
  ['attached by hand', nothing, 'unmapped-volume', 'put-mapping detected /dev/vdb, publish /dev/vdb'],
  [
    'attached here, the row names another VM',
    { ...nothing, mappings: [remote()] },
    'unmapped-volume',
    'put-mapping detected /dev/vdb, publish /dev/vdb',
  ],
  [
    'attached here, the row names an appliance whose daemon runs no more',
    {
      ...nothing,
      mappings: [remote()],
      otherAppliances: new Map([[OTHER_VM, { runs: false }]]),
    },
    'unmapped-volume',
    'put-mapping detected /dev/vdb, publish /dev/vdb',
  ],
  [
    'a volume of ours on another VM: it gets a row and no export',
    {
      ...nothing,
      volumes: [volume({ vmId: OTHER_VM })],
      guest: guest([]),
      ours: new Set([VOLUME]),
    },
    'unmapped-volume',
    'put-mapping n/a',
  ],
  [
    'the same as the root disk of that VM, while this guest cannot be looked at',
    {
      ...nothing,
      volumes: [volume({ vmId: OTHER_VM, type: 'ROOT', deviceId: 0 })],
      guest: null,
      ours: new Set([VOLUME]),
    },
    'unmapped-volume',
    'put-mapping n/a',
  ],
  [
    'attached by hand with a disk that is too small',
    { ...nothing, guest: guest([device({ size: 5 * GIB - 512 })]) },
    'size-mismatch',
    '',
  ],
  [
    'attached by hand with a disk that is far too large',
    { ...nothing, guest: guest([device({ size: 9 * GIB })]) },
    'size-mismatch',
    '',
  ],
  [
    'enlarged in CloudStack, and the guest does not know',
    { volumes: [volume({ size: 6 * GIB })] },
    'size-mismatch',
    'withdraw, set-export-status failed',
  ],
  [
    'enlarged in CloudStack, and the export is closed already',
    {
      volumes: [volume({ size: 6 * GIB })],
      exports: [record({ status: 'failed' })],
      configured: served(null),
    },
    'size-mismatch',
    '',
  ],
  [
    'a disk that is too small has another letter after a reboot',
    {
      volumes: [volume({ size: 6 * GIB })],
      guest: guest([device({ name: 'vdc', diskseq: 3 })], 'another boot'),
      exports: [],
      configured: [],
    },
    'size-mismatch',
    'put-mapping detected /dev/vdc',
  ],
  [
    'CloudStack does not say how large it is',
    { volumes: [volume({ size: null })] },
    'size-mismatch',
    'withdraw, set-export-status failed',
  ],
  [
    'CloudStack is away, and an export that was closed is not opened again',
    { volumes: null, exports: [record({ status: 'failed' })] },
    'unhealthy-export',
    'withdraw',
  ],
  [
    'CloudStack is away, and an export that was right does not answer',
    { volumes: null, probes: new Map([[NAME, SILENT]]) },
    'unhealthy-export',
    'publish /dev/vdb',
  ],
  [
    'CloudStack is away, and the disk has become smaller than its row says',
    {
      volumes: null,
      guest: guest([device({ size: 4 * GIB })]),
      probes: new Map([[NAME, answers(4 * GIB)]]),
    },
    'unhealthy-export',
    'withdraw',
  ],
  [
    'the same, and it has another letter after a reboot',
    { volumes: null, guest: guest([device({ name: 'vdc', diskseq: 3, size: 4 * GIB })], 'another boot') },
    'letter-moved',
    'put-mapping detected /dev/vdc, withdraw',
  ],
  ['detached by hand', { ...detached, guest: guest([]) }, 'stale-mapping', 'withdraw, delete-mapping'],
  [
    'deleted by hand, and CloudStack says so of this id',
    { volumes: [], absent: proven, guest: guest([]) },
    'stale-mapping',
    'withdraw, delete-mapping',
  ],
  [
    'moved to another VM by hand',
    { volumes: [volume({ vmId: OTHER_VM })], guest: guest([]) },
    'stale-mapping',
    'withdraw, delete-mapping, put-mapping n/a',
  ],
  ...['Snapshotting', 'Resizing', 'Migrating'].map((state): (typeof TABLE)[number] => [
    `moved to another VM by hand, and ${state} there: its disk has stayed here, and its export is closed`,
    { volumes: [volume({ vmId: OTHER_VM, state })] },
    'ghost-disk',
    'withdraw, delete-mapping, put-mapping n/a',
  ]),
  [
    'CloudStack works on a volume whose disk has left: its export must lead to nothing meanwhile',
    { volumes: [volume({ vmId: null, state: 'Attaching' })], guest: guest([]) },
    'unhealthy-export',
    'withdraw',
  ],
  [
    'after a reboot the disk has the letter and the number that it had before',
    { guest: guest([device()], 'another boot') },
    'letter-moved',
    'put-mapping detected /dev/vdb, publish /dev/vdb',
  ],
  [
    'a row that says missing, of a disk that is there',
    { mappings: [mapping({ linuxState: 'missing' })] },
    'letter-moved',
    'put-mapping detected /dev/vdb, publish /dev/vdb',
  ],
  [
    'the guest kept the disk of a volume that is on another VM now, and is snapshotted there',
    { ...nothing, volumes: [volume({ vmId: OTHER_VM, state: 'Snapshotting' })], mappings: [remote()] },
    'ghost-disk',
    '',
  ],
  [
    'detached from another VM by hand: no export is touched',
    { ...nothing, ...detached, mappings: [remote()], guest: guest([]) },
    'stale-mapping',
    'delete-mapping',
  ],
  ['never exported', { exports: [], configured: [] }, 'missing-export', 'publish /dev/vdb'],
  ['a daemon ended between the export and its row', { exports: [] }, 'missing-export', 'publish /dev/vdb'],
  ['the export server lost it', { configured: [] }, 'missing-export', 'publish /dev/vdb'],
  [
    'an export of no mapping',
    { volumes: [], guest: guest([]), mappings: [], exports: [] },
    'orphan-export',
    'withdraw',
  ],
  [
    'an export that was there when exports were switched off, although its mapping is right',
    { exportsEnabled: false, probes: new Map() },
    'orphan-export',
    'withdraw, set-export-status pending',
  ],
  [
    'the same, and its row does not say that it is there',
    { exportsEnabled: false, probes: new Map(), exports: [record({ status: 'failed' })] },
    'orphan-export',
    'withdraw',
  ],
  [
    'an export of a volume on another VM',
    { volumes: [volume({ vmId: OTHER_VM })], guest: guest([]), mappings: [remote()], exports: [] },
    'orphan-export',
    'withdraw',
  ],
  [
    'the same, which the appliance there exports: the row is of that export',
    { volumes: [volume({ vmId: OTHER_VM })], guest: guest([]), mappings: [remote()] },
    'orphan-export',
    'withdraw',
  ],
  ['the link leads elsewhere', { configured: served('/dev/vdc') }, 'unhealthy-export', 'publish /dev/vdb'],
  ['the link leads nowhere', { configured: served(null) }, 'unhealthy-export', 'publish /dev/vdb'],
  ['it does not answer', { probes: new Map([[NAME, SILENT]]) }, 'unhealthy-export', 'publish /dev/vdb'],
  [
    'it has another size',
    { probes: new Map([[NAME, answers(GIB)]]) },
    'unhealthy-export',
    'publish /dev/vdb',
  ],
  [
    'it can be written, and must not be',
    { exports: [record({ metadata: { read_only: 'true' } })] },
    'unhealthy-export',
    'publish /dev/vdb',
  ],
  [
    'it cannot be written, and was to be',
    { probes: new Map([[NAME, answers(undefined, { readOnly: true })]]) },
    'unhealthy-export',
    'publish /dev/vdb',
  ],
  [
    'its row says failed',
    { exports: [record({ status: 'failed' })] },
    'unhealthy-export',
    'publish /dev/vdb',
  ],
  [
    'its row names another device',
    { exports: [record({ devicePath: '/dev/vdz' })] },
    'unhealthy-export',
    'publish /dev/vdb',
  ],
  [
    'its row names another port',
    { exports: [record({ port: 10809 })], exportPorts: { writable: 11809, readOnly: 11810 } },
    'unhealthy-export',
    'publish /dev/vdb',
  ],
  [
    'it cannot be written, and its row names the port of those that can be',
    {
      exports: [record({ metadata: { read_only: 'true' } })],
      probes: new Map([[NAME, answers(undefined, { readOnly: true })]]),
    },
    'unhealthy-export',
    'publish /dev/vdb',
  ],
  [
    'withdrawn on purpose, and served all the same',
    { exports: [record({ status: 'pending', metadata: { withdrawn: 'true' } })] },
    'unhealthy-export',
    'withdraw',
  ],
  [
    'CloudStack is away, the disk is gone, and the export leads to the disk that has its letter now',
    { volumes: null, guest: guest([device({ serial: '7d21b6e093fa4c188b57', diskseq: 9 })]) },
    'unhealthy-export',
    'withdraw',
  ],
  [
    'stuck in Attaching since an earlier sync',
    {
      ...nothing,
      volumes: [volume({ vmId: OTHER_VM, state: 'Attaching' })],
      mappings: [remote()],
      guest: guest([]),
      stuckBefore: new Map([[VOLUME, 'Attaching']]),
    },
    'stuck-state',
    '',
  ],
  [
    'stuck in Creating since an earlier sync',
    {
      ...nothing,
      volumes: [volume({ vmId: OTHER_VM, state: 'Creating' })],
      mappings: [remote()],
      guest: guest([]),
      stuckBefore: new Map([[VOLUME, 'Creating']]),
    },
    'stuck-state',
    '',
  ],
  ['two opinions about who we are', { identityConflicts: ['A says X, B says Y'] }, 'identity-conflict', ''],
];

/** The steps of a plan in words. */
function steps(o: Observation): string[] {
  return plan(o).map(({ steps: list }) =>
    list
      .flatMap((step): string[] => {
        if (step.kind === 'publish') return [`publish ${step.device.path}`];
        if (step.kind === 'withdraw') return ['withdraw'];
        return step.effects.map((effect) => {
          if (effect.kind === 'set-export-status') return `set-export-status ${effect.status}`;
          if (effect.kind !== 'put-mapping') return effect.kind;
          const { linuxState, devicePath } = effect.mapping;
          return `put-mapping ${linuxState}${linuxState === 'detected' ? ` ${devicePath}` : ''}`;
        });
      })
      .join(', '),
  );
}

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

describe('what a person has to do is given as a command', () => {
  const unsafe = TABLE.map(([story, world, kind]) => ({ story, kind, plans: plan(healthy(world)) })).filter(
    ({ plans }) => plans.some(({ mends }) => !mends),
  );
  const COMMAND: Readonly<Partial<Record<DriftKind, RegExp[]>>> = {
    'ghost-disk': [/virsh detach-disk \S+ <target> --live/, /cmk stop virtualmachine id=\S+/],
    'phantom-attach': [/POST \/api\/v1\/volumes\/[0-9a-f-]{36}\/detach/, /"vm_id":"aaaaaaaa-/],
    'size-mismatch': [/lsblk -b \/dev\/vd[bc]/, /cmk list volumes id=[0-9a-f-]{36} filter=size/],
    'stuck-state': [/cmk list asyncjobs/, /cmk update volume id=[0-9a-f-]{36} state=(Ready|Allocated)/],
    'not-visible': [/cmk list volumes .*listall=true projectid=-1/, /key/],
    'unclaimed-volume': [/volumectl volume delete [0-9a-f-]{36}/],
    'used-by-system': [/volumectl device own add [0-9a-f]{20}|systemctl cat volume-daemon/],
    'identity-conflict': [/OMA_VM_ID/, /UPDATE ossea_configs SET oma_vm_id/],
  };

  it.each(unsafe)('$kind: $story', ({ kind, plans }) => {
    for (const { drift } of plans)
      for (const command of COMMAND[kind] ?? [/no command is known/]) expect(drift.remedy).toMatch(command);
  });

  it('every kind that no sync can end is among them', () => {
    expect([...new Set(unsafe.map(({ kind }) => kind))].sort()).toEqual(Object.keys(COMMAND).sort());
  });
});

describe('what is said of an export', () => {
  const readOnly = new Map([[NAME, answers(undefined, { readOnly: true })]]);
  it.each<[string, Partial<Observation>, string, RegExp]>([
    [
      'the system writes to its disk',
      { users: used({ kind: 'mount', detail: '/data' }) },
      'gets no new NBD clients',
      /^if \/dev\/vdb is a disk of this appliance itself/,
    ],
    ['who uses its disk is not seen', { users: new Map() }, 'stays exported', /^let the daemon see/],
    ['it cannot be written', { probes: readOnly }, 'the export is read-only, its row says otherwise', /./],
    [
      'it can be written',
      { exports: [record({ metadata: { read_only: 'true' } })] },
      'the export can be written, its row says otherwise',
      /./,
    ],
  ])('%s', (_story, world, message, remedy) => {
    expect(plan(healthy(world)).map(({ drift }) => drift)).toEqual([
      expect.objectContaining({
        message: expect.stringContaining(message),
        remedy: expect.stringMatching(remedy),
      }),
    ]);
  });
});

describe('a state that does not pass', () => {
  it.each([
    ['Creating', null, /cmk update volume id=\S+ state=Allocated$/],
    ['Creating', OTHER_VM, /cmk update volume id=\S+ state=Ready$/],
    ['Attaching', null, /cmk update volume id=\S+ state=Ready$/],
    ['Snapshotting', OTHER_VM, /; wait for it, or cancel it in CloudStack$/],
    ['Expunging', OTHER_VM, /; if none does: volumectl volume delete \S+ sends the delete again$/],
  ])('%s on %s: nobody is told to edit a state that CloudStack leaves by itself', (state, vmId, remedy) => {
    const stuck = healthy({
      ...nothing,
      volumes: [volume({ vmId, state })],
      mappings: [remote()],
      guest: guest([]),
      stuckBefore: new Map([[VOLUME, state]]),
    });
    const [found] = plan(stuck).filter(({ drift }) => drift.kind === 'stuck-state');
    expect(found?.drift.remedy).toMatch(remedy);
  });

  it('counts also of a volume that is here without a row', () => {
    const o = healthy({
      ...nothing,
      volumes: [volume({ state: 'Snapshotting' })],
      stuckBefore: new Map([[VOLUME, 'Snapshotting']]),
    });
    expect(plan(o).map(({ drift }) => drift.kind)).toContain('stuck-state');
  });
});

describe('what the daemon can do about a drift when it is asked to', () => {
  it.each(TABLE)('%s', (_story, world, kind) => {
    const BY: Readonly<Partial<Record<DriftKind, string>>> = {
      'phantom-attach': 'reattach',
      'unclaimed-volume': 'delete',
    };
    for (const { drift, mends } of plan(healthy(world)))
      expect(drift.remedyBy).toBe(mends ? 'force-sync' : (BY[kind] ?? null));
  });

  it.each(['Expunging', 'Destroying'])('a volume that is stuck in %s is deleted once more', (state) => {
    const o = healthy({ volumes: [volume({ state })], stuckBefore: new Map([[VOLUME, state]]) });
    expect(plan(o).map(({ drift }) => [drift.kind, drift.remedyBy])).toContainEqual([
      'stuck-state',
      'delete',
    ]);
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
