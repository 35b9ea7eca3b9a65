import { describe, expect, it } from 'vitest';
import { messageOf } from '~/server/core/errors';
import { silentLogger } from '~/server/core/log/logger';
import { openPool } from '~/server/database/connection/pool';
import { migrate } from '~/server/database/migrations/migrate';
import { readOldRows } from '~/server/database/old-rows';
import type { Epoch, Ledger } from '~/server/model/ledger';
import { attach, detach, mapping, note } from '../../contract/ledger/fixtures';
import { MIGRATED } from './family-b';
import { PRODUCTION } from './family-c';
import {
  APPLIANCE,
  begin,
  databaseWith,
  FAMILIES,
  pools,
  refusals,
  rows,
  withOldDatabases,
} from './old-daemon';
import { LIVE, SPECIFICATION, VM, VOLUMES } from './old-databases';
import { oldStatements } from './old-statements';

withOldDatabases();

const OPERATIONS = 100;

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

  it('leaves rows that name nothing where they are, and reads the others', async () => {
    const dsn = await databaseWith(statements);
    const { ledger, epoch } = await begin(dsn);
    const realOf = async (table: string) =>
      (await rows(dsn, `SHOW COLUMNS FROM ${table} LIKE 'volume_%id'`)).find(
        ({ Extra }) => !String(Extra).includes('GENERATED'),
      )?.Field;
    const [mapped, exported] = [await realOf('device_mappings'), await realOf('nbd_exports')];
    await rows(
      dsn,
      `INSERT INTO device_mappings (id, ${mapped}, vm_id, device_path, cloudstack_state, linux_state, size)
        VALUES ('nameless', '', '${VM}', '', 'attached', 'detected', 0)`,
    );
    await rows(dsn, 'ALTER TABLE nbd_exports MODIFY export_name VARCHAR(191) NULL, MODIFY port BIGINT NULL');
    await rows(dsn, 'ALTER TABLE nbd_exports MODIFY device_path VARCHAR(255) NULL');
    await rows(
      dsn,
      `INSERT INTO nbd_exports (${exported}, export_name, port, device_path) VALUES
        ('', '', 10809, '/dev/vdb'), ('${VOLUMES[0]}', NULL, NULL, NULL), ('${VOLUMES[0]}', 'theirs', NULL, NULL)`,
    );
    const before = [
      await rows(dsn, 'SELECT * FROM device_mappings'),
      await rows(dsn, 'SELECT * FROM nbd_exports'),
    ];
    await ledger.probe(null);
    await ledger.probe(epoch);
    expect([
      await rows(dsn, 'SELECT * FROM device_mappings'),
      await rows(dsn, 'SELECT * FROM nbd_exports'),
    ]).toEqual(before);
    const names = (await ledger.listExports()).map(({ exportName }) => exportName);
    expect(names.filter((name) => name !== `migration-vol-${VOLUMES[0]}`)).toEqual([]);
    const { mapping: found, export: record } =
      (await ledger.readVolumeRows([VOLUMES[0]])).get(VOLUMES[0]) ?? {};
    expect([found?.devicePath, record?.exportName ?? null]).toEqual(['/dev/vdb', names[0] ?? null]);
    const old = await readOldRows(openPool(dsn).kysely);
    expect(old.otherExports.filter((name) => name === 'theirs')).toEqual(['theirs']);
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

it('operations are counted and pruned after an upgrade of the server that has changed its default collation', async () => {
  const dsn = await databaseWith([]);
  const { ledger, epoch } = await begin(dsn);
  // A table that was made before it, among those that are compared with what CONVERT makes by the new
  // default.
  await rows(
    dsn,
    'ALTER TABLE volume_operation_totals CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci',
  );
  await ledger.accept(epoch, attach(VOLUMES[1], APPLIANCE));
  expect((await ledger.counts(APPLIANCE)).byStatus.pending).toBe(1);
  const pruning = { ageMs: 0, localNowMs: Date.now(), keepNewest: 0, limit: 10 };
  expect(await ledger.prune(epoch, pruning)).toMatchObject({ refused: null });
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
    for (const statement of earlier) await rows(dsn, statement);
    expect(await migrate(dsn, silentLogger)).toEqual(['012-old-family']);
    expect(await rows(dsn, 'SELECT export_name FROM nbd_exports ORDER BY export_name')).toEqual(whole);
    await begin(dsn);
    expect([...(await refusals(dsn, family, 1))]).toEqual([]);
  },
);
