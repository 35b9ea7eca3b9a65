/** Everything that sync can find wrong, by name. */
export const DRIFT_KINDS = [
  'ghost-disk',
  'phantom-attach',
  'letter-moved',
  'resized',
  'unmapped-volume',
  'stale-mapping',
  'missing-export',
  'orphan-export',
  'unhealthy-export',
  'stuck-state',
  'identity-conflict',
] as const;
export type DriftKind = (typeof DRIFT_KINDS)[number];

export interface Drift {
  readonly kind: DriftKind;
  readonly volumeId: string | null;
  readonly vmId: string | null;
  readonly devicePath: string | null;
  /** What is wrong, in words. */
  readonly message: string;
  /** The exact command or click that mends it, when the daemon does not. */
  readonly remedy: string;
  /** repaired: done. planned: would be done (dry run). reported: left to a person. failed: tried, see message. */
  readonly action: 'repaired' | 'planned' | 'reported' | 'failed';
}

export interface SyncReport {
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly dryRun: boolean;
  readonly reason: string;
  readonly observed: { cloudVolumes: number; devices: number; mappings: number; exports: number };
  /** Views that could not be read; drifts that need them are not judged. */
  readonly unavailable: string[];
  readonly drifts: Drift[];
  /** Volumes left alone because an operation is in flight. */
  readonly skippedVolumes: number;
}
