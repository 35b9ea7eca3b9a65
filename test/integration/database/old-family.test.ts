import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Mariadb, startMariadb } from '~/lab/mariadb';
import { messageOf } from '~/server/core/errors';
import { silentLogger } from '~/server/core/log/logger';
import { type Dsn, parseDsn } from '~/server/database/connection/dsn';
import { type Database, openPool } from '~/server/database/connection/pool';
import { migrate } from '~/server/database/migrations/migrate';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import { readOldRows } from '~/server/database/old-rows';
import type { Epoch, Ledger } from '~/server/model/ledger';
import { volumectl } from '../../cli/process';
import { attach, detach, mapping, note, remove } from '../../contract/ledger/fixtures';
import { MIGRATED } from './family-b';
import { PRODUCTION } from './family-c';
import { LIVE, SPECIFICATION, VM, VOLUMES } from './old-databases';
import { type OldFamily, oldStatements } from './old-statements';

const APPLIANCE = 'd0000000-0000-4000-8000-00000000000d';
const OPERATIONS = 100;
const FAMILIES = [
  ['specification', SPECIFICATION],
  ['migrated', MIGRATED],
  ['live', LIVE],
  ['production', PRODUCTION],
] as const;

let server: Mariadb;
let databases = 0;
const pools: Database[] = [];
beforeAll(async () => {
  server = await startMariadb();
});
// The server has room for the connections of a few pools.
afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close())));
afterAll(() => server.stop());

async function databaseWith(statements: readonly string[]): Promise<Dsn> {
  databases += 1;
  const dsn = parseDsn((await server.createDatabase(`family_${databases}`)).dsn);
  for (const statement of statements) await server.query(statement, [], dsn.database);
  return dsn;
}

async function rows(dsn: Dsn, sql: string): Promise<Record<string, unknown>[]> {
  return (await server.query(sql, [], dsn.database)) as Record<string, unknown>[];
}

/** Which statements were refused, and why. */
async function refusals(dsn: Dsn, family: OldFamily, round: number): Promise<Map<string, string>> {
  const refused = new Map<string, string>();
  for (const { by, what, sql } of oldStatements(family, round))
    await server
      .query(sql, [], dsn.database)
      .catch((error: unknown) => refused.set(`${by} ${what}`, messageOf(error)));
  return refused;
}

interface Begun {
  readonly ledger: Ledger;
  readonly epoch: Epoch;
}

/** The daemon starts: schema, ownership, what is left. */
async function begin(dsn: Dsn, appliance = APPLIANCE): Promise<Begun> {
  const begun = await own(dsn, appliance);
  await begun.ledger.resumable(begun.epoch);
  return begun;
}

async function own(dsn: Dsn, appliance: string): Promise<Begun> {
  await migrate(dsn, silentLogger);
  const pool = openPool(dsn);
  pools.push(pool);
  const ledger = new MysqlLedger(pool, Date.now);
  return { ledger, epoch: await ledger.takeOver(appliance, 'test') };
}

async function statementsSent(dsn: Dsn): Promise<number> {
  const [row] = await rows(dsn, "SHOW GLOBAL STATUS LIKE 'Questions'");
  return Number(row?.Value);
}

const volumeOf = (n: number) => `b0000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

/** Attaches; every second one is detached again. */
async function work({ ledger, epoch }: { ledger: Ledger; epoch: Epoch }, from: number): Promise<void> {
  for (let n = from; n < from + OPERATIONS; n += 1) {
    const volumeId = volumeOf(n);
    const id = `ours-${n}`;
    const request = { volume_id: volumeId, vm_id: APPLIANCE };
    const parts = { vmId: APPLIANCE, request, idempotencyKey: null, requestHash: id };
    await ledger.accept(epoch, { ...parts, id, type: 'attach', volumeId, at: Date.now() });
    expect((await ledger.claim(epoch, 1)).map(({ operation }) => operation.id)).toEqual([id]);
    const devicePath = `/dev/vd-${n}`;
    const record = {
      volumeId,
      exportName: `migration-vol-${volumeId}`,
      devicePath,
      port: 10809,
      status: 'active' as const,
      metadata: {},
    };
    await ledger.append(epoch, id, {
      after: 2,
      at: Date.now(),
      entries: [],
      effects: [
        { kind: 'put-mapping', mapping: mapping(volumeId, { vmId: APPLIANCE, devicePath }) },
        { kind: 'put-export', record },
        ...(n % 2 === 0 ? [] : [{ kind: 'delete-mapping' as const, volumeId, vmId: APPLIANCE }]),
      ],
      end: { status: 'completed', response: {}, error: null, errorCode: null },
    });
  }
}

describe.each(FAMILIES)('an old database: %s', (family, statements) => {
  it('serves every statement as before, after adoption and after 100 operations of ours, and we go on', async () => {
    const untouched = await databaseWith(statements);
    const before = await refusals(untouched, family, 1);
    const dsn = await databaseWith(statements);
    const ours = await begin(dsn);
    const count = oldStatements(family, 1).length;
    for (const round of [1, 2]) {
      const after = await refusals(dsn, family, round);
      for (const [statement, why] of after) expect.soft(before.get(statement), statement).toBe(why);
      console.info(
        `${family}, ${round === 1 ? 'adopted' : 'after 100 operations of ours'}: ${count - after.size} of ${count} statements work (before adoption: ${count - before.size})`,
      );
      expect(after.size).toBe(0);
      await work(round === 1 ? ours : await begin(dsn), 1 + (round - 1) * OPERATIONS);
    }
    const { ledger } = await begin(dsn);
    // Nothing is lost: our mappings and exports, theirs, and every operation.
    const kept = Array.from({ length: OPERATIONS }, (_, n) => volumeOf(2 * (n + 1)));
    const mapped = (await ledger.listMappings()).map(({ volumeId }) => volumeId);
    expect(mapped.sort()).toEqual([VOLUMES[0], VOLUMES[1], ...kept].sort());
    const exported = new Set((await ledger.listExports()).map(({ volumeId }) => volumeId));
    for (const volumeId of kept) expect(exported.has(volumeId)).toBe(true);
    expect((await ledger.counts()).byStatus.completed).toBeGreaterThan(2 * OPERATIONS);
    for (const round of [1, 2])
      expect(await ledger.readOperation(`go-left-${round}`)).toMatchObject({
        status: 'failed',
        error: expect.stringContaining('it was executing when'),
      });
  });

  it('lets us change rows that the old daemon has written', async () => {
    const dsn = await databaseWith(statements);
    const { ledger, epoch } = await begin(dsn);
    const [volumeId] = VOLUMES;
    const moved = mapping(volumeId, { vmId: VM, devicePath: '/dev/vdx' });
    await ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: moved }], note('test'));
    expect(await ledger.readMapping(volumeId)).toMatchObject({ devicePath: '/dev/vdx' });
    const [elsewhere] = VOLUMES.slice(2);
    const remote = mapping(elsewhere ?? '', { vmId: VM, devicePath: 'remote-vm', linuxState: 'n/a' });
    await ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: remote }], note('test'));
    expect(
      await rows(dsn, `SELECT operation_mode FROM device_mappings WHERE volume_id = '${elsewhere}'`),
    ).toEqual([{ operation_mode: 'failover' }]);
    // The mode is the hub's, until the volume moves.
    const mode = () =>
      rows(dsn, `SELECT operation_mode FROM device_mappings WHERE volume_id = '${volumeId}'`);
    await rows(dsn, `UPDATE device_mappings SET operation_mode = 'failover' WHERE volume_id = '${volumeId}'`);
    await ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: moved }], note('test'));
    expect(await mode()).toEqual([{ operation_mode: 'failover' }]);
    const back = mapping(volumeId, { vmId: APPLIANCE, devicePath: '/dev/vdx' });
    await ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: back }], note('test'));
    expect(await mode()).toEqual([{ operation_mode: 'oma' }]);
    await ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: moved }], note('test'));
    await ledger.auditedChange(epoch, [{ kind: 'delete-mapping', volumeId, vmId: VM }], note('test'));
    expect(await ledger.readMapping(volumeId)).toBeNull();
    expect(await ledger.readExport(volumeId)).toBeNull();
  });

  it('knows the volume of a row whose ids are in capitals or end with a blank', async () => {
    const dsn = await databaseWith(statements);
    const { ledger, epoch } = await begin(dsn);
    const [volumeId, other] = VOLUMES;
    const real = (await rows(dsn, "SHOW COLUMNS FROM device_mappings LIKE 'volume_%id'")).find(
      ({ Extra }) => !String(Extra).includes('GENERATED'),
    );
    await rows(
      dsn,
      `UPDATE device_mappings SET ${String(real?.Field)} = UPPER(${String(real?.Field)}), vm_id = CONCAT(UPPER(vm_id), ' ')`,
    );
    const record = { volumeId, exportName: `migration-vol-${volumeId}`, devicePath: '/dev/vdb', port: 10809 };
    const effect = { kind: 'put-export', record: { ...record, status: 'active', metadata: {} } } as const;
    await ledger.auditedChange(epoch, [effect], note('test'));
    const of = { volumeId, vmId: VM, devicePath: '/dev/vdb' };
    expect(await ledger.readMapping(volumeId)).toMatchObject(of);
    const mappings = await ledger.listMappings(VM);
    expect(mappings.map((one) => one.volumeId).sort()).toEqual([volumeId, other]);
    expect(mappings.every(({ vmId }) => vmId === VM)).toBe(true);
    expect((await ledger.listExports()).map((one) => one.volumeId)).toContain(volumeId);
    expect((await ledger.readVolumeRows([volumeId])).get(volumeId)).toMatchObject({
      mapping: of,
      export: record,
    });
  });

  it('knows a volume as its own by a row whose id is in capitals and ends with a blank', async () => {
    const dsn = await databaseWith(statements);
    const [volumeId, other] = VOLUMES;
    // What a VM loses with its root disk hangs on this; of the third one there is no row.
    const strange = '0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9';
    const { ledger, epoch } = await begin(dsn);
    await ledger.auditedChange(
      epoch,
      [volumeId, other].map((id) => ({
        kind: 'put-mapping' as const,
        mapping: mapping(id, { vmId: APPLIANCE, devicePath: `/dev/${id}` }),
      })),
      note('test'),
    );
    const real = (await rows(dsn, "SHOW COLUMNS FROM device_mappings LIKE 'volume_%id'")).find(
      ({ Extra }) => !String(Extra).includes('GENERATED'),
    );
    const column = String(real?.Field);
    await rows(dsn, `UPDATE device_mappings SET ${column} = CONCAT(UPPER(${column}), ' ')`);
    await rows(dsn, `UPDATE volume_operations SET volume_id = CONCAT(UPPER(volume_id), ' ')`);
    expect(await ledger.ownVolumes([volumeId, other, strange])).toEqual(new Set([volumeId, other]));
    expect(await ledger.volumesOfSerials([volumeId.replaceAll('-', '').slice(0, 20)])).toContain(volumeId);
  });

  it('writes a mapping whose mode somebody has set to a word that the column does not have', async () => {
    const dsn = await databaseWith(statements);
    const { ledger, epoch } = await begin(dsn);
    const [volumeId] = VOLUMES;
    const mapped = mapping(volumeId, { vmId: APPLIANCE, devicePath: '/dev/vdx' });
    await ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: mapped }], note('test'));
    // As in a session that is not strict, '' comes of it.
    await rows(dsn, "UPDATE IGNORE device_mappings SET operation_mode = 'rolled_back'");
    const moved = { ...mapped, devicePath: '/dev/vdy' };
    await ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: moved }], note('test'));
    expect(await ledger.readMapping(volumeId)).toMatchObject({ devicePath: '/dev/vdy' });
    const [row] = await rows(
      dsn,
      "SELECT operation_mode FROM device_mappings WHERE device_path = '/dev/vdy'",
    );
    expect(row).toEqual({ operation_mode: 'oma' });
  });

  it('writes mappings and exports of volumes whose context the hub has no more', async () => {
    const dsn = await databaseWith(statements);
    const { ledger, epoch } = await begin(dsn);
    // TRUNCATE of a table that others point to needs this, and leaves their rows.
    const emptied = "DELETE FROM vm_replication_contexts WHERE context_id = 'context-1'";
    await rows(dsn, `SET STATEMENT foreign_key_checks = 0 FOR ${emptied}`).catch((error: unknown) => {
      expect(messageOf(error)).toContain("doesn't exist");
    });
    for (const volumeId of VOLUMES) {
      const devicePath = `/dev/${volumeId}`;
      const exportName = `migration-vol-${volumeId}`;
      const record = {
        volumeId,
        exportName,
        devicePath,
        port: 10809,
        status: 'active',
        metadata: {},
      } as const;
      await rows(dsn, `DELETE FROM nbd_exports WHERE export_name = '${exportName}'`).catch(() => {});
      await ledger.auditedChange(
        epoch,
        [
          { kind: 'put-mapping', mapping: mapping(volumeId, { vmId: APPLIANCE, devicePath }) },
          { kind: 'put-export', record },
        ],
        note('test'),
      );
      expect(await ledger.readMapping(volumeId)).toMatchObject({ vmId: APPLIANCE, devicePath });
      expect(await ledger.readExport(volumeId)).toMatchObject({ status: 'active' });
    }
  });

  it('waits, and says what to do, while a column that another program has added since refuses its rows', async () => {
    const dsn = await databaseWith(statements);
    const { ledger, epoch } = await begin(dsn);
    await rows(dsn, 'ALTER TABLE device_mappings ADD COLUMN added_since INT NOT NULL');
    const volumeId = volumeOf(1);
    const mapped = mapping(volumeId, { vmId: APPLIANCE, devicePath: '/dev/vdx' });
    const put = () => ledger.auditedChange(epoch, [{ kind: 'put-mapping', mapping: mapped }], note('test'));
    await expect(put()).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      message: expect.stringMatching(/'added_since'.*SET DEFAULT/),
    });
    await rows(dsn, 'ALTER TABLE device_mappings ALTER COLUMN added_since SET DEFAULT 0');
    await put();
    expect(await ledger.readMapping(volumeId)).toMatchObject({ devicePath: '/dev/vdx' });
  });

  it('waits while a trigger of another program meets a row of its own: the path is nobody else’s', async () => {
    const dsn = await databaseWith(statements);
    const { ledger, epoch } = await begin(dsn);
    await rows(dsn, 'CREATE TABLE seen_paths (path VARCHAR(255) PRIMARY KEY)');
    await rows(dsn, "INSERT INTO seen_paths VALUES ('/dev/vdx')");
    await rows(
      dsn,
      'CREATE TRIGGER see_path BEFORE INSERT ON device_mappings FOR EACH ROW INSERT INTO seen_paths VALUES (NEW.device_path)',
    );
    const put = (volumeId: string) => {
      const effect = { kind: 'put-mapping', mapping: mapping(volumeId, { devicePath: '/dev/vdx' }) } as const;
      return ledger.auditedChange(epoch, [effect], note('test'));
    };
    await expect(put(volumeOf(1))).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      message: expect.stringMatching(/Duplicate entry.*trigger/),
    });
    await rows(dsn, 'DROP TRIGGER see_path');
    await put(volumeOf(1));
    await expect(put(volumeOf(2))).rejects.toMatchObject({
      code: family === 'migrated' ? 'DATABASE_UNAVAILABLE' : 'DEVICE_IDENTITY_MISMATCH',
    });
  });

  it('refuses TRUNCATE of a table that others point to, the one statement that differs; DELETE empties it', async () => {
    const dsn = await databaseWith(statements);
    await begin(dsn);
    for (const table of ['volume_operations', 'device_mappings']) {
      await expect(rows(dsn, `TRUNCATE TABLE ${table}`)).rejects.toThrow(/foreign key/i);
      await rows(dsn, `DELETE FROM ${table}`);
      expect(await rows(dsn, `SELECT id FROM ${table}`)).toEqual([]);
    }
  });

  it('says until it was shown that it was adopted', async () => {
    const { ledger, epoch } = await begin(await databaseWith(statements));
    expect(await ledger.readAdoption(epoch)).toMatchObject({ shownAt: null });
    await ledger.noteAdoptionShown(epoch);
    expect(await ledger.readAdoption(epoch)).toMatchObject({ shownAt: expect.any(Number) });
  });

  it('says so again when the old daemon has worked in between, until that was shown as well', async () => {
    const dsn = await databaseWith(statements);
    const { ledger, epoch } = await begin(dsn);
    await ledger.noteAdoptionShown(epoch);
    const adoption = async () => {
      const now = await begin(dsn);
      return now.ledger.readAdoption(now.epoch);
    };
    expect(await adoption(), 'a restart alone').toMatchObject({ shownAt: expect.any(Number) });
    await refusals(dsn, family, 1);
    expect(await adoption()).toMatchObject({ shownAt: null });
    const later = await begin(dsn);
    await later.ledger.noteAdoptionShown(later.epoch);
    expect(await adoption(), 'shown').toMatchObject({ shownAt: expect.any(Number) });
  });

  it("says so again also when the database's clock was set back in between", async () => {
    const dsn = await databaseWith(statements);
    const { ledger, epoch } = await begin(dsn);
    await rows(dsn, 'UPDATE volume_daemon_adoption SET adopted_at = adopted_at + INTERVAL 1 DAY');
    await ledger.noteAdoptionShown(epoch);
    await refusals(dsn, family, 1);
    const now = await begin(dsn);
    expect(await now.ledger.readAdoption(now.epoch)).toMatchObject({ shownAt: null });
    await now.ledger.noteAdoptionShown(now.epoch);
    const later = await begin(dsn);
    expect(await later.ledger.readAdoption(later.epoch)).toMatchObject({ shownAt: expect.any(Number) });
  });
});

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

/** Definitions and rows of all tables, with triggers, views and routines: whatever a change would show in. */
async function wholeDatabase(dsn: Dsn): Promise<unknown> {
  const found: unknown[] = [];
  for (const table of await rows(dsn, 'SHOW FULL TABLES')) {
    const [name, kind] = Object.values(table).map(String);
    found.push(await rows(dsn, `SHOW CREATE TABLE ${name}`));
    if (kind === 'BASE TABLE') found.push(await rows(dsn, `SELECT * FROM ${name}`));
  }
  for (const [what, schema] of [
    ['triggers', 'trigger_schema'],
    ['routines', 'routine_schema'],
  ])
    found.push(await rows(dsn, `SELECT * FROM information_schema.${what} WHERE ${schema} = DATABASE()`));
  return found;
}

describe.each([...FAMILIES, ['empty', []]] as const)(
  'volumectl adopt, before anything is done: %s',
  (family, statements) => {
    const elsewhere = ['--url', 'http://127.0.0.1:9'];
    const environment = ({ user, password, database }: Dsn) => ({
      DATABASE_DSN: `${user}:${password}@tcp(${server.host}:${server.port})/${database}`,
      OMA_VM_ID: VM,
      NBD_BACKEND: 'none',
    });

    it('--plan shows what will be done, and changes nothing', async () => {
      const dsn = await databaseWith(statements);
      const before = await wholeDatabase(dsn);
      const { code, out, error } = await volumectl(['adopt', '--plan', ...elsewhere], environment(dsn));
      expect({ code, error }).toEqual({ code: 0, error: '' });
      const unfinished = family === 'empty' ? [] : ['aa-third', 'bb-fourth', 'cc-fifth'];
      const hasExports = family !== 'empty' && family !== 'specification';
      const hasOthers = family === 'live' || family === 'production';
      expect(JSON.parse(out)).toMatchObject({
        adopted: false,
        mappings: family === 'empty' ? 0 : 2,
        exports: hasExports ? 1 : 0,
        other_exports: hasOthers ? ['migration-old-name', `migration-vol-${VOLUMES[2]}`] : [],
        ends_as_failed: unfinished.map((id) => ({ id })),
        not_judged: [expect.stringContaining(family === 'empty' ? 'which VM this is' : 'cloudstack')],
      });
      expect(await wholeDatabase(dsn)).toEqual(before);
    });

    it('--undo says that there is nothing to undo, and changes nothing of an adopted database', async () => {
      const dsn = await databaseWith(statements);
      await begin(dsn);
      const before = await wholeDatabase(dsn);
      const { code, error } = await volumectl(['adopt', '--undo', ...elsewhere], environment(dsn));
      expect(code).toBe(0);
      expect(error).toContain('Nothing to undo');
      expect(error).toContain('systemctl disable --now volume-daemon volume-daemon-nbd.socket');
      expect(await wholeDatabase(dsn)).toEqual(before);
    });
  },
);

it('an Idempotency-Key that another program has written with a blank at its end is the same key', async () => {
  const dsn = await databaseWith(SPECIFICATION);
  const { ledger, epoch } = await begin(dsn);
  const asked = () => detach(VOLUMES[0], { idempotencyKey: 'once', at: Date.now() });
  const { operation } = await ledger.accept(epoch, asked());
  await rows(dsn, `UPDATE volume_operations SET idempotency_key = 'once ' WHERE id = '${operation.id}'`);
  expect(await ledger.accept(epoch, asked())).toMatchObject({
    outcome: 'replayed',
    operation: { id: operation.id },
  });
});

it('an export of the old daemon is found by the name that the hub gives its VM', async () => {
  const { ledger } = await begin(await databaseWith(PRODUCTION));
  const ofVm = async (vmName: string) =>
    (await ledger.listExports({ vmName })).map(({ volumeId }) => volumeId);
  expect(await ofVm('vm-one')).toEqual([VOLUMES[0]]);
  expect(await ofVm('another')).toEqual([]);
});

it.each([
  ['live', LIVE],
  ['production', PRODUCTION],
] as const)(
  'an export of another program that names no volume keeps none of ours from being read: %s',
  async (_, statements) => {
    const dsn = await databaseWith(statements);
    await rows(
      dsn,
      "INSERT INTO nbd_exports (job_id, volume_id, export_name, port, device_path) VALUES ('job-1', NULL, 'migration-job-1', 10809, '/dev/vdb')",
    );
    const before = openPool(dsn);
    pools.push(before);
    const old = await readOldRows(before.kysely);
    expect(old.exports.map(({ volumeId }) => volumeId)).toEqual([VOLUMES[0]]);
    expect(old.otherExports).toContain('migration-job-1');
    const { ledger } = await begin(dsn);
    expect((await ledger.listExports()).map(({ volumeId }) => volumeId)).toEqual([VOLUMES[0]]);
  },
);

it.each(['utf8mb4_unicode_ci', 'utf8mb4_bin', 'latin1_swedish_ci'])(
  'its operations are counted with ours, whatever collation its tables have: %s',
  async (collation) => {
    const collated = (statement: string) =>
      statement.startsWith('CREATE TABLE') ? `${statement} COLLATE=${collation}` : statement;
    const { ledger, epoch } = await begin(await databaseWith(SPECIFICATION.map(collated)));
    const before = (await ledger.counts(APPLIANCE)).byStatus;
    await ledger.accept(epoch, attach(VOLUMES[2], APPLIANCE));
    await ledger.accept(epoch, attach(VOLUMES[1], APPLIANCE));
    await ledger.claim(epoch, 1);
    const { byStatus } = await ledger.counts(APPLIANCE);
    expect(byStatus).toEqual({ ...before, pending: before.pending + 1, executing: before.executing + 1 });
  },
);

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

it.each([
  ['migrated', MIGRATED],
  ['live', LIVE],
] as const)(
  'a database that an earlier build has adopted by renaming is given back: %s',
  async (family, statements) => {
    const dsn = await databaseWith(statements);
    const whole = await rows(dsn, 'SELECT export_name FROM nbd_exports ORDER BY export_name');
    await migrate(dsn, silentLogger);
    const renamed = (table: string) => [
      `ALTER TABLE ${table} DROP COLUMN volume_id`,
      `ALTER TABLE ${table} RENAME COLUMN volume_uuid TO volume_id`,
      `ALTER TABLE ${table} ADD COLUMN volume_uuid VARCHAR(64) GENERATED ALWAYS AS (volume_id) VIRTUAL`,
    ];
    const aside = [
      'CREATE TABLE nbd_exports_set_aside LIKE nbd_exports',
      `INSERT INTO nbd_exports_set_aside (id, volume_id, export_name, device_path, port, status) SELECT id, volume_id, export_name, device_path, port, status FROM nbd_exports WHERE export_name LIKE 'migration-old%'`,
      "DELETE FROM nbd_exports WHERE export_name LIKE 'migration-old%'",
    ];
    const earlier = [
      ...renamed('device_mappings'),
      ...(family === 'migrated'
        ? [
            'ALTER TABLE nbd_exports DROP COLUMN volume_id',
            'ALTER TABLE nbd_exports RENAME COLUMN volume_uuid TO volume_id',
          ]
        : []),
      ...aside,
      "DELETE FROM volume_daemon_migrations WHERE id LIKE '012%'",
    ];
    for (const statement of earlier) await server.query(statement, [], dsn.database);
    expect(await migrate(dsn, silentLogger)).toEqual(['012-old-family']);
    expect(await rows(dsn, 'SELECT export_name FROM nbd_exports ORDER BY export_name')).toEqual(whole);
    await begin(dsn);
    expect([...(await refusals(dsn, family, 1))]).toEqual([]);
  },
);
