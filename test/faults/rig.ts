import { type LabAppliance, type LabOptions, startAppliance } from '~/lab/appliance';
import type { OperationReply } from '~/lab/client';
import type { DaemonOptions, DaemonProcess } from '~/lab/daemon';
import { CloudProxy } from '~/lab/faults/cloud-proxy';
import { DatabaseProxy } from '~/lab/faults/database-proxy';
import { freePort } from '~/lab/ports';

/**
 * ms; a daemon that is killed all the time makes little progress in each of its lives. Longer than a long run
 * of kills: an operation that was killed between its intent and its call waits until one life of the daemon
 * is longer than JOB_LOST_AFTER.
 */
const PATIENCE_MS = 15 * 60_000;

const DATABASE = 'migratekit_oma';

export interface Ask {
  readonly method: 'POST' | 'DELETE';
  readonly path: string;
  readonly body?: unknown;
}

/**
 * An appliance whose daemon reaches its database and its CloudStack through fault proxies, and always has the
 * same address.
 */
export class Rig {
  private constructor(
    readonly lab: LabAppliance,
    readonly database: DatabaseProxy,
    readonly cloud: CloudProxy,
    private readonly start: Pick<DaemonOptions, 'env'> & { readonly port: number },
    public daemon: DaemonProcess,
  ) {}

  /** `direct`: without the proxies, for programmes that do nothing to the network. */
  static async begin(options: LabOptions & { readonly direct?: boolean } = {}): Promise<Rig> {
    const lab = await startAppliance(options);
    const database = new DatabaseProxy(lab.database);
    const cloud = new CloudProxy(lab.cloud);
    try {
      const dsn = lab.database.dsn.replace(`:${lab.database.port})`, `:${await database.listen()})`);
      const url = await cloud.listen();
      if (!options.direct) await lab.database.query('UPDATE ossea_configs SET api_url = ?', [url], DATABASE);
      const port = await freePort();
      const start = { port, env: options.direct ? {} : { DATABASE_DSN: dsn } };
      return new Rig(lab, database, cloud, start, await lab.startDaemon(start));
    } catch (error) {
      await cloud.stop();
      await database.stop();
      await lab.close();
      throw error;
    }
  }

  get model() {
    return this.lab.cloud.model;
  }

  get appliance(): string {
    return this.lab.cloud.applianceVmId;
  }

  /** Starts the daemon again after it has ended. */
  async restart(until: DaemonOptions['until'] = 'ready'): Promise<void> {
    this.daemon = await this.lab.startDaemon({ ...this.start, until });
  }

  /** A second daemon of the same appliance, past the proxies. */
  startAnother(options: Partial<DaemonOptions> = {}): Promise<DaemonProcess> {
    return this.lab.startDaemon(options);
  }

  /**
   * As a patient caller does it: the same request under the same key until it is accepted, then waits for its
   * end.
   */
  async follow(ask: Ask, key: string = crypto.randomUUID()): Promise<OperationReply> {
    let operation = await this.accepted(ask, key);
    while (operation.status === 'pending' || operation.status === 'executing')
      operation = await this.patiently(`/api/v1/operations/${operation.id}?wait=5s`, {}, 200);
    return operation;
  }

  /** The accepted operation, as soon as the daemon says so. */
  accepted(ask: Ask, key: string = crypto.randomUUID()): Promise<OperationReply> {
    const headers = { 'content-type': 'application/json', 'idempotency-key': key };
    const body = ask.body === undefined ? null : JSON.stringify(ask.body);
    return this.patiently(ask.path, { method: ask.method, headers, body }, 201);
  }

  /** Until the status is the wanted one; a daemon that is not there, or says 503, is asked again. */
  private async patiently<T>(path: string, init: RequestInit, wanted: number): Promise<T> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${this.start.port}${path}`, init).catch(() => null);
      const text = await answer?.text().catch(() => null);
      if (answer?.status === wanted && typeof text === 'string') return JSON.parse(text);
      if (answer && typeof text === 'string' && answer.status !== 503)
        throw new Error(`${init.method ?? 'GET'} ${path}: HTTP ${answer.status}: ${text}`);
      if (performance.now() > deadline)
        throw new Error(
          `${path} was not answered within ${PATIENCE_MS / 1000} s:\n${this.daemon.log().slice(-4000)}`,
        );
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  /** Rows of the daemon's database, read past the proxy. */
  async rows(sql: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    const result = await this.lab.database.query(sql, values, DATABASE);
    return Array.isArray(result) ? result : [];
  }

  async close(): Promise<void> {
    await this.lab.close();
    await this.cloud.stop();
    await this.database.stop();
  }
}
