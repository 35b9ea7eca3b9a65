import { describe, expect, it } from 'vitest';
import { foreignEffects } from '~/lab/cloudstack/foreign';
import { ModelCloud } from '~/lab/cloudstack/model-cloud';
import { ApiError } from '~/lab/cloudstack/records';
import { CloudError } from '~/server/cloudstack/cloud';
import { create, failureOf, makeWorld } from './world';

function codeOf(work: () => unknown): number | 'accepted' {
  try {
    work();
    return 'accepted';
  } catch (error) {
    if (error instanceof ApiError) return error.code;
    throw error;
  }
}

describe('a CloudStack whose database is away', () => {
  it('answers 401 to everybody until it is back, and nothing of the call happens', async () => {
    const { model, clock, volume: make } = makeWorld();
    const volume = await make();
    const cloud = new ModelCloud(model, clock);
    model.conditions.add({ kind: 'database-away', ms: 1_000 });
    const code = (error: unknown) => (error instanceof CloudError ? error.code : error);
    expect(await cloud.capabilities().catch(code)).toBe(401);
    expect(await cloud.deleteVolume(volume.id).catch(code)).toBe(401);
    expect(volume.state).toBe('Allocated');
    await clock.advance(1_000);
    expect(await cloud.capabilities()).toMatchObject({ version: '4.20.0.0' });
  });

  it('may take its time before it says so', async () => {
    const { model, clock } = makeWorld();
    model.conditions.add({ kind: 'database-away', delayMs: 30_000 });
    let answered: unknown = null;
    const call = new ModelCloud(model, clock).capabilities().catch((error: unknown) => {
      answered = error;
    });
    await clock.advance(29_999);
    expect(answered).toBeNull();
    await clock.advance(1);
    await call;
    expect(answered).toMatchObject({ code: 401, kind: 'authentication' });
  });

  it('goes on with what it had accepted', async () => {
    const { model, attach, settle, volume: make } = makeWorld();
    const job = attach(await make());
    model.conditions.add({ kind: 'database-away' });
    await settle();
    expect(job.status).toBe(1);
  });
});

describe('a user that is disabled for a time', () => {
  it('is locked out, the other accounts are not', async () => {
    const { model, clock } = makeWorld();
    const [own, other] = [model.account, model.accounts.require('other')];
    model.conditions.add({ kind: 'user-disabled', id: 'admin', ms: 4_000 });
    expect([model.conditions.lockout(own), model.conditions.lockout(other)]).toEqual([{ delayMs: 0 }, null]);
    await clock.advance(4_000);
    expect(model.conditions.lockout(own)).toBeNull();
    model.conditions.add({ kind: 'user-disabled' });
    expect(model.conditions.lockout(other)).toEqual({ delayMs: 0 });
  });
});

describe('what is hidden', () => {
  it('a volume: in no list, 531 to changes, and still there', async () => {
    const { model, clock, attached } = makeWorld();
    const volume = await attached();
    const shown = () => model.shownVolumes().some(({ id }) => id === volume.id);
    model.conditions.add({ kind: 'hidden', id: volume.id, ms: 500 });
    expect(shown()).toBe(false);
    expect(codeOf(() => model.detachVolume({ id: volume.id, jobId: null }))).toBe(531);
    await expect(model.deleteVolume(volume.id)).rejects.toMatchObject({ code: 531 });
    expect(volume.vmId).toBe(model.applianceVmId);
    await clock.advance(500);
    expect(shown()).toBe(true);
  });

  it('a VM, and everything of an account', async () => {
    const { model, volume: make } = makeWorld();
    const volume = await make();
    model.conditions.add({ kind: 'hidden', id: model.applianceVmId });
    expect(model.shownVms()).toEqual([]);
    expect(model.shownVolumes()).toContain(volume);
    model.conditions.clear('hidden');
    expect(model.shownVms()).toHaveLength(1);
    model.conditions.add({ kind: 'hidden', id: 'admin' });
    expect([model.shownVms(), model.shownVolumes()]).toEqual([[], []]);
  });

  it('an attach that was accepted before goes on', async () => {
    const { model, attach, settle, volume: make } = makeWorld();
    const volume = await make();
    const job = attach(volume);
    model.conditions.add({ kind: 'hidden', id: volume.id });
    await settle();
    expect([job.status, model.queryJob(job.id).status]).toEqual([1, 1]);
  });
});

describe('reads that lag behind', () => {
  it('show a volume for a while as it was before its last job', async () => {
    const { model, clock, guest, attach, settle, volume: make } = makeWorld();
    const volume = await make();
    model.faults.add({ command: 'attachVolume', kind: 'stale-read', ms: 2_000 });
    attach(volume);
    await settle();
    const [shown] = model.shownVolumes().filter(({ id }) => id === volume.id);
    expect([shown?.vmId, shown?.state, shown?.jobId]).toEqual([null, 'Allocated', null]);
    expect([volume.vmId, guest.plugged()]).toEqual([model.applianceVmId, [volume.id]]);
    await clock.advance(2_000);
    expect(model.shownVolumes()).toContain(volume);
  });

  it('do not show what was just made, and show what was just deleted', async () => {
    const { model, clock, settle, volume: make } = makeWorld();
    model.faults.add({ command: 'createVolume', kind: 'stale-read', ms: 1_000 });
    const { volume } = create(model);
    await settle();
    expect(model.shownVolumes()).not.toContain(volume);
    const old = await make('old');
    model.faults.add({ command: 'deleteVolume', kind: 'stale-read', ms: 1_000 });
    const deleted = model.deleteVolume(old.id);
    await clock.advance(100);
    await deleted;
    expect(model.shownVolumes().map(({ id }) => id)).toContain(old.id);
    await clock.advance(1_000);
    expect(model.shownVolumes().map(({ id }) => id)).not.toContain(old.id);
  });
});

describe('jobs that are denied or fail for a moment', () => {
  it('unknown-job: nobody knows a job that runs, once', async () => {
    const { model, attach, volume: make } = makeWorld();
    const job = attach(await make());
    model.faults.add({ command: 'queryAsyncJobResult', kind: 'unknown-job' });
    expect(codeOf(() => model.queryJob(job.id))).toBe(431);
    expect(model.queryJob(job.id).status).toBe(0);
  });

  it.each([
    ['no-storage', 530],
    ['no-endpoint', 530],
    ['not-scheduled', 530],
    ['vm-busy', 431],
  ] as const)('%s: %i, and nothing has happened', async (kind, code) => {
    const { model, attach, settle, volume: make } = makeWorld();
    const volume = await make();
    model.faults.add({ command: 'attachVolume', kind });
    const failed = attach(volume);
    await settle();
    expect(failureOf(failed)).toEqual([code, expect.any(String)]);
    expect(volume).toMatchObject({ state: 'Allocated', vmId: null });
    attach(volume);
    await settle();
    expect(volume.vmId).toBe(model.applianceVmId);
  });

  it('an expunge that fails leaves the VM destroyed and to be destroyed again', async () => {
    const { model, settle } = makeWorld();
    const vm = model.addVm({ name: 'test' });
    model.faults.add({ command: 'destroyVirtualMachine', kind: 'agent-fails' });
    const job = model.destroyVm(vm.id, true, null);
    await settle();
    expect([failureOf(job)[0], vm.state, vm.removed]).toEqual([530, 'Destroyed', false]);
    model.destroyVm(vm.id, true, null);
    await settle();
    expect(vm.removed).toBe(true);
  });

  it('a restart in the middle of a delete leaves the volume Expunging; the next delete finishes it', async () => {
    const { model, clock, volume: make } = makeWorld();
    const volume = await make();
    model.faults.add({ command: 'deleteVolume', kind: 'restart' });
    const first = model.deleteVolume(volume.id).catch((error: unknown) => error);
    await clock.advance(100);
    expect(await first).toMatchObject({ code: 530 });
    expect(volume).toMatchObject({ state: 'Expunging', removed: false });
    const second = model.deleteVolume(volume.id);
    await clock.advance(100);
    await second;
    expect([volume.removed, model.effectsOf(volume.id, 'delete')]).toEqual([true, 1]);
  });
});

describe('foreign things', () => {
  it('are counted when a root administrator touches them', async () => {
    const { model, clock, attached } = makeWorld();
    const own = await attached();
    const { inventory, accounts } = model;
    const zoneId = inventory.firstZone().id;
    const accountId = accounts.require('other').id;
    const theirs = inventory.addVolume({
      name: 'data',
      size: own.size,
      zoneId,
      diskOfferingId: null,
      accountId,
    });
    expect(foreignEffects(model)).toEqual([]);
    const deleted = model.deleteVolume(theirs.id);
    await clock.advance(100);
    await deleted;
    expect(foreignEffects(model)).toMatchObject([{ kind: 'delete', volumeId: theirs.id }]);
    expect(foreignEffects(model, accounts.require('other'))).toEqual([]);
  });

  it('the owner may be another account than the caller', async () => {
    const { model, settle } = makeWorld();
    const plain = model.accounts.require('plain');
    const { volume } = create(model, { account: 'plain' });
    await settle();
    expect(volume.accountId).toBe(plain.id);
    expect(foreignEffects(model)).toHaveLength(1);
    expect(foreignEffects(model, model.account, plain)).toEqual([]);
  });
});
