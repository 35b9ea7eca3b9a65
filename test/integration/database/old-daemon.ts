import { afterAll, afterEach, beforeAll } from 'vitest';
import { type Mariadb, startMariadb } from '~/lab/mariadb';
import { messageOf } from '~/server/core/errors';
import { silentLogger } from '~/server/core/log/logger';
import { type Dsn, parseDsn } from '~/server/database/connection/dsn';
import { type Database, openPool } from '~/server/database/connection/pool';
import { migrate } from '~/server/database/migrations/migrate';
import { MysqlLedger } from '~/server/database/mysql-ledger';
import type { Epoch, Ledger } from '~/server/model/ledger';
import { MIGRATED } from './family-b';
import { PRODUCTION } from './family-c';
import { LIVE, SPECIFICATION } from './old-databases';
import { type OldFamily, oldStatements } from './old-statements';

export const APPLIANCE = 'd0000000-0000-4000-8000-00000000000d';
export const FAMILIES = [
  ['specification', SPECIFICATION],
  ['migrated', MIGRATED],
  ['live', LIVE],
  ['production', PRODUCTION],
] as const;

let server: Mariadb;
let databases = 0;
/**
 * What a test has opened; closed after it, because the server has room for the connections of a few pools.
 */
export const pools: Database[] = [];

/** A server for the tests of this file, which are given a database each. */
export function withOldDatabases(): void {
  beforeAll(async () => {
    server = await startMariadb();
  });
  afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close())));
  afterAll(() => server.stop());
}

/** As in DATABASE_DSN. */
export function dsnText({ user, password, database }: Dsn): string {
  return `${user}:${password}@tcp(${server.host}:${server.port})/${database}`;
}

export async function databaseWith(statements: readonly string[]): Promise<Dsn> {
  databases += 1;
  const dsn = parseDsn((await server.createDatabase(`family_${databases}`)).dsn);
  for (const statement of statements) await server.query(statement, [], dsn.database);
  return dsn;
}

export async function rows(dsn: Dsn, sql: string): Promise<Record<string, unknown>[]> {
  return (await server.query(sql, [], dsn.database)) as Record<string, unknown>[];
}

/** Which statements were refused, and why. */
export async function refusals(dsn: Dsn, family: OldFamily, round: number): Promise<Map<string, string>> {
  const refused = new Map<string, string>();
  for (const { by, what, sql } of oldStatements(family, round))
    await server
      .query(sql, [], dsn.database)
      .catch((error: unknown) => refused.set(`${by} ${what}`, messageOf(error)));
  return refused;
}

export interface Begun {
  readonly ledger: Ledger;
  readonly epoch: Epoch;
}

/** The daemon starts: schema, ownership, what is left. */
export async function begin(dsn: Dsn, appliance = APPLIANCE): Promise<Begun> {
  const begun = await own(dsn, appliance);
  await begun.ledger.resumable(begun.epoch);
  return begun;
}

export async function own(dsn: Dsn, appliance: string): Promise<Begun> {
  await migrate(dsn, silentLogger);
  const pool = openPool(dsn);
  pools.push(pool);
  const ledger = new MysqlLedger(pool, Date.now);
  return { ledger, epoch: await ledger.takeOver(appliance, 'test') };
}
