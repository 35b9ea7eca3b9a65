import type { Holder } from '~/server/devices/device';
import { exportName } from '~/server/model/export-name';
import type { DriftKind } from '~/server/sync/drift';
import type { Observation } from '~/server/sync/observation';
import {
  answers,
  device,
  GIB,
  guest,
  mapping,
  OTHER_VM,
  record,
  remote,
  SECOND,
  SILENT,
  VOLUME,
  volume,
} from './observations';

export const NAME = exportName(VOLUME);
export const served = (target: string | null) => [
  { name: NAME, volumeId: VOLUME, target, plug: null, published: null },
];
export const nothing: Partial<Observation> = { mappings: [], exports: [], configured: [], probes: new Map() };
const { root: _, ...unsaid } = device();
export const untold = unsaid;
export const detached = { volumes: [volume({ vmId: null, deviceId: null })] };
export const proven = new Map([[VOLUME, 'CloudStack says that this id names nothing']]);
const missing = mapping({ linuxState: 'missing', devicePath: `missing-${VOLUME}` });
export const used = (holder: Holder) => new Map([['/dev/vdb', [holder]]]);

/** One drift alone: what the views say, the drift's name, and what is done about it ('' = reported only). */
export const TABLE: readonly [story: string, world: Partial<Observation>, kind: DriftKind, steps: string][] =
  [
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
      {
        ...nothing,
        volumes: [],
        mappings: [remote()],
        guest: guest([]),
        hidden: new Map([[VOLUME, 'empty']]),
      },
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
    [
      'an exported disk whose users cannot be seen stays exported',
      { users: new Map() },
      'used-by-system',
      '',
    ],
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
