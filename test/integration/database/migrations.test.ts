import { type Connection, createConnection } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Mariadb, OSSEA_CONFIGS, startMariadb } from '~/lab/mariadb';
import { type Logger, silentLogger } from '~/server/core/log/logger';
import { type Dsn, parseDsn } from '~/server/database/connection/dsn';
import { connectionOptions, type Database, openPool } from '~/server/database/connection/pool';
import { addOwnerColumns } from '~/server/database/migrations/006-accounts';
import { migrate } from '~/server/database/migrations/migrate';
import { MIGRATIONS } from '~/server/database/migrations/migrations';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import { readOsseaConfigs } from '~/server/database/ossea-configs';
import type { MappingEffect } from '~/server/model/ledger-writes';
import type { NewMapping } from '~/server/model/operation';
import { LIVE, SPECIFICATION, SPECIFICATION_LATIN1, VM, VOLUMES } from './old-databases';

const SPECIFICATION_COMPACT = SPECIFICATION.map((statement) =>
  statement.startsWith('CREATE TABLE') ? `${statement} ROW_FORMAT=COMPACT` : statement,
);
const APPLIANCE = 'd0000000-0000-4000-8000-00000000000d';
const START = Date.UTC(2025, 0, 1);
const [FIRST, SECOND, THIRD] = VOLUMES;
const TABLES = [
  'volume_operations',
  'volume_operation_steps',
  'device_mappings',
  'nbd_exports',
  'appliances',
  'volume_operation_totals',
  'straggling_jobs',
  'volume_daemon_returns',
];

let server: Mariadb;
let databases = 0;
const pools: Database[] = [];

beforeAll(async () => {
  server = await startMariadb();
});
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.close()));
  await server.stop();
});

/** A database of its own, filled by these statements. */
async function databaseWith(statements: readonly string[]): Promise<Dsn> {
  databases += 1;
  const dsn = parseDsn((await server.createDatabase(`test_${databases}`)).dsn);
  for (const statement of statements) await server.query(statement, [], dsn.database);
  return dsn;
}

async function rows(dsn: Dsn, sql: string): Promise<Record<string, unknown>[]> {
  return (await server.query(sql, [], dsn.database)) as Record<string, unknown>[];
}

function ledgerOn(dsn: Dsn): { ledger: MysqlLedger; pool: Database } {
  const pool = openPool(dsn);
  pools.push(pool);
  return { ledger: new MysqlLedger(pool, Date.now), pool };
}

async function schemaOf(dsn: Dsn): Promise<string[]> {
  const created: string[] = [];
  for (const table of TABLES) {
    const [row] = await rows(dsn, `SHOW CREATE TABLE ${table}`);
    created.push(String(row?.['Create Table']).replace(/ AUTO_INCREMENT=\d+/, ''));
  }
  return created;
}

describe('a fresh database', () => {
  it('gets every table once, however often and by however many daemons it is prepared', async () => {
    const dsn = await databaseWith([]);
    const ran = await Promise.all([
      migrate(dsn, silentLogger),
      migrate(dsn, silentLogger),
      migrate(dsn, silentLogger),
    ]);
    expect(ran.flat()).toEqual(MIGRATIONS.map(({ id }) => id));
    expect(await migrate(dsn, silentLogger)).toEqual([]);
    expect(await rows(dsn, 'SELECT name FROM ossea_configs')).toEqual([]);
  });

  it('waits for another one that changes the schema, until that one is done or its lock has ended', async () => {
    const dsn = await databaseWith([]);
    await server.query(
      'CREATE TABLE volume_daemon_schema_lock (id TINYINT PRIMARY KEY, holder VARCHAR(191) NOT NULL, lease_until DATETIME(3) NULL)',
      [],
      dsn.database,
    );
    const lines: string[] = [];
    const logger: Logger = { ...silentLogger, info: (message) => void lines.push(message) };
    await server.query(
      "INSERT INTO volume_daemon_schema_lock VALUES (1, 'dead', UTC_TIMESTAMP(3) + INTERVAL 700000 MICROSECOND)",
      [],
      dsn.database,
    );
    expect(await migrate(dsn, logger)).toEqual(MIGRATIONS.map(({ id }) => id));
    expect(lines[0]).toBe('Another process is changing the schema');
  });

  it('a migration that the account may not do is named, and begins again at once when it may', async () => {
    const dsn = await databaseWith([]);
    await server.query(`REVOKE ALTER ON ${dsn.database}.* FROM 'oma_user'@'%'`);
    await expect(migrate(dsn, silentLogger)).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      message: expect.stringMatching(/ALTER command denied .*GRANT ALL/),
    });
    await server.query(`GRANT ALTER ON ${dsn.database}.* TO 'oma_user'@'%'`);
    const lines: string[] = [];
    const logger: Logger = { ...silentLogger, info: (message) => void lines.push(message) };
    expect(await migrate(dsn, logger)).toEqual(MIGRATIONS.map(({ id }) => id));
    expect(new Set(lines)).toEqual(new Set(['Database migration']));
  });

  it('a schema of a newer version is refused by name and left as it is, also where migrations of this one are missing', async () => {
    const dsn = await databaseWith(SPECIFICATION);
    await migrate(dsn, silentLogger);
    await server.query(
      "UPDATE volume_daemon_migrations SET id = '900-of-tomorrow' WHERE id LIKE '009%'",
      [],
      dsn.database,
    );
    const before = await schemaOf(dsn);
    await expect(migrate(dsn, silentLogger)).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      message: expect.stringContaining('of a newer version of the daemon (900-of-tomorrow)'),
    });
    expect(await schemaOf(dsn)).toEqual(before);
  });

  it('a daemon that runs already takes over no appliance once a newer version has changed the schema', async () => {
    const dsn = await databaseWith([]);
    await migrate(dsn, silentLogger);
    const { ledger } = ledgerOn(dsn);
    const epoch = await ledger.takeOver(APPLIANCE, 'older');
    await server.query(
      "INSERT INTO volume_daemon_migrations (id) VALUES ('900-of-tomorrow')",
      [],
      dsn.database,
    );
    const refusal = { code: 'DATABASE_UNAVAILABLE', message: expect.stringContaining('900-of-tomorrow') };
    await expect(ledger.takeOver(APPLIANCE, 'older')).rejects.toMatchObject(refusal);
    // What it owns it keeps until it ends.
    await ledger.renewLease(epoch);
    await server.query("DELETE FROM volume_daemon_migrations WHERE id LIKE '900%'", [], dsn.database);
    await ledger.takeOver(APPLIANCE, 'older');
  });

  it("does not wait for a lock from before the database's clock was set back", async () => {
    const dsn = await databaseWith([]);
    await migrate(dsn, silentLogger);
    const lock =
      "UPDATE volume_daemon_schema_lock SET holder = 'dead', lease_until = UTC_TIMESTAMP(3) + INTERVAL 1 YEAR";
    await server.query(lock, [], dsn.database);
    await server.query("DELETE FROM volume_daemon_migrations WHERE id LIKE '009%'", [], dsn.database);
    expect(await migrate(dsn, silentLogger)).toEqual(['009-leases']);
  });

  it('is right when the lock is lost all the time, so that several run side by side', async () => {
    const whole = await databaseWith(SPECIFICATION);
    await migrate(whole, silentLogger);
    const dsn = await databaseWith(SPECIFICATION);
    let running = true;
    const all = Promise.allSettled(Array.from({ length: 3 }, () => migrate(dsn, silentLogger)));
    void all.then(() => {
      running = false;
    });
    while (running)
      await server
        .query('UPDATE volume_daemon_schema_lock SET lease_until = NULL', [], dsn.database)
        .catch(() => undefined);
    for (const end of await all) expect(end).toMatchObject({ status: 'fulfilled' });
    expect(await schemaOf(dsn)).toEqual(await schemaOf(whole));
  });

  it('is finished after a crash behind any statement', { timeout: 240_000 }, async () => {
    const whole = await databaseWith(SPECIFICATION);
    await migrate(whole, silentLogger);
    const wanted = await schemaOf(whole);
    let survived = 0;
    for (let fatal = 1; ; fatal += 4) {
      const dsn = await databaseWith(SPECIFICATION);
      const connection = await createConnection({
        socketPath: server.socketPath,
        user: 'root',
        database: dsn.database,
      });
      const finished = await crashAfter(connection, fatal);
      connection.destroy();
      await migrate(dsn, silentLogger);
      expect(await schemaOf(dsn)).toEqual(wanted);
      expect(await rows(dsn, 'SELECT id FROM volume_operations ORDER BY sequence')).toHaveLength(5);
      if (finished) break;
      survived += 1;
    }
    expect(survived).toBeGreaterThan(5);
  });
});

describe.each([
  ['innodb_default_row_format', 'compact', 'dynamic'],
  ['innodb_default_row_format', 'redundant', 'dynamic'],
  ['alter_algorithm', 'INSTANT', 'DEFAULT'],
  ['alter_algorithm', 'NOCOPY', 'DEFAULT'],
])('a server whose %s is %s', (variable, value, usual) => {
  afterEach(() => server.query(`SET GLOBAL ${variable} = '${usual}'`));

  it.each([
    ['a fresh database', []],
    ['an old one, whose tables have an old format', SPECIFICATION_COMPACT],
  ])('takes the schema: %s', async (_, statements) => {
    const dsn = await databaseWith(statements);
    await server.query(`SET GLOBAL ${variable} = '${value}'`);
    expect(await migrate(dsn, silentLogger)).toHaveLength(MIGRATIONS.length);
    expect(await migrate(dsn, silentLogger)).toEqual([]);
  });
});

describe('a database from before straggling_jobs', () => {
  it('keeps the open jobs of its ended operations', async () => {
    const dsn = await databaseWith([]);
    await migrate(dsn, silentLogger);
    const { ledger } = ledgerOn(dsn);
    const epoch = await ledger.takeOver(APPLIANCE, 'test');
    const tries = {
      open: [
        ['intent', 'lost'],
        ['intent', 'second'],
        ['accepted', 'second'],
        ['finished', 'second'],
      ],
      settled: [
        ['intent', 'ended'],
        ['accepted', 'ended'],
        ['finished', 'ended'],
      ],
    } as const;
    for (const [id, entries] of Object.entries(tries)) {
      const detach = { vmId: null, request: { volume_id: id }, idempotencyKey: null, requestHash: '' };
      await ledger.accept(epoch, { ...detach, id, type: 'detach', volumeId: id, at: START });
      await ledger.claim(epoch, 1);
      await ledger.append(epoch, id, {
        after: 2,
        at: START,
        entries: entries.map(([state, job_id]) => ({ step: 'detach-volume', state, data: { job_id } })),
        end: { status: 'failed', response: null, error: 'x', errorCode: 'STEP_DEADLINE' },
      });
    }
    const open = [{ operationId: 'open', step: 'detach-volume', jobId: 'lost' }];
    expect(await ledger.openJobs('open')).toEqual(open);
    await server.query('DROP TABLE straggling_jobs', [], dsn.database);
    await server.query("DELETE FROM volume_daemon_migrations WHERE id LIKE '005%'", [], dsn.database);
    expect(await migrate(dsn, silentLogger)).toEqual(['005-straggling-jobs']);
    expect(await ledger.openJobs('open')).toEqual(open);
    expect(await ledger.openJobs('settled')).toEqual([]);
  });
});

/**
 * Runs the migrations until the connection "breaks" behind its n-th statement; true when they came to their
 * end before that.
 */
async function crashAfter(connection: Connection, statements: number): Promise<boolean> {
  let left = statements;
  const mortal = new Proxy(connection, {
    get(target, name) {
      if (name !== 'query') return Reflect.get(target, name);
      return (...args: Parameters<Connection['query']>) => {
        left -= 1;
        return left < 0 ? Promise.reject(new Error('crash')) : target.query(...args);
      };
    },
  });
  try {
    for (const migration of MIGRATIONS) await migration.run(mortal);
    return true;
  } catch (error) {
    if (error instanceof Error && error.message === 'crash') return false;
    throw error;
  }
}

describe.each([
  ['the specification’s own SQL', SPECIFICATION],
  ['the same in latin1', SPECIFICATION_LATIN1],
  ['the live shape', LIVE],
])('a database made by %s', (_, statements) => {
  it('keeps every operation, newest first, and lets a new daemon work', async () => {
    const dsn = await databaseWith(statements);
    await migrate(dsn, silentLogger);
    const { ledger } = ledgerOn(dsn);
    const listed = await ledger.listOperations({ limit: 10 });
    expect(listed.map(({ id }) => id)).toEqual([
      'cc-fifth',
      'bb-fourth',
      'aa-third',
      'mm-second',
      'zz-first',
    ]);
    expect(listed.at(-1)).toMatchObject({
      status: 'completed',
      response: { volume_id: FIRST },
      createdAt: Date.UTC(2025, 7, 19, 20),
      updatedAt: Date.UTC(2025, 7, 19, 20, 0, 9),
    });
    expect(listed.at(-2)).toMatchObject({ status: 'failed', error: 'it was not found', vmId: VM });

    const epoch = await ledger.takeOver(APPLIANCE, 'test');
    const at = Date.UTC(2026, 0, 1, 0, 0, 0, 7);
    const { operation } = await ledger.accept(epoch, {
      id: 'new-one',
      type: 'cleanup',
      volumeId: THIRD,
      vmId: VM,
      at,
      idempotencyKey: null,
      requestHash: 'a'.repeat(64),
      request: {
        volume_id: THIRD,
        test_vm_id: APPLIANCE,
        oma_vm_id: VM,
        delete_vm: false,
        force_clean: false,
      },
    });
    expect((await ledger.claim(epoch, 10)).map(({ operation }) => operation.id)).toEqual([operation.id]);
    await ledger.append(epoch, operation.id, {
      after: 2,
      at,
      entries: [{ step: 'check', state: 'done', data: {} }],
      end: {
        status: 'failed',
        response: { left: ['磁盘'] },
        error: '磁盘 is full',
        errorCode: 'CLOUDSTACK_REJECTED',
      },
    });
    expect(await ledger.readOperation('new-one')).toMatchObject({
      status: 'failed',
      response: { left: ['磁盘'] },
      error: '磁盘 is full',
      createdAt: at,
      completedAt: at,
    });
  });

  it('ends what the previous daemon left unfinished as failed, with a note, and never executes it', async () => {
    const dsn = await databaseWith(statements);
    await migrate(dsn, silentLogger);
    const { ledger } = ledgerOn(dsn);
    const epoch = await ledger.takeOver(APPLIANCE, 'test');
    expect(await ledger.resumable(epoch)).toEqual([]);
    for (const id of ['aa-third', 'bb-fourth', 'cc-fifth']) {
      expect(await ledger.readOperation(id)).toMatchObject({
        status: 'failed',
        errorCode: 'CLOUDSTACK_OUTCOME_UNKNOWN',
        error: expect.stringContaining('abandoned by the previous daemon'),
      });
      expect(await ledger.readJournal(id)).toMatchObject([
        { step: 'operation', state: 'note', data: { reason: 'abandoned by the previous daemon' } },
      ]);
    }
    expect((await ledger.readJournal('cc-fifth'))[0]?.data.previous_status).toBe('pending');
    expect((await ledger.counts()).byStatus.failed).toBe(4);
    expect(await ledger.claim(epoch, 10)).toEqual([]);
  });

  it('keeps its mappings, takes long remote paths, and allows one letter per VM', async () => {
    const dsn = await databaseWith(statements);
    await migrate(dsn, silentLogger);
    const { ledger } = ledgerOn(dsn);
    const epoch = await ledger.takeOver(APPLIANCE, 'test');
    expect((await ledger.listMappings(VM)).map(({ volumeId, devicePath }) => [volumeId, devicePath])).toEqual(
      [
        [FIRST, '/dev/vdb'],
        [SECOND, '/dev/vdc'],
      ],
    );
    const note = { step: 'test', state: 'note' as const, data: {} };
    await ledger.auditedChange(
      epoch,
      [{ kind: 'put-mapping', mapping: mapping(SECOND, `remote-vm-${APPLIANCE}-${SECOND}`) }],
      note,
    );
    await ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: mapping(THIRD, '/dev/vdb') }], note);
    const record = {
      volumeId: THIRD,
      exportName: `migration-vol-${THIRD}`,
      devicePath: '/dev/vdb',
      port: 10809,
      status: 'active' as const,
      metadata: { vm_name: 'web' },
    };
    await ledger.auditedChange(epoch, [{ kind: 'put-export', record }], note);
    expect(await ledger.readExport(THIRD)).toMatchObject(record);
    expect(await rows(dsn, `SELECT volume_uuid FROM device_mappings WHERE volume_uuid = '${THIRD}'`)).toEqual(
      [{ volume_uuid: THIRD }],
    );
    await ledger.auditedChange(epoch, [{ kind: 'delete-mapping', volumeId: THIRD, vmId: APPLIANCE }], note);
    expect(await ledger.readExport(THIRD)).toBeNull();
  });
});

describe('a live database with ossea_volumes', () => {
  it('keeps all exports, and reads as ours the ones that have a mapping and the name of their volume', async () => {
    const dsn = await databaseWith(LIVE);
    await migrate(dsn, silentLogger);
    const { ledger } = ledgerOn(dsn);
    expect(await ledger.listExports()).toMatchObject([
      { volumeId: FIRST, exportName: `migration-vol-${FIRST}`, status: 'active', metadata: {} },
    ]);
    expect(await rows(dsn, 'SELECT export_name, vm_disk_id FROM nbd_exports ORDER BY id')).toEqual([
      { export_name: `migration-vol-${FIRST}`, vm_disk_id: 7 },
      { export_name: 'migration-old-name', vm_disk_id: null },
      { export_name: `migration-vol-${THIRD}`, vm_disk_id: null },
    ]);
  });

  it('gives new mappings and exports the context of their volume, and writes to ossea_volumes where a volume is', async () => {
    const dsn = await databaseWith(LIVE);
    await migrate(dsn, silentLogger);
    const { ledger } = ledgerOn(dsn);
    const epoch = await ledger.takeOver(APPLIANCE, 'test');
    const note = { step: 'test', state: 'note' as const, data: {} };
    const record = {
      volumeId: THIRD,
      exportName: `migration-vol-${THIRD}`,
      devicePath: '/dev/vdd',
      port: 10809,
      status: 'active' as const,
      metadata: {},
    };
    await ledger.auditedChange(
      epoch,
      [
        { kind: 'put-mapping', mapping: mapping(THIRD, '/dev/vdd') },
        { kind: 'put-export', record },
      ],
      note,
    );
    const where = `WHERE volume_id = '${THIRD}'`;
    expect(await rows(dsn, `SELECT vm_context_id, operation_mode FROM device_mappings ${where}`)).toEqual([
      { vm_context_id: 'context-1', operation_mode: 'oma' },
    ]);
    expect(await ledger.readMapping(THIRD)).toMatchObject({ vmContextId: 'context-1' });
    expect(await rows(dsn, `SELECT vm_context_id FROM nbd_exports ${where}`)).toEqual([
      { vm_context_id: 'context-1' },
    ]);
    expect(await rows(dsn, `SELECT device_path, status FROM ossea_volumes ${where}`)).toEqual([
      { device_path: '/dev/vdd', status: 'attached' },
    ]);
    // What other services write meanwhile must survive our next write.
    await server.query(
      `UPDATE device_mappings SET operation_mode = 'failover' WHERE vm_context_id = 'context-1'`,
      [],
      dsn.database,
    );
    await ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: mapping(THIRD, '/dev/vde') }], note);
    expect(await rows(dsn, `SELECT operation_mode FROM device_mappings ${where}`)).toEqual([
      { operation_mode: 'failover' },
    ]);
    // Another volume has the path now: nobody may take it for this one's any more.
    const other = { kind: 'put-mapping', mapping: mapping(FIRST, '/dev/vde'), displaces: [THIRD] } as const;
    await ledger.auditedChange(epoch, [other], note);
    const told = `SELECT volume_id FROM ossea_volumes WHERE device_path = '/dev/vde'`;
    expect(await rows(dsn, told)).toEqual([{ volume_id: FIRST }]);
    expect(await rows(dsn, `SELECT device_path, status FROM ossea_volumes ${where}`)).toEqual([
      { device_path: `missing-${THIRD}`, status: 'attached' },
    ]);
    await ledger.auditedChange(epoch, [{ kind: 'delete-mapping', volumeId: THIRD, vmId: APPLIANCE }], note);
    expect(await rows(dsn, `SELECT device_path, status FROM ossea_volumes ${where}`)).toEqual([
      { device_path: null, status: 'detached' },
    ]);
  });

  it('does not wait for what the hub is writing to other contexts', async () => {
    const dsn = await databaseWith([
      ...LIVE,
      "INSERT INTO vm_replication_contexts VALUES ('context-0'), ('context-2')",
    ]);
    await migrate(dsn, silentLogger);
    const { ledger } = ledgerOn(dsn);
    const epoch = await ledger.takeOver(APPLIANCE, 'test');
    const note = { step: 'test', state: 'note' as const, data: {} };
    const hub = await createConnection(connectionOptions(dsn));
    await hub.query('START TRANSACTION');
    await hub.query("DELETE FROM vm_replication_contexts WHERE context_id <> 'context-1'");
    await ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: mapping(FIRST, '/dev/vde') }], note);
    await hub.query('ROLLBACK');
    await hub.end();
    expect(await ledger.readMapping(FIRST)).toMatchObject({ devicePath: '/dev/vde' });
    const context = `SELECT vm_context_id FROM device_mappings WHERE volume_uuid = '${FIRST}'`;
    expect(await server.query(context, [], dsn.database)).toEqual([{ vm_context_id: 'context-1' }]);
  });

  it('writes to ossea_volumes where a volume is also where that table does not say when a row was changed', async () => {
    const dsn = await databaseWith(LIVE);
    await server.query('ALTER TABLE ossea_volumes DROP COLUMN updated_at', [], dsn.database);
    await migrate(dsn, silentLogger);
    const { ledger } = ledgerOn(dsn);
    const epoch = await ledger.takeOver(APPLIANCE, 'test');
    const change = (effect: MappingEffect) =>
      ledger.auditedChange(epoch, [effect], { step: 'test', state: 'note', data: {} });
    const told = () => rows(dsn, `SELECT device_path FROM ossea_volumes WHERE volume_id = '${THIRD}'`);
    await change({ kind: 'put-mapping', mapping: mapping(THIRD, '/dev/vde') });
    expect(await told()).toEqual([{ device_path: '/dev/vde' }]);
    await change({ kind: 'put-mapping', mapping: mapping(FIRST, '/dev/vde'), displaces: [THIRD] });
    expect(await told()).toEqual([{ device_path: `missing-${THIRD}` }]);
    await change({ kind: 'delete-mapping', volumeId: THIRD, vmId: APPLIANCE });
    expect(await told()).toEqual([{ device_path: null }]);
  });

  it('loses mapping and export when the row of ossea_volumes is deleted with its context', async () => {
    const dsn = await databaseWith(LIVE);
    await migrate(dsn, silentLogger);
    await server.query('DELETE FROM vm_replication_contexts', [], dsn.database);
    const { ledger } = ledgerOn(dsn);
    expect((await ledger.listMappings()).map(({ volumeId }) => volumeId)).toEqual([SECOND]);
    expect(await ledger.listExports()).toEqual([]);
  });
});

describe('ossea_configs', () => {
  it('is read in a short shape, newest active row first', async () => {
    const dsn = await databaseWith([
      ...SPECIFICATION,
      "INSERT INTO ossea_configs (name, api_url, api_key, secret_key, zone, is_active) VALUES ('off', 'u', 'k', 's', 'z', 0), ('old', 'u', 'k', 's', 'z', 1), ('new', 'http://cs:8080/client/api', 'key', 'secret', ' z ', 1)",
    ]);
    await migrate(dsn, silentLogger);
    const configs = await readOsseaConfigs(ledgerOn(dsn).pool.kysely);
    expect(configs.map(({ name }) => name)).toEqual(['new', 'old', 'off']);
    expect(configs[0]).toEqual({
      id: '3',
      name: 'new',
      apiUrl: 'http://cs:8080/client/api',
      apiKey: 'key',
      secretKey: 'secret',
      domain: 'ROOT',
      zone: 'z',
      diskOfferingId: null,
      omaVmId: null,
      projectId: null,
      account: null,
      domainId: null,
      isActive: true,
      updatedAt: null,
    });
  });

  it.each([
    ['short', SPECIFICATION],
    ['long', [OSSEA_CONFIGS]],
  ])(
    'in the %s shape it gains the owner of new volumes; the rows and inserts of the hub stay',
    async (_what, tables) => {
      const insert =
        "INSERT INTO ossea_configs (name, api_url, api_key, secret_key, zone) VALUES ('a', 'u', 'k', 's', 'z')";
      const dsn = await databaseWith([...tables, insert]);
      const before = await rows(dsn, 'SELECT * FROM ossea_configs');
      await migrate(dsn, silentLogger);
      const owner = { project_id: null, account: null, domain_id: null };
      expect(await rows(dsn, 'SELECT * FROM ossea_configs')).toEqual([{ ...before[0], ...owner }]);
      await server.query(insert.replace("'a'", "'b'"), [], dsn.database);
      await server.query(
        "UPDATE ossea_configs SET account = ' migration ', domain_id = 'd', project_id = '' WHERE name = 'b'",
        [],
        dsn.database,
      );
      const configs = await readOsseaConfigs(ledgerOn(dsn).pool.kysely);
      expect(configs.find(({ name }) => name === 'b')).toMatchObject({
        account: 'migration',
        domainId: 'd',
        projectId: null,
      });
    },
  );

  it('a hub that has no such table is left alone', async () => {
    const dsn = await databaseWith([]);
    const connection = await createConnection(connectionOptions(dsn));
    try {
      await addOwnerColumns(connection);
      expect(await rows(dsn, "SHOW TABLES LIKE 'ossea_configs'")).toEqual([]);
    } finally {
      connection.destroy();
    }
  });

  it('is read in the long shape, with the appliance and the time of the last change', async () => {
    const dsn = await databaseWith([]);
    await migrate(dsn, silentLogger);
    const insert = (name: string, updated: string) =>
      server.query(
        'INSERT INTO ossea_configs (name, api_url, api_key, secret_key, zone, oma_vm_id, disk_offering_id, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
        [name, 'u', 'k', 's', 'z', VM, 'offering', updated],
        dsn.database,
      );
    await insert('newer', '2026-01-02 00:00:00.500');
    await insert('older', '2026-01-01 00:00:00');
    const configs = await readOsseaConfigs(ledgerOn(dsn).pool.kysely);
    expect(configs.map(({ name }) => name)).toEqual(['newer', 'older']);
    expect(configs[0]).toMatchObject({
      omaVmId: VM,
      diskOfferingId: 'offering',
      isActive: true,
      updatedAt: Date.UTC(2026, 0, 2, 0, 0, 0, 500),
    });
  });
});

function mapping(volumeId: string, devicePath: string): NewMapping {
  return {
    volumeId,
    vmId: APPLIANCE,
    devicePath,
    cloudstackState: 'attached',
    linuxState: 'detected',
    size: 5,
    controller: null,
    serial: null,
    diskseq: null,
    bootId: null,
    matchedBy: null,
    cloudstackDeviceId: null,
  };
}
