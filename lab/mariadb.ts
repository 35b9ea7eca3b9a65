import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import mysql from 'mysql2/promise';
import { ensurePackages, findProgram } from './packages';
import { freePort } from './ports';

export interface DatabaseAddress {
  /** Go form, as DATABASE_DSN takes it. */
  readonly dsn: string;
  /** The same as a mysql:// URL. */
  readonly url: string;
}

/** A private MariaDB with the durability of a default installation (every commit is flushed). */
export interface Mariadb extends DatabaseAddress {
  readonly host: string;
  readonly port: number;
  readonly socketPath: string;
  readonly dir: string;
  /** Creates an empty database for one test and gives the daemon's user all rights on it. */
  createDatabase(name: string): Promise<DatabaseAddress>;
  /** Runs one statement as root, in `database` when given. */
  query(sql: string, values?: readonly unknown[], database?: string): Promise<unknown>;
  /** Inserts an active row into ossea_configs (creating the table as the hub does) for this CloudStack. */
  configureCloud(cloud: CloudRow): Promise<void>;
  /** SIGTERM, then the folder is removed. Idempotent. */
  stop(): Promise<void>;
  /** SIGKILL: what a power failure leaves. */
  kill(): Promise<void>;
  /** Starts it again on the same folder and port, after `kill` or while it runs. */
  restart(): Promise<void>;
}

export interface CloudRow {
  readonly apiUrl: string;
  readonly apiKey: string;
  readonly secretKey: string;
  readonly zone: string;
  readonly omaVmId?: string;
}

export interface MariadbOptions {
  /** Added to the [mariadbd] section. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Added to the environment of the server. */
  readonly env?: Readonly<Record<string, string>>;
}

const USER = 'oma_user';
const PASSWORD = 'oma_password';
const DATABASE = 'migratekit_oma';
const PATIENCE_MS = 60_000;

/** Where the build tools keep what can be made again, too. */
const CACHE = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url));

/**
 * Starts a private instance from Debian's packages in a temporary folder. With MYSQLD=/path/to/mysqld in the
 * environment it is that MySQL instead.
 */
export async function startMariadb(options: MariadbOptions = {}): Promise<Mariadb> {
  const mysqld = process.env.MYSQLD;
  const dir = mkdtempSync(join(tmpdir(), 'volume-mariadb-'));
  const program = mysqld ?? ensurePackages(['mariadbd']).mariadbd;
  const server = new Server(program, dir, await freePort(), options.env);
  try {
    server.configure({ ...(mysqld === undefined ? MARIADB : MYSQL), ...options.settings });
    if (mysqld !== undefined) initialize(mysqld, dir);
    // Some settings count when the folder is made.
    else if (options.settings !== undefined) installDatabase(installer(), dir);
    else cpSync(installedFolder(program), dataIn(dir), { recursive: true });
    await server.start();
    await server.query(`CREATE USER '${USER}'@'%' IDENTIFIED BY '${PASSWORD}'`);
    const address = await server.createDatabase(DATABASE);
    return Object.assign(server, address);
  } catch (error) {
    await server.stop();
    throw error;
  }
}

const MARIADB = { 'innodb-log-file-size': '8M' };
/** Without the X protocol, which listens on a port of its own, and the folder that the package makes. */
const MYSQL = { 'innodb-redo-log-capacity': '16M', mysqlx: 'OFF', 'secure-file-priv': 'NULL' };

function dataIn(dir: string): string {
  return join(dir, 'data');
}

/** A folder as the installer of this very server leaves it for this user: made by the first who needs it. */
function installedFolder(program: string): string {
  const { size, mtimeMs } = statSync(program);
  const kept = join(CACHE, ['mariadb', process.getuid?.(), size, Math.round(mtimeMs)].join('-'));
  if (existsSync(kept)) return kept;
  mkdirSync(CACHE, { recursive: true });
  const dir = mkdtempSync(join(CACHE, 'mariadb-new-'));
  try {
    writeConfig(dir, { datadir: dataIn(dir), tmpdir: join(dir, 'tmp'), ...MARIADB });
    installDatabase(installer(), dir);
    renameSync(dataIn(dir), kept);
  } catch (error) {
    // Another process may have been the first.
    if (!existsSync(kept)) throw error;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return kept;
}

/** Makes the folder's `tmp` as well. */
function writeConfig(dir: string, lines: Readonly<Record<string, string | number>>): void {
  const text = Object.entries(lines).map(([name, value]) => `${name}=${value}`);
  mkdirSync(join(dir, 'tmp'));
  writeFileSync(join(dir, 'my.cnf'), ['[mysqld]', ...text, ''].join('\n'));
}

function installer(): string {
  return ensurePackages(['mariadb-install-db', 'my_print_defaults'])['mariadb-install-db'];
}

function initialize(mysqld: string, dir: string): void {
  run(mysqld, [`--defaults-file=${join(dir, 'my.cnf')}`, '--initialize-insecure', ...asRoot()]);
}

function asRoot(): string[] {
  return process.getuid?.() === 0 ? ['--user=root'] : [];
}

function run(program: string, args: readonly string[]): void {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} failed:\n${stdout}${stderr}${error?.message ?? ''}`);
}

export function installDatabase(program: string, dir: string): void {
  run(program, [
    `--defaults-file=${join(dir, 'my.cnf')}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    '--skip-name-resolve',
    ...asRoot(),
  ]);
}

class Server {
  readonly host = '127.0.0.1';
  readonly socketPath: string;
  private child: ChildProcess | null = null;
  private exited: Promise<unknown> = Promise.resolve();
  /** A test process that ends in any way but SIGKILL takes the server and its folder along. */
  private readonly atExit = () => {
    this.child?.kill('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
  };

  constructor(
    private readonly program: string,
    readonly dir: string,
    readonly port: number,
    private readonly env: Readonly<Record<string, string>> = {},
  ) {
    this.socketPath = join(dir, 'db.sock');
    process.once('exit', this.atExit);
  }

  configure(settings: Readonly<Record<string, string | number>>): void {
    writeConfig(this.dir, {
      datadir: dataIn(this.dir),
      socket: this.socketPath,
      // A starting server clears the temporary tables of its folder: two servers must not share one.
      tmpdir: join(this.dir, 'tmp'),
      'pid-file': join(this.dir, 'db.pid'),
      port: this.port,
      'bind-address': this.host,
      'skip-name-resolve': 1,
      'innodb-buffer-pool-size': '64M',
      'innodb-flush-log-at-trx-commit': 1,
      ...settings,
    });
  }

  async start(): Promise<void> {
    const args = [`--defaults-file=${join(this.dir, 'my.cnf')}`, ...asRoot()];
    // The kernel kills the server when the test process dies, even by SIGKILL.
    const setpriv = findProgram('setpriv');
    const [command, ...words] = setpriv
      ? [setpriv, '--pdeathsig', 'KILL', this.program, ...args]
      : [this.program, ...args];
    const log = openSync(join(this.dir, 'db.log'), 'a');
    const child = spawn(command ?? this.program, words, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...this.env },
    });
    closeSync(log);
    this.child = child;
    this.exited = once(child, 'exit');
    await this.untilAnswers(child);
  }

  private async untilAnswers(child: ChildProcess): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (performance.now() < deadline && child.exitCode === null && child.signalCode === null) {
      try {
        await this.query('SELECT 1');
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    child.kill('SIGKILL');
    throw new Error(
      `${this.program} did not start:\n${readFileSync(join(this.dir, 'db.log'), 'utf8').slice(-4000)}`,
    );
  }

  async query(sql: string, values: readonly unknown[] = [], database?: string): Promise<unknown> {
    const connection = await mysql.createConnection({
      socketPath: this.socketPath,
      user: 'root',
      timezone: 'Z',
      ...(database === undefined ? {} : { database }),
    });
    try {
      const [result] = await connection.query(sql, [...values]);
      return result;
    } finally {
      await connection.end();
    }
  }

  async createDatabase(name: string): Promise<DatabaseAddress> {
    await this.query(`CREATE DATABASE \`${name}\` CHARACTER SET utf8mb4`);
    await this.query(`GRANT ALL ON \`${name}\`.* TO '${USER}'@'%'`);
    return {
      dsn: `${USER}:${PASSWORD}@tcp(${this.host}:${this.port})/${name}?parseTime=true`,
      url: `mysql://${USER}:${PASSWORD}@${this.host}:${this.port}/${name}`,
    };
  }

  async configureCloud(cloud: CloudRow): Promise<void> {
    await this.query(OSSEA_CONFIGS, [], DATABASE);
    const row = {
      name: 'lab',
      api_url: cloud.apiUrl,
      api_key: cloud.apiKey,
      secret_key: cloud.secretKey,
      zone: cloud.zone,
    };
    await this.query(
      'INSERT INTO ossea_configs SET ?',
      [{ ...row, oma_vm_id: cloud.omaVmId ?? null, is_active: 1, updated_at: new Date() }],
      DATABASE,
    );
  }

  async kill(): Promise<void> {
    this.child?.kill('SIGKILL');
    await this.exited;
  }

  async restart(): Promise<void> {
    await this.terminate();
    await this.start();
  }

  async stop(): Promise<void> {
    await this.terminate();
    process.removeListener('exit', this.atExit);
    rmSync(this.dir, { recursive: true, force: true });
  }

  private async terminate(): Promise<void> {
    this.child?.kill('SIGTERM');
    await this.exited;
    this.child = null;
  }
}

/** As the hub of the appliance makes it (column names and types of a live system). */
export const OSSEA_CONFIGS = `CREATE TABLE IF NOT EXISTS ossea_configs (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name LONGTEXT NOT NULL, api_url LONGTEXT NOT NULL, api_key LONGTEXT NOT NULL, secret_key LONGTEXT NOT NULL,
  domain LONGTEXT, zone LONGTEXT NOT NULL, template_id LONGTEXT, network_id LONGTEXT, service_offering_id LONGTEXT,
  disk_offering_id LONGTEXT, oma_vm_id LONGTEXT, created_at DATETIME(3), updated_at DATETIME(3), is_active TINYINT(1) DEFAULT 1
)`;
