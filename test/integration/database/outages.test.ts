import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Mariadb, startMariadb } from '~/lab/mariadb';
import { systemClock } from '~/server/core/clock';
import { LIMITS } from '~/server/core/limits';
import { type Logger, silentLogger } from '~/server/core/log/logger';
import { type Dsn, parseDsn } from '~/server/database/connection/dsn';
import { type Database, openPool } from '~/server/database/connection/pool';
import { migrate } from '~/server/database/migrations/migrate';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import { openDatabase } from '~/server/database/open-database';

const APPLIANCE = 'd0000000-0000-4000-8000-00000000000d';

let server: Mariadb;
let dsn: Dsn;
let pool: Database;
let ledger: MysqlLedger;

beforeAll(async () => {
  server = await startMariadb();
  dsn = parseDsn(server.dsn);
  await migrate(dsn, silentLogger);
  pool = openPool(dsn);
  ledger = new MysqlLedger(pool, Date.now);
});
afterAll(async () => {
  await pool.close();
  await server.stop();
});

const away = { code: 'DATABASE_UNAVAILABLE', status: 503 };
const fail = () => Promise.reject(new Error('it should have been refused'));

describe('the database goes away', () => {
  it('every call fails with the reason while it is down, and works again by itself when it is back', async () => {
    const epoch = await ledger.takeOver(APPLIANCE, 'test');
    await server.kill();
    // More often than the pool has connections: a failed attempt must not use one up.
    for (let n = 0; n < LIMITS.DATABASE_CONNECTIONS * 2; n += 1)
      await expect(ledger.ping()).rejects.toMatchObject(away);
    await expect(ledger.takeOver(APPLIANCE, 'test')).rejects.toMatchObject(away);
    await expect(
      ledger.auditedChange(epoch, [], { step: 'x', state: 'note', data: {} }),
    ).rejects.toMatchObject(away);
    await server.restart();
    await ledger.ping();
    expect(await ledger.readOwner(APPLIANCE)).toMatchObject({ epoch: epoch.number });
  });

  it('connections that the server has closed are not used again', async () => {
    await Promise.all(Array.from({ length: LIMITS.DATABASE_CONNECTIONS }, () => ledger.ping()));
    const sessions = await server.query(
      "SELECT id FROM information_schema.processlist WHERE user = 'oma_user'",
    );
    if (!Array.isArray(sessions)) return fail();
    expect(sessions.length).toBeGreaterThan(1);
    for (const { id } of sessions) await server.query(`KILL ${Number(id)}`);
    await Promise.all(Array.from({ length: LIMITS.DATABASE_CONNECTIONS * 2 }, () => ledger.ping()));
    expect((await ledger.takeOver(APPLIANCE, 'test')).number).toBeGreaterThan(0);
  });

  it('a read-only server refuses writes for as long as it is one', async () => {
    await server.query('SET GLOBAL read_only = 1');
    await expect(ledger.takeOver(APPLIANCE, 'test')).rejects.toMatchObject(away);
    expect(await ledger.listOperations({ limit: 1 })).toEqual([]);
    await server.query('SET GLOBAL read_only = 0');
    expect((await ledger.takeOver(APPLIANCE, 'test')).number).toBeGreaterThan(0);
  });

  it('an interrupted statement is not taken for an answer', async () => {
    await server.query('CREATE TABLE IF NOT EXISTS numbers (n INT)', [], dsn.database);
    let runs = 0;
    const sum = await pool.transaction(async (tx) => {
      runs += 1;
      await sql`INSERT INTO numbers VALUES (1)`.execute(tx);
      const { rows } = await sql<{ id: number }>`SELECT CONNECTION_ID() AS id`.execute(tx);
      if (runs === 1) await server.query(`KILL ${rows[0]?.id}`);
      const counted = await sql<{ n: number }>`SELECT COUNT(*) AS n FROM numbers`.execute(tx);
      return Number(counted.rows[0]?.n);
    });
    expect(runs).toBe(2);
    expect(sum).toBe(1);
  });

  it('accepting does not wait for an earlier operation of the volume that somebody has locked', async () => {
    const epoch = await ledger.takeOver(APPLIANCE, 'test');
    const accept = (id: string, requestHash: string) =>
      ledger.accept(epoch, {
        id,
        type: 'detach',
        volumeId: 'aaaaaaaa-0000-4000-8000-000000000001',
        vmId: null,
        request: { volume_id: 'aaaaaaaa-0000-4000-8000-000000000001' },
        idempotencyKey: null,
        requestHash,
        at: Date.now(),
      });
    const { operation } = await accept('operation-1', 'one');
    await pool.kysely.transaction().execute(async (tx) => {
      await sql`SELECT id FROM volume_operations WHERE id = ${operation.id} FOR UPDATE`.execute(tx);
      expect((await accept('operation-2', 'two')).outcome).toBe('accepted');
    });
  });
});

describe('a server that takes small packets only', () => {
  it('stores requests one by one that are too large together', async () => {
    const epoch = await ledger.takeOver(APPLIANCE, 'test');
    await server.query('SET GLOBAL max_allowed_packet = 8192');
    pool.distrust();
    const accept = (n: number) => {
      const id = `large-${n}`;
      const request = { name: 'x'.repeat(2_000), size: n + 1, disk_offering_id: 'o', zone_id: 'z' };
      return ledger.accept(epoch, {
        ...{ id, type: 'create', volumeId: '', vmId: null, request, idempotencyKey: null },
        requestHash: n.toString(16).padStart(64, '0'),
        at: Date.now(),
      });
    };
    try {
      const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => accept(n)));
      expect(new Set(answers.map(({ operation }) => operation.id)).size).toBe(20);
    } finally {
      await server.query('SET GLOBAL max_allowed_packet = 16777216');
      pool.distrust();
    }
  });
});

describe('conflicting transactions', () => {
  it('the victim of a deadlock is run again, and both transactions commit', async () => {
    await server.query(
      'CREATE TABLE counters (name VARCHAR(8) PRIMARY KEY, n INT NOT NULL)',
      [],
      dsn.database,
    );
    await server.query("INSERT INTO counters VALUES ('a', 0), ('b', 0)", [], dsn.database);
    let runs = 0;
    const meeting = barrier(2);
    const cross = (first: string, second: string) =>
      pool.transaction(async (tx) => {
        runs += 1;
        await sql`UPDATE counters SET n = n + 1 WHERE name = ${first}`.execute(tx);
        await meeting();
        await sql`UPDATE counters SET n = n + 1 WHERE name = ${second}`.execute(tx);
      });
    await Promise.all([cross('a', 'b'), cross('b', 'a')]);
    expect(runs).toBe(3);
    expect(await server.query('SELECT n FROM counters', [], dsn.database)).toMatchObject([
      { n: 2 },
      { n: 2 },
    ]);
  });

  it.each([
    ['the victim of a deadlock', 1213],
    ['a statement that waited too long for a lock', 1205],
  ])('%s outside a transaction has changed nothing, and is sent once more', async (_what, errno) => {
    let runs = 0;
    const refusedTimes = (times: number) => {
      runs = 0;
      return pool.query((db) => {
        runs += 1;
        return runs > times
          ? sql`SELECT 1`.execute(db)
          : sql`SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = ${sql.lit(errno)}`.execute(db);
      });
    };
    await refusedTimes(1);
    expect(runs).toBe(2);
    await expect(refusedTimes(2)).rejects.toMatchObject(away);
    expect(runs).toBe(2);
  });

  it('an error of the work itself rolls back and is thrown as it is', async () => {
    const epochOf = async () => (await ledger.readOwner(APPLIANCE))?.epoch;
    const before = await epochOf();
    const work = pool.transaction(async (tx) => {
      await sql`UPDATE appliances SET epoch = epoch + 100`.execute(tx);
      throw new TypeError('a mistake');
    });
    await expect(work).rejects.toThrow(TypeError);
    expect(await epochOf()).toBe(before);
  });
});

describe('starting', () => {
  it('waits for a database that is not there yet, says so without the password, and goes on when it is', async () => {
    await server.kill();
    const lines: string[] = [];
    const database = openDatabase({ ...dsn, password: 'oma_password' }, systemClock, recorder(lines));
    const waiting = watch(lines, 'Waiting for the database');
    const ready = database.prepare(new AbortController().signal);
    await waiting;
    await server.restart();
    await ready;
    expect(lines.at(-1)).toContain('Database is ready');
    expect(lines.join('\n')).toContain(`oma_user:***@tcp(127.0.0.1:${dsn.port})/migratekit_oma`);
    expect(lines.join('\n')).not.toContain('oma_password');
    await database.close();
  });

  it('stops waiting when the daemon stops', async () => {
    const lines: string[] = [];
    const database = openDatabase({ ...dsn, port: 1 }, systemClock, recorder(lines));
    const stop = new AbortController();
    const ready = database.prepare(stop.signal);
    await watch(lines, 'Waiting for the database');
    stop.abort();
    await ready;
    await database.close();
  });

  it('waits while the password is wrong: an administrator may be about to correct it', async () => {
    const lines: string[] = [];
    const database = openDatabase({ ...dsn, password: 'wrong' }, systemClock, recorder(lines));
    const stop = new AbortController();
    const ready = database.prepare(stop.signal);
    await watch(lines, 'ACCESS_DENIED');
    stop.abort();
    await ready;
    await database.close();
  });
});

/** Resolves for all when `count` have come; later comers pass. */
function barrier(count: number): () => Promise<void> {
  let come = 0;
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return () => {
    come += 1;
    if (come >= count) open();
    return opened;
  };
}

function recorder(lines: string[]): Logger {
  const note = (message: string, fields?: object) =>
    void lines.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const logger: Logger = { debug: note, info: note, warn: note, error: note };
  return logger;
}

/** Resolves when a line with this text is recorded. */
function watch(lines: string[], text: string): Promise<void> {
  return new Promise((resolve) => {
    const push = lines.push.bind(lines);
    lines.push = (...more) => {
      if (more.some((line) => line.includes(text))) resolve();
      return push(...more);
    };
  });
}
