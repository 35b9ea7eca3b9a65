import { setResponseHeader } from 'h3';
import { LIMITS } from '../../../../core/limits';
import { listVolumes } from '../../../../http/endpoints/volumes';
import { linkToNext } from '../../../../http/response/pagination';
import { volumeListReply } from '../../../../http/response/volume-list-reply';
import { serve } from '../../../../http/serve';

export default serve(listVolumes, async ({ event, daemon, query }) => {
  const { name, state, vm_id, attached, project, limit = LIMITS.LIST_DEFAULT, cursor } = query;
  const filter = { name, state, vmId: vm_id, attached, projectId: project, after: cursor, limit };
  const page = await daemon.volumes.list(filter);
  const reply = volumeListReply(page);
  setResponseHeader(event, 'Age', reply.cloudstack.age_seconds);
  if (page.next !== null) setResponseHeader(event, 'Link', linkToNext(event.path, page.next));
  return reply;
});
