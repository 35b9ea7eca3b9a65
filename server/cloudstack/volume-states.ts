import type { CloudVolume } from './cloud';

/** What an operation does with a volume in this state. */
export type StateVerdict = 'act' | 'wait' | 'refuse';

/** What may be done with a volume. */
export type StateCall = 'attach' | 'detach' | 'delete' | 'recover' | 'resize' | 'snapshot' | 'revert';

/** One CloudStack volume state, and what it means for us. */
export interface VolumeState {
  readonly attach: StateVerdict;
  readonly detach: StateVerdict;
  readonly delete: StateVerdict;
  /** recoverVolume; needless: the volume is not deleted. */
  readonly recover: StateVerdict | 'needless';
  readonly resize: StateVerdict;
  readonly snapshot: StateVerdict;
  /** To a snapshot of it. */
  readonly revert: StateVerdict;
  /** What CloudStack is doing, or why it never accepts the call, as the end of "the volume …". */
  readonly means: string;
  /**
   * rest: CloudStack does nothing with the volume. moving: the state ends by itself within minutes. leaving:
   * the volume is being removed. upload: it waits for its content to be uploaded.
   */
  readonly phase: 'rest' | 'moving' | 'leaving' | 'upload';
}

/** What has content: resize, snapshot and revert are accepted of such a volume only, where it is at rest. */
const NO_CONTENT = { resize: 'refuse', snapshot: 'refuse', revert: 'refuse' } as const;
const AT_REST = {
  attach: 'act',
  detach: 'act',
  delete: 'act',
  recover: 'needless',
  resize: 'act',
  snapshot: 'act',
  revert: 'act',
  phase: 'rest',
} as const;
const MOVING = {
  attach: 'wait',
  detach: 'wait',
  delete: 'wait',
  recover: 'wait',
  resize: 'wait',
  snapshot: 'wait',
  revert: 'wait',
  phase: 'moving',
} as const;
const DEAD_UPLOAD = {
  attach: 'refuse',
  detach: 'refuse',
  delete: 'act',
  recover: 'needless',
  ...NO_CONTENT,
  phase: 'upload',
} as const;
/**
 * deleteVolume is sent again: CloudStack answers success at once and does what its cleanup thread would do
 * once a day.
 */
const LEAVING = {
  attach: 'refuse',
  detach: 'refuse',
  delete: 'act',
  recover: 'refuse',
  ...NO_CONTENT,
  phase: 'leaving',
} as const;

/**
 * Every volume state of CloudStack 4.20, one table for the engine, sync and the pages. Attach, detach and
 * delete are accepted in the states that CloudStack's own checks name; a volume that is being snapshotted can
 * be detached (measured on 4.20). A volume without storage can be resized, and has nothing to snapshot.
 */
const STATES: Readonly<Record<string, VolumeState>> = {
  Allocated: {
    ...AT_REST,
    ...NO_CONTENT,
    resize: 'act',
    means: 'has no storage yet; the first attach makes it',
  },
  Ready: { ...AT_REST, means: 'is ready' },
  Uploaded: { ...AT_REST, ...NO_CONTENT, means: 'was uploaded and waits for its first attach' },
  Creating: { ...MOVING, means: 'is being created' },
  Attaching: { ...MOVING, means: 'is being attached' },
  Migrating: { ...MOVING, means: 'is being moved to another storage' },
  Snapshotting: { ...MOVING, detach: 'act', means: 'is being snapshotted' },
  RevertSnapshotting: { ...MOVING, means: 'is being reverted to a snapshot' },
  Resizing: { ...MOVING, means: 'is being resized' },
  Copying: { ...MOVING, means: 'is being copied' },
  Restoring: { ...MOVING, means: 'is being restored' },
  UploadOp: { ...MOVING, means: 'is being taken over from an upload' },
  UploadInProgress: {
    ...MOVING,
    ...NO_CONTENT,
    attach: 'refuse',
    phase: 'upload',
    means: 'is being uploaded',
  },
  Uploading: { ...MOVING, ...NO_CONTENT, attach: 'refuse', phase: 'upload', means: 'is being uploaded' },
  NotUploaded: { ...DEAD_UPLOAD, means: 'waits for an upload that has not begun' },
  UploadNotStarted: { ...DEAD_UPLOAD, means: 'waits for an upload that has not begun' },
  UploadError: { ...DEAD_UPLOAD, means: 'could not be uploaded' },
  UploadAbandoned: { ...DEAD_UPLOAD, means: 'was given up while it was uploaded' },
  Destroy: { ...LEAVING, recover: 'act', means: 'is deleted and not yet expunged' },
  Destroying: { ...LEAVING, delete: 'wait', recover: 'wait', means: 'is being deleted' },
  Expunging: { ...LEAVING, means: 'is being expunged' },
  Expunged: { ...LEAVING, delete: 'refuse', means: 'is expunged' },
};

/** A state of a newer CloudStack: operations wait for it to pass, and in the end fail naming it. */
const NEW_STATE: VolumeState = { ...MOVING, means: 'is in a state that this version does not know' };

/**
 * @example
 * stateOf({ state: 'Migrating' }).attach; // 'wait'
 */
export function stateOf({ state }: Pick<CloudVolume, 'state'>): VolumeState {
  return STATES[state] ?? NEW_STATE;
}

/** True when CloudStack does nothing with the volume, so that its state will not change by itself. */
export function isAtRest(volume: Pick<CloudVolume, 'state'>): boolean {
  const { phase } = stateOf(volume);
  return phase === 'rest' || phase === 'upload';
}

/** True when the volume is being removed or is gone: CloudStack accepts no other call for it. */
export function isLeaving(volume: Pick<CloudVolume, 'state'>): boolean {
  return stateOf(volume).phase === 'leaving';
}

/** Would it come back from the trash? Not one that has no content yet or any more. */
export function canBeRecovered({ state }: Pick<CloudVolume, 'state'>): boolean {
  return !['Allocated', 'Uploaded', 'Expunging'].includes(state) && stateOf({ state }).phase !== 'upload';
}

/** The names of all states in the table, for documents and tests. */
export const VOLUME_STATES: readonly string[] = Object.keys(STATES);
