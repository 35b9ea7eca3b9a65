import type { CloudVolume } from '~/server/cloudstack/cloud';
import { systemClock } from '~/server/core/clock';
import { ClockSteps } from '~/server/core/clock-steps';
import { DaemonError } from '~/server/core/errors';
import type { Daemon, DaemonPhase, Reports } from '~/server/daemon/daemon';
import { resolveVolume } from '~/server/daemon/volumes/resolve-volume';
import { sliceOf, type VolumePage } from '~/server/daemon/volumes/volume-list';
import type { VolumeDescription } from '~/server/daemon/volumes/volume-queries';
import type { DeviceEvent, DeviceSnapshot } from '~/server/devices/device';
import type { ActiveExport } from '~/server/exports/export-traffic';
import { seen, unknown } from '~/server/model/evidence';
import type { OperationFilter } from '~/server/model/ledger';
import {
  type Caller,
  type ExportRecord,
  isTerminal,
  type JournalEntry,
  type Mapping,
  type Operation,
  type OperationType,
  type RequestOf,
} from '~/server/model/operation';
import type { SyncReport } from '~/server/sync/drift';
import type { OrphanedExport } from '~/server/sync/orphaned-exports';
import type { ListedVolume } from '~/server/sync/volume-catalogue';
import {
  APPLIANCE,
  CLOUD_REPORT,
  cloudSnapshot,
  cloudVolume,
  correlationReport,
  DATABASE_REPORT,
  exportActivity,
  exportRecord,
  healthReport,
  METRICS,
  mapping,
  metricsHistory,
  NOBODY,
  NOW,
  noEvidence,
  OTHER_VM,
  REMOTE_VOLUME,
  snapshot,
  syncReport,
  VOLUME,
  volumeDescription,
} from './canned';

/**
 * A daemon in memory with canned replies, for tests of the HTTP layer. It executes nothing: the test changes
 * operations (`move`), and every call that changes something is recorded in `requests`.
 */
export class FakeDaemon implements Daemon {
  readonly version = '2.0.0';
  phase: DaemonPhase = 'ready';
  phaseReason: string | null = null;
  refusal = new DaemonError('STANDBY', 'Another daemon owns this appliance: other', {
    retryAfterSeconds: 5,
  });
  readonly requests: { type: string; request: object; idempotencyKey?: string | null }[] = [];
  readonly stored: Operation[] = [];
  readonly entries: JournalEntry[] = [];
  /** Ids of entries that were published after greater ones. */
  readonly late: number[] = [];
  readonly deviceEvents: DeviceEvent[] = [];
  readonly mappings: Mapping[] = [mapping(VOLUME, APPLIANCE), mapping(REMOTE_VOLUME, OTHER_VM)];
  guest = snapshot();
  /** Why the volumes of a VM may not be all; null: they are. */
  incomplete: string | null = null;
  /** Why a volume may not be on the VM that its row names. */
  doubt: string | null = null;
  readonly records: ExportRecord[] = [exportRecord(VOLUME)];
  /** What CloudStack shows, by id, and how fresh that is. */
  readonly listed: ListedVolume[] = [
    listed(cloudVolume(REMOTE_VOLUME, { name: 'other-volume', vmId: OTHER_VM, vmName: 'migrated' })),
    listed(cloudVolume(VOLUME)),
  ];
  freshness: Pick<VolumePage, 'at' | 'ageMs' | 'unknown'> = { at: NOW, ageMs: 12_000, unknown: null };
  /** When set, thrown by every call. */
  failure: Error | null = null;
  private readonly stop$ = new AbortController();
  readonly stopping = this.stop$.signal;
  private readonly deviceListeners = new Set<() => void>();
  private readonly listeners = new Set<(entry: JournalEntry) => void>();
  private readonly flowListeners = new Set<(active: ActiveExport) => void>();
  /** Of every export. */
  activity = exportActivity();
  private readonly ends = new Set<() => void>();

  readonly operations: Daemon['operations'] = {
    request: async (type, request, options = {}) =>
      this.accept(type, request, options.idempotencyKey ?? null, options.caller),
    read: async (id) => this.find(id),
    examined: async (id) => this.find(id),
    list: async (filter) => this.answer(() => this.filtered(filter)),
    journal: async (id) =>
      this.answer(() => this.entries.filter(({ operationId }) => operationId === this.find(id).id)),
    cancel: async (id) => {
      if (isTerminal(this.find(id).status))
        throw new DaemonError('TOO_LATE_TO_CANCEL', `Operation ${id} has ended`);
      // Nobody runs a held one.
      if (this.find(id).held !== null) return this.move(id, { cancelRequested: true });
      return this.move(id, { status: 'cancelled', completedAt: NOW });
    },
    retry: async (id) => this.release(id, {}),
    abandon: async (id) =>
      this.release(id, { status: 'failed', errorCode: 'OPERATION_ABANDONED', completedAt: NOW }),
    waitForEnd: (id, timeoutMs, signal) => this.waitForEnd(id, timeoutMs, signal),
    overtaken: (after) => this.entries.filter(({ id }) => id < after && this.late.includes(id)),
    feed: async (after, limit) => this.entries.filter((entry) => entry.id > after).slice(0, limit),
    subscribe: (listener) => {
      this.listeners.add(listener);
      return () => this.listeners.delete(listener);
    },
  };

  readonly volumes: Daemon['volumes'] = {
    describe: async (id) => this.answer(() => this.describe(id)),
    evidence: async (id) => (id === VOLUME ? this.describe(id).evidence : noEvidence(id)),
    snapshots: async (id) =>
      this.answer(() =>
        id === VOLUME ? [cloudSnapshot(id)] : missing('VOLUME_NOT_FOUND', 'Volume not found'),
      ),
    mapping: async (id) =>
      this.answer(
        () =>
          this.mappings.find(({ volumeId }) => volumeId === id) ??
          missing('MAPPING_NOT_FOUND', 'Device mapping not found'),
      ),
    mappingByDevice: async (path) =>
      this.answer(
        () =>
          this.mappings.find(
            ({ devicePath }) => devicePath === `/dev/${path.replace(/^\/?dev\//, '')}` || devicePath === path,
          ) ?? missing('MAPPING_NOT_FOUND', `No volume is mapped to ${path}: mapping not found`),
      ),
    devices: async (limit, after) =>
      this.answer(() => {
        const from =
          after === null ? 0 : this.mappings.findIndex(({ volumeId }) => volumeId === after.volumeId) + 1;
        const mappings = this.mappings.slice(from, from + limit);
        return { mappings, next: from + limit < this.mappings.length ? (mappings.at(-1) ?? null) : null };
      }),
    ofVm: async (id) =>
      this.answer(() => ({
        volumes: this.mappings
          .filter(({ vmId }) => vmId === id)
          .map((mapping) => ({ ...mapping, doubt: this.doubt })),
        incomplete: this.incomplete,
      })),
    list: async (filter) =>
      this.answer(() => {
        const { volumes, next } = sliceOf(this.listed, filter);
        const rowsOf = (id: string) => ({
          mapping: this.mappings.find(({ volumeId }) => volumeId === id) ?? null,
          export: this.records.find(({ volumeId }) => volumeId === id) ?? null,
          lastOperation: this.stored.findLast(({ volumeId }) => volumeId === id) ?? null,
        });
        return {
          ...this.freshness,
          volumes: volumes.map((one) => ({ ...one, rows: rowsOf(one.id) })),
          next,
          notShown: this.listed.filter(({ volume }) => volume.kind !== 'seen').length,
        };
      }),
    resolve: async (reference) => {
      if (this.failure) throw this.failure;
      return resolveVolume(this.witness(), reference);
    },
    recentDeviceEvents: () => this.deviceEvents,
    onDeviceEvent: (listener) => {
      this.deviceListeners.add(listener);
      return () => this.deviceListeners.delete(listener);
    },
  };

  readonly exports: Daemon['exports'] = {
    list: async ({ volumeId, status, limit }) =>
      this.answer(() =>
        this.records
          .filter(
            (record) => (!volumeId || record.volumeId === volumeId) && (!status || record.status === status),
          )
          .slice(0, limit ?? 1000),
      ),
    listHere: async () => this.answer(() => [...this.records]),
    read: async (id) =>
      this.answer(
        () =>
          this.records.find(({ volumeId }) => volumeId === id) ??
          missing('EXPORT_NOT_FOUND', 'Export not found'),
      ),
    publish: async (id, metadata) => {
      if (this.failure) throw this.failure;
      this.requests.push({ type: 'publish', request: { volume_id: id, metadata } });
      if (id !== VOLUME)
        return missing(
          'MAPPING_NOT_FOUND',
          `Volume ${id} is not attached to this appliance: mapping not found`,
        );
      return { ...exportRecord(id), metadata };
    },
    withdraw: async (id, { force }) => {
      this.requests.push({ type: 'withdraw', request: { volume_id: id, force } });
      return { existed: this.records.some(({ volumeId }) => volumeId === id) };
    },
    validate: async () =>
      this.records.map(({ volumeId, exportName, status }) => ({
        volumeId,
        exportName,
        ok: status === 'active',
        message: status === 'active' ? 'answers' : 'the server has no export of this name',
        size: status === 'active' ? 5368709120 : null,
        expectedSize: 5368709120,
      })),
  };

  readonly orphaned: OrphanedExport[] = [];

  readonly orphanedExports: Daemon['orphanedExports'] = {
    find: async () => this.answer(() => ({ configured: 2, orphans: this.orphaned, unserved: [] })),
    withdraw: async ({ dryRun, idleSince }) => {
      this.requests.push({ type: 'withdraw-orphans', request: { dryRun, idleSince: idleSince ?? null } });
      const withdrawn = dryRun ? [] : this.orphaned.map(({ name }) => name);
      return { configured: 2, orphans: this.orphaned, unserved: [], withdrawn, failures: [] };
    },
  };

  readonly traffic: Daemon['traffic'] = {
    describe: async (records) =>
      this.answer(() => records.map((record) => ({ record, activity: this.activity }))),
    onFlow: (listener) => {
      this.flowListeners.add(listener);
      return () => this.flowListeners.delete(listener);
    },
  };

  readonly sync = {
    last: null as SyncReport | null,
    lastJudgedAt: null as number | null,
    run: async ({ dryRun, reason }: { dryRun: boolean; reason: string }): Promise<SyncReport> => {
      this.requests.push({ type: 'sync', request: { dryRun, reason } });
      return this.answer(() => syncReport(dryRun, reason));
    },
  };

  readonly diagnostics: Daemon['diagnostics'] = {
    guest: async () =>
      this.answer(() => ({
        snapshot: this.guest,
        owners: new Map([['/dev/vdb', mapping(VOLUME, APPLIANCE)]]),
        rootDevices: new Set(['vda']),
      })),
    correlation: async (id) => this.answer(() => correlationReport(this.describe(id).volume)),
    cloudstack: async () => this.answer(() => CLOUD_REPORT),
    zones: async () =>
      this.answer(() => [{ id: NOBODY, name: 'zone-1', allocationState: 'Enabled', configured: true }]),
    offerings: async () =>
      this.answer(() => [
        { id: NOBODY, name: 'Custom', customized: true, sizeGiB: 0 },
        { id: OTHER_VM, name: 'Small', customized: false, sizeGiB: 5 },
      ]),
    database: async () => this.answer(() => DATABASE_REPORT),
  };

  readonly reports: Reports = {
    health: () => healthReport(this.phase),
    metrics: async () => this.answer(() => METRICS),
    prometheus: async () => ({
      contentType: 'text/plain; version=0.0.4; charset=utf-8',
      body: '# HELP up 1\n',
    }),
    history: metricsHistory,
  };

  /** Changes an operation, as the engine would. */
  move(
    id: string,
    change: Partial<
      Pick<
        Operation,
        | 'status'
        | 'response'
        | 'error'
        | 'errorCode'
        | 'cancelRequested'
        | 'completedAt'
        | 'volumeId'
        | 'held'
      >
    >,
  ): Operation {
    const index = this.stored.findIndex((operation) => operation.id === id);
    const before = this.find(id);
    const after: Operation = { ...before, ...change };
    this.stored[index] = after;
    if (change.status) this.journal(id, 'operation', change.status);
    if (isTerminal(after.status)) for (const wake of this.ends) wake();
    return after;
  }

  journal(
    operationId: string,
    step: string,
    state: JournalEntry['state'],
    data: JournalEntry['data'] = {},
  ): JournalEntry {
    const sequence = this.entries.filter((entry) => entry.operationId === operationId).length + 1;
    const entry = { id: this.entries.length + 1, operationId, sequence, step, state, data, at: NOW };
    this.entries.push(entry);
    for (const listener of this.listeners) listener(entry);
    return entry;
  }

  /** A disk of the guest has changed. */
  device(event: DeviceEvent): void {
    this.deviceEvents.push(event);
    for (const listener of this.deviceListeners) listener();
  }

  /** Bytes flow through the export of a volume. */
  flow(volumeId: string): void {
    for (const listener of this.flowListeners)
      listener({ record: exportRecord(volumeId), activity: this.activity });
  }

  get listeningToTraffic(): number {
    return this.flowListeners.size;
  }

  get listening(): number {
    return this.listeners.size;
  }

  get listeningToDevices(): number {
    return this.deviceListeners.size;
  }

  stop(): void {
    this.stop$.abort();
  }

  async poll(): Promise<DeviceSnapshot> {
    return this.answer(snapshot);
  }

  async reconcile(): Promise<SyncReport | null> {
    return this.sync.last === null ? this.sync.run({ dryRun: false, reason: 'schedule' }) : null;
  }

  async sweep() {
    return this.answer(() => ({ resumed: 1, claimed: 2 }));
  }

  async prune() {
    return this.answer(() => ({ deleted: 3 }));
  }

  /** CloudStack as the resolver asks it. */
  private witness(): Parameters<typeof resolveVolume>[0] {
    const volumes = this.listed.flatMap(({ volume }) => (volume.kind === 'seen' ? [volume.value] : []));
    const evidence = (id: string) =>
      this.listed.find((one) => one.id === id)?.volume ?? unknown('it is not shown', NOW, 'cloudstack');
    return {
      cloud: {
        listVolumes: async () => volumes,
        readVolume: async (id) => evidence(id),
        readVm: async () => unknown('it is not asked for', NOW, 'cloudstack'),
      },
      catalogue: {
        look: async () => ({ volumes, absent: new Map(), hidden: new Map(), unavailable: [] }),
      },
      clock: { ...systemClock, now: () => NOW },
      clockSteps: new ClockSteps(systemClock),
      ledger: () => ({ listMappings: async () => this.mappings, listOperations: async () => [] }),
      applianceVmId: () => null,
    };
  }

  private release(id: string, fields: Partial<Pick<Operation, 'status' | 'errorCode' | 'completedAt'>>) {
    if (this.find(id).held === null)
      throw new DaemonError('OPERATION_NOT_HELD', `Operation ${id} is not held`);
    return this.move(id, { ...fields, held: null });
  }

  private answer<T>(make: () => T): T {
    if (this.failure) throw this.failure;
    return make();
  }

  private accept<T extends OperationType>(
    type: T,
    request: RequestOf[T],
    idempotencyKey: string | null,
    caller: Caller | undefined,
  ): Operation {
    if (this.phase === 'standby') throw this.refusal;
    if (this.failure) throw this.failure;
    this.requests.push({ type, request, idempotencyKey });
    const sequence = this.stored.length + 1;
    const operation = {
      id: `0a1b2c3d-0a1b-4c3d-8e9f-${String(sequence).padStart(12, '0')}`,
      sequence,
      applianceId: APPLIANCE,
      type,
      request,
      status: 'pending',
      volumeId: 'volume_id' in request ? request.volume_id : '',
      vmId: 'vm_id' in request ? request.vm_id : null,
      response: null,
      error: null,
      errorCode: null,
      attempt: 0,
      nextAttemptAt: null,
      waitReason: null,
      idempotencyKey,
      cancelRequested: false,
      cancelRequestedBy: null,
      actor: caller?.actor ?? null,
      requestId: caller?.requestId ?? null,
      traceparent: caller?.traceparent ?? null,
      createdAt: NOW,
      updatedAt: NOW,
      completedAt: null,
      held: null,
      // TypeScript cannot see that type and request belong together; all fields are listed above.
    } as unknown as Operation;
    this.stored.push(operation);
    this.journal(operation.id, 'operation', 'pending');
    return operation;
  }

  private find(id: string): Operation {
    if (this.failure) throw this.failure;
    return (
      this.stored.find((operation) => operation.id === id) ??
      missing('OPERATION_NOT_FOUND', `Operation ${id} not found`)
    );
  }

  private filtered({ type, status, volumeId, vmId, since, before, limit }: OperationFilter): Operation[] {
    return this.stored
      .filter((operation) => !type || operation.type === type)
      .filter((operation) => !status || operation.status === status)
      .filter((operation) => !volumeId || operation.volumeId === volumeId)
      .filter((operation) => !vmId || operation.vmId === vmId)
      .filter((operation) => since === undefined || operation.createdAt >= since)
      .filter((operation) => before === undefined || operation.sequence < before)
      .sort((a, b) => b.sequence - a.sequence)
      .slice(0, limit);
  }

  private async waitForEnd(id: string, timeoutMs: number, signal?: AbortSignal): Promise<Operation> {
    if (!isTerminal(this.find(id).status)) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          this.ends.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, timeoutMs);
        this.ends.add(wake);
        signal?.addEventListener('abort', wake);
        this.stopping.addEventListener('abort', wake);
      });
    }
    return this.find(id);
  }

  private describe(id: string): VolumeDescription {
    if (id !== VOLUME) return missing('VOLUME_NOT_FOUND', `Volume ${id} not found in CloudStack`);
    return volumeDescription(this.stored.at(-1) ?? null);
  }
}

export function listed(volume: CloudVolume): ListedVolume {
  return { id: volume.id, volume: seen(volume, NOW, 'cloudstack') };
}

function missing(
  code: 'MAPPING_NOT_FOUND' | 'EXPORT_NOT_FOUND' | 'VOLUME_NOT_FOUND' | 'OPERATION_NOT_FOUND',
  message: string,
): never {
  throw new DaemonError(code, message);
}
