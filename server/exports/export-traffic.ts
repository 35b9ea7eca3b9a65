import type { Clock } from '../core/clock';
import { mapConcurrent } from '../core/concurrency/map-concurrent';
import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { Device, DeviceSnapshot } from '../devices/device';
import type { Traffic } from '../devices/disk-traffic';
import { verifiedDevice } from '../devices/identity';
import type { TrafficMonitor } from '../devices/traffic-monitor';
import { type Evidence, seen, type Unknown, unknown } from '../model/evidence';
import type { Ledger } from '../model/ledger';
import type { ExportRecord, Mapping } from '../model/operation';
import { type CopyProgress, progressOf } from './copy-progress';
import type { ExportServer } from './export-server';

interface Parts {
  /** Throws STARTING. */
  ledger(): Pick<Ledger, 'readExport' | 'listMappings'>;
  readonly server: Pick<ExportServer, 'clients'>;
  readonly watcher: { snapshot(): DeviceSnapshot };
  readonly traffic: TrafficMonitor;
  readonly clock: Clock;
  applianceVmId(): string | null;
}

/** Who is connected to an export and what flows. */
export interface ExportActivity {
  readonly clients: Evidence<number>;
  /** Of its disk, whoever causes it. */
  readonly traffic: Evidence<Traffic>;
  readonly progress: CopyProgress;
}

/** An export with its activity at one moment. */
export interface ActiveExport {
  readonly record: ExportRecord;
  readonly activity: ExportActivity;
}

/** What has flowed to and from the disk of an export since it was plugged in. */
export interface DiskFlow {
  readonly volumeId: string;
  /** Of the plug. */
  readonly diskseq: number | null;
  readonly readBytes: number;
  readonly writtenBytes: number;
}

/**
 * The traffic of exports. Their disks are sampled by the device poll; which ones they are (an attach exports
 * every disk that it maps) is read from the ledger after a change and every LIMITS.TRAFFIC_MAPPINGS_MS, so a
 * daemon at rest asks nobody but the kernel.
 */
export class ExportTraffic {
  private mappings: readonly Mapping[] = [];
  private readAt: number | null = null;
  private readonly flowing = new Set<string>();
  private readonly toldAt = new Map<string, number>();
  private readonly listeners = new Set<(active: ActiveExport) => void>();

  constructor(private readonly parts: Parts) {}

  /** Mappings may have changed: the next sample reads which disks are exported. */
  readonly changed = (): void => {
    this.readAt = null;
  };

  /** Called with an export while bytes flow, at most once in LIMITS.TRAFFIC_EVENT_MS, and once when they stop. */
  onFlow(listener: (active: ActiveExport) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /**
   * Looks at the disks of all exports; also of withdrawn ones, whose clients may still be connected. Never
   * throws: while the ledger is away, the disks that were known are looked at. Those that could be read.
   */
  async sample(): Promise<readonly DiskFlow[]> {
    await this.readMappings();
    const disks = this.mappings.flatMap((mapping) => {
      const device = this.deviceOf(mapping);
      return 'kind' in device ? [] : [{ mapping, device }];
    });
    const seen = this.parts.traffic.sample(disks.map(({ device }) => device));
    const flows = disks.flatMap(({ mapping, device }, index) => flowOf(mapping, device, seen[index]));
    const volumes = new Set(disks.map(({ mapping }) => mapping.volumeId));
    for (const volumeId of this.toldAt.keys()) if (!volumes.has(volumeId)) this.toldAt.delete(volumeId);
    for (const volumeId of this.flowing) if (!volumes.has(volumeId)) this.flowing.delete(volumeId);
    if (this.listeners.size === 0) return flows;
    const due = disks.filter(({ mapping, device }) => this.mustTell(mapping.volumeId, device));
    await mapConcurrent(due, LIMITS.PROBES_AT_ONCE, ({ mapping }) => this.tell(mapping)).catch(
      () => undefined,
    );
    return flows;
  }

  /** The activity of these exports. Throws DATABASE_UNAVAILABLE; what else cannot be read is unknown. */
  async describe(records: readonly ExportRecord[]): Promise<ActiveExport[]> {
    if (records.length === 0) return [];
    const vmId = this.parts.applianceVmId();
    const mappings = vmId === null ? [] : await this.parts.ledger().listMappings(vmId);
    const byVolume = new Map(mappings.map((mapping) => [mapping.volumeId, mapping]));
    return mapConcurrent(records, LIMITS.PROBES_AT_ONCE, async (record) => ({
      record,
      activity: await this.activity(record, byVolume.get(record.volumeId) ?? null),
    }));
  }

  private async activity(record: ExportRecord, mapping: Mapping | null): Promise<ExportActivity> {
    if (mapping === null) {
      const isKnown = this.parts.applianceVmId() !== null;
      const reason = isKnown ? 'it is not an export of this appliance' : 'it is not known which VM this is';
      const why = unknown(reason, this.parts.clock.now(), 'database');
      return { clients: why, traffic: why, progress: progressOf(record, null, why) };
    }
    const clients = await this.clientsOf(record.exportName);
    const device = this.deviceOf(mapping);
    const traffic = 'kind' in device ? device : this.parts.traffic.look(device);
    return { clients, traffic, progress: progressOf(record, mapping.size, traffic) };
  }

  private async clientsOf(exportName: string): Promise<Evidence<number>> {
    const { server, clock } = this.parts;
    try {
      return seen((await server.clients(exportName)).connected.length, clock.now(), 'export-server');
    } catch (error) {
      const why = `the clients of ${exportName} cannot be counted: ${messageOf(error)}`;
      return unknown(why, clock.now(), 'export-server');
    }
  }

  private deviceOf(mapping: Mapping): Device | Unknown {
    const { device, reason } = verifiedDevice(mapping, this.parts.watcher.snapshot());
    return device ?? unknown(reason, this.parts.clock.now(), 'guest');
  }

  private mustTell(volumeId: string, device: Device): boolean {
    const traffic = this.parts.traffic.look(device);
    const { readRate, writeRate } = traffic.kind === 'seen' ? traffic.value : NO_RATES;
    const flows = (readRate ?? 0) > 0 || (writeRate ?? 0) > 0;
    if (!flows && !this.flowing.has(volumeId)) return false;
    const now = this.parts.clock.monotonic();
    const told = this.toldAt.get(volumeId);
    if (told !== undefined && now - told < LIMITS.TRAFFIC_EVENT_MS) return false;
    this.toldAt.set(volumeId, now);
    if (flows) this.flowing.add(volumeId);
    else this.flowing.delete(volumeId);
    return true;
  }

  private async tell(mapping: Mapping): Promise<void> {
    const record = await this.parts.ledger().readExport(mapping.volumeId);
    if (record === null) return;
    const active = { record, activity: await this.activity(record, mapping) };
    for (const listener of [...this.listeners]) listener(active);
  }

  private async readMappings(): Promise<void> {
    const now = this.parts.clock.monotonic();
    if (this.readAt !== null && now - this.readAt < LIMITS.TRAFFIC_MAPPINGS_MS) return;
    const vmId = this.parts.applianceVmId();
    if (vmId === null) return;
    // Marked before the read, so that a change during it is read once more.
    this.readAt = now;
    try {
      this.mappings = await this.parts.ledger().listMappings(vmId);
    } catch {
      this.readAt = null;
    }
  }
}

function flowOf(
  { volumeId }: Mapping,
  { diskseq }: Device,
  traffic: Evidence<Traffic> | undefined,
): DiskFlow[] {
  if (traffic?.kind !== 'seen') return [];
  const { readBytes, writtenBytes } = traffic.value;
  return [{ volumeId, diskseq, readBytes, writtenBytes }];
}

const NO_RATES = { readRate: null, writeRate: null };
