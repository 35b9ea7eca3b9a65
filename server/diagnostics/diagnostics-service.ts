import type { Cloud, CloudDiskOffering } from '../cloudstack/cloud';
import type { ActiveSettings } from '../cloudstack/settings';
import type { Clock } from '../core/clock';
import type { DatabaseFacts } from '../database/inspect';
import { rootDevices } from '../devices/correlation';
import type { Device, DeviceEvent, DeviceSnapshot } from '../devices/device';
import type { Ledger } from '../model/ledger';
import type { Mapping } from '../model/operation';
import { checkCloudstack, type DiagnosticCloud } from './cloudstack';
import { explainCorrelation } from './correlation';
import { checkDatabase } from './database';
import type {
  CloudReport,
  CorrelationReport,
  DatabaseReport,
  DiagnosticsApi,
  GuestReport,
  ZoneReport,
} from './reports';

interface DiagnosticParts {
  readonly cloud: Pick<Cloud, 'readVolume' | 'listVolumes' | 'listZones' | 'listDiskOfferings'> &
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
  appliance(): CloudReport['appliance'];
  /** Bytes. */
  readonly tolerance: number;
}

/** Answers the questions of ./reports.ts on the parts of the running daemon. */
export class Diagnostics implements DiagnosticsApi {
  constructor(private readonly parts: DiagnosticParts) {}

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

  correlation(volumeId: string): Promise<CorrelationReport> {
    const { cloud, watcher, clock, tolerance } = this.parts;
    const ledger = this.parts.ledger();
    const applianceVmId = this.parts.appliance().vmId;
    return explainCorrelation({ cloud, ledger, watcher, clock, applianceVmId, tolerance }, volumeId);
  }

  cloudstack(): Promise<CloudReport> {
    const { cloud, clock, settings } = this.parts;
    const appliance = this.parts.appliance();
    return checkCloudstack({ cloud, clock, appliance, settings: () => settings.active() });
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
