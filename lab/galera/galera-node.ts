import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import mysql from 'mysql2/promise';

export const PROVIDER = '/usr/lib/galera/libgalera_smm.so';
/** ms; a node that joins receives the whole state. */
const PATIENCE_MS = 120_000;
/** Bytes of address space: a node that goes wild must not take the machine along. */
const MEMORY = 4 * 1024 ** 3;

export interface NodePorts {
  readonly sql: number;
  readonly group: number;
  readonly increments: number;
  readonly state: number;
}

export interface NodeOptions {
  readonly name: string;
  readonly dir: string;
  readonly ports: NodePorts;
  /** Of all nodes. */
  readonly groupPorts: readonly number[];
  readonly program: string;
  /** Folder with the scripts of the state transfer. */
  readonly scripts: string;
}

/** One real node: a mariadbd with the Galera provider, on 127.0.0.1. */
export class GaleraNode {
  readonly host = '127.0.0.1';
  private child: ChildProcess | null = null;
  private exited: Promise<unknown> = Promise.resolve();

  constructor(private readonly options: NodeOptions) {
    process.once('exit', () => this.child?.kill('SIGKILL'));
  }

  get name(): string {
    return this.options.name;
  }

  get port(): number {
    return this.options.ports.sql;
  }

  get address(): string {
    return `${this.host}:${this.port}`;
  }

  configure(): void {
    const { name, dir, ports, groupPorts } = this.options;
    const provider = [
      `gmcast.listen_addr=tcp://127.0.0.1:${ports.group}`,
      `ist.recv_addr=127.0.0.1:${ports.increments}`,
      'gcache.size=32M',
    ].join(';');
    const lines = {
      datadir: join(dir, 'data'),
      socket: this.socketPath,
      tmpdir: join(dir, 'tmp'),
      'pid-file': join(dir, 'db.pid'),
      port: ports.sql,
      'bind-address': this.host,
      'skip-name-resolve': 1,
      'innodb-log-file-size': '16M',
      'innodb-buffer-pool-size': '64M',
      // As clusters are run: what a node loses with its power, the others have.
      'innodb-flush-log-at-trx-commit': 2,
      'innodb-autoinc-lock-mode': 2,
      binlog_format: 'ROW',
      wsrep_on: 'ON',
      wsrep_provider: PROVIDER,
      wsrep_provider_options: `"${provider}"`,
      wsrep_cluster_name: 'lab',
      wsrep_cluster_address: `gcomm://${groupPorts.map((port) => `127.0.0.1:${port}`).join(',')}`,
      wsrep_node_name: name,
      wsrep_node_address: `127.0.0.1:${ports.group}`,
      wsrep_node_incoming_address: this.address,
      wsrep_sst_method: 'rsync',
      wsrep_sst_receive_address: `127.0.0.1:${ports.state}`,
    };
    const text = Object.entries(lines).map(([key, value]) => `${key}=${value}`);
    mkdirSync(join(dir, 'tmp'), { recursive: true });
    mkdirSync(join(dir, 'data'), { recursive: true });
    writeFileSync(join(dir, 'my.cnf'), ['[mariadbd]', ...text, ''].join('\n'));
  }

  /** Resolves when the node is synced. `first`: begins a new cluster. */
  async start({ isFirst = false } = {}): Promise<void> {
    const { dir, program, scripts } = this.options;
    const log = openSync(join(dir, 'db.log'), 'a');
    const args = [
      `--as=${MEMORY}`,
      'setpriv',
      // The rsync of the state transfer gives up root's rights, so the whole node goes without them.
      ...(process.getuid?.() === 0 ? ['--reuid=nobody', '--regid=nogroup', '--clear-groups'] : []),
      '--pdeathsig=KILL',
      program,
      `--defaults-file=${join(dir, 'my.cnf')}`,
      ...(isFirst ? ['--wsrep-new-cluster'] : []),
    ];
    const child = spawn('prlimit', args, {
      stdio: ['ignore', log, log],
      env: { ...process.env, PATH: `${scripts}:${process.env.PATH ?? ''}:/usr/sbin:/sbin` },
    });
    closeSync(log);
    this.child = child;
    this.exited = once(child, 'exit');
    await this.untilSynced();
  }

  async untilSynced(): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    while (performance.now() < deadline && this.child?.exitCode === null && this.child.signalCode === null) {
      if ((await this.state()) === 'Synced') return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`node ${this.name} is not synced:\n${this.log().slice(-6000)}`);
  }

  /** `Synced`, `Donor/Desynced`, …; null when it does not answer. */
  async state(): Promise<string | null> {
    try {
      const rows = await this.query("SHOW GLOBAL STATUS LIKE 'wsrep_local_state_comment'");
      return Array.isArray(rows) && rows[0] ? String(rows[0].Value) : null;
    } catch {
      return null;
    }
  }

  /** Nodes that this one sees, itself included; 0 while it is not synced. */
  async size(): Promise<number> {
    if ((await this.state()) !== 'Synced') return 0;
    const rows = await this.query("SHOW GLOBAL STATUS LIKE 'wsrep_cluster_size'").catch(() => null);
    return Array.isArray(rows) ? Number(rows[0]?.Value) : 0;
  }

  /** Runs one statement as root. */
  async query(sql: string, values: readonly unknown[] = [], database?: string): Promise<unknown> {
    const connection = await mysql.createConnection({
      socketPath: this.socketPath,
      user: 'root',
      timezone: 'Z',
      connectTimeout: 2_000,
      ...(database === undefined ? {} : { database }),
    });
    try {
      const [result] = await connection.query({ sql, timeout: 60_000 }, [...values]);
      return result;
    } finally {
      connection.destroy();
    }
  }

  async kill(): Promise<void> {
    this.child?.kill('SIGKILL');
    await this.exited;
  }

  freeze(): void {
    this.child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  /** Cut off from the other nodes, while clients still reach it: it is not primary then. */
  async isolate(on: boolean): Promise<void> {
    await this.query(`SET GLOBAL wsrep_provider_options = 'gmcast.isolate=${on ? 1 : 0}'`);
  }

  log(): string {
    return readFileSync(join(this.options.dir, 'db.log'), 'utf8');
  }

  private get socketPath(): string {
    return join(this.options.dir, 'db.sock');
  }
}
