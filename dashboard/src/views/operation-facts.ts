import type { OperationReply } from '../../../server/http/schemas/operations';
import { element } from '../dom';
import { clockTime } from '../format';
import { facts, operationAddress, volumeLink } from './parts';

/** Everything that an operation says of itself. */
export function operationFacts(operation: OperationReply): HTMLElement {
  const { volume_id, completed_at, response } = operation;
  return facts([
    ['Operation', element('a', { href: operationAddress(operation.id) }, operation.id)],
    ['Volume', volume_id === '' ? '' : volumeLink(volume_id, volume_id)],
    ['VM', operation.vm_id],
    ['Accepted', clockTime(operation.created_at)],
    ['Asked by', operation.actor],
    ['Request id', operation.request_id],
    ['Trace', operation.traceparent],
    ['Cancel asked by', operation.cancel_requested_by?.actor],
    ['Its request id', operation.cancel_requested_by?.request_id],
    ['Its trace', operation.cancel_requested_by?.traceparent],
    ['Ended', completed_at && clockTime(completed_at)],
    ['Request', JSON.stringify(operation.request)],
    ['Response', response && JSON.stringify(response)],
  ]);
}
