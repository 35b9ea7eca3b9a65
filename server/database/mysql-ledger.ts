import { sql } from 'kysely';
import { type Random, systemRandom } from '../core/clock';
import { mapInTurns } from '../core/concurrency/map-in-turns';
import { LIMITS } from '../core/limits';
import type { Pruned, Pruning } from '../model/age';
import type { Claim, Owner } from '../model/lease';
import {
  type Adoption,
  type Blocker,
  type CancelOutcome,
  type Crash,
  type Epoch,
  type ExportFilter,
  isSameEpoch,
  type Ledger,
  type MappingPlace,
  type OpenJob,
  type OperationCounts,
  type OperationFilter,
  type Release,
  type VolumeRows,
} from '../model/ledger';
import type {
  Accepted,
  Claimed,
  MappingEffect,
  NewOperation,
  OperationChange,
  Refusals,
} from '../model/ledger-writes';
import type {
  Caller,
  ExportRecord,
  JournalEntry,
  JsonObject,
  Mapping,
  NewJournalEntry,
  Operation,
  OperationType,
} from '../model/operation';
import { OperationInserter } from './accept/operation-inserter';
import { noteAdoptionShown, readAdoption } from './adoption';
import { auditedChange } from './audited-change';
import type { Database } from './connection/pool';
import { endForeignOperations } from './end-foreign-operations';
import { appendChange } from './journal/append-change';
import { claimOperations, resumableOperations } from './journal/claim-operations';
import { ExaminedOperations } from './journal/examined-operations';
import { abandonHeld, holdOperation, noteCrash, retryHeld } from './journal/hold-operation';
import { JournalWriter } from './journal/journal-writer';
import { readOpenJobs, readVolumesStillComing, settleOpenJob } from './journal/open-jobs';
import { executingOn, isWorkedOn, readFeed, readJournal, readNewestEntry } from './journal/read-journal';
import { requestCancel } from './journal/request-cancel';
import { type Renewals, readOwner, releaseLease, renewLease, takeOver } from './lease';
import { listOperations } from './list-operations';
import { requireKnownSchema } from './migrations/newer-schema';
import { requireSoundSchema } from './migrations/sound-schema';
import { Neighbours } from './neighbours';
import { countOperations } from './operation-totals';
import { readOwnVolumes, readVolumesOfSerials } from './own-volumes';
import { probe } from './probe';
import { prune } from './prune';
import { ReadById } from './read-by-id';
import { listExports, readExport } from './read-exports';
import { readVolumeRows } from './read-volume-rows';
import { toMapping, toOperation } from './rows';
import { storedTime } from './stored-time';

const operationRows = (database: Database) =>
  new ReadById(
    database,
    (db) => db.selectFrom('volume_operations').selectAll().where('id', 'in', ['']),
    ({ id }) => id,
  );
const mappingRows = (database: Database) =>
  new ReadById(
    database,
    (db) => db.selectFrom('device_mappings').selectAll().where('volume_id', 'in', ['']),
    (row) => row.volume_id,
  );

/** The ledger on MySQL or MariaDB. Whatever takes more than one statement has a file of its own. */
export class MysqlLedger implements Ledger {
  private readonly inserter: OperationInserter;
  private readonly neighbours: Neighbours;
  private readonly operations: ReturnType<typeof operationRows>;
  private readonly examined: ExaminedOperations;
  private readonly mappings: ReturnType<typeof mappingRows>;
  private readonly parts: { readonly database: Database; readonly writer: JournalWriter };
  private readonly now: () => number;
  /** The number of the epoch that has ended what the old daemon left. */
  private foreignEnded = 0;
  /** It was to end more than the database has taken. */
  private foreignLeft = false;
  private renewals: ({ readonly epoch: Epoch } & Renewals) | null = null;

  constructor(
    private readonly database: Database,
    now: () => number,
    private readonly random: Random = systemRandom,
    limits: { readonly pendingMax: number } = { pendingMax: LIMITS.PENDING_MAX },
  ) {
    this.now = () => storedTime(now());
    this.inserter = new OperationInserter(database, limits.pendingMax);
    this.neighbours = new Neighbours(database);
    this.operations = operationRows(database);
    this.examined = new ExaminedOperations(database);
    this.mappings = mappingRows(database);
    this.parts = { database, writer: new JournalWriter(database) };
  }

  async takeOver(applianceId: string, owner: string, claim?: Claim): Promise<Epoch> {
    this.neighbours.forget();
    await requireKnownSchema(this.database);
    await requireSoundSchema(this.database);
    const { seen, instance } = claim ?? { seen: await this.readOwner(applianceId), instance: '' };
    const epoch = await takeOver(this.database, applianceId, { owner, instance, seen, at: this.now() });
    // A row that was made anew in the same second has the same epoch once more. Not that of a neighbour.
    if (this.renewals?.epoch.applianceId === applianceId) this.renewals = null;
    return epoch;
  }

  readOwner(applianceId: string): Promise<Owner | null> {
    return readOwner(this.database, applianceId);
  }

  readNeighbour(applianceId: string): Promise<Owner | null> {
    return readOwner(this.database, applianceId, 'query');
  }

  async renewLease(epoch: Epoch): Promise<number> {
    const before = this.renewals && isSameEpoch(this.renewals.epoch, epoch) ? this.renewals : null;
    const renewals = { epoch, sent: (before?.sent ?? 0) + 1, answered: before?.answered ?? 0 };
    this.renewals = renewals;
    await renewLease(this.database, epoch, renewals);
    if (this.renewals === renewals) this.renewals = { ...renewals, answered: renewals.sent };
    return renewals.sent;
  }

  releaseLease(epoch: Epoch): Promise<void> {
    return releaseLease(this.database, epoch);
  }

  accept<T extends OperationType>(epoch: Epoch, input: NewOperation<T>): Promise<Accepted> {
    return this.inserter.accept(epoch, { ...input, at: storedTime(input.at) });
  }

  async readOperation(id: string): Promise<Operation | null> {
    const row = await this.operations.read(id);
    return row ? toOperation(row) : null;
  }

  readExamined(id: string): Promise<Operation | null> {
    return this.examined.read(id);
  }

  listOperations(filter: OperationFilter): Promise<Operation[]> {
    return listOperations(this.database, filter);
  }

  async resumable(epoch: Epoch, refused: Refusals = new Map()): Promise<Operation[]> {
    if (this.foreignEnded !== epoch.number || this.foreignLeft) {
      const left = await endForeignOperations(this.database, epoch, this.now());
      this.foreignLeft = left.size > 0;
      for (const [id, refusal] of left) refused.set(id, refusal);
    }
    this.foreignEnded = epoch.number;
    return resumableOperations(this.database, epoch, refused);
  }

  claim(epoch: Epoch, limit: number, refused: Refusals = new Map()): Promise<Claimed[]> {
    const parts = { limit, at: this.now(), token: this.random.uuid(), refused };
    return claimOperations(this.database, epoch, parts);
  }

  readJournal(operationId: string): Promise<JournalEntry[]> {
    return readJournal(this.database, operationId);
  }

  feed(applianceId: string, after: number, limit: number): Promise<JournalEntry[]> {
    return readFeed(this.database, applianceId, after, limit);
  }

  async append(epoch: Epoch, operationId: string, wanted: OperationChange): Promise<JournalEntry[]> {
    const change = { ...wanted, at: storedTime(wanted.at) };
    const written = await appendChange(this.parts, epoch, operationId, change, await this.neighbours.look());
    if (change.end) this.inserter.ended(operationId);
    return written;
  }

  async requestCancel(
    epoch: Epoch,
    operationId: string,
    caller: Caller | null = null,
  ): Promise<CancelOutcome> {
    const outcome = await requestCancel(this.database, epoch, operationId, { caller, at: this.now() });
    if (outcome === 'cancelled') this.inserter.ended(operationId);
    return outcome;
  }

  hold(epoch: Epoch, operationId: string, reason: string): Promise<void> {
    return holdOperation(this.database, epoch, operationId, reason);
  }

  noteCrash(epoch: Epoch, operationId: string, crash: Crash): Promise<void> {
    return noteCrash(this.database, epoch, operationId, crash);
  }

  retryHeld(epoch: Epoch, operationId: string, caller: Caller | null = null): Promise<Release> {
    return retryHeld(this.database, epoch, operationId, { caller, at: this.now() });
  }

  async abandonHeld(
    epoch: Epoch,
    operationId: string,
    caller: Caller | null = null,
    because: string | null = null,
  ): Promise<Release> {
    const asked = { caller, at: this.now(), because };
    const outcome = await abandonHeld(this.database, epoch, operationId, asked);
    if (outcome === 'released') this.inserter.ended(operationId);
    return outcome;
  }

  openJobs(volumeId: string): Promise<OpenJob[]> {
    return readOpenJobs(this.database, volumeId);
  }

  volumesStillComing(vmId: string): Promise<string[]> {
    return readVolumesStillComing(this.database, vmId);
  }

  settleOpenJob(epoch: Epoch, job: OpenJob, data: JsonObject): Promise<JournalEntry[]> {
    return settleOpenJob(this.database, epoch, { ...job, data, at: this.now() });
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

  newestEntry(): Promise<number> {
    return readNewestEntry(this.database);
  }

  isWorkedOn(volumeId: string, sinceEntry: number): Promise<boolean> {
    return isWorkedOn(this.database, volumeId, sinceEntry);
  }

  executingOn(volumeIds: readonly string[]): Promise<Map<string, Blocker>> {
    return executingOn(this.database, volumeIds);
  }

  async readMapping(volumeId: string): Promise<Mapping | null> {
    const row = await this.mappings.read(volumeId);
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
    // The collation of the column takes capitals for small letters, and a path with others is another device.
    return row?.device_path === devicePath ? toMapping(row) : null;
  }

  async listMappings(vmId?: string): Promise<Mapping[]> {
    const rows = await this.database.query((db) => {
      const all = db.selectFrom('device_mappings').selectAll().orderBy('device_path').orderBy('volume_id');
      return (vmId === undefined ? all : all.where('vm_id', '=', vmId)).execute();
    });
    return mapInTurns(rows, toMapping);
  }

  async pageOfMappings(limit: number, after: MappingPlace | null): Promise<Mapping[]> {
    const rows = await this.database.query((db) => {
      const all = db.selectFrom('device_mappings').selectAll().orderBy('device_path').orderBy('volume_id');
      const rest =
        after === null
          ? all
          : all
              .where('device_path', '>=', after.devicePath)
              .where((is) =>
                is.or([is('device_path', '>', after.devicePath), is('volume_id', '>', after.volumeId)]),
              );
      return rest.limit(limit).execute();
    });
    return mapInTurns(rows, toMapping);
  }

  readExport(volumeId: string): Promise<ExportRecord | null> {
    return readExport(this.database, volumeId);
  }

  async listExports(filter: ExportFilter = {}): Promise<ExportRecord[]> {
    const hasNames = filter.vmName !== undefined && (await this.neighbours.look()).vmNames;
    return listExports(this.database, filter, hasNames);
  }

  readVolumeRows(volumeIds: readonly string[]): Promise<Map<string, VolumeRows>> {
    return readVolumeRows(this.database, volumeIds);
  }

  async ownVolumes(volumeIds: readonly string[]): Promise<Set<string>> {
    return readOwnVolumes(this.database, volumeIds, (await this.neighbours.look()).hub);
  }

  async volumesOfSerials(serials: readonly string[]): Promise<string[]> {
    return readVolumesOfSerials(this.database, serials, (await this.neighbours.look()).hub);
  }

  async auditedChange(epoch: Epoch, effects: MappingEffect[], audit: NewJournalEntry): Promise<JournalEntry> {
    const change = { effects, audit, at: this.now() };
    return auditedChange(this.database, epoch, change, await this.neighbours.look());
  }

  async readAdoption(epoch: Epoch): Promise<Adoption | null> {
    const adoption = await readAdoption(this.database);
    if (this.foreignEnded === epoch.number) return adoption;
    return { adoptedAt: adoption?.adoptedAt ?? this.now(), shownAt: null };
  }

  noteAdoptionShown(epoch: Epoch): Promise<void> {
    return noteAdoptionShown(this.database, epoch);
  }

  counts(applianceId?: string): Promise<OperationCounts> {
    return countOperations(this.database, applianceId);
  }

  prune(epoch: Epoch, pruning: Pruning): Promise<Pruned> {
    return prune(this.database, epoch, pruning);
  }

  async ping(): Promise<void> {
    await this.database.query((db) => sql`SELECT 1`.execute(db));
  }

  probe(epoch: Epoch | null): Promise<number> {
    const { renewals } = this;
    const isOfEpoch = epoch !== null && renewals !== null && isSameEpoch(renewals.epoch, epoch);
    return probe(this.database, epoch, this.now(), isOfEpoch ? renewals.answered : 0);
  }
}
