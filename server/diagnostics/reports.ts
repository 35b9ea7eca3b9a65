import type { CloudOwner, CloudZone } from '../cloudstack/cloud';
import type { SkewSource } from '../cloudstack/wire/server-clock';
import type { Correlation } from '../devices/correlation';
import type { DeviceEvent, DeviceSnapshot } from '../devices/device';
import type { Mapping } from '../model/operation';

export interface GuestReport {
  readonly snapshot: DeviceSnapshot;
  /** By device path: the mapping that provably owns the disk. */
  readonly owners: ReadonlyMap<string, Mapping>;
  /** Names of the disks this system runs from. */
  readonly rootDevices: ReadonlySet<string>;
}

export interface CorrelationReport {
  readonly volume: {
    readonly id: string;
    readonly name: string;
    /** Bytes; null when CloudStack does not say. */
    readonly size: number | null;
    readonly state: string;
    readonly vmId: string | null;
  };
  /** True when CloudStack says that the volume is attached to this appliance. */
  readonly attachedHere: boolean;
  readonly expectedSerial: string;
  readonly mapping: Mapping | null;
  /** Why the mapping does not count now; null when it does, or when there is none. */
  readonly mappingProblem: string | null;
  readonly answer: Correlation;
  /** Wall clock ms of the attach that was sent last, null when the journal knows of none. */
  readonly submittedAt: number | null;
  readonly events: readonly DeviceEvent[];
  /** The rules that were applied. */
  readonly windowMs: number;
  readonly toleranceBytes: number;
}

export interface ZoneReport extends CloudZone {
  /** True for the zone of the active row of ossea_configs. */
  readonly configured: boolean;
}

export interface CloudReport {
  readonly ok: boolean;
  /** What is wrong, in words. */
  readonly problems: readonly string[];
  /** Name and URL of the active row of ossea_configs, null when there is none. */
  readonly configuration: string | null;
  readonly endpoint: string | null;
  readonly version: string | null;
  readonly roundTripMs: number | null;
  /** CloudStack's clock minus ours, accurate to a few seconds; null while unknown. */
  readonly clockSkewMs: number | null;
  readonly clockSkewSource: SkewSource | null;
  readonly appliance: {
    readonly vmId: string | null;
    readonly verdict: string;
    readonly owner: CloudOwner | null;
  };
  /**
   * The owner of new volumes (null: the account of the key), and what decides it; `from` is null while
   * CloudStack is away.
   */
  readonly newVolumes: {
    readonly owner: CloudOwner | null;
    readonly from: 'environment' | 'ossea_configs' | 'appliance' | 'key' | null;
  };
  /** What the key may do beyond calling commands. */
  readonly rights: readonly CommandReport[];
  readonly commands: readonly CommandReport[];
}

/** One command of CloudStack that the daemon sends, or a right. */
export interface CommandReport {
  readonly name: string;
  readonly purpose: string;
  /** null when CloudStack did not tell. */
  readonly allowed: boolean | null;
}

export interface DatabaseReport {
  readonly ok: boolean;
  readonly problems: readonly string[];
  /** The DSN without its password. */
  readonly database: string;
  readonly version: string | null;
  readonly roundTripMs: number | null;
  /** The database's clock minus ours. */
  readonly clockSkewMs: number | null;
  readonly migrations: readonly { readonly id: string; readonly appliedAt: number | null }[];
  readonly pool: { readonly inUse: number; readonly waiting: number };
  readonly owner: { readonly owner: string; readonly epoch: number; readonly since: number } | null;
}
