import type { Cloud, CloudDiskOffering } from '../cloudstack/cloud';
import type { ActiveSettings } from '../cloudstack/settings';
import type { Clock } from '../core/clock';
import { rootDevices } from '../devices/correlation';
import type { Device, DeviceEvent, DeviceSnapshot } from '../devices/device';
import type { DatabaseFacts } from '../model/database-facts';
import type { Ledger } from '../model/ledger';
import type { Mapping } from '../model/operation';
import { checkCloudstack, type DiagnosticCloud } from './cloudstack';
import { explainCorrelation } from './correlation';
import { checkDatabase } from './database';
import type { DeleteMode } from './needs';
import type { CloudReport, CorrelationReport, DatabaseReport, GuestReport, ZoneReport } from './reports';

interface DiagnosticParts {
  readonly cloud: Pick<Cloud, 'readVolume' | 'readVm' | 'listVolumes' | 'listZones' | 'listDiskOfferings'> &
    DiagnosticCloud;
  readonly settings: { active(): Promise<ActiveSettings | null> };
  readonly watcher: {
    snapshot(): DeviceSnapshot;
    scan(): Promise<DeviceSnapshot>;
    recentEvents(): readonly DeviceEvent[];
    deviceOf(mapping: Mapping): Device | null;
  };
  readonly clock: Clock;
  /** Throws STARTING before the schema is there. */
  ledger(): Ledger;
  readonly database: {
    /** Without its password. */
    readonly name: string;
    readonly migrations: readonly string[];
    inspect(): Promise<DatabaseFacts>;
    usage(): DatabaseReport['pool'];
  };
  appliance(): {
    readonly vmId: string | null;
    readonly verdict: string;
    readonly conflicts: readonly string[];
  };
  readonly deleteMode: DeleteMode;
  /** Bytes. */
  readonly toleranceBytes: number;
}

/**
 * The questions of an operator who looks for a cause (the specification's `cmd/test-*`). Nothing here changes anything. What is
 * wrong is part of the answer: a report about a database that is away says so and is no error.
 */
export class Diagnostics {
  constructor(private readonly parts: DiagnosticParts) {}

  /** The disks of this guest as last seen, or as seen now with `scan` (then DEVICES_UNREADABLE may be thrown). */
  async guest({ scan }: { scan: boolean }): Promise<GuestReport> {
    const { watcher } = this.parts;
    const snapshot = scan ? await watcher.scan() : watcher.snapshot();
    const { vmId } = this.parts.appliance();
    const mappings = vmId === null ? [] : await this.parts.ledger().listMappings(vmId);
    const owners = mappings.flatMap((mapping) => {
      const device = watcher.deviceOf(mapping);
      return device ? [[device.path, mapping] as const] : [];
    });
    return { snapshot, owners: new Map(owners), rootDevices: rootDevices(snapshot) };
  }

  /** What correlation makes of a volume right now, and why. VOLUME_NOT_FOUND, and what CloudStack throws. */
  correlation(volumeId: string): Promise<CorrelationReport> {
    const { cloud, watcher, clock, toleranceBytes } = this.parts;
    const ledger = this.parts.ledger();
    const applianceVmId = this.parts.appliance().vmId;
    return explainCorrelation({ cloud, ledger, watcher, clock, applianceVmId, toleranceBytes }, volumeId);
  }

  cloudstack(): Promise<CloudReport> {
    const { cloud, clock, settings, deleteMode } = this.parts;
    const appliance = this.parts.appliance();
    return checkCloudstack({ cloud, clock, appliance, deleteMode, settings: () => settings.active() });
  }

  async zones(): Promise<ZoneReport[]> {
    const zones = await this.parts.cloud.listZones();
    const configured = (await this.parts.settings.active())?.zone ?? null;
    return zones.map((zone) => ({
      ...zone,
      configured: configured !== null && (zone.id === configured.toLowerCase() || zone.name === configured),
    }));
  }

  offerings(): Promise<CloudDiskOffering[]> {
    return this.parts.cloud.listDiskOfferings();
  }

  database(): Promise<DatabaseReport> {
    const { clock, database } = this.parts;
    const { vmId } = this.parts.appliance();
    return checkDatabase({
      clock,
      database: database.name,
      inspect: () => database.inspect(),
      expected: database.migrations,
      pool: database.usage(),
      readOwner: async () => (vmId === null ? null : this.parts.ledger().readOwner(vmId)),
    });
  }
}
