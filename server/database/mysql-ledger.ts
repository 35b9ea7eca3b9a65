import { sql } from 'kysely';
import { type Random, systemRandom } from '../core/clock';
import { LIMITS } from '../core/limits';
import type {
  Accepted,
  Epoch,
  Ledger,
  MappingEffect,
  NewOperation,
  OpenDetachJob,
  OperationChange,
  OperationCounts,
  OperationFilter,
} from '../model/ledger';
import type {
  ExportRecord,
  ExportStatus,
  JournalEntry,
  JsonObject,
  Mapping,
  NewJournalEntry,
  Operation,
  OperationType,
} from '../model/operation';
import { OperationInserter } from './accept/operation-inserter';
import { prune, repair } from './audited-change';
import type { Database } from './connection/pool';
import { append, requestCancel } from './journal/append-change';
import { claim, resumable } from './journal/claim-operations';
import { readOpenDetachJobs, settleOpenDetachJob } from './journal/open-detach-jobs';
import { readFeed, readJournal } from './journal/read-journal';
import { listOperations } from './list-operations';
import { countOperations } from './operation-totals';
import { OsseaVolumes } from './ossea-volumes';
import { toExport, toMapping, toOperation } from './rows';

/** The ledger on MySQL or MariaDB. What is more than one statement lives in a file of its own beside this one. */
export class MysqlLedger implements Ledger {
  private readonly acceptor: OperationInserter;
  private readonly hub: OsseaVolumes;

  constructor(
    private readonly database: Database,
    private readonly now: () => number,
    private readonly random: Random = systemRandom,
    limits: { readonly pendingMax: number } = { pendingMax: LIMITS.PENDING_MAX },
  ) {
    this.acceptor = new OperationInserter(database, limits.pendingMax);
    this.hub = new OsseaVolumes(database);
  }

  async takeOver(applianceId: string, owner: string): Promise<Epoch> {
    const since = new Date(this.now());
    this.hub.forget();
    return this.database.transaction(async (tx) => {
      await sql`INSERT INTO appliances (id, epoch, owner, since) VALUES (${applianceId}, 1, ${owner}, ${since})
        ON DUPLICATE KEY UPDATE epoch = epoch + 1, owner = ${owner}, since = ${since}`.execute(tx);
      const row = await tx
        .selectFrom('appliances')
        .select('epoch')
        .where('id', '=', applianceId)
        .executeTakeFirstOrThrow();
      return { applianceId, number: Number(row.epoch) };
    });
  }

  async readOwner(applianceId: string): Promise<{ owner: string; epoch: number; since: number } | null> {
    const row = await this.database.query((db) =>
      db.selectFrom('appliances').selectAll().where('id', '=', applianceId).executeTakeFirst(),
    );
    return row ? { owner: row.owner, epoch: Number(row.epoch), since: row.since.getTime() } : null;
  }

  accept<T extends OperationType>(epoch: Epoch, input: NewOperation<T>): Promise<Accepted> {
    return this.acceptor.accept(epoch, input);
  }

  async readOperation(id: string): Promise<Operation | null> {
    const row = await this.database.query((db) =>
      db.selectFrom('volume_operations').selectAll().where('id', '=', id).executeTakeFirst(),
    );
    return row ? toOperation(row) : null;
  }

  listOperations(filter: OperationFilter): Promise<Operation[]> {
    return listOperations(this.database, filter);
  }

  resumable(epoch: Epoch): Promise<Operation[]> {
    return resumable(this.database, epoch);
  }

  claim(epoch: Epoch, limit: number): Promise<Operation[]> {
    return claim(this.database, epoch, { limit, at: this.now(), token: this.random.uuid() });
  }

  readJournal(operationId: string): Promise<JournalEntry[]> {
    return readJournal(this.database, operationId);
  }

  feed(applianceId: string, after: number, limit: number): Promise<JournalEntry[]> {
    return readFeed(this.database, applianceId, after, limit);
  }

  async append(epoch: Epoch, operationId: string, change: OperationChange): Promise<JournalEntry[]> {
    return append(this.database, epoch, operationId, change, { hub: await this.hub.present() });
  }

  requestCancel(epoch: Epoch, operationId: string): Promise<'cancelled' | 'requested' | 'ended' | 'missing'> {
    return requestCancel(this.database, epoch, operationId, this.now());
  }

  openDetachJobs(volumeId: string): Promise<OpenDetachJob[]> {
    return readOpenDetachJobs(this.database, volumeId);
  }

  settleOpenDetachJob(epoch: Epoch, straggler: OpenDetachJob, data: JsonObject): Promise<void> {
    return settleOpenDetachJob(this.database, epoch, { ...straggler, data, at: this.now() });
  }

  async busyVolumes(applianceId: string): Promise<Set<string>> {
    const rows = await this.database.query((db) =>
      db
        .selectFrom('volume_operations')
        .select('volume_id')
        .distinct()
        .where('appliance_id', '=', applianceId)
        .where('status', 'in', ['pending', 'executing'])
        .execute(),
    );
    return new Set(rows.map((row) => row.volume_id).filter((id) => id !== ''));
  }

  async readMapping(volumeId: string): Promise<Mapping | null> {
    const row = await this.database.query((db) =>
      db.selectFrom('device_mappings').selectAll().where('volume_id', '=', volumeId).executeTakeFirst(),
    );
    return row ? toMapping(row) : null;
  }

  async readMappingByDevice(vmId: string, devicePath: string): Promise<Mapping | null> {
    const row = await this.database.query((db) =>
      db
        .selectFrom('device_mappings')
        .selectAll()
        .where('vm_id', '=', vmId)
        .where('device_path', '=', devicePath)
        .executeTakeFirst(),
    );
    return row ? toMapping(row) : null;
  }

  async listMappings(vmId?: string): Promise<Mapping[]> {
    const rows = await this.database.query((db) => {
      const all = db.selectFrom('device_mappings').selectAll().orderBy('device_path').orderBy('volume_id');
      return (vmId === undefined ? all : all.where('vm_id', '=', vmId)).execute();
    });
    return rows.map(toMapping);
  }

  async readExport(volumeId: string): Promise<ExportRecord | null> {
    const row = await this.database.query((db) =>
      db.selectFrom('nbd_exports').selectAll().where('volume_id', '=', volumeId).executeTakeFirst(),
    );
    return row ? toExport(row) : null;
  }

  async listExports(
    filter: { volumeId?: string; status?: ExportStatus; vmName?: string; limit?: number } = {},
  ): Promise<ExportRecord[]> {
    const rows = await this.database.query((db) => {
      let query = db.selectFrom('nbd_exports').selectAll().orderBy('export_name');
      if (filter.volumeId !== undefined) query = query.where('volume_id', '=', filter.volumeId);
      if (filter.status !== undefined) query = query.where('status', '=', filter.status);
      return query.execute();
    });
    // As many rows as mappings, so the name inside the JSON is looked at here.
    const records = rows
      .map(toExport)
      .filter(({ metadata }) => filter.vmName === undefined || metadata.vm_name === filter.vmName);
    return filter.limit === undefined ? records : records.slice(0, filter.limit);
  }

  async repair(epoch: Epoch, effects: MappingEffect[], audit: NewJournalEntry): Promise<JournalEntry> {
    const change = { effects, audit, at: this.now() };
    return repair(this.database, epoch, change, { hub: await this.hub.present() });
  }

  counts(applianceId?: string): Promise<OperationCounts> {
    return countOperations(this.database, applianceId);
  }

  prune(epoch: Epoch, olderThan: number, limit: number): Promise<number> {
    return prune(this.database, epoch, olderThan, limit);
  }

  async ping(): Promise<void> {
    await this.database.query((db) => sql`SELECT 1`.execute(db));
  }
}
