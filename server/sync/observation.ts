import type { CloudVolume } from '../cloudstack/cloud';
import type { DeviceSnapshot, Holder } from '../devices/device';
import type { ConfiguredExport, ProbeResult } from '../exports/export-server';
import type { ExportRecord, Mapping } from '../model/operation';

/**
 * The four views (CloudStack, guest, database, export server) at one moment. A view that could not be read is
 * null, and no drift that needs it is checked.
 */
export interface Observation {
  readonly applianceVmId: string;
  /** Where the sources of the appliance's identity disagree. */
  readonly identityConflicts: readonly string[];
  readonly volumes: readonly CloudVolume[] | null;
  readonly guest: DeviceSnapshot | null;
  /**
   * By device path: who uses the disks that may be volumes' of ours. A disk that is missing was not looked
   * at.
   */
  readonly users: ReadonlyMap<string, readonly Holder[]>;
  readonly mappings: readonly Mapping[];
  readonly exports: readonly ExportRecord[];
  readonly exportsEnabled: boolean;
  /** The ports on which clients reach exports. */
  readonly exportPorts: { readonly writable: number; readonly readOnly: number };
  readonly configured: readonly ConfiguredExport[] | null;
  /** By export name; only exports that should answer were probed. */
  readonly probes: ReadonlyMap<string, ProbeResult>;
  /** Volumes with an operation in flight: never touched. */
  readonly busy: ReadonlySet<string>;
  /** Volumes with a mapping or a disk here that CloudStack says do not exist, with its text. */
  readonly absent: ReadonlyMap<string, string>;
  /**
   * Volumes with a mapping or a disk here that CloudStack does not show to this key or that could not be
   * read, and why: left alone.
   */
  readonly hidden: ReadonlyMap<string, string>;
  /**
   * VMs on which another daemon with this database has ever run, and whether it does now: its rows are left
   * to it. One that does not run hands nothing over, though.
   */
  readonly otherAppliances: ReadonlyMap<string, { readonly runs: boolean }>;
  /** Volumes without a mapping, attached to another VM, that are proven to be ours. */
  readonly ours: ReadonlySet<string>;
  /** Volumes that an earlier try of a create may have left behind, with the operation that reported them. */
  readonly unclaimed: ReadonlyMap<string, string>;
  /** Volumes in the same transitional state since an earlier sync, with that state. */
  readonly stuckBefore: ReadonlyMap<string, string>;
  /** How much larger than its volume a device may be. */
  readonly sizeToleranceBytes: number;
  readonly unavailable: readonly string[];
}
