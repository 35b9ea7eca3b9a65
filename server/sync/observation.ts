import type { CloudVolume } from '../cloudstack/cloud';
import type { DeviceSnapshot } from '../devices/device';
import type { ConfiguredExport, ProbeResult } from '../exports/export-server';
import type { ExportRecord, Mapping } from '../model/operation';

/**
 * The four views (CloudStack, guest, database, export server) at one moment. A view that could not be read is null, and no
 * drift that needs it is judged.
 */
export interface Observation {
  readonly applianceVmId: string;
  /** What the sources of the appliance's identity disagree about, in words. */
  readonly identityConflicts: readonly string[];
  readonly volumes: readonly CloudVolume[] | null;
  readonly guest: DeviceSnapshot | null;
  readonly mappings: readonly Mapping[];
  readonly exports: readonly ExportRecord[];
  readonly exportsEnabled: boolean;
  readonly configured: readonly ConfiguredExport[] | null;
  /** By export name; only names that should answer were probed. */
  readonly probes: ReadonlyMap<string, ProbeResult>;
  /** Volumes with an operation in flight: never disturbed. */
  readonly busy: ReadonlySet<string>;
  /** Mapped volumes of which CloudStack says that there is none, with its words. */
  readonly absent: ReadonlyMap<string, string>;
  /** Mapped volumes that CloudStack does not show to this key, or that could not be looked up, and why: left alone. */
  readonly hidden: ReadonlyMap<string, string>;
  /** VMs on which another daemon of this database runs: their rows are its business. */
  readonly otherAppliances: ReadonlySet<string>;
  /** Volumes that an earlier try of a create may have left behind, by the operation that says so. */
  readonly unclaimed: ReadonlyMap<string, string>;
  /** Volumes that have been in the same transitional state since an earlier sync, and which. */
  readonly stuckBefore: ReadonlyMap<string, string>;
  /** Bytes a device may be larger than its volume. */
  readonly sizeToleranceBytes: number;
  readonly unavailable: readonly string[];
}
