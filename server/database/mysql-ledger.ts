import { sql } from 'kysely';
import type { ExportRecord, ExportStatus, JournalEntry, JsonObject, Mapping, NewJournalEntry, Operation, OperationType } from '../operations/model';
import { accept } from './accept';
import { append, requestCancel } from './append';
import { claim, resumable } from './claim';
import { countOperations } from './counts';
import { applyEffects } from './effects';
import { requireEpoch } from './epoch';
import type { Accepted, Epoch, Ledger, MappingEffect, NewOperation, OperationChange, OperationCounts, OperationFilter } from './ledger';
import type { Database } from './pool';
import { toEntry, toExport, toMapping, toOperation } from './rows';
import { insertEntries } from './write-journal';

/** The ledger on MySQL or MariaDB. What is more than one statement lives in a file of its own beside this one. */
export class MysqlLedger implements Ledger {
  constructor(
    private readonly database: Database,
    private readonly now: () => number,
  ) {}

  async takeOver(applianceId: string, owner: string): Promise<Epoch> {
    const since = new Date(this.now());
    return this.database.transaction(async (tx) => {
      await sql`INSERT INTO appliances (id, epoch, owner, since) VALUES (${applianceId}, 1, ${owner}, ${since})
        ON DUPLICATE KEY UPDATE epoch = epoch + 1, owner = ${owner}, since = ${since}`.execute(tx);
      const row = await tx.selectFrom('appliances').select('epoch').where('id', '=', applianceId).executeTakeFirstOrThrow();
      return { applianceId, number: Number(row.epoch) };
    });
  }

  async readOwner(applianceId: string): Promise<{ owner: string; epoch: number; since: number } | null> {
    const row = await this.database.query((db) => db.selectFrom('appliances').selectAll().where('id', '=', applianceId).executeTakeFirst());
    return row ? { owner: row.owner, epoch: Number(row.epoch), since: row.since.getTime() } : null;
  }

  accept<T extends OperationType>(epoch: Epoch, input: NewOperation<T>): Promise<Accepted> {
    return accept(this.database, epoch, input);
  }

  async readOperation(id: string): Promise<Operation | null> {
    const row = await this.database.query((db) => db.selectFrom('volume_operations').selectAll().where('id', '=', id).executeTakeFirst());
    return row ? toOperation(row) : null;
  }

  async listOperations(filter: OperationFilter): Promise<Operation[]> {
    const rows = await this.database.query((db) => {
      let query = db.selectFrom('volume_operations').selectAll().orderBy('sequence', 'desc').limit(filter.limit);
      if (filter.type !== undefined) query = query.where('type', '=', filter.type);
      if (filter.status !== undefined) query = query.where('status', '=', filter.status);
      if (filter.volumeId !== undefined) query = query.where('volume_id', '=', filter.volumeId);
      if (filter.vmId !== undefined) query = query.where('vm_id', '=', filter.vmId);
      if (filter.since !== undefined) query = query.where('created_at', '>=', new Date(filter.since));
      if (filter.before !== undefined) query = query.where('sequence', '<', filter.before);
      return query.execute();
    });
    return rows.map(toOperation);
  }

  resumable(epoch: Epoch): Promise<Operation[]> {
    return resumable(this.database, epoch);
  }

  claim(epoch: Epoch, limit: number): Promise<Operation[]> {
    return claim(this.database, epoch, limit, this.now());
  }

  async readJournal(operationId: string): Promise<JournalEntry[]> {
    const rows = await this.database.query((db) => db.selectFrom('volume_operation_steps').selectAll().where('operation_id', '=', operationId).orderBy('sequence').execute());
    return rows.map(toEntry);
  }

  async feed(applianceId: string, after: number, limit: number): Promise<JournalEntry[]> {
    const rows = await this.database.query((db) =>
      db.selectFrom('volume_operation_steps').selectAll().where('appliance_id', '=', applianceId).where('id', '>', after).orderBy('id').limit(limit).execute(),
    );
    return rows.map(toEntry);
  }

  append(epoch: Epoch, operationId: string, change: OperationChange): Promise<JournalEntry[]> {
    return append(this.database, epoch, operationId, change);
  }

  requestCancel(epoch: Epoch, operationId: string): Promise<'cancelled' | 'requested' | 'ended' | 'missing'> {
    return requestCancel(this.database, epoch, operationId, this.now());
  }

  /** Detach jobs that CloudStack took, of ended operations, whose end was never journaled. */
  async stragglingJobs(volumeId: string): Promise<{ operationId: string; step: string; jobId: string }[]> {
    const { rows } = await this.database.query((db) =>
      sql<{ operation_id: string; step: string; job_id: string }>`
        SELECT a.operation_id, a.step, JSON_UNQUOTE(JSON_EXTRACT(a.data, '$.job_id')) AS job_id
        FROM volume_operations o JOIN volume_operation_steps a ON a.operation_id = o.id
        WHERE o.volume_id = ${volumeId} AND o.status IN ('completed', 'failed', 'cancelled')
          AND a.state IN ('intent', 'accepted') AND a.step IN ('detach-volume', 'undo-detach-volume')
          AND NOT EXISTS (SELECT 1 FROM volume_operation_steps f WHERE f.operation_id = a.operation_id AND f.step = a.step
            AND f.state IN ('finished', 'refused') AND f.sequence > a.sequence)`.execute(db),
    );
    return rows.map((row) => ({ operationId: row.operation_id, step: row.step, jobId: row.job_id }));
  }

  async settleStraggler(epoch: Epoch, operationId: string, step: string, data: JsonObject): Promise<void> {
    const at = this.now();
    await this.database.transaction(async (tx) => {
      await requireEpoch(tx, epoch);
      const last = await tx
        .selectFrom('volume_operation_steps')
        .select((eb) => eb.fn.max('sequence').as('sequence'))
        .where('operation_id', '=', operationId)
        .executeTakeFirstOrThrow();
      await insertEntries(tx, { applianceId: epoch.applianceId, operationId, after: Number(last.sequence ?? 0), at }, [{ step, state: 'finished', data }]);
    });
  }

  async busyVolumes(applianceId: string): Promise<Set<string>> {
    const rows = await this.database.query((db) =>
      db.selectFrom('volume_operations').select('volume_id').distinct().where('appliance_id', '=', applianceId).where('status', 'in', ['pending', 'executing']).execute(),
    );
    return new Set(rows.map((row) => row.volume_id).filter((id) => id !== ''));
  }

  async readMapping(volumeId: string): Promise<Mapping | null> {
    const row = await this.database.query((db) => db.selectFrom('device_mappings').selectAll().where('volume_id', '=', volumeId).executeTakeFirst());
    return row ? toMapping(row) : null;
  }

  async readMappingByDevice(vmId: string, devicePath: string): Promise<Mapping | null> {
    const row = await this.database.query((db) => db.selectFrom('device_mappings').selectAll().where('vm_id', '=', vmId).where('device_path', '=', devicePath).executeTakeFirst());
    return row ? toMapping(row) : null;
  }

  async listMappings(vmId?: string): Promise<Mapping[]> {
    const rows = await this.database.query((db) => {
      const all = db.selectFrom('device_mappings').selectAll().orderBy('device_path');
      return (vmId === undefined ? all : all.where('vm_id', '=', vmId)).execute();
    });
    return rows.map(toMapping);
  }

  async readExport(volumeId: string): Promise<ExportRecord | null> {
    const row = await this.database.query((db) => db.selectFrom('nbd_exports').selectAll().where('volume_id', '=', volumeId).executeTakeFirst());
    return row ? toExport(row) : null;
  }

  async listExports(filter: { volumeId?: string; status?: ExportStatus; vmName?: string; limit?: number } = {}): Promise<ExportRecord[]> {
    const rows = await this.database.query((db) => {
      let query = db.selectFrom('nbd_exports').selectAll().orderBy('export_name');
      if (filter.volumeId !== undefined) query = query.where('volume_id', '=', filter.volumeId);
      if (filter.status !== undefined) query = query.where('status', '=', filter.status);
      if (filter.limit !== undefined) query = query.limit(filter.limit);
      return query.execute();
    });
    const records = rows.map(toExport);
    return filter.vmName === undefined ? records : records.filter((record) => record.metadata.vm_name === filter.vmName);
  }

  async repair(epoch: Epoch, effects: MappingEffect[], audit: NewJournalEntry): Promise<void> {
    const at = this.now();
    await this.database.transaction(async (tx) => {
      await requireEpoch(tx, epoch);
      await applyEffects(tx, effects, at);
      await tx
        .insertInto('volume_operation_steps')
        .values({ appliance_id: epoch.applianceId, operation_id: null, sequence: 0, step: audit.step, state: audit.state, data: JSON.stringify(audit.data), created_at: new Date(at) })
        .execute();
    });
  }

  counts(applianceId?: string): Promise<OperationCounts> {
    return countOperations(this.database, applianceId);
  }

  async prune(epoch: Epoch, olderThan: number, limit: number): Promise<number> {
    const before = new Date(olderThan);
    return this.database.transaction(async (tx) => {
      await requireEpoch(tx, epoch);
      const result = await sql`DELETE FROM volume_operations WHERE appliance_id IN (${epoch.applianceId}, '')
        AND completed_at < ${before} AND status IN ('completed', 'failed', 'cancelled') ORDER BY completed_at LIMIT ${limit}`.execute(tx);
      await sql`DELETE FROM volume_operation_steps WHERE appliance_id = ${epoch.applianceId} AND operation_id IS NULL AND created_at < ${before} ORDER BY id LIMIT ${limit}`.execute(tx);
      return Number(result.numAffectedRows ?? 0n);
    });
  }

  async ping(): Promise<void> {
    await this.database.query((db) => sql`SELECT 1`.execute(db));
  }
}
