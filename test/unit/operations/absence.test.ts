import { describe, expect, it } from 'vitest';
import type { OperationType, RequestOf } from '~/server/model/operation';
import { Rig, type RigOptions, SECOND_MS } from './rig';

type Asked = {
  [T in OperationType]: [type: T, request: (id: string, rig: Rig) => RequestOf[T]];
}[OperationType];

/** Every operation that begins with a volume. */
const DOORS: readonly Asked[] = [
  ['attach', (volume_id, rig) => ({ volume_id, vm_id: rig.here })],
  ['detach', (volume_id) => ({ volume_id })],
  ['delete', (volume_id) => ({ volume_id })],
  [
    'cleanup',
    (volume_id, rig) => ({
      volume_id,
      test_vm_id: rig.vm('Stopped'),
      oma_vm_id: rig.here,
      delete_vm: true,
      force_clean: true,
    }),
  ],
];

async function ask(rig: Rig, [type, request]: Asked, volumeId: string, force = false) {
  const body = { ...request(volumeId, rig), ...(force ? { force: true } : {}) };
  return rig.run(type, body as RequestOf[typeof type]);
}

/** Why a live volume is not shown. */
const UNSEEN: readonly [why: string, options: RigOptions, hide: (rig: Rig, id: string) => void][] = [
  ['a role without the call, another account', {}, (rig, id) => rig.hide(id)],
  [
    'it belongs to a project that the account is no member of',
    { model: { account: 'plain' } },
    (rig, id) => {
      const project = rig.model.accounts.addProject('migration', ['other']);
      Object.assign(rig.model.inventory.volume('', '', id), { accountId: project.id });
    },
  ],
  [
    'it belongs to another account',
    { model: { account: 'plain' } },
    (rig, id) => {
      const { id: accountId } = rig.model.accounts.require('other');
      Object.assign(rig.model.inventory.volume('', '', id), { accountId });
    },
  ],
];

describe('a volume that is not shown any more once CloudStack has taken a call', () => {
  it('is not said to be unchanged', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.vm('Running') });
    const { queryJob } = rig.cloud;
    rig.cloud.queryJob = (jobId) => {
      rig.hide(id);
      return queryJob.call(rig.cloud, jobId);
    };
    const operation = await rig.run('detach', { volume_id: id });
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_NOT_VISIBLE' });
    expect(operation.error).not.toContain('nothing changed');
  });
});

describe('a live volume that is not shown', () => {
  for (const door of DOORS) {
    it.each(UNSEEN)(
      `${door[0]}: nothing is concluded and nothing changed (%s)`,
      async (_why, options, hide) => {
        const rig = await Rig.start(options);
        const volume = await rig.volume({ vmId: rig.here, mapped: true });
        const before = await rig.ledger.readMapping(volume.id);
        hide(rig, volume.id);
        const operation = await ask(rig, door, volume.id);
        expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_NOT_VISIBLE' });
        expect(operation.error).toContain('not visible to this key');
        expect(rig.calls).toEqual([]);
        expect(await rig.ledger.readMapping(volume.id)).toEqual(before);
        expect(rig.exported(volume.id)).toBe(true);
        expect(rig.guest.devicePath(volume.id)).not.toBeNull();
      },
    );
  }

  it('in a project of our own account it is shown, and works like any other', async () => {
    const rig = await Rig.start({ model: { account: 'plain' } });
    const volume = await rig.volume();
    const { id } = rig.model.accounts.addProject('migration', ['plain']);
    Object.assign(volume, { accountId: id });
    expect((await rig.cloud.readVolume(volume.id)).kind).toBe('seen');
    expect(await rig.run('delete', { volume_id: volume.id })).toMatchObject({ status: 'completed' });
  });

  it('force does not make it seen', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    rig.hide(volume.id);
    for (const door of DOORS.filter(([type]) => type === 'detach' || type === 'delete'))
      expect(await ask(rig, door, volume.id, true)).toMatchObject({ errorCode: 'VOLUME_NOT_VISIBLE' });
    expect(rig.calls).toEqual([]);
  });

  it.each(DOORS.slice(0, 3))('%s goes on when it is shown again within seconds', async (...door) => {
    const rig = await Rig.start();
    const volume = await rig.volume();
    rig.hide(volume.id, 5 * SECOND_MS);
    expect(await ask(rig, door as Asked, volume.id)).toMatchObject({ status: 'completed' });
  });

  it('sync leaves the row, the export and the disk of every such volume alone, and advises nothing that takes a disk away', async () => {
    const rig = await Rig.start();
    const volumes = [];
    for (let index = 0; index < 3; index += 1)
      volumes.push(await rig.volume({ vmId: rig.here, mapped: true }));
    for (const { id } of volumes) rig.hide(id);
    await rig.pass(60 * SECOND_MS);
    const report = await rig.sync();
    expect(report.drifts.map(({ kind, action }) => `${kind} ${action}`)).toEqual(
      Array(3).fill('not-visible reported'),
    );
    for (const { remedy } of report.drifts) expect(remedy).not.toMatch(/virsh|stop virtualmachine/);
    for (const { id } of volumes) {
      expect(await rig.ledger.readMapping(id)).toMatchObject({ linuxState: 'detected' });
      expect(rig.exported(id)).toBe(true);
    }
  });
});

describe('an id that names nothing', () => {
  const NOBODY = '99999999-9999-4999-8999-999999999999';

  it.each([
    ['attach', 'failed', 'VOLUME_NOT_FOUND'],
    ['detach', 'failed', 'VOLUME_NOT_FOUND'],
    ['delete', 'completed', null],
  ] as const)('%s: %s %s', async (type, status, errorCode) => {
    const rig = await Rig.start();
    const door = DOORS.find(([one]) => one === type);
    if (!door) throw new Error(type);
    expect(await ask(rig, door, NOBODY)).toMatchObject({ status, errorCode });
    expect(rig.calls).toEqual([]);
  });

  it.each(DOORS)('counts for nothing from a key that does not see our own VM: %s', async (...door) => {
    const rig = await Rig.start();
    rig.hide(rig.here);
    const operation = await ask(rig, door as Asked, NOBODY);
    expect(operation).toMatchObject({ status: 'failed', errorCode: 'VOLUME_NOT_VISIBLE' });
    expect(operation.error).toContain('does not show this appliance');
  });
});

describe('what proves that a volume is gone', () => {
  it('our own delete that succeeded, although a list would prove nothing', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    expect(await rig.run('delete', { volume_id: id })).toMatchObject({ status: 'completed' });
    expect((await rig.cloud.readVolume(id)).kind).toBe('unknown');
    expect(rig.calls).toEqual(['deleteVolume']);
  });

  it('the same for sync: a row of it that somebody has restored goes', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume({ vmId: rig.here, mapped: true });
    const row = await rig.ledger.readMapping(id);
    if (row === null) throw new Error('there is no row');
    expect(await rig.run('delete', { volume_id: id })).toMatchObject({ status: 'completed' });
    await rig.pass(60 * SECOND_MS);
    rig.store.mappings = new Map([[id, row]]);
    expect((await rig.cloud.readVolume(id)).kind).toBe('unknown');
    expect((await rig.sync()).drifts).toMatchObject([{ kind: 'stale-mapping', action: 'repaired' }]);
    expect(await rig.ledger.readMapping(id)).toBeNull();
  });

  it('CloudStack’s answer to a second delete, when the answer to the first was lost', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command: 'deleteVolume', kind: 'drop-reply-after-effect' });
    expect(await rig.run('delete', { volume_id: id })).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['deleteVolume', 'deleteVolume']);
    expect(rig.model.effectsOf(id, 'delete')).toBe(1);
  });

  it('its sentence about this id: a detach of what somebody deleted meanwhile cleans up', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    rig.onSend = () => {
      rig.unplug(volume);
      rig.guest.surpriseUnplug(volume.id);
      Object.assign(volume, { removed: true, state: 'Expunged' });
      rig.onSend = () => {};
    };
    expect(await rig.run('detach', { volume_id: volume.id })).toMatchObject({ status: 'completed' });
    expect(await rig.ledger.readMapping(volume.id)).toBeNull();
    expect(rig.calls).toEqual(['detachVolume']);
  });

  it('not a 531: the volume is there, and is not ours', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.onSend = () => rig.hide(id);
    expect(await rig.run('delete', { volume_id: id })).toMatchObject({
      status: 'failed',
      errorCode: 'CLOUDSTACK_REJECTED',
    });
    expect(rig.model.effectsOf(id, 'delete')).toBe(0);
  });

  it('not a delete that was lost while the volume went out of sight: CloudStack is asked until its word is known', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command: 'deleteVolume', kind: 'fail-before-effect' });
    rig.onSend = () => {
      rig.hide(id, 20 * SECOND_MS);
      rig.onSend = () => {};
    };
    const operation = await rig.run('delete', { volume_id: id });
    const gone = rig.model.inventory.volume('', '', id).removed;
    expect(operation.status === 'completed', 'it says that it is gone only when it is').toBe(gone);
  });
});

describe('while our own VM is not visible to the key', () => {
  it('sync judges nothing, keeps what it knew, and does not count as a sync', async () => {
    const rig = await Rig.start();
    const volume = await rig.volume({ vmId: rig.here, mapped: true });
    const ghost = await rig.volume({ vmId: rig.here, mapped: true });
    rig.unplug(ghost);
    await rig.pass(60 * SECOND_MS);
    const first = await rig.sync();
    expect(first).toMatchObject({ judged: true, drifts: [{ kind: 'ghost-disk', notJudgedSince: null }] });
    const judgedAt = rig.domain.sync.lastJudgedAt;
    rig.hide(rig.here);
    rig.hide(volume.id);
    await rig.pass(60 * SECOND_MS);
    for (let time = 0; time < 2; time += 1) {
      const report = await rig.sync();
      expect(report).toMatchObject({
        judged: false,
        unavailable: [expect.stringContaining('nothing is judged')],
        drifts: [{ kind: 'ghost-disk', volumeId: ghost.id, notJudgedSince: first.finishedAt }],
      });
      expect(rig.domain.sync.lastJudgedAt).toBe(judgedAt);
    }
    expect(await rig.ledger.readMapping(volume.id)).toMatchObject({ linuxState: 'detected' });
    rig.model.conditions.clear();
    await rig.pass(60 * SECOND_MS);
    expect(await rig.sync()).toMatchObject({
      judged: true,
      drifts: [{ kind: 'ghost-disk', notJudgedSince: null }],
    });
  });
});
