import { type Connection, createConnection, type RowDataPacket } from 'mysql2/promise';
import { LIMITS } from '../core/limits';
import type { OsseaConfigRow } from '../model/ossea-config';
import type { Dsn } from './connection/dsn';
import { errorNumber } from './connection/faults';
import { connectionOptions } from './connection/pool';
import { sessionStatements } from './connection/session';

/** What a server says to the account of a DSN. */
export type Login =
  | 'works'
  /** The account is not there, has another password, or may not use the database. */
  | 'refused'
  /** The account is right, and the database is not there. */
  | 'no-database';

const REFUSED: ReadonlySet<number> = new Set([
  1044, // no right to this database
  1045, // wrong password, or no such account
  1698, // the account is authenticated in another way
]);
const NO_DATABASE = 1049;

/** Tries the account of a DSN. Throws what the driver throws when no server can be asked. */
export async function tryLogin(dsn: Dsn): Promise<Login> {
  try {
    await using(dsn, async (connection) => connection.query('SELECT 1'));
    return 'works';
  } catch (error) {
    const number = errorNumber(error) ?? 0;
    if (number === NO_DATABASE) return 'no-database';
    if (REFUSED.has(number)) return 'refused';
    throw error;
  }
}

/** Whether any account has this name. `admin` has to read mysql.user. */
export function hasAccount(admin: Dsn, name: string): Promise<boolean> {
  return using(admin, async (connection) => {
    const [rows] = await connection.query<RowDataPacket[]>(
      'SELECT 1 FROM mysql.user WHERE User = ? LIMIT 1',
      [name],
    );
    return rows.length > 0;
  });
}

/**
 * Makes the database of `wanted` and its account, both only when they are not there, and gives the account
 * all rights on that database. The password of an account that is there is never changed: others may use it.
 */
export function provision(admin: Dsn, wanted: Dsn): Promise<void> {
  return using(admin, async (connection) => {
    await connection.query(`CREATE DATABASE IF NOT EXISTS ${quoted(wanted.database)} CHARACTER SET utf8mb4`);
    for (const host of accountHosts(wanted)) {
      await connection.query('CREATE USER IF NOT EXISTS ?@? IDENTIFIED BY ?', [
        wanted.user,
        host,
        wanted.password,
      ]);
      await connection.query(`GRANT ALL PRIVILEGES ON ${quoted(literal(wanted.database))}.* TO ?@?`, [
        wanted.user,
        host,
      ]);
    }
  });
}

/** From where the account logs in: this machine under each of its names, or anywhere. */
function accountHosts({ socketPath, host }: Pick<Dsn, 'socketPath' | 'host'>): readonly string[] {
  const local = ['localhost', '127.0.0.1', '::1'];
  return socketPath !== null || local.includes(host) ? local : ['%'];
}

/** Whether the tables are of a daemon before this one, which are adopted and not made. */
export function isOldDatabase(dsn: Dsn): Promise<boolean> {
  return using(dsn, async (connection) => {
    const [rows] = await connection.query<RowDataPacket[]>(
      "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ('volume_operations', 'volume_daemon_migrations')",
    );
    const names = rows.map(({ name }) => name);
    return names.includes('volume_operations') && !names.includes('volume_daemon_migrations');
  });
}

export type ConfigValues = Pick<OsseaConfigRow, 'apiUrl' | 'apiKey' | 'secretKey' | 'omaVmId'> & {
  readonly zone: string;
};

/**
 * A new active row of ossea_configs, or other values for the one with this id. A row that setup has made
 * before and that somebody has switched off is used again: its name is taken.
 */
export function writeConfig(dsn: Dsn, id: string | null, values: ConfigValues): Promise<void> {
  const columns = {
    api_url: values.apiUrl,
    api_key: values.apiKey,
    secret_key: values.secretKey,
    zone: values.zone,
    oma_vm_id: values.omaVmId,
  };
  return using(dsn, async (connection) => {
    if (id === null)
      await connection.query(
        'INSERT INTO ossea_configs SET ?, is_active = 1 ON DUPLICATE KEY UPDATE ?, is_active = 1',
        [{ name: CONFIG_NAME, ...columns }, columns],
      );
    else await connection.query('UPDATE ossea_configs SET ? WHERE id = ?', [columns, id]);
  });
}

const CONFIG_NAME = 'volume-daemon';

async function using<T>(dsn: Dsn, work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await createConnection(connectionOptions(dsn));
  try {
    for (const statement of sessionStatements(LIMITS.DATABASE_IDLE_MS)) await connection.query(statement);
    return await work(connection);
  } finally {
    connection.destroy();
  }
}

function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

/** In a GRANT, `_` and `%` in the name of a database stand for any characters. */
function literal(name: string): string {
  return name.replace(/[\\_%]/g, '\\$&');
}
