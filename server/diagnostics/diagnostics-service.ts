import type { Cloud, CloudDiskOffering } from '../cloudstack/cloud';
import type { ActiveSettings } from '../cloudstack/settings';
import type { Clock } from '../core/clock';
import { rootDevices } from '../devices/correlation';
import type { Device, DeviceEvent, DeviceSnapshot } from '../devices/device';
import type { DatabaseFacts } from '../model/database-facts';
import type { Ledger } from '../model/ledger';
import type { Mapping, Operation } from '../model/operation';
import type { Policy } from '../operations/policy';
import { checkCloudstack, type DiagnosticCloud } from './cloudstack';
import { explainCorrelation } from './correlation';
import { checkDatabase } from './database';
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
  /** Throws STARTING or DATABASE_UNAVAILABLE until the schema is there. */
  ledger(): Ledger;
  readonly database: {
    /** Without its password. */
    readonly name: string;
    readonly migrations: readonly string[];
    inspect(): Promise<DatabaseFacts>;
    usage(): DatabaseReport['pool'];
    /** See checkDatabase. */
    unsettled(): string | null;
  };
  appliance(): {
    readonly vmId: string | null;
    readonly verdict: string;
    readonly conflicts: readonly string[];
    readonly contradicted: string | null;
  };
  /**
   * Operations that may be bringing a disk into this guest now; none where another process owns the
   * appliance.
   */
  attaching(): readonly Operation[];
  readonly deleteMode: Policy['deleteMode'];
  /** How much larger than the volume a device may be. */
  readonly toleranceBytes: number;
}

/**
 * The checks of an operator who looks for the cause of a problem (the specification's `cmd/test-*`). They
 * change nothing. Problems are part of the report: that the database is away is a result, not an error.
 */
export class Diagnostics {
  constructor(private readonly parts: DiagnosticParts) {}

  /** The disks of this guest as last seen, or with `scan` as they are now (may throw DEVICES_UNREADABLE). */
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

  /**
   * The result of correlating a volume now, and why. Throws VOLUME_NOT_FOUND, VOLUME_NOT_VISIBLE and
   * CloudError.
   */
  correlation(volumeId: string): Promise<CorrelationReport> {
    const { cloud, watcher, clock, toleranceBytes } = this.parts;
    const ledger = this.parts.ledger();
    const applianceVmId = this.parts.appliance().vmId;
    const attaching = () => this.parts.attaching();
    return explainCorrelation(
      { cloud, ledger, watcher, clock, applianceVmId, toleranceBytes, attaching },
      volumeId,
    );
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
      unsettled: database.unsettled(),
      readOwner: async () => {
        const row = vmId === null ? null : await this.parts.ledger().readOwner(vmId);
        return row && { owner: row.owner, epoch: row.epoch, since: row.since };
      },
    });
  }
}
