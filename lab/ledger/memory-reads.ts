import { isUuid } from '~/server/core/is-uuid';
import { LIMITS } from '~/server/core/limits';
import { findOpenJobs } from '~/server/database/journal/open-jobs';
import { zeros } from '~/server/database/operation-totals';
import { journalFlaw } from '~/server/model/journal-flaw';
import type {
  Adoption,
  Blocker,
  ExportFilter,
  MappingPlace,
  OpenJob,
  OperationCounts,
  OperationFilter,
  VolumeRows,
} from '~/server/model/ledger';
import {
  type ExportRecord,
  isTerminal,
  type JournalEntry,
  type Mapping,
  OPERATION_STATUSES,
  OPERATION_TYPES,
  type Operation,
  type OperationStatus,
} from '~/server/model/operation';
import type { MemoryStore, StoredOperation } from './memory-store';

/** The reading half of MemoryLedger. */
export class MemoryReads {
  constructor(readonly store: MemoryStore) {}

  async readOperation(id: string): Promise<Operation | null> {
    return this.store.operations.get(id)?.operation ?? null;
  }

  async readExamined(id: string): Promise<Operation | null> {
    const operation = await this.readOperation(id);
    if (!operation || !isTerminal(operation.status) || operation.held !== null) return operation;
    return { ...operation, held: journalFlaw(await this.readJournal(id)) };
  }

  async listOperations(filter: OperationFilter): Promise<Operation[]> {
    const { type, status, volumeId, vmId, find, since, before, limit } = filter;
    const operations = this.all().map(({ operation }) => operation);
    const isFound = find === undefined ? () => true : finder(operations, find);
    return operations
      .filter(
        (operation) =>
          (type === undefined || operation.type === type) &&
          (status === undefined || operation.status === status) &&
          (volumeId === undefined || operation.volumeId === volumeId) &&
          (vmId === undefined || operation.vmId === vmId) &&
          isFound(operation) &&
          (since === undefined || operation.createdAt >= since) &&
          (before === undefined || operation.sequence < before),
      )
      .reverse()
      .slice(0, limit);
  }

  async readJournal(operationId: string): Promise<JournalEntry[]> {
    return this.journal(operationId);
  }

  async feed(applianceId: string, after: number, limit: number): Promise<JournalEntry[]> {
    return this.store.entries
      .filter((stored) => stored.applianceId === applianceId && stored.entry.id > after)
      .slice(0, limit)
      .map(({ entry }) => entry);
  }

  async openJobs(volumeId: string): Promise<OpenJob[]> {
    const ended = new Set(
      this.all()
        .filter(({ operation }) => operation.volumeId === volumeId && isTerminal(operation.status))
        .map(({ operation }) => operation.id),
    );
    return findOpenJobs(
      this.store.entries.map(({ entry }) => entry).filter(({ operationId }) => ended.has(operationId)),
    );
  }

  async volumesStillComing(vmId: string): Promise<string[]> {
    const ended = this.all().filter(
      ({ operation }) => operation.vmId === vmId && isTerminal(operation.status),
    );
    const ids = new Set(ended.map(({ operation }) => operation.id));
    const open = findOpenJobs(
      this.store.entries.map(({ entry }) => entry).filter(({ operationId }) => ids.has(operationId)),
    );
    const coming = open.filter(({ step }) => step === 'attach-volume').map(({ operationId }) => operationId);
    return [
      ...new Set(
        ended
          .filter(({ operation }) => coming.includes(operation.id))
          .map(({ operation }) => operation.volumeId),
      ),
    ];
  }

  async busyVolumes(applianceId: string): Promise<Set<string>> {
    const busy = this.mine(applianceId, ['pending', 'executing']).map(({ operation }) => operation.volumeId);
    return new Set(busy.filter((id) => id !== ''));
  }

  async newestEntry(): Promise<number> {
    return this.store.entries.reduce((newest, { entry }) => Math.max(newest, entry.id), 0);
  }

  async isWorkedOn(volumeId: string, sinceEntry: number): Promise<boolean> {
    const operations = this.all().filter(({ operation }) => operation.volumeId === volumeId);
    if (operations.some(({ operation }) => !isTerminal(operation.status))) return true;
    const ids = new Set(operations.map(({ operation }) => operation.id));
    return this.store.entries.some(({ entry }) => entry.id > sinceEntry && ids.has(entry.operationId));
  }

  async executingOn(volumeIds: readonly string[]): Promise<Map<string, Blocker>> {
    const blockers = this.all()
      .map(({ operation }) => operation)
      .filter(({ status, applianceId }) => status === 'executing' && applianceId !== '')
      .filter(({ volumeId }) => volumeId !== '' && volumeIds.includes(volumeId));
    return new Map(blockers.map(({ id, applianceId, volumeId }) => [volumeId, { id, applianceId }]));
  }

  async readMapping(volumeId: string): Promise<Mapping | null> {
    return this.store.mappings.get(volumeId) ?? null;
  }

  async readMappingByDevice(vmId: string, devicePath: string): Promise<Mapping | null> {
    return (
      [...this.store.mappings.values()].find(
        (mapping) => mapping.vmId === vmId && mapping.devicePath === devicePath,
      ) ?? null
    );
  }

  async listMappings(vmId?: string): Promise<Mapping[]> {
    const mappings = [...this.store.mappings.values()].filter(
      (mapping) => vmId === undefined || mapping.vmId === vmId,
    );
    return mappings.sort((a, b) => order(a.devicePath, b.devicePath) || order(a.volumeId, b.volumeId));
  }

  async pageOfMappings(limit: number, after: MappingPlace | null): Promise<Mapping[]> {
    const isAfter = ({ devicePath, volumeId }: Mapping) =>
      after === null || (order(devicePath, after.devicePath) || order(volumeId, after.volumeId)) > 0;
    return (await this.listMappings()).filter(isAfter).slice(0, limit);
  }

  async readExport(volumeId: string): Promise<ExportRecord | null> {
    return this.store.exports.get(volumeId) ?? null;
  }

  async listExports(filter: ExportFilter = {}): Promise<ExportRecord[]> {
    return [...this.store.exports.values()]
      .filter(
        (record) =>
          (filter.volumeId === undefined || record.volumeId === filter.volumeId) &&
          (filter.status === undefined || record.status === filter.status) &&
          (filter.vmName === undefined || record.metadata.vm_name === filter.vmName),
      )
      .sort((a, b) => order(a.exportName, b.exportName));
  }

  async readVolumeRows(volumeIds: readonly string[]): Promise<Map<string, VolumeRows>> {
    const found = new Map<string, VolumeRows>();
    for (const id of volumeIds) {
      const [last] = await this.listOperations({ volumeId: id, limit: 1 });
      const rows = {
        mapping: await this.readMapping(id),
        export: await this.readExport(id),
        lastOperation: last
          ? { id: last.id, type: last.type, status: last.status, updatedAt: last.updatedAt }
          : null,
      };
      if (Object.values(rows).some((row) => row !== null)) found.set(id, rows);
    }
    return found;
  }

  async ownVolumes(volumeIds: readonly string[]): Promise<Set<string>> {
    const asked = new Set(volumeIds);
    const completed = this.all()
      .map(({ operation }) => operation)
      .filter(provesOurs)
      .map(({ volumeId }) => volumeId);
    const named = [...completed, ...this.store.mappings.keys(), ...this.store.exports.keys()];
    return new Set(named.filter((id) => asked.has(id)));
  }

  async volumesOfSerials(serials: readonly string[]): Promise<string[]> {
    const ids = new Set(this.all().map(({ operation }) => operation.volumeId));
    const begins = (id: string) => serials.some((serial) => id.replaceAll('-', '').startsWith(serial));
    return [...ids].filter(begins);
  }

  async counts(applianceId?: string): Promise<OperationCounts> {
    const operations = this.all()
      .map(({ operation }) => operation)
      .filter((operation) => applianceId === undefined || operation.applianceId === applianceId);
    const completed = operations.filter(({ status }) => status === 'completed');
    const total = completed.reduce(
      (sum, { createdAt, completedAt }) => sum + (completedAt ?? createdAt) - createdAt,
      0,
    );
    const oldest = (status: OperationStatus) =>
      operations
        .filter((operation) => operation.status === status)
        .reduce<number | null>((least, { createdAt }) => Math.min(least ?? createdAt, createdAt), null);
    return {
      byType: tally(
        OPERATION_TYPES,
        operations.map(({ type }) => type),
      ),
      byStatus: tally(
        OPERATION_STATUSES,
        operations.map(({ status }) => status),
      ),
      averageResponseMs: completed.length === 0 ? 0 : Math.round((total / completed.length) * 100) / 100,
      activeMappings: [...this.store.mappings.values()].filter(
        ({ cloudstackState }) => cloudstackState === 'attached',
      ).length,
      oldestPendingAt: oldest('pending'),
      oldestExecutingAt: oldest('executing'),
    };
  }

  async readAdoption(): Promise<Adoption | null> {
    return this.store.adoption;
  }

  async ping(): Promise<void> {}

  protected all(): StoredOperation[] {
    return [...this.store.operations.values()];
  }

  protected mine(applianceId: string, statuses: readonly OperationStatus[]): StoredOperation[] {
    return this.all().filter(
      ({ operation }) => operation.applianceId === applianceId && statuses.includes(operation.status),
    );
  }

  protected isExecuting(volumeId: string): boolean {
    return this.all().some(
      ({ operation }) => operation.volumeId === volumeId && operation.status === 'executing',
    );
  }

  protected journal(operationId: string): JournalEntry[] {
    return this.store.entries
      .filter(({ entry }) => entry.operationId === operationId)
      .map(({ entry }) => entry);
  }
}

export function provesOurs({ status, type }: Operation): boolean {
  return status === 'completed' && ['create', 'attach', 'cleanup'].includes(type);
}

function tally<K extends string>(keys: readonly K[], items: readonly K[]): Record<K, number> {
  const counts = zeros(keys);
  for (const item of items) counts[item] += 1;
  return counts;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `find` of a filter, as the ledger's port describes it; `operations` oldest first. */
function finder(operations: readonly Operation[], find: string): (operation: Operation) => boolean {
  const wanted = find.toLowerCase();
  if (isUuid(wanted)) return ({ id, volumeId, vmId }) => [id, volumeId, vmId].includes(wanted);
  const has = (text: string | null | undefined) => text?.toLowerCase().includes(wanted) ?? false;
  const newest = new Set(operations.slice(-LIMITS.SEARCH_OPERATIONS));
  const isNamed = (operation: Operation) => operation.type === 'create' && has(operation.request.name);
  const named = new Set([...newest].filter(isNamed).map(({ volumeId }) => volumeId));
  named.delete('');
  return (operation) => {
    const { id, volumeId, vmId, error, errorCode, actor, requestId } = operation;
    if (!newest.has(operation)) return false;
    const texts = [id, volumeId, vmId, error, errorCode, actor, requestId];
    return isNamed(operation) || named.has(volumeId) || texts.some(has);
  };
}
