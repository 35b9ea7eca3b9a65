import { describe, expect, it } from 'vitest';
import type { Dsn } from '~/server/database/connection/dsn';
import { volumectl } from '../../cli/process';
import { begin, databaseWith, dsnText, FAMILIES, rows, withOldDatabases } from './old-daemon';
import { VM, VOLUMES } from './old-databases';

withOldDatabases();

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
