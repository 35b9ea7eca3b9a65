import { type Kysely, sql } from 'kysely';
import { beforeAll, describe, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import type { Database } from '~/server/database/connection/pool';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import type { Tables } from '~/server/database/tables';
import type { OperationFilter } from '~/server/model/ledger';
import { useMigrated } from './use-migrated';

const ROWS = 20_000;
const APPLIANCE = 'd0000000-0000-4000-8000-00000000000d';
const START = Date.UTC(2025, 0, 1);

const database = useMigrated();

beforeAll(async () => {
  // One second apart. Creates never fail, one VM has half of all rows, and nothing is pending.
  await database.query(
    `INSERT INTO volume_operations (id, type, status, volume_id, vm_id, request, created_at, updated_at, completed_at, accepted_at, appliance_id, epoch)
     SELECT UUID(), ELT(1 + seq % 4, 'create', 'attach', 'detach', 'delete'), IF(seq % 100 = 1, 'failed', 'completed'), CONCAT('volume-', seq % 500),
       IF(seq % 2 = 0, 'vm-1', CONCAT('vm-', seq % 50)), '{}', FROM_UNIXTIME(${START / 1000} + seq), FROM_UNIXTIME(${START / 1000} + seq + 3),
       FROM_UNIXTIME(${START / 1000} + seq + 3), FROM_UNIXTIME(${START / 1000} + seq), '${APPLIANCE}', 1 FROM seq_1_to_${ROWS}`,
  );
  // volume-2, volume-6, … are detached again and again; one of those detaches never heard from its job.
  await database.query(
    `INSERT INTO volume_operation_steps (appliance_id, operation_id, sequence, step, state, data)
     SELECT '${APPLIANCE}', id, n, 'detach-volume', IF(n = 3, 'intent', 'finished'), JSON_OBJECT('job_id', id)
       FROM volume_operations o JOIN (SELECT 3 AS n UNION SELECT 4) x WHERE type = 'detach' AND (o.sequence <> 6 OR n = 3)`,
  );
  await database.query(
    `INSERT INTO straggling_jobs SELECT id, 'detach-volume', id, volume_id FROM volume_operations WHERE sequence = 6`,
  );
  await database.query('ANALYZE TABLE volume_operations');
});

/** Rows and index entries that the storage engine touched for this work. */
async function touched(work: (ledger: MysqlLedger) => Promise<unknown>): Promise<number> {
  return database.pool.kysely.connection().execute(async (db) => {
    const ledger = new MysqlLedger(onOneConnection(db), () => START);
    const before = await reads(db);
    await work(ledger);
    return (await reads(db)) - before;
  });
}

function onOneConnection(db: Kysely<Tables>): Database {
  return {
    ...database.pool,
    kysely: db,
    query: (work) => work(db),
    transaction: (work) => db.transaction().execute((tx) => work(tx, { inDoubt: false })),
  };
}

async function reads(db: Kysely<Tables>): Promise<number> {
  const { rows } = await sql<{
    n: number;
  }>`SELECT SUM(variable_value) AS n FROM information_schema.session_status
    WHERE variable_name IN ('HANDLER_READ_NEXT', 'HANDLER_READ_PREV', 'HANDLER_READ_KEY', 'HANDLER_READ_RND', 'HANDLER_READ_LAST', 'HANDLER_READ_FIRST')`.execute(
    db,
  );
  return Number(rows[0]?.n);
}

const LIMIT = 50;
const lists: [string, Omit<OperationFilter, 'limit'>][] = [
  ['everything', {}],
  ['a page far down', { before: 500 }],
  ['a type', { type: 'attach' }],
  ['a status', { status: 'failed' }],
  ['a status that nothing has', { status: 'pending' }],
  ['a type and a status', { type: 'attach', status: 'failed' }],
  ['a type and a status that have nothing in common', { type: 'create', status: 'failed' }],
  ['a volume', { volumeId: 'volume-7' }],
  ['a volume and a type', { volumeId: 'volume-7', type: 'detach' }],
  ['a VM', { vmId: 'vm-1' }],
  ['the last minute', { since: START + (ROWS - 60) * 1000 }],
  ['a type in the last minute', { type: 'attach', since: START + (ROWS - 60) * 1000 }],
  ['a time to come', { since: START + ROWS * 2000 }],
];

describe(`with ${ROWS} operations`, () => {
  it.each(lists)('the list of %s touches about as many rows as it shows', async (_, filter) => {
    expect(await touched((ledger) => ledger.listOperations({ ...filter, limit: LIMIT }))).toBeLessThan(
      10 * LIMIT,
    );
  });

  it('a whole id is found among all of them, a text in the newest: neither reads them all', async () => {
    const find = (text: string) => (ledger: MysqlLedger) =>
      ledger.listOperations({ find: text, limit: LIMIT });
    expect(await touched(find('aaaaaaaa-0000-4000-8000-000000000000'))).toBeLessThan(10);
    expect(await touched(find('no such thing'))).toBeLessThan(2.5 * LIMITS.SEARCH_OPERATIONS);
  });

  it('an attach does not read the history of its volume', async () => {
    const asked = touched(async (ledger) => {
      expect(await ledger.openJobs('volume-6')).toMatchObject([{ step: 'detach-volume' }]);
    });
    expect(await asked).toBeLessThan(10);
  });

  it('a start and every sweep look at unfinished operations only', async () => {
    const swept = touched(async (ledger) => {
      const epoch = await ledger.takeOver(APPLIANCE, 'sweep');
      expect(await ledger.resumable(epoch)).toEqual([]);
      expect(await ledger.claim(epoch, 10)).toEqual([]);
    });
    expect(await swept).toBeLessThan(100);
  });

  it('the metrics do not count them one by one', async () => {
    expect(await touched((ledger) => ledger.counts(APPLIANCE))).toBeLessThan(1000);
  });

  it('the metrics are corrected by pruning when somebody has changed the rows by hand', async () => {
    const ledger = database.ledger(() => START);
    const epoch = await ledger.takeOver(APPLIANCE, 'test');
    expect((await ledger.counts(APPLIANCE)).byStatus.completed).toBe(0);
    expect(await ledger.prune(epoch, { ...older(START), limit: 10 })).toMatchObject({ deleted: 0 });
    expect(await ledger.counts(APPLIANCE)).toMatchObject({
      byStatus: { completed: ROWS - ROWS / 100, failed: ROWS / 100 },
      averageResponseMs: 3000,
    });
  });

  it('pruning touches what it deletes, and leaves the operation whose job may still act', async () => {
    const rows = await touched(async (ledger) => {
      const epoch = await ledger.takeOver(APPLIANCE, 'test');
      const pruned = await ledger.prune(epoch, { ...older(START + 1_000_000), limit: 100 });
      expect(pruned).toMatchObject({ deleted: 100 });
      expect((await ledger.listOperations({ limit: 2, before: 103 })).map((one) => one.sequence)).toEqual([
        102, 6,
      ]);
    });
    expect(rows).toBeLessThan(1_500);
  });
});

/** What ended before this moment. */
function older(than: number) {
  const localNowMs = Date.now();
  return { ageMs: localNowMs - than, localNowMs, keepNewest: 0 };
}
