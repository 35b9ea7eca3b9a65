import { describe, expect, it } from 'vitest';
import type { Dsn } from '~/server/database/connection/dsn';
import { volumectl } from '../../cli/process';
import { begin, databaseWith, dsnText, FAMILIES, rows, withOldDatabases } from './old-daemon';
import { LIVE, SPECIFICATION, VM, VOLUMES } from './old-databases';

withOldDatabases();

/** Definitions and rows of all tables, with triggers, views and routines: whatever a change would show in. */
async function wholeDatabase(dsn: Dsn): Promise<unknown[]> {
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
    const environment = (dsn: Dsn) => ({
      DATABASE_DSN: dsnText(dsn),
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

/** The specification's tables without their keys and bounds, as somebody may have made or changed them. */
const LAX = SPECIFICATION.map((statement) =>
  statement.startsWith('CREATE TABLE device_mappings')
    ? `CREATE TABLE device_mappings (id VARCHAR(64) PRIMARY KEY, volume_id VARCHAR(64), vm_id VARCHAR(64), device_path VARCHAR(512),
        cloudstack_state VARCHAR(32), linux_state VARCHAR(32), size BIGINT, last_sync TIMESTAMP NULL, created_at TIMESTAMP NULL,
        updated_at TIMESTAMP NULL)`
    : statement,
);

function mapped(id: string, volume: string | null, path: string | null, vm: string | null = VM): string {
  const values = [id, volume, vm, path].map((value) => (value === null ? 'NULL' : `'${value}'`));
  return `INSERT INTO device_mappings (id, volume_id, vm_id, device_path, size) VALUES (${values.join(', ')}, 5)`;
}

const [first, , third] = VOLUMES;
const dropKey = 'ALTER TABLE nbd_exports DROP INDEX export_name';
const sameName = `INSERT INTO nbd_exports (job_id, volume_id, export_name, port, device_path) VALUES ('j', '${first}', 'migration-vol-${first}', 1, '/dev/vdb')`;

it.each([
  [
    'a volume twice',
    [...LAX, mapped('m3', `${first.toUpperCase()} `, '/dev/vdd')],
    ['(id m1, m3): delete all but one'],
  ],
  [
    'a path twice',
    [...LAX, mapped('m3', third, '/dev/vdb')],
    [`/dev/vdb of VM ${VM} in several rows (id m1, m3)`],
  ],
  [
    'rows that say nothing',
    [...LAX, mapped('m3', null, '/dev/vdd'), mapped('m4', third, null), mapped('m5', 'v', '/dev/vde', null)],
    ['rows without volume_id (id m3)', 'rows without vm_id (id m5)', 'rows without device_path (id m4)'],
  ],
  [
    'a path without end',
    [...LAX, mapped('m3', third, 'x'.repeat(300))],
    ['more than 255 characters (id m3)'],
  ],
  [
    'an export twice',
    [...LIVE, dropKey, sameName],
    [`nbd_exports has the name migration-vol-${first} in several rows (id 1, 4)`],
  ],
  [
    'types that nobody knows',
    [
      ...SPECIFICATION,
      'ALTER TABLE volume_operations MODIFY type VARCHAR(32) NULL',
      "UPDATE volume_operations SET type = 'Snapshot' WHERE id = 'aa-third'",
      "UPDATE volume_operations SET type = NULL WHERE id = 'bb-fourth'",
    ],
    ['operations without type (id bb-fourth)', 'operations of type Snapshot (id aa-third): '],
  ],
  [
    'tables without transactions',
    SPECIFICATION.map((one) => (one.startsWith('CREATE TABLE') ? `${one} ENGINE=MyISAM` : one)),
    ['ALTER TABLE volume_operations ENGINE=InnoDB', 'ALTER TABLE device_mappings ENGINE=InnoDB'],
  ],
] as const)(
  '%s stand in the way: the plan says so, and the start changes nothing',
  async (_, statements, said) => {
    const dsn = await databaseWith(statements);
    const before = (await wholeDatabase(dsn)).length;
    const { code, out } = await volumectl(['adopt', '--plan', '--url', 'http://127.0.0.1:9'], {
      DATABASE_DSN: dsnText(dsn),
      OMA_VM_ID: VM,
      NBD_BACKEND: 'none',
    });
    const plan: unknown = JSON.parse(out);
    const inTheWay = said.map((text) => expect.stringContaining(text));
    expect({ code, plan }).toEqual({
      code: 0,
      plan: expect.objectContaining({ in_the_way: inTheWay, first_sync: null }),
    });
    await expect(begin(dsn)).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
      message: expect.stringContaining(said[0]),
    });
    // Beside them there is the table of the lock.
    expect((await wholeDatabase(dsn)).length - before).toBe(2);
  },
);

it('what stood in the way is mended as it was said: the next start adopts', async () => {
  const dsn = await databaseWith([...LAX, mapped('m3', first, '/dev/vdd')]);
  await expect(begin(dsn)).rejects.toThrow('none of its tables was changed');
  await rows(dsn, "DELETE FROM device_mappings WHERE id = 'm3'");
  const { ledger } = await begin(dsn);
  expect(await ledger.listMappings()).toHaveLength(2);
});
