import { describe, expect, it } from 'vitest';
import type { DriftKind } from '~/server/sync/drift';
import type { Observation } from '~/server/sync/observation';
import { plan } from '~/server/sync/plan';
import { NAME, nothing, TABLE, used } from './drift-table';
import { answers, guest, healthy, OTHER_VM, record, remote, VOLUME, volume } from './observations';

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
