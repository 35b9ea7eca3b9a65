import { describe, expect, it } from 'vitest';
import { DaemonError } from '~/server/core/errors';
import { silentLogger } from '~/server/core/log/logger';
import { changesRow } from '~/server/model/changed-operation';
import type { Epoch } from '~/server/model/ledger';
import type { OperationChange, Refusals } from '~/server/model/ledger-writes';
import { Rig, SECOND_MS } from './rig';

/** What the engine asks the ledger for, besides what it asks for itself. */
function watch({ ledger }: Rig) {
  const changes: OperationChange[] = [];
  const claims: number[] = [];
  const { append, claim } = ledger;
  ledger.append = (epoch, id, change) => {
    changes.push(change);
    return append.call(ledger, epoch, id, change);
  };
  ledger.claim = async (epoch, limit) => {
    const claimed = await claim.call(ledger, epoch, limit);
    claims.push(claimed.length);
    return claimed;
  };
  return { changes, claims };
}

describe('what an operation writes', () => {
  it('its row changes only at the end when it never had to wait', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    const { changes } = watch(rig);
    const ended = await rig.ended(await rig.request('attach', { volume_id: id, vm_id: rig.here }));
    expect(ended.status).toBe('completed');
    expect(changes.length).toBeGreaterThan(3);
    expect(changes.filter(changesRow)).toEqual([expect.objectContaining({ end: expect.anything() })]);
  });

  it('a wait that the row tells of is taken back with the next step', async () => {
    const rig = await Rig.start();
    const { id } = await rig.volume();
    rig.model.faults.add({ command: 'attachVolume', kind: 'vm-busy', times: 1 });
    const { changes } = watch(rig);
    const operation = await rig.ended(await rig.request('attach', { volume_id: id, vm_id: rig.here }));
    expect(operation).toMatchObject({ status: 'completed', waitReason: null, attempt: 0 });
    const waits = changes
      .filter(({ waiting }) => waiting !== undefined)
      .map(({ waiting }) => waiting === null);
    expect(waits[0]).toBe(false);
    expect(waits[1]).toBe(true);
  });

  it('while the database does not take what it has done, it says why, as does what waits behind it', async () => {
    const rig = await Rig.start();
    const { operations } = rig.domain;
    const { id } = await rig.volume();
    const { append } = rig.ledger;
    rig.ledger.append = async () => {
      throw new DaemonError('DATABASE_UNAVAILABLE', 'a trigger refuses it');
    };
    const asked = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    const behind = await rig.request('detach', { volume_id: id });
    await rig.pass(SECOND_MS);
    expect(await operations.read(asked)).toMatchObject({
      status: 'executing',
      waitReason: 'a trigger refuses it',
    });
    expect((await operations.read(behind)).waitReason).toContain('a trigger refuses it');
    rig.ledger.append = append;
    expect(await rig.ended(asked)).toMatchObject({ status: 'completed', waitReason: null });
  });

  it('while the database does not let an operation begin, it says why, and begins once it may', async () => {
    const rig = await Rig.start();
    const { operations } = rig.domain;
    const { id } = await rig.volume();
    const { claim } = rig.ledger;
    const tries: string[] = [];
    rig.ledger.claim = async (_epoch: Epoch, _limit: number, refused: Refusals = new Map()) => {
      const pending = await operations.list({ status: 'pending', limit: 10 });
      for (const one of pending.filter(
        (operation) => operation.type === 'attach' && !refused.has(operation.id),
      )) {
        tries.push(one.id);
        refused.set(one.id, { operation: one, reason: 'a trigger refuses it' });
      }
      return [];
    };
    const asked = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.pass(3 * SECOND_MS);
    const waits = { status: 'pending', waitReason: 'a trigger refuses it' };
    expect(await operations.read(asked)).toMatchObject(waits);
    const behind = await rig.request('detach', { volume_id: id });
    expect((await operations.read(behind)).waitReason).toContain(
      `operation ${asked} on this volume waits itself: a trigger refuses it`,
    );
    const { engine } = rig.domain.ownership;
    expect(engine?.refusals()).toMatchObject([{ operation: { id: asked } }]);
    expect(tries.length).toBeGreaterThan(1);
    expect(tries.length).toBeLessThan(6);
    rig.ledger.claim = claim;
    expect(await rig.ended(asked)).toMatchObject({ status: 'completed', waitReason: null });
    expect(await rig.ended(behind)).toMatchObject({ status: 'completed' });
    expect(engine?.refusals()).toEqual([]);
  });

  it('while the engine waits for the database, what it has not begun says so; the log once', async () => {
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => void warnings.push(message) };
    const rig = await Rig.start({ logger });
    const { operations } = rig.domain;
    const { id } = await rig.volume();
    const { claim } = rig.ledger;
    rig.ledger.claim = async () => {
      throw new DaemonError('DATABASE_UNAVAILABLE', 'UPDATE command denied');
    };
    const asked = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.pass(5 * SECOND_MS);
    const waits = { status: 'pending', waitReason: 'UPDATE command denied' };
    expect(await operations.read(asked)).toMatchObject(waits);
    expect(warnings).toEqual(['The engine waits for the database']);
    rig.ledger.claim = claim;
    expect(await rig.ended(asked)).toMatchObject({ status: 'completed', waitReason: null });
    const next = await rig.request('detach', { volume_id: id });
    expect(await operations.read(next)).toMatchObject({ waitReason: null });
  });

  it('while the database does not let an operation go on after a restart, its disk is waited for as before, and it goes on once it may', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 30 * SECOND_MS } } });
    const { id } = await rig.volume();
    const asked = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    const { resumable } = rig.ledger;
    rig.ledger.resumable = async (epoch: Epoch, refused?: Refusals) => {
      const executing = await resumable.call(rig.ledger, epoch);
      const operation = executing.find((one) => one.id === asked);
      if (operation) refused?.set(asked, { operation, reason: 'a trigger refuses it' });
      return executing;
    };
    const behind = await rig.request('detach', { volume_id: id });
    await rig.restart(5 * SECOND_MS);
    const { operations, ownership } = rig.domain;
    const waits = { status: 'executing', waitReason: 'a trigger refuses it' };
    expect(await operations.read(asked)).toMatchObject(waits);
    expect(ownership.engine?.attachingDisks()).toMatchObject([{ id: asked }]);
    expect(ownership.engine?.refusals()).toMatchObject([{ operation: { id: asked } }]);
    expect(ownership.engine?.heldOperations(), 'retry and abandon do not help').toEqual([]);
    expect((await operations.read(behind)).waitReason).toContain(
      `operation ${asked} on this volume waits itself: a trigger refuses it`,
    );
    rig.ledger.resumable = resumable;
    expect(await rig.ended(asked)).toMatchObject({ status: 'completed', waitReason: null });
    expect(await rig.ended(behind)).toMatchObject({ status: 'completed' });
    expect(rig.calls).toEqual(['attachVolume', 'detachVolume']);
  });

  it('while it cannot be settled who owns the appliance, what has not ended says so', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 30 * SECOND_MS } } });
    const { id } = await rig.volume();
    const asked = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    const behind = await rig.request('detach', { volume_id: id });
    await rig.untilSent('attachVolume');
    const { renewLease, readOwner } = rig.ledger;
    const isLocked = async () => {
      throw new DaemonError('DATABASE_UNAVAILABLE', 'another session holds a lock');
    };
    Object.assign(rig.ledger, { renewLease: isLocked, readOwner: isLocked });
    await rig.pass(5 * SECOND_MS);
    const { operations } = rig.domain;
    const waitReason = 'it could not be settled who owns this appliance: another session holds a lock';
    for (const one of [asked, behind]) expect(await operations.read(one)).toMatchObject({ waitReason });
    Object.assign(rig.ledger, { renewLease, readOwner });
    expect(await rig.ended(behind)).toMatchObject({ status: 'completed', waitReason: null });
    expect(await operations.read(asked)).toMatchObject({ status: 'completed', waitReason: null });
  });

  it('one that is to be held, and whose row the database does not take, holds up no other', async () => {
    const rig = await Rig.start({ model: { latencies: { attach: 30 * SECOND_MS } } });
    const [{ id }, other] = [
      await rig.volume(),
      await rig.volume({ name: 'other', vmId: rig.vm('Running') }),
    ];
    const asked = await rig.request('attach', { volume_id: id, vm_id: rig.here });
    await rig.untilSent('attachVolume');
    const { resumable } = rig.ledger;
    rig.ledger.resumable = async (epoch: Epoch) =>
      (await resumable.call(rig.ledger, epoch)).map((one) =>
        one.id === asked ? { ...one, held: 'it is not understood' } : one,
      );
    rig.ledger.hold = async () => {
      throw new DaemonError('DATABASE_UNAVAILABLE', 'a trigger refuses it');
    };
    await rig.restart(5 * SECOND_MS);
    const next = await rig.request('detach', { volume_id: other.id });
    expect(await rig.ended(next)).toMatchObject({ status: 'completed' });
    expect(rig.domain.ownership.engine?.heldOn(id)).toMatchObject({
      id: asked,
      held: 'it is not understood',
    });
  });

  it('what is accepted in the same moment is claimed together', async () => {
    const rig = await Rig.start();
    const volumes = await Promise.all(Array.from({ length: 5 }, (_, n) => rig.volume({ name: `data ${n}` })));
    const { claims } = watch(rig);
    const { operations } = rig.domain;
    const asked = volumes.map(({ id }) => operations.request('detach', { volume_id: id }));
    for (const { id } of await rig.during(Promise.all(asked))) await rig.ended(id);
    expect(claims.filter((n) => n > 0)).toEqual([5]);
  });
});
