import { setResponseHeader } from 'h3';
import { LIMITS } from '../../../../core/limits';
import { listOperations } from '../../../../http/endpoints/operations';
import { pageOf } from '../../../../http/response/pagination';
import { operationReply } from '../../../../http/response/replies';
import { serve } from '../../../../http/serve';

export default serve(listOperations, async ({ event, daemon, query }) => {
  const { type, status, volume_id, vm_id, since, limit = LIMITS.LIST_DEFAULT, cursor } = query;
  const filter = { type, status, volumeId: volume_id, vmId: vm_id, since, before: cursor };
  // One more than asked for tells whether there is a next page.
  const found = await daemon.operations.list({ ...filter, limit: limit + 1 });
  const { items, next } = pageOf(event.path, found, limit);
  if (next) setResponseHeader(event, 'Link', next);
  return items.map(operationReply);
});
