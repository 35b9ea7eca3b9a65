import type { OperationReply } from '../../../server/http/schemas/operations';
import { shortId } from '../format';

export const STATUS_WORDS: Readonly<Record<OperationReply['status'], string>> = {
  pending: 'waiting',
  executing: 'running',
  completed: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
};

export const TYPE_WORDS: Readonly<Record<OperationReply['type'], string>> = {
  create: 'Create',
  attach: 'Attach',
  detach: 'Detach',
  delete: 'Delete',
  recover: 'Recover',
  resize: 'Resize',
  snapshot: 'Take a snapshot',
  'delete-snapshot': 'Delete a snapshot',
  revert: 'Revert to a snapshot',
  'snapshot-group': 'Take snapshots of a group',
  cleanup: 'Bring back',
  unreadable: 'Not understood',
};

/** What a page knows that an operation does not say itself. */
export interface Context {
  /** Empty while it is unknown. */
  nameOf(volumeId: string): string;
  /** null while it is unknown. */
  applianceId(): string | null;
}

/**
 * The name of the volume of an operation when it is known, otherwise the start of its id:
 * `of disk-1` after a snapshot.
 */
export function subject(context: Context, { type, request, volume_id }: OperationReply): string {
  const hasItsOwn = type === 'create' || type === 'snapshot-group';
  if (hasItsOwn && typeof request.name === 'string') return request.name;
  const name = context.nameOf(volume_id) || shortId(volume_id);
  return OF_A_VOLUME.has(type) && name !== '' ? `of ${name}` : name;
}

const OF_A_VOLUME: ReadonlySet<OperationReply['type']> = new Set(['snapshot', 'delete-snapshot', 'revert']);

/** `to this appliance`, `to VM 1a2b3c4d` */
export function target(context: Context, operation: OperationReply): string {
  const { type, vm_id } = operation;
  if (type === 'cleanup') return 'from the test VM to this appliance';
  if (type !== 'attach' || vm_id === undefined) return '';
  return context.applianceId() === vm_id ? 'to this appliance' : `to VM ${shortId(vm_id)}`;
}

/** Why an operation waits, with its next try; empty when it does not. */
export function waitText(
  { held, wait_reason, attempt, next_attempt_at }: OperationReply,
  clock: (at: string) => string,
): string {
  if (held !== undefined) return `Held: ${held}`;
  if (wait_reason === undefined) return '';
  const next = next_attempt_at === undefined ? '' : ` Next try at ${clock(next_attempt_at)}.`;
  return `${wait_reason}${attempt > 0 ? ` (try ${attempt})` : ''}.${next}`.replace(/\.\./g, '.');
}
