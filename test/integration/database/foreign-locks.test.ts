import { sql } from 'kysely';
import { type Connection, createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LIMITS } from '~/server/core/limits';
import type { MysqlLedger } from '~/server/database/mysql-ledger';
import type { Epoch } from '~/server/model/ledger';
import { APPLIANCE, attach, ended, entry, mapping, T0 } from '../../contract/ledger/fixtures';
import { useMigrated } from './use-migrated';

const VOLUME = 'a0000000-0000-4000-8000-000000000001';

const database = useMigrated();
let ledger: MysqlLedger;
let epoch: Epoch;
let other: Connection;

beforeAll(async () => {
  ledger = database.ledger(() => T0);
  epoch = await ledger.takeOver(APPLIANCE, 'test');
  other = await createConnection({
    socketPath: database.server.socketPath,
    user: 'root',
    database: database.dsn.database,
  });
});
afterAll(() => other?.end());

/** Another session waits for what `other` has locked. */
async function isWaitedFor(): Promise<boolean> {
  const waiting = await database.query(
    `SELECT 1 FROM information_schema.processlist WHERE user = 'oma_user'
       AND (state LIKE 'Waiting for%' OR state = 'Update' OR state = 'Updating')`,
  );
  return Array.isArray(waiting) && waiting.length > 0;
}

it('a renewal of the lease waits longer than the writes that it waits for, and is tried twice while the lease is held', async () => {
  const { rows } = await database.pool.urgent((db) =>
    sql`SELECT @@innodb_lock_wait_timeout AS \`row\`, @@lock_wait_timeout AS \`table\``.execute(db),
  );
  expect(rows).toEqual([{ row: 2, table: 2 }]);
  expect(LIMITS.LEASE_STATEMENT_MS).toBeGreaterThanOrEqual(LIMITS.DATABASE_LOCK_WAIT_MS + 500);
  const until = LIMITS.LEASE_RENEW_MS + LIMITS.LEASE_STATEMENT_MS + LIMITS.LEASE_RETRY_MS;
  expect(LIMITS.LEASE_HOLD_MS - until).toBeGreaterThanOrEqual(750);
});

it.each([
  ['the row of a mapping', ['BEGIN', 'SELECT * FROM device_mappings FOR UPDATE'], 'ROLLBACK'],
  ['the table of the mappings', ['LOCK TABLES device_mappings WRITE'], 'UNLOCK TABLES'],
])(
  '%s is locked by another program: the lease is kept, and the write is done when it is free',
  async (_what, lock, unlock) => {
    const { operation } = await ledger.accept(epoch, attach(VOLUME, APPLIANCE));
    await ledger.claim(epoch, 1);
    const put = { kind: 'put-mapping', mapping: mapping(VOLUME) } as const;
    await ledger.auditedChange(epoch, [put], { step: 'sync:test', state: 'note', data: {} });
    for (const statement of lock) await other.query(statement);
    const writing = ledger.append(epoch, operation.id, {
      after: 2,
      at: T0,
      entries: [entry('map', 'done', {})],
      effects: [put],
      end: ended(),
    });
    await expect.poll(isWaitedFor).toBe(true);
    const renew = () =>
      ledger.renewLease(epoch).then(
        () => 'renewed',
        (error: unknown) => String(error),
      );
    // Twice: after the first the write has begun again.
    for (let renewal = 0; renewal < 2; renewal += 1)
      await expect
        .poll(renew, {
          timeout: LIMITS.LEASE_HOLD_MS - LIMITS.LEASE_RENEW_MS,
          interval: LIMITS.LEASE_RETRY_MS,
        })
        .toBe('renewed');
    await other.query(unlock);
    await writing;
    expect(await ledger.readOperation(operation.id)).toMatchObject({ status: 'completed' });
  },
);
