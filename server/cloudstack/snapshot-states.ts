/**
 * ready: it can be reverted to and deleted. dead: it holds nothing, and can only be deleted. moving:
 * CloudStack works on it, or it is a row whose job has not begun.
 */
export type SnapshotPhase = 'ready' | 'dead' | 'moving';

/** States of other versions are taken for moving: they are waited for, and in the end named. */
export function snapshotPhase(state: string): SnapshotPhase {
  if (state === 'BackedUp') return 'ready';
  return state === 'Error' || state === 'Destroyed' ? 'dead' : 'moving';
}
