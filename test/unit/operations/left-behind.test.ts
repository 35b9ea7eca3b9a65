import { describe, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { LIMITS } from '~/server/core/limits';
import { aboutRequest } from '~/server/operations/new-request';
import { MINUTE_MS, Rig, SECOND_MS } from './rig';

/**
 * An appliance that was executing a detach when its VM went away, and an attach that is asked of the new one.
 */
async function leftBehind(applianceId?: string) {
  const rig = await Rig.start();
  const { ledger } = rig;
  const vmId = applianceId ?? rig.vm('Running');
  const { id } = await rig.volume();
  const epoch = await ledger.takeOver(vmId, 'their daemon');
  const request = aboutRequest('detach', { volume_id: id });
  const fresh = { id: rig.random.uuid(), idempotencyKey: null, at: rig.clock.now() };
  const { operation: theirs } = await ledger.accept(epoch, { ...request, ...fresh });
  await ledger.claim(epoch, 1);
  const ours = await rig.request('attach', { volume_id: id, vm_id: rig.here });
  const { operations } = rig.domain;
  const abandon = () => rig.during(operations.abandon(theirs.id));
  return { rig, ledger, operations, vmId, volumeId: id, epoch, theirs: theirs.id, ours, abandon };
}

describe('an operation that another appliance was executing', () => {
  it('keeps ours waiting, which says for which one, and of which appliance', async () => {
    const { rig, operations, ours, theirs, vmId } = await leftBehind();
    await rig.pass(MINUTE_MS);
    const told = await operations.read(ours);
    expect(told).toMatchObject({ status: 'pending', waitReason: expect.stringContaining(theirs) });
    expect(told.waitReason).toContain(vmId);
    expect((await operations.list({ limit: 10 })).find(({ id }) => id === ours)).toEqual(told);
    expect(rig.calls).toEqual([]);
  });

  it('is not ended while the daemon there runs', async () => {
    const { theirs, operations, abandon } = await leftBehind();
    await expect(abandon()).rejects.toMatchObject({
      code: 'OPERATION_NOT_HELD',
      message: expect.stringContaining('their daemon'),
    });
    expect((await operations.read(theirs)).status).toBe('executing');
  });

  it('nor while it renews the lease that has ended by the clock of the database alone', async () => {
    const { rig, ledger, epoch, theirs, operations } = await leftBehind();
    rig.databaseAheadMs = 60 * MINUTE_MS;
    const asked = operations.abandon(theirs);
    asked.catch(() => {});
    await rig.pass(SECOND_MS);
    await ledger.renewLease(epoch);
    await rig.pass(LIMITS.LEASE_MS);
    await expect(asked).rejects.toMatchObject({ code: 'OPERATION_NOT_HELD' });
    expect((await operations.read(theirs)).status).toBe('executing');
  });

  it('is ended by a person once it does not run: ours goes on, and that daemon writes nothing late', async () => {
    const { rig, ledger, epoch, theirs, ours, abandon } = await leftBehind();
    await rig.pass(LIMITS.LEASE_MS + 1);
    expect(await abandon()).toMatchObject({
      status: 'failed',
      errorCode: 'OPERATION_ABANDONED',
      error: expect.stringContaining('no daemon runs for its appliance'),
    });
    expect(await rig.ended(ours)).toMatchObject({ status: 'completed' });
    const late = { after: 2, at: rig.clock.now(), entries: [] };
    await expect(ledger.append(epoch, theirs, late)).rejects.toMatchObject({ code: 'LEASE_LOST' });
    expect((await ledger.readOwner(epoch.applianceId))?.lease).toBeNull();
  });

  it('stays as it was where that daemon comes back at the last moment: it is not held there', async () => {
    const { rig, ledger, operations, vmId, theirs, abandon } = await leftBehind();
    await rig.pass(LIMITS.LEASE_MS + 1);
    const { abandonHeld } = ledger;
    ledger.abandonHeld = async (...asked) => {
      await ledger.takeOver(vmId, 'their daemon, back');
      return abandonHeld.apply(ledger, asked);
    };
    await expect(abandon()).rejects.toMatchObject({
      code: 'OPERATION_NOT_HELD',
      message: expect.stringContaining('their daemon, back'),
    });
    expect(await operations.read(theirs)).toMatchObject({ status: 'executing', held: null });
  });

  it('and what waited behind it there can be ended: sync leaves a volume alone for which anything waits', async () => {
    const { rig, ledger, epoch, volumeId, vmId, operations } = await leftBehind();
    const request = aboutRequest('attach', { volume_id: volumeId, vm_id: vmId });
    const fresh = { id: rig.random.uuid(), idempotencyKey: null, at: rig.clock.now() };
    await ledger.accept(epoch, { ...request, ...fresh });
    await rig.pass(LIMITS.LEASE_MS + 1);
    expect(await rig.during(operations.abandon(fresh.id))).toMatchObject({
      status: 'failed',
      errorCode: 'OPERATION_ABANDONED',
    });
  });

  it('can neither be cancelled nor run again here, and the answer says whose it is', async () => {
    const { operations, theirs, vmId } = await leftBehind();
    const refused = { code: 'OPERATION_NOT_FOUND', message: expect.stringContaining(vmId) };
    await expect(operations.cancel(theirs)).rejects.toMatchObject(refused);
    await expect(operations.retry(theirs)).rejects.toMatchObject(refused);
    await expect(operations.cancel('nobody')).rejects.toMatchObject({
      code: 'OPERATION_NOT_FOUND',
      message: 'Operation nobody not found',
    });
  });

  it('that somebody else abandons at this moment is not said to have a daemon that runs', async () => {
    const { rig, ledger, vmId, abandon } = await leftBehind();
    await rig.pass(LIMITS.LEASE_MS + 1);
    const { abandonHeld, releaseLease } = ledger;
    const away = async (): Promise<never> => {
      throw new DaemonError('DATABASE_UNAVAILABLE', 'The database is away');
    };
    Object.assign(ledger, { abandonHeld: away, releaseLease: away });
    await expect(abandon()).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    Object.assign(ledger, { abandonHeld, releaseLease });
    await expect(abandon()).rejects.toMatchObject({
      code: 'OPERATION_NOT_HELD',
      message: expect.stringMatching(/somebody abandons operation .* at this moment: try again/),
    });
    await rig.pass(LIMITS.LEASE_MS + 1);
    expect(await abandon()).toMatchObject({ errorCode: 'OPERATION_ABANDONED' });
    expect((await ledger.readOwner(vmId))?.lease).toBeNull();
  });

  it('is not said to have a daemon that runs where this daemon stops before it can tell', async () => {
    const { rig, operations, theirs } = await leftBehind();
    rig.databaseAheadMs = 60 * MINUTE_MS;
    const asked = operations.abandon(theirs);
    asked.catch(() => {});
    await rig.pass(SECOND_MS);
    await rig.stop();
    await expect(asked).rejects.toMatchObject({ code: 'STOPPING' });
  });

  it('that has ended by itself is left alone, and so is the lease of its appliance', async () => {
    const { ledger, epoch, theirs, abandon } = await leftBehind();
    const end = { status: 'completed' as const, response: null, error: null, errorCode: null };
    await ledger.append(epoch, theirs, { after: 2, at: 0, entries: [], end });
    await ledger.releaseLease(epoch);
    await expect(abandon()).rejects.toMatchObject({ code: 'OPERATION_NOT_HELD' });
    expect((await ledger.readOwner(epoch.applianceId))?.epoch).toBe(epoch.number);
  });

  it('of the daemon before this one, which has no lease to tell by: it is not ended, and no lease is made for it', async () => {
    const { rig, ledger, operations, ours, theirs, abandon } = await leftBehind('');
    rig.store.appliances.delete('');
    expect((await operations.read(ours)).waitReason, 'nothing of ours waits for it').toBeNull();
    await expect(abandon()).rejects.toMatchObject({
      code: 'OPERATION_NOT_HELD',
      message: expect.stringContaining('previous daemon'),
    });
    expect((await operations.read(theirs)).status).toBe('executing');
    expect(await ledger.readOwner('')).toBeNull();
  });
});
