/** The names of everything that sync can find wrong. */
export const DRIFT_KINDS = [
  'ghost-disk',
  'phantom-attach',
  'letter-moved',
  'resized',
  'size-mismatch',
  'unmapped-volume',
  'stale-mapping',
  'missing-export',
  'orphan-export',
  'unhealthy-export',
  'stuck-state',
  'identity-conflict',
  'not-visible',
  'unclaimed-volume',
  'used-by-system',
] as const;
export type DriftKind = (typeof DRIFT_KINDS)[number];

/**
 * What the daemon does about a drift when a person says so. force-sync: repairs it. reattach: detaches the
 * volume from this appliance, and attaches it again. delete: deletes the volume.
 */
export const DRIFT_REMEDIES = ['force-sync', 'reattach', 'delete'] as const;
export type DriftRemedy = (typeof DRIFT_REMEDIES)[number];

/**
 * repaired: done. planned: would be done (dry run). reported: left to an operator. failed: tried, see
 * message.
 */
export const DRIFT_ACTIONS = ['repaired', 'planned', 'reported', 'failed'] as const;
type DriftAction = (typeof DRIFT_ACTIONS)[number];

/** One difference between the views, and what was done about it. */
export interface Drift {
  readonly kind: DriftKind;
  readonly volumeId: string | null;
  readonly vmId: string | null;
  readonly devicePath: string | null;
  /** What is wrong, in words. */
  readonly message: string;
  /** The exact command or click that repairs it, when the daemon does not. */
  readonly remedy: string;
  /** The part of the remedy that the daemon does when it is asked to; null: none. */
  readonly remedyBy: DriftRemedy | null;
  readonly action: DriftAction;
  /** Wall clock ms since when it could not be checked again; null when this report has checked it. */
  readonly notJudgedSince: number | null;
}

/** The result of one sync. */
export interface SyncReport {
  readonly startedAt: number;
  readonly finishedAt: number;
  readonly dryRun: boolean;
  readonly reason: string;
  readonly observed: { cloudVolumes: number; devices: number; mappings: number; exports: number };
  /**
   * False when a view could not be read at all: then nothing new is known, `drifts` keeps what was known
   * before, and the run does not count as a sync.
   */
  readonly judged: boolean;
  /** What could not be read, and why; drifts that need it are not checked. */
  readonly unavailable: string[];
  readonly drifts: Drift[];
  /** Volumes left alone because an operation is in flight. */
  readonly skippedVolumes: number;
}
