import { createConnection } from 'mysql2/promise';
import { beforeAll, expect, it } from 'vitest';
import { silentLogger } from '~/server/core/log/logger';
import { migrate } from '~/server/database/migrations/migrate';
import type { MysqlLedger } from '~/server/database/mysql-ledger';
import { APPLIANCE } from '../../contract/ledger/fixtures';
import { useMigrated } from './use-migrated';

const database = useMigrated();
let ledger: MysqlLedger;

beforeAll(() => {
  ledger = database.ledger(Date.now);
});

const sql = (text: string) => database.query(text);
const refusal = (message: RegExp) => ({
  code: 'DATABASE_UNAVAILABLE',
  message: expect.stringMatching(message),
});

it.each(['volume_operation_totals', 'volume_daemon_returns', 'straggling_jobs'])(
  'no appliance is taken while %s is gone, and it is named; when it is back the take-over works',
  async (table) => {
    await sql(`RENAME TABLE ${table} TO gone`);
    expect(await migrate(database.dsn, silentLogger)).toEqual([]);
    const takeOver = () => ledger.takeOver(APPLIANCE, 'test');
    await expect(takeOver()).rejects.toMatchObject(refusal(new RegExp(`has no ${table}.*backup`)));
    await sql(`RENAME TABLE gone TO ${table}`);
    await takeOver();
  },
);

it.each(['Aria', 'MyISAM'].filter(() => process.env.MYSQLD === undefined))(
  'no appliance is taken while its table is of %s, which has no transactions',
  async (engine) => {
    await sql(`ALTER TABLE appliances ENGINE=${engine}`);
    await expect(ledger.takeOver(APPLIANCE, 'test')).rejects.toMatchObject(
      refusal(/ALTER TABLE appliances ENGINE=InnoDB/),
    );
    await sql('ALTER TABLE appliances ENGINE=InnoDB');
    await ledger.takeOver(APPLIANCE, 'test');
  },
);

it('a view in place of a table is taken for what it shows', async () => {
  await sql('RENAME TABLE volume_operation_totals TO renamed');
  await sql('CREATE VIEW volume_operation_totals AS SELECT * FROM renamed');
  await ledger.takeOver(APPLIANCE, 'test');
  await sql('DROP VIEW volume_operation_totals');
  await sql('RENAME TABLE renamed TO volume_operation_totals');
});

it('a table that another program has locked, or waits to alter, keeps nobody from taking over', async () => {
  const connect = () =>
    createConnection({
      socketPath: database.server.socketPath,
      user: 'root',
      database: database.dsn.database,
    });
  const [reader, other] = [await connect(), await connect()];
  await other.query('LOCK TABLES device_mappings WRITE');
  await ledger.takeOver(APPLIANCE, 'while it is locked');
  await other.query('UNLOCK TABLES');
  await reader.query('BEGIN');
  await reader.query('SELECT * FROM device_mappings');
  const altering = other.query('ALTER TABLE device_mappings ADD COLUMN theirs INT NULL');
  const waiting = () =>
    sql("SELECT 1 FROM information_schema.processlist WHERE state LIKE 'Waiting for table metadata%'");
  await expect.poll(waiting).not.toEqual([]);
  await ledger.takeOver(APPLIANCE, 'while it is to be altered');
  await reader.query('ROLLBACK');
  await altering;
  await Promise.all([reader.end(), other.end()]);
});

it('as the runbook says, a table and a column that are lost are made anew, and the others stay', async () => {
  await ledger.takeOver(APPLIANCE, 'before');
  await sql('DROP TABLE volume_operation_totals');
  await sql('ALTER TABLE appliances DROP COLUMN renewals');
  await sql('DELETE FROM volume_daemon_migrations');
  await migrate(database.dsn, silentLogger);
  expect(await ledger.readOwner(APPLIANCE)).toMatchObject({ owner: 'before' });
  await ledger.takeOver(APPLIANCE, 'after');
});
