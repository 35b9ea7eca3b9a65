import type { Clock } from '../core/clock';
import { DaemonError } from '../core/errors';
import type { Device, DeviceSnapshot } from '../devices/device';
import { compareSize, sizeRemedy } from '../devices/disk-size';
import { checkedMapping, verifiedDevice } from '../devices/identity';
import { accessMetadata, isReadOnly, isWithdrawn, keptMetadata, shownExport } from '../model/export-metadata';
import { exportName } from '../model/export-name';
import type { Epoch, ExportFilter, Ledger } from '../model/ledger';
import {
  type Caller,
  callerNames,
  type ExportRecord,
  type JsonObject,
  type Mapping,
  type NewExport,
} from '../model/operation';
import type { OperationEvents } from '../model/operation-events';
import { type ExportServer, type ProbeResult, rowOf, targetOf } from './export-server';
import { whoStays } from './who-stays';

/** What the exports API uses of the daemon. */
export interface ExportServiceParts {
  ledger(): Ledger;
  readonly server: ExportServer;
  readonly clock: Clock;
  /** Who is told of what was changed. */
  readonly events: Pick<OperationEvents, 'publish'>;
  /** Throws STANDBY, STARTING, STOPPING or APPLIANCE_UNKNOWN. */
  owner(): { epoch: Epoch; applianceVmId: string };
  /** null while it is not known which VM this is. */
  applianceVmId(): string | null;
  readonly watcher: { scan(): Promise<DeviceSnapshot>; snapshot(): DeviceSnapshot };
  isBusyWith(volumeId: string): boolean;
  /** The volume as CloudStack shows it now. Throws CloudError, VOLUME_NOT_FOUND and VOLUME_NOT_VISIBLE. */
  volume(volumeId: string): Promise<ShownVolume>;
  /** How much larger than its volume a device may be. */
  readonly sizeToleranceBytes: number;
}

interface ShownVolume {
  /** The VM that has it attached; null: none. */
  readonly vmId: string | null;
  /** Bytes; null when CloudStack does not say. */
  readonly size: number | null;
}

/** Whether one export answers as its rows say. */
export interface ExportValidation {
  readonly volumeId: string;
  readonly exportName: string;
  readonly ok: boolean;
  readonly message: string;
  /** Bytes the export answered with, null when it did not. */
  readonly size: number | null;
  readonly expectedSize: number;
}

/** The exports API: what is exported, and whether it answers. Attach and detach do not use it. */
export class ExportService {
  constructor(private readonly parts: ExportServiceParts) {}

  /** As the guest shows their disks now. Throws DATABASE_UNAVAILABLE and DEVICES_UNREADABLE. */
  async list({
    limit,
    status,
    ...filter
  }: ExportFilter & { readonly limit?: number | undefined }): Promise<ExportRecord[]> {
    const records = await this.parts.ledger().listExports(filter);
    const here = records.length === 0 ? new Map<string, Mapping>() : await this.mappingsHere();
    const shown = records.flatMap((record) => this.shown(record, here.get(record.volumeId) ?? null) ?? []);
    // Chosen and cut last: rows of withdrawn exports are not shown, and others may say what was before.
    return shown.filter((record) => status === undefined || record.status === status).slice(0, limit);
  }

  /**
   * Those of volumes that are mapped to this VM; all while it is not known which VM this is. Another
   * appliance with the same database has exports of its own there. Throws as `list`.
   */
  async listHere(): Promise<ExportRecord[]> {
    const records = await this.list({});
    if (this.parts.applianceVmId() === null || records.length === 0) return records;
    const here = await this.mappingsHere();
    return records.filter(({ volumeId }) => here.has(volumeId));
  }

  /** EXPORT_NOT_FOUND, and as `list`. */
  async read(volumeId: string): Promise<ExportRecord> {
    const row = await this.parts.ledger().readExport(volumeId);
    const record = row && this.shown(row, await this.parts.ledger().readMapping(volumeId));
    if (record === null)
      throw new DaemonError('EXPORT_NOT_FOUND', `Export of volume ${volumeId} not found`, {
        details: { volume_id: volumeId },
      });
    return record;
  }

  /**
   * Idempotent; without `readOnly` it can be written. DEVICE_IN_USE while clients are connected to an export
   * that is to change between the two. MAPPING_NOT_FOUND, DEVICE_IDENTITY_MISMATCH, EXPORT_SERVER_UNHEALTHY;
   * DEVICE_TOO_SMALL or DEVICE_IDENTITY_MISMATCH when the disk has another size than CloudStack says now,
   * VOLUME_ATTACHED_ELSEWHERE or DEVICE_IDENTITY_MISMATCH when CloudStack does not say that it is attached
   * here, and what says that CloudStack cannot be asked.
   */
  async publish(
    volumeId: string,
    metadata: Record<string, string>,
    { readOnly = false, caller = null }: { readOnly?: boolean; caller?: Caller | null } = {},
  ): Promise<ExportRecord> {
    const { epoch, applianceVmId } = this.parts.owner();
    this.refuseWhileBusy(volumeId);
    await this.requireMapping(volumeId, applianceVmId);
    const volume = await this.parts.volume(volumeId);
    // CloudStack takes its time: meanwhile an operation may have begun on the volume, or ended.
    this.refuseWhileBusy(volumeId);
    const mapping = await this.requireMapping(volumeId, applianceVmId);
    const device = await this.verifiedDevice(mapping);
    refuseElsewhere(volumeId, volume.vmId, applianceVmId);
    refuseWrongSize(volumeId, device, volume.size, this.parts.sizeToleranceBytes);
    const target = targetOf(volumeId, device, readOnly);
    const before = await this.parts.ledger().readExport(volumeId);
    // Who is connected keeps the access that it has: a writer would go on writing to a read-only export.
    if (before && isReadOnly(before) !== readOnly) await this.refuseConnected(target.name);
    await this.parts.server.publish(target);
    const record = rowOf(target, this.parts.server.portOf(target), {
      ...keptMetadata(before?.metadata ?? {}),
      ...metadata,
      ...accessMetadata(readOnly),
      created_by: 'volume-daemon',
      created_via: 'api',
      ...callerNames(caller),
    });
    const data = { volume_id: volumeId, read_only: readOnly, ...callerNames(caller) };
    await this.put(epoch, record, 'export:publish', data);
    return this.read(volumeId);
  }

  /**
   * Withdraws it; fine when there is none, and when it is another appliance's: only its own daemon closes
   * that one. DEVICE_IN_USE while a client is connected and `force` is false.
   */
  async withdraw(
    volumeId: string,
    { force, caller = null }: { force: boolean; caller?: Caller | null },
  ): Promise<{ existed: boolean }> {
    const { epoch } = this.parts.owner();
    this.refuseWhileBusy(volumeId);
    const record = await this.parts.ledger().readExport(volumeId);
    const name = exportName(volumeId);
    if (!force) await this.refuseConnected(name);
    // Clients who leave may have taken their time: meanwhile an operation may have begun on the volume.
    this.refuseWhileBusy(volumeId);
    await this.parts.server.withdraw(name, { force });
    if (!record || isWithdrawn(record)) return { existed: false };
    if (await this.isOfAnother(await this.parts.ledger().readMapping(volumeId))) return { existed: false };
    // The row stays and remembers that somebody wanted this, so that sync does not bring the export back.
    const metadata = { ...record.metadata, withdrawn: 'true' };
    const kept: NewExport = { ...record, status: 'pending', metadata };
    await this.put(epoch, kept, 'export:withdraw', { volume_id: volumeId, force, ...callerNames(caller) });
    return { existed: true };
  }

  /** Of this appliance. Throws DATABASE_UNAVAILABLE. */
  async validate(): Promise<ExportValidation[]> {
    const results: ExportValidation[] = [];
    for (const record of await this.parts.ledger().listExports({})) {
      if (isWithdrawn(record)) continue;
      const { volumeId, exportName } = record;
      const mapping = await this.parts.ledger().readMapping(volumeId);
      if (await this.isOfAnother(mapping)) continue;
      const probe = await this.parts.server.probe(exportName);
      const expectedSize = mapping?.size ?? 0;
      const size = probe.ok ? probe.size : null;
      const isRight = probe.ok && probe.readOnly === isReadOnly(record);
      const ok = isRight && size === expectedSize;
      const message = messageOn(probe, expectedSize, isRight);
      results.push({ volumeId, exportName, ok, message, size, expectedSize });
    }
    return results;
  }

  private async mappingsHere(): Promise<ReadonlyMap<string, Mapping>> {
    const vmId = this.parts.applianceVmId();
    const mappings = vmId === null ? [] : await this.parts.ledger().listMappings(vmId);
    return new Map(mappings.map((mapping) => [mapping.volumeId, mapping]));
  }

  private shown(record: ExportRecord, mapping: Mapping | null): ExportRecord | null {
    const { applianceVmId, watcher } = this.parts;
    return shownExport(record, mapping && checkedMapping(mapping, applianceVmId(), watcher.snapshot()));
  }

  private async put(epoch: Epoch, record: NewExport, step: string, data: JsonObject): Promise<void> {
    const audit = { step, state: 'note' as const, data };
    const entry = await this.parts.ledger().auditedChange(epoch, [{ kind: 'put-export', record }], audit);
    this.parts.events.publish([entry]);
  }

  private async refuseConnected(name: string): Promise<void> {
    const clients = await whoStays(this.parts, name);
    if (clients.length === 0) return;
    throw new DaemonError(
      'DEVICE_IN_USE',
      `Export ${name} has ${clients.length} connected client(s): ${clients.join('; ')}`,
      { details: { clients: [...clients] } },
    );
  }

  /** Is the volume mapped to the VM of another daemon with the same database? */
  private async isOfAnother(mapping: Mapping | null): Promise<boolean> {
    const vmId = this.parts.applianceVmId();
    if (mapping === null || vmId === null || mapping.vmId === vmId) return false;
    return (await this.parts.ledger().readOwner(mapping.vmId)) !== null;
  }

  private refuseWhileBusy(volumeId: string): void {
    if (!this.parts.isBusyWith(volumeId)) return;
    throw new DaemonError('VOLUME_BUSY', `An operation on volume ${volumeId} is in flight`, {
      details: { volume_id: volumeId },
      retryAfterSeconds: 2,
    });
  }

  private async requireMapping(volumeId: string, applianceVmId: string): Promise<Mapping> {
    const mapping = await this.parts.ledger().readMapping(volumeId);
    if (mapping?.vmId === applianceVmId) return mapping;
    throw new DaemonError(
      'MAPPING_NOT_FOUND',
      `Volume ${volumeId} is not attached to this appliance: mapping not found`,
      { details: { volume_id: volumeId } },
    );
  }

  private async verifiedDevice(mapping: Mapping): Promise<Device> {
    const { device, reason } = verifiedDevice(mapping, await this.parts.watcher.scan());
    if (device !== null) return device;
    throw new DaemonError(
      'DEVICE_IDENTITY_MISMATCH',
      `The device of volume ${mapping.volumeId} is not certain: ${reason}`,
      { details: { volume_id: mapping.volumeId } },
    );
  }
}

/**
 * The row may be older than what has become of the volume: its disk here is then a ghost, and whoever has it
 * writes to it. Throws VOLUME_ATTACHED_ELSEWHERE and DEVICE_IDENTITY_MISMATCH.
 */
export function refuseElsewhere(volumeId: string, vmId: string | null, applianceVmId: string): void {
  if (vmId === applianceVmId) return;
  const details = { volume_id: volumeId, vm_id: vmId };
  if (vmId !== null)
    throw new DaemonError(
      'VOLUME_ATTACHED_ELSEWHERE',
      `Volume ${volumeId} is attached to another VM (${vmId}) in CloudStack, so its disk here is not exported`,
      { details },
    );
  throw new DaemonError(
    'DEVICE_IDENTITY_MISMATCH',
    `Volume ${volumeId} is detached in CloudStack, so its disk here (ghost disk) is not exported`,
    { details },
  );
}

/** Sizes in bytes, null: CloudStack says none. Throws DEVICE_TOO_SMALL and DEVICE_IDENTITY_MISMATCH. */
export function refuseWrongSize(
  volumeId: string,
  { path, size }: Device,
  volumeSize: number | null,
  toleranceBytes: number,
): void {
  const fit = compareSize(size, volumeSize, toleranceBytes);
  if (fit === 'fits') return;
  throw new DaemonError(
    fit === 'smaller' ? 'DEVICE_TOO_SMALL' : 'DEVICE_IDENTITY_MISMATCH',
    `${path} has ${size} bytes where CloudStack says ${volumeSize ?? 'nothing'}; ${sizeRemedy(fit, path, volumeId)}`,
    { details: { volume_id: volumeId, device_path: path, device_size: size, volume_size: volumeSize } },
  );
}

/** `isRight`: it can be written or not, as its row says. */
function messageOn(probe: ProbeResult, expectedSize: number, isRight: boolean): string {
  if (!probe.ok) return probe.message;
  if (!isRight) return `${probe.readOnly ? 'is read-only' : 'can be written'}, its row says otherwise`;
  if (probe.size === expectedSize) return 'answers with the right size';
  return `answers with ${probe.size} bytes instead of ${expectedSize}`;
}
