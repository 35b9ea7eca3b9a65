import { noMapping, pathTaken } from '~/server/database/journal/apply-effects';
import type { Owner } from '~/server/model/lease';
import type { Adoption } from '~/server/model/ledger';
import type { MappingEffect } from '~/server/model/ledger-writes';
import type {
  ExportRecord,
  JournalEntry,
  Mapping,
  NewExport,
  NewMapping,
  Operation,
} from '~/server/model/operation';
import { missingPath } from '~/server/model/placeholder-path';

/** What the tables hold besides what an Operation shows. */
export interface StoredOperation {
  readonly operation: Operation;
  readonly requestHash: string;
  /** Wall clock ms of the database. */
  readonly acceptedAt: number;
  readonly epoch: number;
  /** How often it has ended its process in a row, and with how much progress. */
  readonly crashes?: { readonly count: number; readonly progress: number };
}

export interface StoredOwner extends Omit<Owner, 'lease'> {
  /** Wall clock ms of the database; null: released. */
  readonly leaseUntil: number | null;
}

export interface StoredEntry {
  readonly applianceId: string;
  readonly entry: JournalEntry;
}

/**
 * The content of an in-memory database. It outlives the ledgers that work on it, as the real one outlives
 * daemons: a simulated crash drops the ledger and opens another one on the same store.
 */
export class MemoryStore {
  readonly appliances = new Map<string, StoredOwner>();
  /** In order of acceptance. */
  readonly operations = new Map<string, StoredOperation>();
  /** In order of id. */
  entries: StoredEntry[] = [];
  mappings = new Map<string, Mapping>();
  exports = new Map<string, ExportRecord>();
  adoption: Adoption | null = null;
  private lastSequence = 0;
  private lastEntryId = 0;
  private lastExportId = 0;

  nextSequence(): number {
    this.lastSequence += 1;
    return this.lastSequence;
  }

  nextEntryId(): number {
    this.lastEntryId += 1;
    return this.lastEntryId;
  }

  nextExportId(): number {
    this.lastExportId += 1;
    return this.lastExportId;
  }

  /** An independent copy, for a schedule that forks. */
  clone(): MemoryStore {
    const copy = new MemoryStore();
    for (const [id, appliance] of this.appliances) copy.appliances.set(id, { ...appliance });
    // Everything below is replaced when it changes, never changed in place.
    for (const [id, operation] of this.operations) copy.operations.set(id, operation);
    copy.entries = [...this.entries];
    copy.mappings = new Map(this.mappings);
    copy.exports = new Map(this.exports);
    copy.adoption = this.adoption;
    copy.lastSequence = this.lastSequence;
    copy.lastEntryId = this.lastEntryId;
    copy.lastExportId = this.lastExportId;
    return copy;
  }
}

/** Applies all effects or, when one of them fails, none. */
export function applyToStore(store: MemoryStore, effects: readonly MappingEffect[], at: number): void {
  const draft: Draft = { mappings: new Map(store.mappings), exports: new Map(store.exports) };
  for (const effect of effects) applyOne(store, draft, effect, at);
  store.mappings = draft.mappings;
  store.exports = draft.exports;
}

interface Draft {
  readonly mappings: Map<string, Mapping>;
  readonly exports: Map<string, ExportRecord>;
}

function applyOne(store: MemoryStore, draft: Draft, effect: MappingEffect, at: number): void {
  switch (effect.kind) {
    case 'put-mapping':
      putMapping(draft, effect.mapping, effect.displaces ?? [], at);
      return;
    case 'delete-mapping':
      if (draft.mappings.get(effect.volumeId)?.vmId !== effect.vmId) return;
      draft.mappings.delete(effect.volumeId);
      draft.exports.delete(effect.volumeId);
      return;
    case 'put-export':
      putExport(store, draft, effect.record, at);
      return;
    case 'set-export-status': {
      const record = draft.exports.get(effect.volumeId);
      if (record) draft.exports.set(effect.volumeId, { ...record, status: effect.status, updatedAt: at });
      return;
    }
    default:
      effect satisfies never;
  }
}

function putMapping(
  { mappings, exports }: Draft,
  mapping: NewMapping,
  displaces: readonly string[],
  at: number,
): void {
  for (const other of [...mappings.values()]) {
    if (
      other.volumeId === mapping.volumeId ||
      other.vmId !== mapping.vmId ||
      other.devicePath !== mapping.devicePath
    )
      continue;
    if (!displaces.includes(other.volumeId)) throw pathTaken(mapping);
    mappings.set(other.volumeId, {
      ...other,
      devicePath: missingPath(other.volumeId),
      linuxState: 'missing',
      updatedAt: at,
    });
    const record = exports.get(other.volumeId);
    if (record?.status === 'active')
      exports.set(other.volumeId, { ...record, status: 'failed', updatedAt: at });
  }
  const before = mappings.get(mapping.volumeId);
  const id = before?.id ?? `mapping-${mapping.volumeId}`;
  mappings.set(mapping.volumeId, {
    ...mapping,
    id,
    lastSync: at,
    createdAt: before?.createdAt ?? at,
    updatedAt: at,
  });
}

function putExport(store: MemoryStore, { mappings, exports }: Draft, record: NewExport, at: number): void {
  if (!mappings.has(record.volumeId)) throw noMapping(record.volumeId);
  const before = exports.get(record.volumeId);
  const id = before?.id ?? String(store.nextExportId());
  exports.set(record.volumeId, {
    ...record,
    metadata: { ...record.metadata },
    id,
    createdAt: before?.createdAt ?? at,
    updatedAt: at,
  });
}
