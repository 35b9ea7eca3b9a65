import { setResponseHeader } from 'h3';
import { listOperations } from '../../../../http/endpoints/operations';
import { pageOf } from '../../../../http/page';
import { operationReply } from '../../../../http/replies';
import { serve } from '../../../../http/serve';
import { currentDaemon } from '../../../../runtime/current';
import { LIMITS } from '../../../../runtime/limits';

export default serve(listOperations, async ({ event, query }) => {
  const { type, status, volume_id, vm_id, since, limit = LIMITS.LIST_DEFAULT, cursor } = query;
  const filter = { type, status, volumeId: volume_id, vmId: vm_id, since, before: cursor };
  // One more than asked for tells whether there is a next page.
  const found = await currentDaemon().operations.list({ ...filter, limit: limit + 1 });
  const { items, next } = pageOf(event.path, found, limit);
  if (next) setResponseHeader(event, 'Link', `<${next}>; rel="next"`);
  return items.map(operationReply);
});
