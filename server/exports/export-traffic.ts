import type { Clock } from '../core/clock';
import { mapConcurrent } from '../core/concurrency/map-concurrent';
import { messageOf } from '../core/errors';
import { LIMITS } from '../core/limits';
import type { DeviceSnapshot } from '../devices/device';
import type { Traffic } from '../devices/disk-traffic';
import { verifiedDevice } from '../devices/identity';
import type { TrafficMonitor } from '../devices/traffic-monitor';
import { type Evidence, seen, unknown } from '../model/evidence';
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
export interface DiskFlow extends Pick<Traffic, 'readBytes' | 'writtenBytes'> {
  readonly volumeId: string;
  /** Of the plug. */
  readonly diskseq: number | null;
}

/**
 * The traffic of exports. Their disks are sampled by the device poll; which ones they are (an attach exports
 * every disk that it maps) is read from the ledger after a change and every LIMITS.TRAFFIC_MAPPINGS_MS, so a
 * daemon at rest asks nobody but the kernel.
 */
export class ExportTraffic {
  private mappings: readonly Mapping[] = [];
  private readAt: number | null = null;
  /** When listeners were last told of a volume, and whether bytes flowed then. */
  private readonly told = new Map<string, { readonly at: number; readonly flows: boolean }>();
  private readonly listeners = new Set<(active: ActiveExport) => void>();

  constructor(private readonly parts: Parts) {}

  /** Mappings may have changed: the next sample reads which disks are exported. */
  readonly changed = (): void => {
    this.readAt = null;
  };

  /**
   * Called with an export while bytes flow, at most once in LIMITS.TRAFFIC_EVENT_MS, and once when they stop.
   */
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
    const snapshot = this.parts.watcher.snapshot();
    const disks = this.mappings.flatMap((mapping) => {
      const { device } = verifiedDevice(mapping, snapshot);
      return device === null ? [] : [{ mapping, device }];
    });
    const looks = this.parts.traffic.sample(disks.map(({ device }) => device));
    const volumes = new Set(disks.map(({ mapping }) => mapping.volumeId));
    for (const volumeId of this.told.keys()) if (!volumes.has(volumeId)) this.told.delete(volumeId);
    if (this.listeners.size > 0) {
      const due = disks.filter(({ mapping }, index) => this.mustTell(mapping.volumeId, looks[index]));
      const telling = mapConcurrent(due, LIMITS.PROBES_AT_ONCE, ({ mapping }) => this.tell(mapping));
      await telling.catch(() => undefined);
    }
    return disks.flatMap(({ mapping: { volumeId }, device: { diskseq } }, index) => {
      const look = looks[index];
      if (look?.kind !== 'seen') return [];
      const { readBytes, writtenBytes } = look.value;
      return [{ volumeId, diskseq, readBytes, writtenBytes }];
    });
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
    const { device, reason } = verifiedDevice(mapping, this.parts.watcher.snapshot());
    const traffic = device
      ? this.parts.traffic.look(device)
      : unknown(reason, this.parts.clock.now(), 'guest');
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

  private mustTell(volumeId: string, look: Evidence<Traffic> | undefined): boolean {
    const rates = look?.kind === 'seen' ? look.value : null;
    const flows = (rates?.readRate ?? 0) > 0 || (rates?.writeRate ?? 0) > 0;
    const told = this.told.get(volumeId);
    const at = this.parts.clock.monotonic();
    if (!(flows || told?.flows) || (told && at - told.at < LIMITS.TRAFFIC_EVENT_MS)) return false;
    this.told.set(volumeId, { at, flows });
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
