import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Mariadb, startMariadb } from '~/lab/mariadb';
import { LIMITS } from '~/server/core/limits';
import { silentLogger } from '~/server/core/log/logger';
import { type Dsn, parseDsn } from '~/server/database/connection/dsn';
import { type Database, openPool } from '~/server/database/connection/pool';
import { migrate } from '~/server/database/migrations/migrate';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import { provision, tryLogin, writeConfig } from '~/server/database/provision';

/** A server whose every global that matters is set to the value that hurts. */
const HOSTILE = {
  'sql-mode': 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,NO_AUTO_VALUE_ON_ZERO',
  autocommit: 0,
  'transaction-isolation': 'SERIALIZABLE',
  'completion-type': 'RELEASE',
  'default-time-zone': '-11:00',
  'init-connect': "'SET NAMES latin1'",
  'skip-character-set-client-handshake': 1,
  'wait-timeout': 2,
  'group-concat-max-len': 4,
  'max-statement-time': 0.001,
  'innodb-lock-wait-timeout': 60,
};
const GLOBALS = [
  'sql_select_limit = 1',
  'sql_safe_updates = 1',
  'foreign_key_checks = 0',
  'unique_checks = 0',
  'sql_big_selects = 0',
  'max_join_size = 1',
  'sort_buffer_size = 1024',
  'max_sort_length = 64',
  'tx_read_only = 1',
];
const APPLIANCE = 'd0000000-0000-4000-8000-00000000000d';

let server: Mariadb;
let dsn: Dsn;
let pool: Database;
let ledger: MysqlLedger;

beforeAll(async () => {
  server = await startMariadb();
  for (const [name, value] of Object.entries(HOSTILE)) {
    if (name === 'skip-character-set-client-handshake') continue;
    const text = typeof value === 'number' ? value : `'${value.replaceAll("'", '')}'`;
    const variable = { 'default-time-zone': 'time_zone', 'transaction-isolation': 'tx_isolation' }[name];
    await server.query(`SET GLOBAL ${variable ?? name.replaceAll('-', '_')} = ${text}`);
  }
  for (const setting of GLOBALS) await server.query(`SET GLOBAL ${setting}`);
  dsn = parseDsn(server.dsn);
  await migrate(dsn, silentLogger);
  pool = openPool(dsn);
  ledger = new MysqlLedger(pool, Date.now);
});
afterAll(async () => {
  await pool?.close();
  await server?.stop();
});

const accept = (epoch: Awaited<ReturnType<MysqlLedger['takeOver']>>, name: string) =>
  ledger.accept(epoch, {
    id: crypto.randomUUID(),
    type: 'create',
    volumeId: '',
    vmId: null,
    request: { name, size: 1, disk_offering_id: 'o', zone_id: 'z' },
    idempotencyKey: null,
    requestHash: createHash('sha256').update(name).digest('hex'),
    at: Date.now(),
  });

describe('a server with hostile settings', () => {
  it('no global of the server reaches a session of ours', async () => {
    const wanted = {
      sql_mode: 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION',
      autocommit: 1,
      tx_isolation: 'READ-COMMITTED',
      tx_read_only: 0,
      completion_type: 'NO_CHAIN',
      time_zone: '+00:00',
      character_set_client: 'utf8mb4',
      character_set_connection: 'utf8mb4',
      character_set_results: 'utf8mb4',
      wait_timeout: 60,
      group_concat_max_len: 1_048_576,
      max_statement_time: 0,
      innodb_lock_wait_timeout: 1,
      lock_wait_timeout: 1,
      sql_safe_updates: 0,
      sql_big_selects: 1,
      sort_buffer_size: LIMITS.DATABASE_SORT_BYTES,
      max_sort_length: 1024,
      foreign_key_checks: 1,
      unique_checks: 1,
    };
    const columns = sql.raw(
      Object.keys(wanted)
        .map((name) => `@@SESSION.${name} AS ${name}`)
        .join(', '),
    );
    const { rows } = await pool.query((db) => sql<Record<string, unknown>>`SELECT ${columns}`.execute(db));
    const [session = {}] = rows;
    const numbers = Object.fromEntries(
      Object.entries(session).map(([name, value]) => [
        name,
        /^[\d.]+$/.test(String(value)) ? Number(value) : value,
      ]),
    );
    expect(numbers).toEqual(wanted);
  });

  it('lists are whole, texts and times come back as they were written, ends are committed', async () => {
    const epoch = await ledger.takeOver(APPLIANCE, 'test');
    const before = Date.now();
    for (const name of ["it's", '磁盘', 'back\\slash', 'a || b', '"quoted"']) await accept(epoch, name);
    const listed = await ledger.listOperations({ limit: 10 });
    expect(listed.map(({ request }) => 'name' in request && request.name).reverse()).toEqual([
      "it's",
      '磁盘',
      'back\\slash',
      'a || b',
      '"quoted"',
    ]);
    expect(Math.min(...listed.map(({ createdAt }) => createdAt))).toBeGreaterThanOrEqual(before);
    const claimed = await ledger.claim(epoch, 10);
    expect(claimed).toHaveLength(5);
    for (const { operation } of claimed)
      await ledger.append(epoch, operation.id, {
        after: 2,
        at: Date.now(),
        entries: [],
        end: { status: 'completed', response: {}, error: null, errorCode: null },
      });
    expect(Math.abs((await ledger.probe(epoch)) - Date.now())).toBeLessThan(LIMITS.CLOCKS_AGREE_MS);
    const other = openPool(dsn);
    expect((await new MysqlLedger(other, Date.now).counts(APPLIANCE)).byStatus.completed).toBe(5);
    await other.close();
  });

  it('what setup writes is there afterwards, as it was given', async () => {
    const admin = parseDsn(`root@unix(${server.socketPath})/mysql`);
    const wanted = { ...dsn, user: 'made', password: "with ' and \\", database: 'made' };
    await provision(admin, wanted);
    expect(await tryLogin(wanted)).toBe('works');
    const keys = { apiKey: "a'key", secretKey: "with ' and \\" };
    await writeConfig(dsn, null, { ...keys, apiUrl: 'http://cloud', zone: 'z', omaVmId: APPLIANCE });
    const { rows } = await pool.query((db) =>
      sql`SELECT api_key AS apiKey, secret_key AS secretKey FROM ossea_configs`.execute(db),
    );
    expect(rows).toEqual([keys]);
  });

  it('a schema that is there needs no right to create', async () => {
    // For root, who has only what the server says.
    await server.query('SET GLOBAL tx_read_only = 0');
    await server.query("REVOKE ALL ON migratekit_oma.* FROM 'oma_user'@'%'");
    await server.query("GRANT SELECT, INSERT, UPDATE, DELETE ON migratekit_oma.* TO 'oma_user'@'%'");
    expect(await migrate(dsn, silentLogger)).toEqual([]);
    const limited = openPool(dsn);
    const small = new MysqlLedger(limited, Date.now);
    const epoch = await small.takeOver(APPLIANCE, 'limited');
    await small.probe(epoch);
    // What a detach needs at its end; until then nothing else would have told.
    await server.query("REVOKE DELETE ON migratekit_oma.* FROM 'oma_user'@'%'");
    await limited.close();
    const smaller = openPool(dsn);
    await expect(new MysqlLedger(smaller, Date.now).probe(epoch)).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      message: expect.stringMatching(/DELETE command denied .*GRANT ALL/),
    });
    await smaller.close();
    await server.query("GRANT ALL ON migratekit_oma.* TO 'oma_user'@'%'");
  });
});

describe('a server whose administrator has bounded what a session may set', () => {
  it('is used within these bounds, also where a strict mode would refuse what is beyond', async () => {
    const bounded = await startMariadb({
      settings: {
        'sql-mode': 'TRADITIONAL',
        'maximum-sort-buffer-size': 262_144,
        'maximum-max-sort-length': 512,
        'maximum-wait-timeout': 10,
      },
    });
    try {
      const there = parseDsn(bounded.dsn);
      await migrate(there, silentLogger);
      const small = openPool(there);
      const { rows } = await small.query((db) =>
        sql`SELECT @@sort_buffer_size AS sort, @@wait_timeout AS idle, @@sql_mode AS mode`.execute(db),
      );
      expect(rows).toEqual([{ sort: 262_144, idle: 10, mode: expect.stringContaining('STRICT_ALL_TABLES') }]);
      await small.close();
    } finally {
      await bounded.stop();
    }
  });
});

describe('a server that logs statements, not rows', () => {
  it('is waited for, and the reason says what to set', async () => {
    const logging = await startMariadb({
      settings: { 'log-bin': 'log', 'binlog-format': 'STATEMENT', 'server-id': 1 },
    });
    try {
      const there = parseDsn(logging.dsn);
      await expect(migrate(there, silentLogger)).rejects.toMatchObject({
        code: 'DATABASE_UNAVAILABLE',
        message: expect.stringContaining('set binlog_format of the server to ROW or MIXED'),
      });
      await logging.query("SET GLOBAL binlog_format = 'MIXED'");
      expect(await migrate(there, silentLogger)).not.toEqual([]);
    } finally {
      await logging.stop();
    }
  });
});
