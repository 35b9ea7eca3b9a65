import { describe, expect, it } from 'vitest';
import type { Dsn } from '~/server/database/connection/dsn';
import { openPool } from '~/server/database/connection/pool';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import { attach, detach, remove } from '../../contract/ledger/fixtures';
import { APPLIANCE, begin, databaseWith, own, pools, refusals, rows, withOldDatabases } from './old-daemon';
import { SPECIFICATION, VOLUMES } from './old-databases';

withOldDatabases();

async function statementsSent(dsn: Dsn): Promise<number> {
  const [row] = await rows(dsn, "SHOW GLOBAL STATUS LIKE 'Questions'");
  return Number(row?.Value);
}

describe('operations of ours that had not ended when somebody went back to the old daemon', () => {
  const [A, B] = VOLUMES;
  /** One that executes on A, one that waits behind it, and one that waits on B. */
  async function unfinished(dsn: Dsn): Promise<{ executing: string; waiting: readonly string[] }> {
    const { ledger, epoch } = await begin(dsn);
    const begun = detach(A);
    await ledger.accept(epoch, begun);
    await ledger.claim(epoch, 1);
    const waiting = [remove(A), detach(B)];
    for (const input of waiting) await ledger.accept<'delete' | 'detach'>(epoch, input);
    return { executing: begun.id, waiting: waiting.map(({ id }) => id) };
  }

  it('go on while it has accepted nothing', async () => {
    const dsn = await databaseWith(SPECIFICATION);
    const { executing, waiting } = await unfinished(dsn);
    const { ledger, epoch } = await begin(dsn);
    expect(await ledger.resumable(epoch)).toMatchObject([{ id: executing, held: null }]);
    expect((await ledger.claim(epoch, 9)).map(({ operation }) => operation.id)).toEqual([waiting[1]]);
  });

  it('are not gone on with after it has worked: what was begun is held, what waited ends', async () => {
    const dsn = await databaseWith(SPECIFICATION);
    const { executing, waiting } = await unfinished(dsn);
    await refusals(dsn, 'specification', 1);

    const { ledger, epoch } = await begin(dsn);
    const held = expect.stringContaining('the previous daemon has worked here since');
    expect(await ledger.resumable(epoch)).toMatchObject([{ id: executing, held }]);
    expect(await ledger.claim(epoch, 9)).toEqual([]);
    for (const id of waiting) {
      const error = expect.stringContaining('Nothing was done of it');
      expect(await ledger.readOperation(id)).toMatchObject({
        status: 'failed',
        errorCode: 'OPERATION_ABANDONED',
        error,
        completedAt: expect.any(Number),
      });
      expect((await ledger.readJournal(id)).at(-1)).toMatchObject({ state: 'failed', data: { error } });
    }
    expect((await ledger.counts(APPLIANCE)).byStatus.pending).toBe(0);

    // What a person has released goes on, whoever owns the appliance later; so does what was accepted since.
    await ledger.retryHeld(epoch, executing);
    const fresh = detach(B);
    await ledger.accept(epoch, fresh);
    const next = await begin(dsn);
    expect(await next.ledger.resumable(next.epoch)).toMatchObject([{ id: executing, held: null }]);
    const claimed = await next.ledger.claim(next.epoch, 9);
    expect(claimed.map(({ operation }) => operation.id)).toEqual([fresh.id]);
  });

  it('end in a few statements, however many have waited, and are counted', async () => {
    const dsn = await databaseWith(SPECIFICATION);
    const { waiting } = await unfinished(dsn);
    const many = 400;
    await rows(
      dsn,
      `INSERT INTO volume_operations (id, appliance_id, type, status, volume_id, request, created_at)
       SELECT CONCAT('many-', seq), '${APPLIANCE}', 'detach', 'pending', CONCAT('volume-', seq), '{}', '2026-01-15 12:00:00'
       FROM seq_1_to_${many}`,
    );
    await rows(
      dsn,
      `INSERT INTO volume_operation_steps (appliance_id, operation_id, sequence, step, state, data)
       SELECT '${APPLIANCE}', CONCAT('many-', seq), 1, 'operation', 'pending', '{}' FROM seq_1_to_${many}`,
    );
    await refusals(dsn, 'specification', 1);
    const { ledger, epoch } = await own(dsn, APPLIANCE);
    const before = await statementsSent(dsn);
    await ledger.resumable(epoch);
    expect((await statementsSent(dsn)) - before).toBeLessThan(many / 4);
    for (const id of [...waiting, 'many-1', `many-${many}`]) {
      expect(await ledger.readOperation(id)).toMatchObject({ errorCode: 'OPERATION_ABANDONED' });
      expect(await ledger.readJournal(id)).toMatchObject([{ state: 'pending' }, { state: 'failed' }]);
    }
    expect((await ledger.counts(APPLIANCE)).byStatus.pending).toBe(0);
    const ended = `SELECT type, status, operations FROM volume_operation_totals WHERE appliance_id = '${APPLIANCE}'`;
    expect(await rows(dsn, `${ended} ORDER BY type`)).toMatchObject([
      { type: 'delete', status: 'failed', operations: 1 },
      { type: 'detach', status: 'failed', operations: many + 1 },
    ]);
  });

  it('are not gone on with either where another appliance with the same database was started in between', async () => {
    const dsn = await databaseWith(SPECIFICATION);
    const { executing, waiting } = await unfinished(dsn);
    await refusals(dsn, 'specification', 1);

    const other = await begin(dsn, 'another-appliance');
    expect(await other.ledger.readAdoption(other.epoch)).toMatchObject({ shownAt: null });
    await other.ledger.noteAdoptionShown(other.epoch);
    const { ledger, epoch } = await begin(dsn);
    const held = expect.stringContaining('the previous daemon has worked here since');
    expect(await ledger.resumable(epoch)).toMatchObject([{ id: executing, held }]);
    expect(await ledger.claim(epoch, 9)).toEqual([]);
    for (const id of waiting)
      expect(await ledger.readOperation(id)).toMatchObject({ errorCode: 'OPERATION_ABANDONED' });
    expect(await ledger.readAdoption(epoch), 'shown is shown').toMatchObject({ shownAt: expect.any(Number) });
  });
});

it('a fresh database was not adopted, before the old daemon has worked with it', async () => {
  const dsn = await databaseWith([]);
  const { ledger, epoch } = await begin(dsn);
  await ledger.accept(epoch, attach(VOLUMES[0], APPLIANCE));
  const adoption = async () => {
    const now = await begin(dsn);
    return now.ledger.readAdoption(now.epoch);
  };
  expect(await adoption()).toBeNull();
  await refusals(dsn, 'specification', 1);
  const early = new MysqlLedger(pools.at(-1) ?? openPool(dsn), Date.now);
  const epochOf = await early.takeOver(APPLIANCE, 'test');
  expect(await early.readAdoption(epochOf), 'nobody has looked yet').toMatchObject({ shownAt: null });
  expect(await adoption()).toMatchObject({ shownAt: null });
});
