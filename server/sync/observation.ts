import type { CloudVolume } from '../cloudstack/cloud';
import type { DeviceSnapshot } from '../devices/model';
import type { ConfiguredExport, ProbeResult } from '../exports/export-server';
import type { ExportRecord, Mapping } from '../operations/model';

/**
 * The four views (CloudStack, guest, database, export server) at one moment. A view that could not be read is null, and no
 * drift that needs it is judged.
 */
export interface Observation {
  readonly applianceVmId: string;
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
  /** Volumes seen in the same transitional state by the previous sync. */
  readonly stuckBefore: ReadonlyMap<string, string>;
  readonly unavailable: readonly string[];
}
