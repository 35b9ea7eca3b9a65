import type { OperationReply } from '../../../server/http/schemas/operations';
import { shortId } from '../format';
import type { Store } from '../store';

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
  cleanup: 'Bring back',
  unreadable: 'Not understood',
};

/** The name of the volume of an operation when it is known, otherwise the start of its id. */
export function subject(store: Store, { request, volume_id }: OperationReply): string {
  if (typeof request.name === 'string') return request.name;
  return store.nameOf(volume_id) || shortId(volume_id);
}

/** `to this appliance`, `to VM 1a2b3c4d` */
export function target(store: Store, operation: OperationReply): string {
  const { type, vm_id } = operation;
  if (type === 'cleanup') return 'from the test VM to this appliance';
  if (type !== 'attach' || vm_id === undefined) return '';
  const here = store.state.health?.details.appliance.vm_id === vm_id;
  return here ? 'to this appliance' : `to VM ${shortId(vm_id)}`;
}
